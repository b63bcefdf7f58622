"""The text and JSON of every command for a fixed hypervisor, as golden files (tests/golden).

The fields are those that libvirt 9.0 gave for real guests, read twice a minute apart.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from check_kvm.frame import output as plugin_output
from check_kvm.frame import plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import Thresholds
from commands import CHECKS, KINDS
from kvmwatch_exporters import collectd, influx, prometheus, rows
from kvmwatch_exporters import reading as exporting
from zabbix_kvm import discovery, master

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import (
    FilesystemStats,
    HostStats,
    NetworkStats,
    NodeStats,
    PoolStats,
    ProcessStats,
    ThreadStats,
    UplinkStats,
)
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.rates import samples, with_rates
from kvmwatch.model.snapshot import (
    IOTHREAD,
    OTHER,
    VCPU,
    Console,
    Disk,
    Domain,
    Filesystem,
    Host,
    Interface,
    Job,
    Network,
    NumaNode,
    Pool,
    Process,
    Snapshot,
    Thread,
    Unread,
    Uplink,
)
from kvmwatch.reading import records
from kvmwatch.reading.collect import with_assigned
from kvmwatch.reading.domain_xml import Definition
from kvmwatch.reading.records import Reading
from kvmwatch.reading.threads import sums

NOW = 1_795_450_700.0
PROCESS_LOST = (
    Unread(Group.PROCESSES, "", "has no QEMU process that could be found: PID 4008 of dead.pid has ended"),
)


def fields(state: int, reason: int, second: int, **more: Any) -> dict[str, Any]:
    """Fields of a domain; ``second`` 0 or 60: the counters have moved on in between."""
    made: dict[str, Any] = {"state.state": state, "state.reason": reason, "vcpu.current": 2, "vcpu.maximum": 2}
    made |= {"balloon.current": 196608, "balloon.maximum": 262144}
    if states.is_active(state):
        made |= {
            "cpu.time": 61_622_944_000 + second * 1_900_000_000,
            "cpu.user": 58_169_889_000 + second * 1_500_000_000,
            "cpu.system": 3_453_055_000 + second * 400_000_000,
            "vcpu.0.time": 28_440_000_000 + second * 900_000_000,
            "vcpu.0.delay": 35_699_342_737 + second * 150_000_000,
            "vcpu.1.time": 27_750_000_000 + second * 900_000_000,
            "vcpu.1.delay": 39_793_955_263 + second * 90_000_000,
            "balloon.available": 157832,
            "balloon.usable": 12338,
            "balloon.unused": 11788,
            "balloon.rss": 275416,
            "balloon.swap_in": second * 700,
            "balloon.swap_out": second * 600,
            "balloon.last-update": int(NOW) - 3,
            "net.count": 1,
            "net.0.name": "vnet0",
            "net.0.rx.bytes": 17_423_228 + second * 250_000,
            "net.0.rx.pkts": 16_327 + second * 300,
            "net.0.rx.errs": 0,
            "net.0.rx.drop": second * 20,
            "net.0.tx.bytes": 10_390_730 + second * 90_000,
            "net.0.tx.pkts": 9637 + second * 120,
            "net.0.tx.errs": second * 2,
            "net.0.tx.drop": 0,
            "block.count": 1,
            "block.0.name": "vda",
            "block.0.path": "/images/a.qcow2",
            "block.0.rd.reqs": 1125 + second * 40,
            "block.0.rd.bytes": 36_453_888 + second * 640_000,
            "block.0.rd.times": 652_071_534 + second * 20_000_000,
            "block.0.wr.reqs": 867 + second * 10,
            "block.0.wr.bytes": 38_340_608 + second * 160_000,
            "block.0.wr.times": 514_429_846 + second * 4_000_000_000,
            "block.0.fl.reqs": 558,
            "block.0.fl.times": 411_304_101,
            "block.0.allocation": 3_604_480,
            "block.0.capacity": 67_108_864,
            "block.0.physical": 3_547_136,
        }
    return made | more


def defined(policy: Policy = Policy()) -> Definition:
    return Definition(
        title=None,
        vcpus=range(2),
        vcpu_maximum=2,
        balloon_period=5,
        agent_connected=False,
        policy=policy,
        disks=(
            Disk("vda", "/images/a.qcow2", "disk", "virtio"),
            Disk("hda", None, "cdrom", "ide"),
        ),
        interfaces=(Interface("52:54:00:00:00:01", "vnet0", "network", "default", "virtio", False),),
    )


FILESYSTEMS = (
    Filesystem("/", "ext4", FilesystemStats(20 << 30, 15 << 30)),
    Filesystem("/srv/data | 1", "xfs", FilesystemStats(100 << 30, 96 << 30)),
)


def with_ways(domain: Domain) -> Domain:
    """Those that run have theirs, but for "tuned"."""
    if domain.state != states.RUNNING:
        return domain
    (interface,) = domain.interfaces
    why = "its tap vnet0 is not in bridge virbr0 but in none" if domain.name == "tuned" else None
    stats = interface.stats._replace(attached=int(why is None))
    return domain._replace(interfaces=(interface._replace(detached=why, stats=stats),))


def with_snapshots(domain: Domain) -> Domain:
    """Most have none; web1 has two, and of "dead" libvirt did not tell."""
    count, oldest = {"web1": (2.0, NOW - 9 * 86400), "dead": (None, None)}.get(domain.name, (0.0, None))
    return domain._replace(stats=domain.stats._replace(snapshots=count, oldest_snapshot=oldest))


def with_more(domain: Domain) -> Domain:
    """When web1 was started, its addresses, consoles and job."""
    if domain.name != "web1":
        return domain
    (interface,) = domain.interfaces
    known = interface._replace(addresses=("192.168.122.9", "fe80::5054:ff:fe00:1"))
    consoles = (
        Console("spice", "address", "127.0.0.1", "5900", "5901"),
        Console("vnc", "socket", path="/run/libvirt/qemu/web1.sock"),
        Console("serial", "pty", path="/dev/pts/3"),
    )
    stats = domain.stats._replace(started=NOW - 86400)
    job = Job("backup", 12.5, 25.0, 3 << 30)
    return domain._replace(interfaces=(known,), consoles=consoles, stats=stats, job=job)


def with_threads(process: Process, second: int) -> Process:
    """Its vCPUs, an I/O thread that is nearly busy, and two more that nobody has seen wait for storage."""

    def thread(number: int, name: str, kind: str, busy: float, waits: float | None) -> Thread:
        stats = ThreadStats(10 + second * busy, None if waits is None else 5 + second * waits)
        return Thread(process.pid + number, 95_000.5, name, kind, stats=stats)

    threads = (
        thread(0, "qemu-system-x86", OTHER, 0.02, None),
        thread(1, "CPU 0/KVM", VCPU, 0.5, 0.01),
        thread(2, "CPU 1/KVM", VCPU, 0.4, None),
        thread(3, "IO iothread1", IOTHREAD, 0.97, 0.25),
        thread(4, "worker", OTHER, 0.0, None),
    )
    known = {name: value for name, value in sums(threads)._asdict().items() if value is not None}
    unread = (Unread(Group.THREADS, "how long it waits for storage", "some of its threads have not waited"),)
    return process._replace(threads=threads, unread=unread, stats=process.stats._replace(pss=150 << 20, **known))


def processes(second: int) -> tuple[Process, ...]:
    """Of the VMs but one, one that only claims to be web1, and one that libvirt does not know."""

    def process(number: int, name: str = "", pid: int = 0, known: bool = True) -> Process:
        stats = ProcessStats(50 + second * 1.9, 282 << 20, 4096 * second, 8192.0 * second, 9, 41, 1024, 0, 86400)
        uuid = f"00000000-0000-4000-8000-{number:012d}"
        return Process(pid or 4000 + number, 95_000.25, uuid, name, 1000.0 + second, stats, known=known)

    ours = (process(number) for number in (2, 3, 4, 5, 6, 7, 9, 13))
    return (
        with_threads(process(1), second),
        *ours,
        process(1, "web1", 4098, known=False),
        process(99, "left | behind", known=False),
    )


def snapshot(second: int) -> Snapshot:
    """One VM of each kind."""

    def reading(name: str, state: int, reason: int, policy: Policy = Policy(), **more: Any) -> Reading:
        number = len(readings) + 1
        errors = {"vda": 2} if (state, reason) == (3, 5) else {}
        readings.append(
            Reading(
                f"00000000-0000-4000-8000-{number:012d}",
                name,
                number if states.is_active(state) else None,
                1000.0 + second,
                fields(state, reason, second, **more),
                defined(policy),
                disk_errors=errors,
            )
        )
        return readings[-1]

    readings: list[Reading] = []
    reading("web1", 1, 1)
    reading("it's | odd=100%", 1, 1, **{"balloon.last-update": int(NOW) - 7200})
    reading(
        "tuned", 1, 1, Policy(thresholds=(OwnThreshold("cpu.usage", "", ""), OwnThreshold("cpu.heat", "1", None)))
    )
    reading("hung", 1, 1)
    reading("ioerr", 3, 5)
    reading("held", 3, 1)
    reading("migrating", 3, 2)
    reading("dead", 6, 1)
    reading("asleep", 7, 0)
    reading("off", 5, 1)
    reading("failed", 5, 6)
    reading("wanted", 5, 2, Policy(expect="running"))
    reading("unwanted", 1, 1, Policy(expect="shutoff"))
    reading("alone", 6, 1, Policy(ignore=True))
    domains = tuple(
        records.domain(reading, NOW)._replace(
            unread=PROCESS_LOST if reading.name == "dead" else (),
            not_responding=95.0 if reading.name == "hung" else None,
            autostart=reading.name == "off",
            persistent=True,
            managed_save=False,
            has_snapshots=reading.name == "web1",
            agent_connected={"web1": True, "tuned": False}.get(reading.name),
            filesystems=FILESYSTEMS if reading.name == "web1" else None,
            title="Shop | front end" if reading.name == "tuned" else None,
        )
        for reading in sorted(readings, key=lambda reading: reading.name)
    )
    domains = tuple(with_more(with_ways(with_snapshots(domain))) for domain in domains)
    stats = HostStats(
        cpus=8,
        cpu_user=1000 + second * 6.5,
        cpu_system=200 + second * 1.2,
        cpu_iowait=50,
        cpu_idle=9000 + second * 0.3,
        cpu_guest=900 + second * 4,
        cpu_steal=0,
        memory_total=64 << 30,
        memory_available=5 << 30,
        swap_total=8 << 30,
        swap_used=1 << 30,
        load1=12,
        load5=11.5,
        load15=9,
        uptime=864_000.5,
        pressure_cpu=300 + second * 0.125,
        pressure_memory=5,
        pressure_io=80 + second * 0.02,
        swap_in=second * 4096,
        swap_out=second * 8192,
        ksm_saved=3 << 30,
    )
    nodes = (
        NumaNode(0, "0-3", NodeStats(32 << 30, 2 << 30, 0, 0)),
        NumaNode(1, "4-7", NodeStats(32 << 30, 3 << 30, 0, 0)),
    )
    host = Host("kvm1", "QEMU", "9.0.0", "7.2.22", 1000.0 + second, stats, nodes=nodes)
    host = with_assigned(host, domains, 0.0123)
    uuid = "10000000-0000-4000-8000-{:012d}".format
    pools = (
        Pool(
            uuid(1),
            "images",
            "dir",
            2,
            True,
            True,
            True,
            True,
            PoolStats(100 << 30, 85 << 30, 10 << 30, 200 << 30, 7),
        ),
        Pool(uuid(2), "nfs", "netfs", 2, True, True, True, answered=False),
        Pool(uuid(3), "old", "dir", 0, False, False, True),
        Pool(uuid(4), "wanted", "dir", 0, False, True, True),
    )
    networks = (
        Network(uuid(5), "default", "virbr0", True, True, True, True, NetworkStats(3, 253, 1)),
        Network(uuid(6), "cut", "virbr1", True, True, True, False, NetworkStats(0, 100, 0)),
        Network(uuid(7), "down", "virbr2", True, False, True, True, NetworkStats(12, None, 0)),
        Network(uuid(8), "macvtap", None, True, True, True),
        Network(uuid(9), "old", "virbr4", False, False, True),
        Network(uuid(10), "wanted", "virbr5", False, True, True),
    )
    uplinks = (
        Uplink("bond0", ("br0", "br1"), UplinkStats(1, 20_000_000_000, 5 << 40, 3 << 40, 0, 0, second, 0)),
        Uplink("eth1", ("br1",), UplinkStats(up=0)),
    )
    return Snapshot("qemu:///system", NOW, 0.0123, host, domains, pools, networks, processes(second), uplinks)


@pytest.fixture(scope="module")
def rated() -> Snapshot:
    return with_rates(snapshot(60), samples(snapshot(0)))


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str, rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    check = importlib.import_module(f"check_kvm.{name}").CHECK
    style = plugin_output.Style(verbose=1)
    output, code = plugin_output.render(name, plugin.judged(check, rated, Thresholds(name, check.metrics)), style)
    golden(f"check_kvm_{name}.txt", f"{output}exit code {code}\n")


def test_master_item(rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    golden("zabbix_kvm_collect.json", json.dumps(master.document(rated), indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("kind", KINDS)
def test_discovery(kind: str, rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    rows = list(discovery.KINDS[kind][0](rated))
    golden(f"zabbix_kvm_discover_{kind}.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


@pytest.fixture(scope="module")
def exported(rated: Snapshot) -> exporting.Reading:
    return exporting.Reading(rated, tuple(exporting.judged(rated, all_checks(), SiteConfig())), 0.25)


def test_prometheus(exported: exporting.Reading, golden: Callable[[str, str], None]) -> None:
    golden("kvmwatch_export_prometheus.txt", prometheus.text(rows.rows(exported)))


def test_influx(exported: exporting.Reading, golden: Callable[[str, str], None]) -> None:
    golden("kvmwatch_export_influx.txt", influx.text(rows.rows(exported), NOW))


def test_collectd(exported: exporting.Reading, golden: Callable[[str, str], None]) -> None:
    told = collectd.told("kvm1", 60.0, exported)
    lines = [*told.values, *collectd.notifications({}, told.verdicts, NOW)]
    golden("kvmwatch_export_collectd.txt", "\n".join(lines) + "\n")


def test_hypervisor_without_domains() -> None:
    empty = Snapshot("qemu:///system", NOW, 0.01, snapshot(0).host)
    for name in CHECKS:
        check = importlib.import_module(f"check_kvm.{name}").CHECK
        output, code = plugin_output.render(name, plugin.judged(check, empty, Thresholds(name, check.metrics)))
        if name != "host":
            assert (code, output.count("\n")) == (0, 1), output
    assert master.document(empty)["domains"] == []
