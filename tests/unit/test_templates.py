"""The Zabbix templates fit what collect gives, and are what the generator makes of today's catalogue."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from generated import assert_up_to_date
from zabbix_kvm import master
from zabbix_templates import export, readme
from zabbix_templates.all import templates
from zabbix_templates.model import Item, Template

from kvmwatch.model.derived import DERIVED
from kvmwatch.model.metrics import catalogue

FOLDER = Path(__file__).parents[2] / "templates"
DOCUMENT = json.loads(
    (Path(__file__).parents[1] / "golden" / "zabbix_kvm_collect.json").read_text(encoding="utf-8")
)
ALL = templates()
#: items about a part that are not values of its record: made of others, or of the domain it belongs to
OWN = re.compile(r"kvm\.(disk\.\w+_latency|(disk|interface)\.vm_state)")
#: the inventory fields that a template of Zabbix's own fills, in 6.0 or 7.0: linking two that fill the same one is refused
OFFICIAL_INVENTORY = {
    *("CONTACT", "LOCATION", "LOCATION_LAT", "LOCATION_LON", "MACADDRESS_A", "MODEL", "NAME", "NOTES", "OS"),
    *(
        "OS_SHORT",
        "POC_1_EMAIL",
        "POC_1_NAME",
        "SERIALNO_A",
        "SITE_CITY",
        "SITE_COUNTRY",
        "SITE_STATE",
        "SOFTWARE",
    ),
    *(*(f"SOFTWARE_APP_{letter}" for letter in "ABCDE"), "SOFTWARE_FULL", "TYPE", "VENDOR"),
}


def items(template: Template) -> list[Item]:
    return [*template.items, *(item for rule in template.rules for item in rule.items)]


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_files_are_up_to_date(template: Template) -> None:
    folder = FOLDER / template.folder
    assert_up_to_date(folder / "template.xml", export.xml(template), "templates")
    assert_up_to_date(folder / "README.md", readme.render(template), "templates")


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_no_metric_is_forgotten(template: Template) -> None:
    names = {metric.full_name for metric in catalogue()} - master.LEFT_OUT.keys()
    names |= {f"{derived.entity}.{derived.name}" for derived in DERIVED}
    if template.name == "KVM Guest":
        names = {name for name in names if name.split(".")[0] not in ("host", "pool", "network")}
    shown = {item.key.removeprefix("kvm.").split("[")[0] for item in items(template)}
    forgotten = sorted(names - shown)
    files = sorted({f"tools/zabbix_templates/{name.split('.')[0]}.py" for name in forgotten})
    assert not forgotten, (
        f"{template.name} has no item for {', '.join(forgotten)}: add a Shown in {', '.join(files)}, or a reason to "
        "LEFT_OUT of zabbix/zabbix_kvm/master.py; then run 'make templates'"
    )


def test_what_is_left_out_is_in_the_catalogue() -> None:
    unknown = sorted(master.LEFT_OUT.keys() - {metric.full_name for metric in catalogue()})
    assert not unknown, f"LEFT_OUT of zabbix/zabbix_kvm/master.py: kvmwatch/model/metrics.py has no {unknown}"


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_every_key_of_an_item_is_one_that_collect_can_give(template: Template) -> None:
    known = known_keys()
    for item in items(template):
        if item.steps and item.steps[0].type == "JSONPATH" and not OWN.match(item.key):
            path = item.steps[0].parameters[0].removesuffix(".first()")
            bare = re.sub(r"\[\?\(.*?\)\]", "[]", path).removeprefix("$.")
            if template.name == "KVM Guest" and bare not in ("time", "hypervisor"):
                bare = f"domains[].{bare}"
            assert bare in known, (
                f"{item.key} of tools/zabbix_templates is made of {bare}, which zabbix/zabbix_kvm/master.py does not give"
            )


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_expressions_name_items_that_there_are(template: Template) -> None:
    keys = {item.key for item in items(template)}
    names = {name for name, _ in template.value_maps}
    triggers = [*template.triggers, *(trigger for rule in template.rules for trigger in rule.triggers)]
    for trigger in triggers:
        for key in re.findall(r"/T/(kvm\.[\w.]+(?:\[[^]]*\])?)", trigger.expression):
            assert key in keys, f"tools/zabbix_templates: {trigger.name!r} of {template.name} asks for {key}"
        for macro in re.findall(r"\{\$[A-Z.]+", trigger.expression):
            known = {found.name for found in template.macros}
            assert macro + "}" in known, (
                f"tools/zabbix_templates: {trigger.name!r} of {template.name}: no {macro}}}"
            )
        assert trigger.meaning, f"tools/zabbix_templates: {trigger.name!r} has no meaning"
        assert trigger.cure, f"tools/zabbix_templates: {trigger.name!r} has no cure"
    for item in items(template):
        assert not item.value_map or item.value_map in names, f"{template.name}: {item.key}: no {item.value_map}"
        assert not item.master or item.master in keys, f"{template.name}: {item.key}: no item {item.master}"
    graphs = [*template.graphs, *(graph for rule in template.rules for graph in rule.graphs)]
    missing = {key for graph in graphs for key in graph.keys} - keys
    assert not missing, (
        f"tools/zabbix_templates: graphs of {template.name} show items that it lacks: {sorted(missing)}"
    )
    shown = {widget.shows for board in template.dashboards for page in board.pages for widget in page.widgets}
    missing = shown - keys - {graph.name for graph in graphs}
    assert not missing, f"tools/zabbix_templates/dashboards.py shows what {template.name} lacks: {sorted(missing)}"


def known_keys() -> set[str]:
    """The paths of all values that a document can have: of the golden one, and of the catalogue."""
    lists = {
        **{"domain": "domains[]", "vcpu": "domains[].vcpus[]", "disk": "domains[].disks[]"},
        **{"interface": "domains[].interfaces[]", "filesystem": "domains[].filesystems[]"},
        **{"pool": "pools[]", "network": "networks[]", "host": "host"},
    }
    names = {metric.full_name for metric in catalogue()} - master.LEFT_OUT.keys()
    names |= {f"{derived.entity}.{derived.name}" for derived in DERIVED}
    made = {f"{lists[name.split('.')[0]]}.{name.split('.')[1]}" for name in names}
    return made | set(paths(DOCUMENT)) | {"error", "hypervisor"}


def paths(value: Any, path: str = "") -> Any:
    """The path of every value of a document, with [] for each list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{path}[]")
    else:
        yield path


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_every_discovery_list_is_in_the_document(template: Template) -> None:
    if template.name == "KVM Guest":
        return  # its lists are those of PARTS, by construction
    for rule in template.rules:
        rows = DOCUMENT["discovery"][rule.path.removeprefix("$.discovery.")]
        if not rule.part:
            macros = set(re.findall(r"\{#[A-Z.]+\}", json.dumps([item.key for item in rule.items])))
            missing = sorted(macros - rows[0].keys())
            assert not missing, f"{rule.name}: zabbix/zabbix_kvm/discovery.py gives no {', '.join(missing)}"
            continue
        with_part = [row for row in rows if rule.part in row]
        assert with_part, rule.name
        assert all(len(values) == len(rule.macros) for row in with_part for values in row[rule.part])


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_no_inventory_field_is_that_of_an_official_template(template: Template) -> None:
    linked = {item.inventory for item in items(template)} - {""}
    assert not linked & OFFICIAL_INVENTORY, f"{template.name} cannot be linked beside the templates of Zabbix"
