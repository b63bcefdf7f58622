"""The Zabbix templates fit what collect gives, and are what the generator makes of today's catalogue."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from generated import assert_up_to_date
from zabbix_kvm import master
from zabbix_templates import export, guest, readme
from zabbix_templates.all import templates
from zabbix_templates.model import Item, Rule, Template
from zabbix_templates.scope import HEARD

from kvmwatch.model.derived import DERIVED
from kvmwatch.model.metrics import catalogue

FOLDER = Path(__file__).parents[2] / "templates"
DOCUMENT = json.loads(
    (Path(__file__).parents[1] / "golden" / "zabbix_kvm_collect.json").read_text(encoding="utf-8")
)
ALL = templates()
#: items about a part that are not values of its record: made of others, or of the domain it belongs to
OWN = re.compile(
    r"kvm\.(disk\.\w+_latency|(disk|interface|filesystem)\.(details_)?vm_state|domain\.condition|conditions)"
)
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
        names = {name for name in names if name.split(".")[0] not in ("host", "pool", "network", "uplink")}
    shown = {item.key.removeprefix("kvm.").split("[")[0] for item in items(template)}
    forgotten = sorted(names - shown)
    files = sorted({f"tools/zabbix_templates/{name.split('.')[0]}.py" for name in forgotten})
    assert not forgotten, (
        f"{template.name} has no item for {', '.join(forgotten)}: add a Shown in {', '.join(files)}, or a reason to "
        "LEFT_OUT of zabbix/zabbix_kvm/master.py; then run 'make templates'"
    )


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_a_point_in_time_is_shown_as_one(template: Template) -> None:
    """Zabbix writes 1.8 Gunixtime in the names of problems when it is not a whole number."""
    items = (*template.items, *(item for rule in template.rules for item in rule.items))
    assert [item.key for item in items if item.units == "unixtime" and item.value_type != "UNSIGNED"] == []


def test_what_is_left_out_is_in_the_catalogue() -> None:
    unknown = sorted(master.LEFT_OUT.keys() - {metric.full_name for metric in catalogue()})
    assert not unknown, f"LEFT_OUT of zabbix/zabbix_kvm/master.py: kvmwatch/model/metrics.py has no {unknown}"


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_every_key_of_an_item_is_one_that_collect_can_give(template: Template) -> None:
    known = known_keys()
    for item in items(template):
        if item.steps and item.steps[0].type == "JSONPATH" and not OWN.match(item.key):
            path = "".join(step.parameters[0] for step in item.steps if step.type == "JSONPATH")
            path = (
                path.replace("$.pools$", "$.pools").replace("$.networks$", "$.networks").removesuffix(".first()")
            )
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
        "uplink": "uplinks[]",
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


HYPERVISORS = [template for template in ALL if template.name != guest.NAME]


def of_vms(template: Template) -> list[Rule]:
    """The rules of a hypervisor that find VMs and their parts."""
    return [rule for rule in template.rules if any("{#VM.UUID}" in item.key for item in rule.items)]


@pytest.mark.parametrize("template", HYPERVISORS, ids=lambda template: template.folder)
def test_every_problem_of_a_vm_asks_whether_its_own_host_tells_it(template: Template) -> None:
    """And no rule asks for the item of another: Zabbix refuses such a prototype."""
    for rule in of_vms(template):
        own = {item.key for item in rule.items}
        for trigger in rule.triggers:
            asked = set(
                re.findall(r"/T/(kvm\.\w+\.(?:own_host|(?:details_)?vm_state)\[[^]]*\])", trigger.expression)
            )
            assert asked, (
                f"{trigger.name!r} of {template.name} misses a guard alerts() or state_of() of tools/zabbix_templates/scope.py"
            )
            assert asked <= own, f"{trigger.name!r} of {template.name}"


@pytest.mark.parametrize("template", HYPERVISORS, ids=lambda template: template.folder)
def test_what_guests_count_comes_with_each_collection_that_has_read_the_vm(template: Template) -> None:
    key = f"{guest.TELLS}[{{#VM.UUID}}]"
    (item,) = (item for item in items(template) if item.key == key)
    assert item.value_type in ("FLOAT", "UNSIGNED")
    assert [(step.type, step.fails) for step in item.steps] == [("JSONPATH", "DISCARD_VALUE")], (
        f"{key} is counted by {guest.NAME}: it needs a value from each collection that has the VM, and from no other"
    )
    assert all("state" in domain for domain in DOCUMENT["domains"])


def test_hosts_ask_each_other_for_items_that_there_are() -> None:
    """Formulas with /*/ ask all hosts: guests ask hypervisors, and hypervisors guests."""
    keys = {template.name: {item.key for item in items(template)} for template in ALL}
    (of_guests,) = (names for name, names in keys.items() if name == guest.NAME)
    for template in ALL:
        others = [of_guests] if template in HYPERVISORS else [keys[other.name] for other in HYPERVISORS]
        for item in items(template):
            for key in re.findall(r"/\*/(kvm\.[\w.]+\[[^]]*\])", item.formula):
                assert all(key in names for names in others), f"{template.name}: {item.key} asks for {key}"
            for key in re.findall(r"//(kvm\.[\w.]+(?:\[[^]*]*\])?)[,)]", item.formula):
                assert key in keys[template.name], f"{template.name}: {item.key} asks for {key}"


