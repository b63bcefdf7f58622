"""What is discovered of a domain is exactly what has values, for disks and interfaces of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zabbix_kvm import discovery, master

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading import records
from kvmwatch.reading.domain_xml import parse
from kvmwatch.reading.records import Reading

#: every kind of <interface> and <disk> that libvirt's schema has
INTERFACES = (
    *("network", "bridge", "ethernet", "direct", "user", "hostdev", "vhostuser", "mcast"),
    *("server", "client", "udp", "internal", "vdpa", "null", "vds"),
)
DISKS = ("file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa")
#: of those, the ones with figures where libvirt was not asked
COUNTING = ("network", "bridge", "ethernet", "direct")
SERVED_ELSEWHERE = ("vhostuser", "vhostvdpa")
RUNNING, SHUT_OFF = 1, 5


def domain(state: int, interfaces: list[tuple[str, bool]], disks: list[tuple[str, bool]]) -> Domain:
    """One with these kinds of parts, each with or without figures."""
    xml = [
        f"<interface type='{kind}'><mac address='m{n}'/><target dev='t{n}'/></interface>"
        for n, (kind, _) in enumerate(interfaces)
    ]
    xml += [f"<disk type='{kind}' device='disk'><target dev='vd{n}'/></disk>" for n, (kind, _) in enumerate(disks)]
    xml += ["<disk type='file' device='cdrom'><target dev='hda'/></disk>"]
    fields: dict[str, Any] = {"state.state": state, "state.reason": 1}
    fields |= {"net.count": len(interfaces), "block.count": len(disks)}
    for number, (_, told) in enumerate(interfaces):
        fields |= {f"net.{number}.name": f"t{number}", f"net.{number}.rx.bytes": 0} if told else {}
    for number, (_, told) in enumerate(disks):
        fields |= {f"block.{number}.name": f"vd{number}"}
        fields |= {f"block.{number}.rd.reqs": 0} if told else {}
    return records.domain(Reading("u", "a", 1, 0, fields, parse(f"<d><devices>{''.join(xml)}</devices></d>")), 0)


def discovered(of: Domain) -> tuple[list[str], list[str]]:
    rows = {kind: [row[macro] for row in discovery.PARTS[kind].rows(of)] for kind, macro in KEYS}
    return rows["interfaces"], rows["disks"]


KEYS = (("interfaces", "{#IF.MAC}"), ("disks", "{#DISK.NAME}"))
parts = [st.lists(st.tuples(st.sampled_from(kinds), st.booleans()), max_size=6) for kinds in (INTERFACES, DISKS)]


@given(*parts)
def test_of_a_running_domain_it_is_what_has_values(
    interfaces: list[tuple[str, bool]], disks: list[tuple[str, bool]]
) -> None:
    macs, names = discovered(domain(RUNNING, interfaces, disks))
    assert macs == [f"m{number}" for number, (_, told) in enumerate(interfaces) if told]
    if any(told for _, told in disks):
        assert names == [f"vd{number}" for number, (_, told) in enumerate(disks) if told]


@given(*parts, st.sampled_from([RUNNING, SHUT_OFF]))
def test_the_document_has_a_record_of_each_row(
    interfaces: list[tuple[str, bool]], disks: list[tuple[str, bool]], state: int
) -> None:
    made = domain(state, interfaces, disks)
    document = master._domain(made, 0)
    macs, names = discovered(made)
    assert macs == [one["mac"] for one in document.get("interfaces", ())]
    assert names == [one["name"] for one in document.get("disks", ())]


@pytest.mark.parametrize("kind", INTERFACES)
def test_interfaces_without_figures_are_taken_by_their_kind(kind: str) -> None:
    running = domain(RUNNING, [(kind, False)], [])
    unread = (Unread(Group.INTERFACE, "interfaces", "denied"),)
    part = running.interfaces[0]._replace(unread=unread)
    for of in (
        domain(SHUT_OFF, [(kind, False)], []),
        running._replace(not_responding=9.0),
        running._replace(unread=unread),
        running._replace(interfaces=(part,)),
    ):
        assert (discovered(of)[0] == ["m0"]) == (kind in COUNTING)
    assert discovered(running)[0] == []


@pytest.mark.parametrize("kind", DISKS)
def test_disks_without_figures_are_taken_by_their_kind(kind: str) -> None:
    running = domain(RUNNING, [], [(kind, False)])
    unread = (Unread(Group.DISK, "disks", "denied"),)
    for of in (
        domain(SHUT_OFF, [], [(kind, False)]),
        running,
        running._replace(not_responding=9.0, unread=unread),
    ):
        assert (discovered(of)[1] == ["vd0"]) == (kind not in SERVED_ELSEWHERE)
