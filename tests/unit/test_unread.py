"""What could not be read is UNKNOWN in the checks that are there for it, and is not taken for gone by Zabbix."""

from __future__ import annotations

import pytest
from check_kvm import output, plugin
from nagios_kvm.services import all_checks
from zabbix_kvm import master

from kvmwatch.groups import Group
from kvmwatch.snapshot import Pool, Snapshot, Unread

GROUPS = (Group.HOST, Group.POOLS, Group.NETWORKS)


def snapshot(*groups: Group) -> Snapshot:
    unread = tuple(Unread(group, group.name or "", "its daemon is away") for group in groups)
    return Snapshot("qemu:///system", 0, 0, unread=unread)


@pytest.mark.parametrize(
    ("check", "group"),
    # check_kvm_host has nothing to judge without a host, whatever else is unread
    [(check, group) for check in all_checks() for group in GROUPS if check.name != "host" or group is Group.HOST],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_check_without_what_it_is_there_for_is_unknown(check: plugin.Check, group: Group) -> None:
    thresholds = plugin.checked_thresholds(check, plugin.SiteConfig())
    text, code = output.render(check.name, plugin.judged(check, snapshot(group), thresholds))
    assert (code == 3) == (group in check.groups)
    assert (f"{group.name} could not be read: its daemon is away" in text) == (group in check.groups)


@pytest.mark.parametrize(("group", "key"), [(Group.POOLS, "pools"), (Group.NETWORKS, "networks")])
def test_zabbix_keeps_what_it_had(group: Group, key: str) -> None:
    document = master.document(snapshot(group))
    assert document["unread"] == {"count": 1, "text": f"{group.name}: its daemon is away"}
    assert key not in document
    assert key not in document["discovery"]
    assert key in master.document(snapshot())["discovery"]


def test_pools_that_were_read_are_counted_beside_others_trouble() -> None:
    pool = Pool("uuid", "images", "dir", 2, True, True, True)
    read = snapshot(Group.NETWORKS)._replace(pools=(pool,))
    assert [found["name"] for found in master.document(read)["pools"]] == ["images"]
