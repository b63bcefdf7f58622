"""What could not be read is UNKNOWN in the checks that are there for it, and is not taken for gone by Zabbix."""

from __future__ import annotations

import argparse
import json

import pytest
from check_kvm.frame import output, plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig
from zabbix_kvm import collecting, master

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DomainStats, HostStats
from kvmwatch.model.snapshot import Domain, Host, Pool, Snapshot, Unread
from kvmwatch.reading.collect import with_assigned

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
    thresholds = plugin.checked_thresholds(check, SiteConfig())
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


def test_what_is_not_there_is_no_trouble_for_zabbix_but_nothing_to_be_ok_about() -> None:
    absent = Unread(Group.POOLS, "storage pools", "there are none", absent=True)
    read = snapshot()._replace(unread=(absent,))
    assert master.document(read)["unread"]["count"] == 0
    assert master.document(read)["pools"] == []
    (pool,) = (check for check in all_checks() if check.name == "pool")
    verdict = plugin.judged(pool, read, plugin.checked_thresholds(pool, SiteConfig()))
    assert output.render("pool", verdict)[1] == 3


@pytest.mark.parametrize("kind", ["domains", "vcpus", "disks", "interfaces", "filesystems"])
def test_a_list_without_what_a_held_vm_has_is_none(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be asked of it, so that its disks would be gone for Zabbix."""
    held = Domain("uuid-2", "db1", None, states.NOSTATE, 0, 0, not_responding=40.0)
    vm = Domain("uuid-1", "web1", 1, states.RUNNING, 1, 0)
    host = Host("kvm1", "QEMU", "11", "10", 0)
    options = argparse.Namespace(kind=kind, pretty=False)
    monkeypatch.setattr(collecting, "_read", lambda *_: snapshot()._replace(domains=(vm, held), host=host))
    with pytest.raises(KvmwatchError, match=r"VM db1 is held by .*: what it has is not known"):
        collecting._discover(options)
    monkeypatch.setattr(collecting, "_read", lambda *_: snapshot()._replace(domains=(vm,), host=host))
    assert collecting._discover(options).code == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KvmwatchError("libvirt is not running"), "libvirt is not running"),
        (ZeroDivisionError("of ours"), "internal error, please report it: ZeroDivisionError: of ours"),
    ],
)
def test_an_agent_is_told_in_the_document_also_of_a_mistake_of_ours(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(collecting, "_read", failing)
    outcome = collecting._collect(argparse.Namespace(pretty=False, for_agent=True))
    assert (outcome.code, json.loads(outcome.text)["error"]) == (0, told)
    with pytest.raises(type(error)):
        collecting._collect(argparse.Namespace(pretty=False, for_agent=False))


@pytest.mark.parametrize("metric", ["vcpu_overcommit", "memory_overcommit"])
def test_a_sum_without_a_vm_that_is_held_is_none_and_says_whose(metric: str) -> None:
    """To who set a threshold on it; that it is held is told of the VM itself."""
    held = Domain("uuid-2", "db1", None, states.NOSTATE, 0, 0, not_responding=40.0)
    vm = Domain("uuid-1", "web1", 1, states.RUNNING, 1, 0, stats=DomainStats(vcpu_count=2, memory_maximum=8))
    stats = HostStats(cpus=4, memory_total=16, memory_available=8)
    host = with_assigned(Host("kvm1", "QEMU", "11", "10", 0, stats), (vm, held), 0.1)
    (check,) = (check for check in all_checks() if check.name == "host")
    read = snapshot()._replace(domains=(vm, held), host=host)
    for given, code in (((), 0), ((f"{metric}=300",), 3)):
        text, found = output.render(
            "host", plugin.judged(check, read, plugin.checked_thresholds(check, SiteConfig(), given))
        )
        why = f"{metric.replace('_', ' ')} not known: db1 is held for 40 s"
        assert (found, why in text) == (code, bool(given)), text


def test_who_does_not_tell_its_size_is_named_with_what_is_missing() -> None:
    late = Unread(Group.SIZE, "", "not read within 1 s: give a longer -t")
    vm = Domain("uuid-1", "web1", 1, states.RUNNING, 1, 0, unread=(late,))
    (part,) = with_assigned(Host("kvm1", "QEMU", "11", "10", 0), (vm,), 0.1).unread
    assert part.text == "vCPUs and memory of web1 could not be read: not read within 1 s: give a longer -t"


NOTE = "counters are not kept: /x: Permission denied"


@pytest.mark.parametrize("names", [[], ["web1"], ["web1", "web2"]])
@pytest.mark.parametrize("critical", [(), ("usage=0",)])
def test_a_note_is_at_the_end_of_the_first_line_and_changes_no_verdict(
    names: list[str], critical: tuple[str, ...]
) -> None:
    domains = tuple(Domain(name, name, 1, 1, 1, 0, rates=DomainStats(cpu_time=1)) for name in names)
    domains = tuple(domain._replace(stats=DomainStats(vcpu_count=1)) for domain in domains)
    for check in all_checks():
        thresholds = plugin.checked_thresholds(check, SiteConfig(), (), critical if check.name == "cpu" else ())
        without = Snapshot("qemu:///system", 0, 0, Host("kvm1", "QEMU", "11", "10", 0), domains)
        noted, code = output.render(check.name, plugin.judged(check, without._replace(note=NOTE), thresholds))
        text, code_without = output.render(check.name, plugin.judged(check, without, thresholds))
        first = text.split("\n")[0].split(" | ")[0]
        expected = f"{first}; {NOTE}" if check.needs_rates else first
        assert (code, noted.split("\n")[0].split(" | ")[0]) == (code_without, expected)


@pytest.mark.parametrize(("load", "code"), [(0.0, 3), (3.0, 3), (5.0, 2)])
def test_a_host_of_which_neither_cpu_nor_memory_is_known_is_unknown(load: float, code: int) -> None:
    """Whatever else is wrong with it, unless that is worse."""
    (check,) = (check for check in all_checks() if check.name == "host")
    host = Host("kvm1", "QEMU", "10.0.0", "9.0.0", 0, HostStats(cpus=1, load5=load, latency=0.01))
    verdict = plugin.judged(check, snapshot()._replace(host=host), plugin.checked_thresholds(check, SiteConfig()))
    text, found = output.render("host", verdict)
    assert (found, "neither its CPU use nor its memory is known" in text) == (code, True), text


def test_a_domain_that_could_not_be_read_is_unknown_and_told() -> None:
    domain = Domain("uuid", "web1", 1, 1, 1, 0, unread=(Unread(Group.POLICY, "metadata", "denied"),))
    read = snapshot()._replace(domains=(domain,), host=Host("kvm1", "QEMU", "11", "10", 0))
    assert master.document(read)["unread"] == {
        "count": 1,
        "text": "VM web1: metadata: denied",
    }
    for check in (check for check in all_checks() if check.of_each_domain):
        verdict = plugin.judged(check, read, plugin.checked_thresholds(check, SiteConfig()))
        text, code = output.render(check.name, verdict)
        assert (code, check.name) == (3, check.name)
        assert "web1 metadata could not be read: denied" in text


def test_pools_that_were_read_are_counted_beside_others_trouble() -> None:
    pool = Pool("uuid", "images", "dir", 2, True, True, True)
    read = snapshot(Group.NETWORKS)._replace(pools=(pool,))
    assert [found["name"] for found in master.document(read)["pools"]] == ["images"]
