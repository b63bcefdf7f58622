"""A threshold that somebody gave on a value that nobody measured: UNKNOWN where there could be one, else quiet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from check_kvm.frame import output, plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model import states
from kvmwatch.model.metrics import DiskStats, DomainStats, FilesystemStats, HostStats, InterfaceStats, NetworkStats
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.snapshot import Disk, Domain, Filesystem, Host, Interface, Network, Pool, Snapshot

OK, WARNING, CRITICAL, UNKNOWN = range(4)
CHECKS = {check.name: check for check in all_checks()}
NOW = 1_800_000_000.0
WANTED = "~:7"  # no default
COUNTED = DiskStats(read_requests=9, write_requests=9, flush_requests=9)
RATED = DiskStats(read_requests=2.0, write_requests=2.0, read_time=0.1, write_time=0.1)


def vm(**more: Any) -> Domain:
    return Domain("uuid", "web1", 1, states.RUNNING, 1, 1000.0)._replace(**more)


def used() -> Domain:
    """One whose driver gives no times of vCPUs."""
    return vm(stats=DomainStats(cpu_time=1.0, vcpu_count=1.0), rates=DomainStats(cpu_time=0.5))


def disk(**more: Any) -> Domain:
    return vm(disks=(Disk("vda", device="disk", kind="file", stats=COUNTED, rates=RATED._replace(**more)),))


def untouched() -> Domain:
    """One with an image that is empty, or preallocated."""
    (one,) = disk().disks
    return vm(disks=(one._replace(stats=COUNTED._replace(capacity=8.0, highest_offset=0.0)),))


def nic(kind: str, name: str | None = "vnet0", **stats: float) -> Domain:
    return vm(interfaces=(Interface("52:54:00:00:00:01", name, kind, stats=InterfaceStats(**stats)),))


def balloon(age: float | None, period: int) -> Domain:
    updated = None if age is None else NOW - age
    return vm(stats=DomainStats(balloon_updated=updated, memory_rss=1.0), balloon_period=period)


def judged(check: str, *domains: Domain, given: Sequence[str] = (), **more: Any) -> tuple[str, int]:
    thresholds = plugin.checked_thresholds(CHECKS[check], SiteConfig(), given)
    snapshot = Snapshot("qemu:///system", NOW, 0.01, domains=domains)._replace(**more)
    return output.render(check, plugin.judged(CHECKS[check], snapshot, thresholds), output.Style(verbose=1))


NOBODY, ALL, OWN = "nobody", "-w", "metadata"
TABLE = [
    # what of the VM, metric, and the code when nobody asked for it, when -w does, when its own metadata do
    ("cpu", used(), "steal", (OK, UNKNOWN, UNKNOWN)),
    ("cpu", used(), "emulator", (OK, UNKNOWN, UNKNOWN)),
    ("cpu", vm(state=states.SHUTOFF, id=None), "steal", (OK, OK, OK)),
    ("cpu", vm(state=states.PAUSED, reason=11), "usage", (OK, OK, OK)),  # being started
    ("disk", disk(flush_requests=0.0), "flush_latency", (OK, OK, OK)),
    ("disk", disk(), "flush_latency", (OK, UNKNOWN, UNKNOWN)),
    ("disk", disk(read_time=None), "read_latency", (OK, UNKNOWN, UNKNOWN)),
    ("disk", disk(), "allocation", (OK, UNKNOWN, UNKNOWN)),
    ("disk", untouched(), "allocation", (OK, OK, OK)),
    ("disk", vm(disks=(Disk("vda", device="disk", kind="vhostuser"),)), "read_iops", (OK, OK, OK)),
    ("disk", vm(disks=(Disk("sda", device="cdrom"),)), "read_iops", (OK, OK, OK)),
    ("network", nic("bridge", rx_bytes=1.0), "rx", (OK, UNKNOWN, UNKNOWN)),
    ("network", nic("user"), "rx", (OK, OK, OK)),
    ("network", nic("network", None), "rx", (OK, OK, UNKNOWN)),  # a device of the host, which counts by itself
    ("memory", balloon(None, 0), "usage", (OK, OK, UNKNOWN)),
    ("memory", balloon(0, 0), "usage", (OK, UNKNOWN, UNKNOWN)),
    ("memory", balloon(0, 10), "usage", (WARNING, WARNING, WARNING)),
    ("memory", balloon(9999, 0), "usage", (OK, UNKNOWN, UNKNOWN)),
    ("memory", balloon(9999, 10), "usage", (WARNING, WARNING, WARNING)),  # which is a condition's, memory.stale
    ("memory", balloon(9999, 10), "balloon", (WARNING, UNKNOWN, UNKNOWN)),
    ("agent", vm(), "filesystem", (OK, OK, UNKNOWN)),  # no channel
    ("agent", vm(agent_connected=False), "filesystem", (WARNING, WARNING, WARNING)),
    ("agent", vm(agent_connected=True), "filesystem", (OK, UNKNOWN, UNKNOWN)),  # without --guest-agent
    (
        "agent",
        vm(agent_connected=True, filesystems=(Filesystem("/", "ext4", FilesystemStats()),)),
        *("filesystem", (OK, UNKNOWN, UNKNOWN)),
    ),
    ("snapshot", vm(stats=DomainStats(snapshots=0.0)), "age", (OK, OK, OK)),
    ("snapshot", vm(stats=DomainStats(snapshots=2.0)), "age", (OK, UNKNOWN, UNKNOWN)),
    ("snapshot", vm(stats=DomainStats(snapshots=0.0)), "backup_age", (OK, UNKNOWN, UNKNOWN)),
    ("state", vm(), "uptime", (OK, UNKNOWN, UNKNOWN)),
    ("state", vm(state=states.SHUTOFF, id=None), "uptime", (OK, OK, OK)),
]


@pytest.mark.parametrize(
    ("check", "domain", "metric", "codes"), TABLE, ids=[f"{n} {row[0]}.{row[2]}" for n, row in enumerate(TABLE)]
)
def test_of_a_vm(check: str, domain: Domain, metric: str, codes: tuple[int, int, int]) -> None:
    own = domain._replace(policy=Policy(thresholds=(OwnThreshold(f"{check}.{metric}", WANTED, None),)))
    found = [judged(check, domain), judged(check, domain, given=[f"{metric}={WANTED}"]), judged(check, own)]
    assert tuple(code for _, code in found) == codes, found
    for (text, code), usual in zip(found[1:], codes[:1] * 2):
        if code == UNKNOWN != usual:
            word = {"filesystem": "file", "backup_age": "has no checkpoint"}.get(metric, metric.replace("_", " "))
            assert word in text, text


@pytest.mark.parametrize(("hung", "code"), [(None, UNKNOWN), (40.0, UNKNOWN)])
def test_one_reason_is_enough(hung: float | None, code: int) -> None:
    domain = disk()._replace(not_responding=hung)
    text, found = judged("disk", domain, given=[f"allocation={WANTED}", f"flush_latency={WANTED}"])
    assert found == code
    assert ("not responding" in text, "flush latency, allocation not known" in text) == (bool(hung), not hung)


def host(**stats: float) -> Host:
    return Host("kvm1", "QEMU", "9.0.0", "7.2.0", 1000.0, HostStats(**stats))


@pytest.mark.parametrize(
    ("stats", "given", "code"),
    [
        ({}, [], UNKNOWN),
        ({"memory_total": 8.0, "memory_available": 4.0}, [], OK),
        ({"memory_total": 8.0, "memory_available": 4.0}, ["load=1"], UNKNOWN),
        ({"memory_total": 8.0, "memory_available": 4.0}, ["cpu=50"], UNKNOWN),
        ({"memory_total": 8.0, "memory_available": 4.0, "swap_total": 0.0}, ["swap=1"], OK),
        ({"memory_total": 8.0, "memory_available": 4.0}, ["swap=1"], UNKNOWN),
        ({"memory_total": 8.0, "memory_available": 4.0, "hugepages_total": 0.0}, ["hugepages=1"], OK),
    ],
)
def test_of_the_host(stats: dict[str, float], given: list[str], code: int) -> None:
    text, found = judged("host", given=given, host=host(**stats))
    assert found == code, text


@pytest.mark.parametrize(
    ("active", "stats", "given", "code"),
    [
        (True, NetworkStats(addresses=9.0), [], OK),
        (True, NetworkStats(addresses=9.0), ["usage=0"], UNKNOWN),
        (True, NetworkStats(addresses=9.0), ["leases=0"], UNKNOWN),
        (True, NetworkStats(), ["usage=0"], OK),  # no range
        (False, NetworkStats(), ["leases=0"], OK),
    ],
)
def test_of_a_network(active: bool, stats: NetworkStats, given: list[str], code: int) -> None:
    network = Network("uuid", "default", None, active, False, True, stats=stats)
    text, found = judged("net", given=given, networks=(network,))
    assert found == code, text


@pytest.mark.parametrize(
    ("uri", "kind", "active", "given", "code"),
    [
        ("qemu:///system", "dir", True, [], OK),
        ("qemu:///system", "dir", True, ["usage=1"], UNKNOWN),
        ("qemu:///system", "dir", False, ["usage=1"], OK),
        ("qemu:///system", "scsi", True, ["usage=1"], OK),  # all of it is always used
        ("qemu:///system", "logical", True, ["thin_data=1"], OK),  # it has no thin pool
        ("qemu+ssh://kvm2/system", "logical", True, ["thin_data=1"], UNKNOWN),
    ],
)
def test_of_a_pool(uri: str, kind: str, active: bool, given: list[str], code: int) -> None:
    pool = Pool(
        "uuid", "images", kind, states.POOL_RUNNING if active else states.POOL_INACTIVE, active, False, True
    )
    text, found = judged("pool", given=given, uri=uri, pools=(pool,))
    assert found == code, text
