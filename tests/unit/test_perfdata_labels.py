"""What is watched makes the labels of perfdata, never how it is: graphs break where labels come and go.

Two looks at the same VMs, pools and networks, each with anything failing and in any state, have the same labels in
the same order. Only what a thing is stays: its name, its disks and interfaces, a pool's type.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from check_kvm.frame import output, perfdata, plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from nagios_kvm import judging

from kvmwatch.model import pool_kinds, states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import (
    DiskStats,
    DomainStats,
    FilesystemStats,
    HostStats,
    InterfaceStats,
    NetworkStats,
    PoolStats,
    ProcessStats,
    VcpuStats,
)
from kvmwatch.model.snapshot import (
    Disk,
    Domain,
    Filesystem,
    Host,
    Interface,
    Network,
    Pool,
    Process,
    Snapshot,
    Unread,
    Vcpu,
)

CHECKS = all_checks()
VMS = ("web1", "it's | odd", "db.example")
KINDS = (*pool_kinds.KINDS, "newer")
LABEL = re.compile(r"('[^']+'|[^ '=]+)=(\S+)")
WIDE = output.Style(limit=10_000_000)

GROUPS = tuple(Group)
VALUES = (None, 0.0, 1.0, 50.0, 99.5, 120.0, 1e12)
STATES = [(state, reason) for state, reasons in states.REASONS.items() for reason in range(len(reasons) + 1)]


class Drawn:
    """Everything that may be one way or the other, by a number; a strategy for each figure would take minutes."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def one(self, *of: Any) -> Any:
        return self._random.choice(of)

    def figures(self, record: type[Any]) -> Any:
        """A record with any of its figures unknown, or all of them."""
        return record(*self._random.choices(VALUES, k=len(record._fields))) if self.one(True, False) else record()

    def unread(self) -> tuple[Unread, ...]:
        return tuple(Unread(self.one(*GROUPS), "it", "it failed") for _ in range(self.one(0, 0, 1, 3)))

    def disk(self, name: str) -> Disk:
        return Disk(
            name,
            device="disk",
            error=self.one(None, "no space"),
            stats=self.figures(DiskStats),
            rates=self.figures(DiskStats),
            rated_over=self.one(None, 1.0, 60.0),
            unread=self.unread(),
        )

    def interface(self, key: str) -> Interface:
        return Interface(
            key,
            name=self.one(None, "vnet0"),
            kind="network",
            link_down=self.one(True, False),
            detached=self.one(None, "it is in no bridge"),
            stats=self.figures(InterfaceStats),
            rates=self.figures(InterfaceStats),
            unread=self.unread(),
        )

    def vm(self, name: str) -> Domain:
        state, reason = self.one(*STATES)
        return Domain(
            uuid=f"uuid-{name}",
            name=name,
            id=self.one(None, 1),
            state=state,
            reason=reason,
            time=1000.0,
            autostart=self.one(None, True, False),
            balloon_period=self.one(None, 10),
            # the file systems are the guest's: without its answer nobody knows which there are
            agent_connected=True,
            filesystems=(Filesystem("/", "ext4", self.figures(FilesystemStats)),),
            since=self.one(None, 500.0, 2000.0),
            not_responding=self.one(None, 5.0, 95.0),
            stats=self.figures(DomainStats),
            rates=self.figures(DomainStats),
            vcpus=tuple(Vcpu(n, self.figures(VcpuStats), self.figures(VcpuStats)) for n in range(2)),
            disks=(self.disk("vda"), self.disk("vdb"), Disk("sda", device="cdrom")),
            interfaces=(self.interface("52:54:00:00:00:01"), self.interface("52:54:00:00:00:02")),
            unread=self.unread(),
        )

    def pool(self, kind: str) -> Pool:
        return Pool(
            f"uuid-{kind}",
            f"pool {kind}",
            kind,
            state=self.one(*range(7)),
            active=self.one(True, False),
            autostart=self.one(True, False),
            persistent=True,
            answered=self.one(True, False),
            stats=self.figures(PoolStats),
            unread=self.unread(),
            fault=self.one(None, "nothing is mounted there"),
        )

    def network(self, name: str) -> Network:
        return Network(
            f"uuid-{name}",
            name,
            "virbr0",
            active=self.one(True, False),
            autostart=self.one(True, False),
            persistent=True,
            bridge_found=self.one(None, True, False),
            stats=self.figures(NetworkStats),
            unread=self.unread(),
        )

    def process(self, number: int, vm: Domain) -> Process:
        figures = (self.figures(ProcessStats), self.figures(ProcessStats))
        return Process(number, 1, vm.uuid, vm.name, 1.0, *figures, known=self.one(True, True, False))

    def hypervisor(self) -> Snapshot:
        """The same one each time, in any state."""
        domains = tuple(map(self.vm, VMS))
        seen = [domain for domain in domains if self.one(True, False)]
        host = Host("kvm1", "QEMU", "9.0.0", "7.2.0", 1.0, self.figures(HostStats), self.figures(HostStats))
        return Snapshot(
            "qemu:///system",
            2000.0,
            0.01,
            host=self.one(None, host),
            domains=domains,
            pools=tuple(map(self.pool, KINDS)),
            networks=tuple(map(self.network, ("default", "storage"))),
            processes=tuple(self.process(4000 + number, domain) for number, domain in enumerate(seen)),
            unread=self.unread(),
            unrated=self.one(None, "no rates"),
            note=self.one(None, "counters are not kept"),
        )


