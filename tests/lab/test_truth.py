"""Truth: what the checks say of a guest under steady load, against three independent sources.

1. virsh domstats, read by the test right before and after the same interval;
2. /proc/PID of the QEMU process;
3. what the guest was told to do (LOAD).

Tolerances: 5 % against the first two (the readings are some ms apart), 25 % against the third (the guest's
clock, its loops and the protocol overhead on an emulated CPU of a shared machine).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import pytest
from commands import Command, Ran
from guests import console
from test_traps import domstats
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("libvirtd")

NAME = "busy1"
LOAD = {"cpu": 30, "disk": 512, "net": 10}
SECONDS = 10
CLOSE = 0.05
TOLD = 0.25
TICK = os.sysconf("SC_CLK_TCK")


class Seen(NamedTuple):
    """What virsh domstats says, and when."""

    time: float
    stats: dict[str, str]


class Interval(NamedTuple):
    """The same ten seconds as the checks and as the test saw them."""

    checks: dict[str, Ran]
    virsh: dict[str, float]  # counters per second, gauges as they are at the end
    process_cpu: float  # seconds per second
    around: tuple[Seen, Seen, Seen, Seen]  # before and after the first checks, before and after the last ones

    def bounds(self, *counters: str) -> tuple[float, float]:
        """What the checks may have seen of counters that only grow, per second, whenever they looked."""
        (begun, first), (begun_at_latest, second), (ended_at_first, third), (ended, last) = self.around

        def grown(before: dict[str, str], after: dict[str, str]) -> float:
            return sum(float(after[counter]) - float(before[counter]) for counter in counters)

        return grown(second, third) / (ended - begun), grown(first, last) / (ended_at_first - begun_at_latest)

    def value(self, check: str, label: str) -> float:
        """A value of the perfdata."""
        found = re.search(rf" '?{re.escape(label)}'?=([0-9.]+)", self.checks[check].first)
        assert found, f"{label} is not in {self.checks[check].first}"
        return float(found[1])


@pytest.fixture(scope="module")
def busy(bed: Bed) -> Iterator[None]:
    """A guest under more load than is good for all other tests."""
    bed.start_busy(NAME, LOAD, 0x11)
    try:
        eventually("it is up", lambda: "lab: up" in console(NAME).read_text())
        eventually("it reports memory", lambda: bed.reports(NAME))
        yield
    finally:
        bed.remove(NAME)


@pytest.fixture(scope="module")
def interval(busy: None, bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Interval:
    command = Command(tmp_path_factory.mktemp("state"))
    pid = bed.qemu_pid(NAME)
    names = ("cpu", "disk", "network", "memory")

    def process_cpu() -> float:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def see() -> Seen:
        return Seen(time.monotonic(), domstats(NAME))

    def look() -> tuple[dict[str, Ran], Seen, Seen, float, float]:
        began = see()
        checks = {name: command(f"check_kvm_{name}", "-d", NAME) for name in names}
        # the checks' second readings are the ones that count, and the last of them was just now
        stats, cpu, now = domstats(NAME), process_cpu(), time.monotonic()
        return checks, began, Seen(now, stats), cpu, now

    # each check takes two samples at its first run; let all begin the interval with stored ones
    for name in names:
        command(f"check_kvm_{name}", "-d", NAME)
    time.sleep(1)
    _, *first, cpu_before, begun = look()
    time.sleep(SECONDS)
    checks, *last, cpu_after, ended = look()
    before, after = first[1].stats, last[1].stats
    seconds = ended - begun
    rates = {
        name: (float(after[name]) - float(before[name])) / seconds
        for name in after
        if name in before and re.fullmatch(r"-?[0-9]+", after[name])
    }
    gauges = {name: float(after[name]) for name in after if name.startswith("balloon.")}
    return Interval(checks, rates | gauges, (cpu_after - cpu_before) / seconds, (*first, *last))


def test_cpu(interval: Interval) -> None:
    usage = interval.value("cpu", "usage")
    vcpus = (interval.virsh["vcpu.0.time"] + interval.virsh["vcpu.1.time"]) / 1e9
    assert usage == pytest.approx(vcpus / 2 * 100, rel=CLOSE, abs=0.5)
    together = usage * 2 + interval.value("cpu", "emulator")
    assert together == pytest.approx(interval.virsh["cpu.time"] / 1e9 * 100, rel=CLOSE, abs=1)
    assert together == pytest.approx(interval.process_cpu * 100, rel=CLOSE, abs=1)
    # besides the busy loop, QEMU works for the guest's disk and network
    assert LOAD["cpu"] / 2 * (1 - TOLD) < usage < LOAD["cpu"] / 2 * 2


def test_steal(interval: Interval) -> None:
    """How much there is hangs on what else runs, so that two intervals that are not quite the same may differ."""
    least, most = (delay / 1e9 / 2 * 100 for delay in interval.bounds("vcpu.0.delay", "vcpu.1.delay"))
    assert least - 0.01 <= interval.value("cpu", "steal") <= most + 0.01


@pytest.mark.parametrize(("metric", "field"), [("read_bytes", "rd.bytes"), ("write_bytes", "wr.bytes")])
def test_disk_bytes(interval: Interval, metric: str, field: str) -> None:
    told = LOAD["disk"] * 1024
    # the guest works in bursts of one second, so the ends of the two intervals may differ by one
    assert interval.value("disk", f"vdb.{metric}") == pytest.approx(interval.virsh[f"block.1.{field}"], rel=0.12)
    assert interval.value("disk", f"vdb.{metric}") == pytest.approx(told, rel=TOLD)


@pytest.mark.parametrize(("metric", "field"), [("read_iops", "rd.reqs"), ("write_iops", "wr.reqs")])
def test_disk_operations(interval: Interval, metric: str, field: str) -> None:
    assert interval.value("disk", f"vdb.{metric}") == pytest.approx(interval.virsh[f"block.1.{field}"], rel=0.12)
    assert interval.value("disk", f"vdb.{metric}") == pytest.approx(LOAD["disk"] / 16, rel=TOLD)


def test_disk_latency(interval: Interval) -> None:
    """It hangs on what else runs, as steal does."""
    (least, most), (fewest, often) = map(interval.bounds, ("block.1.wr.times", "block.1.wr.reqs"))
    assert least / often / 1e9 <= interval.value("disk", "vdb.write_latency") <= most / fewest / 1e9


@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_network(interval: Interval, direction: str) -> None:
    bits = interval.value("network", f"52:54:00:00:11:01.{direction}")
    assert bits == pytest.approx(interval.virsh[f"net.0.{direction}.bytes"] * 8, rel=CLOSE)
    told = LOAD["net"] * (1000 + 8 + 20 + 14) * 8  # ICMP, IP and Ethernet headers
    assert bits == pytest.approx(told, rel=TOLD)


def test_memory(interval: Interval, bed: Bed) -> None:
    available, usable = interval.virsh["balloon.available"], interval.virsh["balloon.usable"]
    assert interval.value("memory", "usage") == pytest.approx((1 - usable / available) * 100, abs=1)
    with open(f"/proc/{bed.qemu_pid('web1')}/status", encoding="ascii") as status:
        rss = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
    assert interval.value("memory", "rss") == pytest.approx(rss, rel=CLOSE)


def test_memory_that_the_guest_was_told_to_fill(command: Command, bed: Bed) -> None:
    # idle1 keeps 16 MiB filled; save1's twin without it would use that much less
    stats = bed.lookup("idle1").memoryStats()
    ran = command("check_kvm_memory", "-d", "idle1")
    found = re.search(r" usage=([0-9.]+)", ran.first)
    assert found
    used = float(found[1]) / 100 * stats["available"] * 1024
    assert used > 16 << 20
    assert used == pytest.approx((stats["available"] - stats["usable"]) * 1024, rel=CLOSE)
