"""Whatever things are called, Zabbix can take it as a key's parameter and as a macro's context.

It puts both in quotes and escapes quotes in them; what then ends with a backslash, it refuses (seen with 6.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zabbix_kvm import discovery, master

from kvmwatch.model.metrics import DiskStats, InterfaceStats, UplinkStats
from kvmwatch.model.snapshot import (
    Disk,
    Domain,
    Filesystem,
    Host,
    Interface,
    Network,
    Pool,
    Snapshot,
    Uplink,
)
from kvmwatch.reading import records

NAMES = st.text(min_size=1, max_size=40) | st.text("\\\"'{}$# ,]é", min_size=1, max_size=6)
#: what keys, JSONPaths and contexts are made of; the others are shown, or filtered by
IDENTIFYING = ("{#VM.NAME}", "{#POOL.NAME}", "{#NET.NAME}", "{#UPLINK.NAME}", "{#FS.MOUNTPOINT}")


def mounted(point: str) -> tuple[Filesystem, ...]:
    sizes = {"fs.0.total-bytes": 100, "fs.0.used-bytes": 50}
    return tuple(records.filesystems({"fs.count": 1, "fs.0.mountpoint": point, "fs.0.fstype": "ntfs", **sizes}))


def hypervisor(name: str) -> Snapshot:
    """Everything is called so."""
    vm = Domain(
        *("11111111-0000-4000-8000-000000000001", name, 1, 1, 1, 0.0),
        title=name,
        disks=(Disk("vda", stats=DiskStats(1)),),
        interfaces=(Interface("52:54:00:00:00:01", stats=InterfaceStats(1)),),
        filesystems=mounted(name),
    )
    return Snapshot(
        *("qemu:///system", 0.0, 0.0),
        host=Host("kvm1", "QEMU", None, None, 0.0),
        domains=(vm,),
        pools=(Pool("p", name, "dir", 2, True, True, True),),
        networks=(Network("n", name, "br0", True, True, True),),
        uplinks=(Uplink(name, ("br0",), UplinkStats(1)),),
    )


def values_of(snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    for rows, _ in discovery.KINDS.values():
        for row in rows(snapshot):
            yield from row.items()


@given(NAMES)
def test_nothing_that_identifies_ends_with_a_backslash(name: str) -> None:
    found = [(macro, value) for macro, value in values_of(hypervisor(name)) if macro in IDENTIFYING]
    assert {macro for macro, _ in found} == set(IDENTIFYING)
    for macro, value in found:
        assert value, macro
        assert not value.endswith("\\"), macro


@pytest.mark.parametrize(
    ("point", "key"),
    [
        ("C:\\", "C:/"),
        ("D:\\mnt\\", "D:/mnt/"),
        ("System Reserved", "System Reserved"),
        ('/srv/"x"', "/srv/'x'"),
        ("/srv/{$X}", "/srv/($X)"),
        ("\\", "/"),
    ],
)
def test_mount_points(point: str, key: str) -> None:
    (found,) = mounted(point)
    assert found.key == key


@given(NAMES)
def test_what_a_rule_finds_is_found_in_the_document_again(name: str) -> None:
    """By the JSONPaths of the items, which compare with the macro."""
    document = json.loads(json.dumps(master.document(hypervisor(name))))
    (uplink,) = document["discovery"]["uplinks"]
    assert [entry["name"] for entry in document["uplinks"]] == [uplink["{#UPLINK.NAME}"]]
    (vm,) = document["discovery"]["domains"]
    points = [entry["mountpoint"] for entry in document["domains"][0]["filesystems"]]
    assert points == [point for point, _ in vm["filesystems"]]
