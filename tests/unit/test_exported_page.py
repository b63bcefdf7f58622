"""The page of exported names is up to date, has every name, and reckons what is not exported as kvmwatch does."""

from __future__ import annotations

import re
from typing import Any

import exported_page
import pytest
from generated import ROOT, assert_up_to_date
from kvmwatch_exporters import prometheus
from prometheus_client.parser import text_string_to_metric_families as parsed

from kvmwatch.model import snapshot
from kvmwatch.model.derived import DERIVED
from kvmwatch.model.metrics import RECORDS

TEXT = exported_page.render()
#: a pool of a kind that has all that is derived of pools, and others as they come
RECORD = {
    "host": snapshot.Host("kvm1", "QEMU", "9.0", "7.2", 1.0),
    "domain": snapshot.Domain("u", "web1", 1, 1, 1, 1.0),
    "disk": snapshot.Disk("vda"),
    "interface": snapshot.Interface("m"),
    "filesystem": snapshot.Filesystem("/", "ext4"),
    "pool": snapshot.Pool("u", "p", "dir", 2, True, True, True),
    "network": snapshot.Network("u", "n", "virbr0", True, True, True),
}


def test_page_is_up_to_date() -> None:
    assert_up_to_date(exported_page.PAGE, TEXT, "docs")


def test_every_exported_name_is_on_it() -> None:
    shown = re.findall(r"^\| `(kvm_\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(shown) == sorted(family.name for family in prometheus.FAMILIES.values())


def test_every_label_is_on_it() -> None:
    entities = {family.name: entity for (entity, _), family in prometheus.FAMILIES.items()}
    for family in parsed((ROOT / "tests/golden/kvmwatch_export_prometheus.txt").read_text(encoding="utf-8")):
        for sample in family.samples:
            known = exported_page.LABELS.get(entities[sample.name], ())
            (line,) = re.findall(rf"^\| `{sample.name}` .*", TEXT, re.MULTILINE)
            others = sample.labels.keys() - known - ({"state"} if sample.name.endswith("_state") else set())
            assert {label for label in others if f"`{label}`" not in line} == set(), sample.name


def test_what_is_derived_is_exported_or_reckoned() -> None:
    exported = {f"{entity}.{name}" for entity, name in prometheus.FAMILIES}
    names = {f"{derived.entity}.{derived.name}" for derived in DERIVED}
    assert names - exported == set(exported_page.RECKONED)


@pytest.mark.parametrize("derived", [d for d in DERIVED if f"{d.entity}.{d.name}" in exported_page.RECKONED])
def test_it_is_reckoned_as_kvmwatch_does(derived: Any) -> None:
    name = f"{derived.entity}.{derived.name}"
    reckoned = exported_page.RECKONED[name]
    entity = reckoned.of or derived.entity
    fields = RECORDS[entity]._fields  # type: ignore[attr-defined]
    values = {field: 7.0 * number + 100 * (number % 3) + 1 for number, field in enumerate(fields)}
    part: Any = RECORD[entity]._replace(stats=RECORDS[entity](**values))  # type: ignore[attr-defined]
    domain = snapshot.Domain("u", "web1", 1, 1, 1, 1.0)
    whole = {
        "disk": lambda: domain._replace(disks=(part, part)),
        "interface": lambda: domain._replace(interfaces=(part, part)),
    }
    made = eval(reckoned.formula, {}, values)
    if reckoned.of:
        assert derived.of(whole[reckoned.of]()) == pytest.approx(2 * made)
    else:
        if name == "pool.allocation":
            part = part._replace(kind="logical")
        assert derived.of(part) == pytest.approx(made)