class Pace(NamedTuple):
    """What the macros of a guest's host say, in seconds."""

    interval: int = 60
    window: int = 300


class Hour(NamedTuple):
    """The last hour on a guest's own host: its data, and the values of "told", of which so many were not 0."""

    values: int = 0
    told: int = 60
    some: int = 60


@pytest.mark.parametrize(
    ("values", "told", "pace", "hour", "heard"),
    [
        (1, 0, Pace(), Hour(56), 1),  # data comes, whatever hypervisors say
        (5, 5, Pace(), Hour(60), 1),
        (0, 5, Pace(), Hour(55), 0),  # hypervisors tell of the VM, its data has stopped
        (0, 3, Pace(), Hour(55), 0),
        (0, 2, Pace(), Hour(55), -1),  # a hypervisor that was away is back: its guests' data is given time to come
        (0, 1, Pace(), Hour(55), -1),  # it died behind its guests' last data
        (0, 0, Pace(), Hour(55), -1),  # it is away or unread, or the VM is gone: as it was
        (0, 0, Pace(), Hour(0, 16, 5), -1),  # for an hour
        (0, 2, Pace(), Hour(0, 14, 2), -1),  # and is back
        (0, 10, Pace(30), Hour(110), 0),
        (0, 5, Pace(30), Hour(110), -1),
        (0, 3, Pace(300, 1200), Hour(8), 0),
        (0, 2, Pace(300, 1200), Hour(8), -1),
        (0, 1, Pace(), Hour(11), -1),  # data comes every 5 minutes, the macros are for 1 minute: slower, not blind
        (0, 1, Pace(), Hour(0, 14, 11), 0),
    ],
)
def test_when_a_guest_has_data(values: int, told: int, pace: Pace, hour: Hour, heard: int) -> None:
    """The formula as Zabbix computes it; -1 is discarded by the step behind it."""
    (template,) = (template for template in ALL if template.name == guest.NAME)
    (item,) = (item for item in items(template) if item.key.startswith(HEARD))
    python = re.sub(r"(?<![<>])=", "==", item.formula)
    for pattern, value in (
        (r"count\(//kvm\.time,1h\)", hour.values),
        (r"count\(//kvm\.time,[^)]*\)", values),
        (r"last\(//kvm\.guest\.told\[[^]]*\]\)", told),
        (r'count\(//kvm\.guest\.told\[[^]]*\],1h,"gt","0"\)', hour.some),
        (r"count\(//kvm\.guest\.told\[[^]]*\],1h\)", hour.told),
        (r"\{\$KVM\.INTERVAL\}", pace.interval),
        (r"\{\$KVM\.GUEST\.NODATA\}", pace.window),
    ):
        python, found = re.subn(pattern, str(value), python)
        assert found, pattern
    assert eval(python) == heard
    assert ("IN_RANGE", ("0", "1"), "DISCARD_VALUE") in [step[:3] for step in item.steps]


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_no_inventory_field_is_that_of_an_official_template(template: Template) -> None:
    linked = {item.inventory for item in items(template)} - {""}
    assert not linked & OFFICIAL_INVENTORY, f"{template.name} cannot be linked beside the templates of Zabbix"