def hypervisors() -> st.SearchStrategy[Snapshot]:
    return st.integers(0, 2**32).map(lambda seed: Drawn(seed).hypervisor())


def told(check: Check, snapshot: Snapshot, style: output.Style = WIDE) -> str:
    verdict = plugin.judged(check, snapshot, plugin.checked_thresholds(check, SiteConfig()))
    return output.render(check.name, verdict, style)[0]


def labels(text: str) -> list[str]:
    return [found[1] for found in LABEL.finditer(text.splitlines()[0].partition(" | ")[2])]


each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)


@each_check
@settings(max_examples=60)
@given(hypervisors(), hypervisors())
def test_whatever_is_wrong_the_labels_are_the_same(check: Check, one: Snapshot, other: Snapshot) -> None:
    found = labels(told(check, one))
    assert found, "none at all would show nothing"
    assert found == labels(told(check, other)) == sorted(found)
    assert len(found) == len(set(found))


@each_check
@settings(max_examples=30)
@given(hypervisors(), hypervisors(), st.integers(256, 20_000))
def test_and_so_is_what_is_summed_up_or_left_out(check: Check, one: Snapshot, other: Snapshot, limit: int) -> None:
    """However much there is to say."""
    for style in (perfdata.FULL, perfdata.SUMMARY):
        texts = [told(check, snapshot, output.Style(style, 1, limit)) for snapshot in (one, other)]
        assert labels(texts[0]) == labels(texts[1]), limit
        assert all(len(text.encode()) <= limit for text in texts)


@settings(max_examples=30)
@given(hypervisors(), hypervisors())
def test_the_service_of_a_vm_has_plain_ones(one: Snapshot, other: Snapshot) -> None:
    by_service = [
        {result.service: result.output for result in judging.results(snapshot, CHECKS, SiteConfig(), WIDE)}
        for snapshot in (one, other)
    ]
    for service, text in by_service[0].items():
        found = labels(text)
        assert found == labels(by_service[1][service]), service
        check, _, vm = service.removeprefix("KVM ").partition(" ")
        if vm:
            assert set(found) == PLAIN.get(check), (
                f"{service}: PLAIN of tests/unit/test_perfdata_labels.py has others"
            )
            assert not any(name in label for name in VMS for label in found)


def parts(names: tuple[str, ...], metrics: str) -> set[str]:
    return {f"'{name}.{metric}'" for name in names for metric in metrics.split()}


PLAIN = {
    "state": {"running", "brief", "job", "uptime"},
    "cpu": {"usage", "steal", "emulator"},
    "memory": {"usage", "rss", "swap", "balloon"},
    "disk": parts(
        ("vda", "vdb"),
        "read_iops write_iops read_bytes write_bytes read_latency write_latency flush_latency allocation",
    ),
    "network": parts(("52:54:00:00:00:01", "52:54:00:00:00:02"), "rx tx errors drops rx_packets tx_packets"),
    "snapshot": {"count", "age", "backup_age"},
    "agent": {"'/.filesystem'"},
}


@each_check
@settings(max_examples=20)
@given(hypervisors())
def test_for_icinga_what_is_not_known_is_left_out(check: Check, snapshot: Snapshot) -> None:
    full, known = (told(check, snapshot, WIDE._replace(perfdata=style)) for style in ("full", "known"))
    values = LABEL.findall(full.splitlines()[0].partition(" | ")[2])
    assert LABEL.findall(known.splitlines()[0].partition(" | ")[2]) == [
        (label, value) for label, value in values if value.split(";")[0] != "U"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_whose_type_cannot_be_read_just_now_has_those_of_most(kind: str) -> None:
    (check,) = (check for check in CHECKS if check.name == "pool")
    usual = ("dir", "fs", "netfs", "vstorage", "gluster", "newer")
    snapshots = [
        Snapshot("qemu:///system", 0, 0, pools=(Pool("u", "p", named, 2, True, True, True),))
        for named in (kind, "")
    ]
    known, untold = (labels(told(check, snapshot)) for snapshot in snapshots)
    assert (known == untold) == (kind in usual)
