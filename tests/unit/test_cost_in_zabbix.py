"""What a typical VM costs a Zabbix server: items, and values a second that it has to take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zabbix_kvm import discovery
from zabbix_templates.all import templates
from zabbix_templates.model import Item, Rule, Template

from kvmwatch.model.metrics import DiskStats, InterfaceStats
from kvmwatch.model.snapshot import Disk, Domain, Interface, Snapshot

ALL = templates()
PAGE = Path(__file__).parents[2] / "docs" / "zabbix.md"
MOST_ITEMS = 62
MOST_VALUES = 0.5  # a second
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

#: two vCPUs, two disks, two interfaces
TYPICAL = Domain(
    "11111111-0000-4000-8000-000000000001",
    "web1",
    id=1,
    state=1,
    reason=1,
    time=0.0,
    autostart=True,
    vcpu_numbers=range(2),
    disks=tuple(Disk(name, device="disk", bus="virtio", stats=DiskStats(1)) for name in ("vda", "vdb")),
    interfaces=tuple(
        Interface(f"52:54:00:00:00:0{n}", f"vnet{n}", "bridge", "br0", stats=InterfaceStats(1)) for n in (1, 2)
    ),
)
GOLDEN_IMAGE = TYPICAL._replace(id=None, state=5, autostart=False)


def macros(template: Template, **changed: str) -> dict[str, str]:
    return {macro.name: changed.get(macro.name[6:-1].replace(".", "_"), macro.value) for macro in template.macros}


def seconds(text: str, known: dict[str, str]) -> float:
    """A period as Zabbix writes it, or a macro that has one."""
    text = known.get(text, text)
    number, unit = re.fullmatch(r"(\d+)([smhd]?)", text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit or "s"]


def rows(rule: Rule, domain: Domain) -> Iterator[dict[str, Any]]:
    """What the rule's list has of the domain, before its filters."""
    snapshot = Snapshot("qemu:///system", 0, 0, domains=(domain,))
    kind = rule.part or rule.path.rsplit(".", 1)[-1]
    if kind == "vm":
        yield {"{#VM.UUID}": domain.uuid}
    elif kind == "domains" or kind in discovery.PARTS:
        yield from discovery.KINDS[kind][0](snapshot)


def passes(rule: Rule, row: dict[str, Any], known: dict[str, str]) -> bool:
    def found(macro: str, user_macro: str) -> bool:
        return re.search(known[user_macro], str(row[macro])) is not None

    return all(
        found(macro, matches) and not (matches_not and found(macro, matches_not))
        for macro, matches, matches_not in rule.filters
    )


def items(template: Template, domain: Domain, known: dict[str, str]) -> list[Item]:
    """The items that there are because of the domain."""
    made = [item for item in template.items if template.name == "KVM Guest" and item.enabled]
    for rule in template.rules:
        if not rule.hosts:
            made += [item for row in rows(rule, domain) if passes(rule, row, known) for item in rule.items]
    return made


def values(item: Item, known: dict[str, str]) -> float:
    """How many values a second it stores at most, while what is steady does not change."""
    every = seconds(known["{$KVM.INTERVAL}"] if item.delay == "0" else item.delay, known)
    heartbeats = [step.parameters[0] for step in item.steps if step.type == "DISCARD_UNCHANGED_HEARTBEAT"]
    return 0 if item.history == "0" else 1 / max([every, *(seconds(text, known) for text in heartbeats)])


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_of_a_typical_vm(template: Template) -> None:
    known = macros(template)
    found = items(template, TYPICAL, known)
    a_second = sum(values(item, known) for item in found)
    often = sorted(((values(item, known), item.key) for item in found), reverse=True)
    assert len(found) <= MOST_ITEMS, (
        f"{template.name}: {len(found)} items of a VM, more than MOST_ITEMS of this test"
    )
    said = f"{len(found)} (items )?on {'a' if template.name == 'KVM Guest' else 'its'}"
    page = PAGE.read_text(encoding="utf-8")
    assert re.search(rf"\b{said}\b", page), f"docs/zabbix.md does not say of a VM that it has {said} host"
    assert a_second < MOST_VALUES, f"{template.name}: {a_second:.3f} values a second, most of them {often[:40]}"


@pytest.mark.parametrize("template", ALL[1:], ids=lambda template: template.folder)
def test_a_golden_image_costs_nothing_when_it_is_left_out(template: Template) -> None:
    known = macros(template, VM_STATE_NOT_MATCHES="^off$")
    assert items(template, GOLDEN_IMAGE, known) == []
    assert items(template, GOLDEN_IMAGE._replace(autostart=True), known), "that one should run"
    assert items(template, TYPICAL, known)
    assert items(template, GOLDEN_IMAGE, macros(template)), "by default it is watched"


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_details_and_vcpus_come_when_they_are_asked_for(template: Template) -> None:
    by_default = {item.key for item in items(template, TYPICAL, macros(template))}
    everything = {item.key for item in items(template, TYPICAL, macros(template, DETAILS_MATCHES=".*", VCPU_MATCHES=".*"))}  # fmt: skip
    more = {re.sub(r"\[.*", "", key) for key in everything - by_default}
    assert {"kvm.disk.capacity", "kvm.interface.rx_packets", "kvm.vcpu.delay"} <= more
    assert all(item.enabled for rule in template.rules for item in rule.items)


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
def test_trends_are_kept_of_what_has_one(template: Template) -> None:
    drawn = {key for graph in template.graphs for key in graph.keys}
    drawn |= {key for rule in template.rules for graph in rule.graphs for key in graph.keys}
    for item in (*template.items, *(item for rule in template.rules for item in rule.items)):
        if item.value_map or item.units in ("unixtime", "uptime") or item.value_type in ("CHAR", "TEXT"):
            assert item.trends == "0", f"{item.key}: nobody looks at its mean"
        elif item.key in drawn:
            assert item.trends != "0", f"{item.key} is drawn in a graph"
