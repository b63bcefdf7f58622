"""Rates: right ones, and none rather than a wrong one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from check_kvm.frame import sampling
from hypothesis import example, given
from hypothesis import strategies as st

from kvmwatch.model import reported
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DiskStats, DomainStats, HostStats, InterfaceStats
from kvmwatch.model.rates import MAX_SECONDS, MIN_SECONDS, NO_RATE, Samples, lacking, samples, steady, with_rates
from kvmwatch.model.snapshot import Disk, Domain, Host, Snapshot
from kvmwatch.reading import domain_xml
from kvmwatch.reading.deadline import Deadline


def snapshot(time: float, cpu: float | None, run: int = 1, read: float = 0, name: str = "a") -> Snapshot:
    disk = Disk("vda", stats=DiskStats(read_bytes=read, capacity=10))
    domain = Domain(f"uuid-{name}", name, run, 1, 1, time, stats=DomainStats(cpu_time=cpu), disks=(disk,))
    return Snapshot("test", time, 0, domains=(domain,))


def rates(before: Snapshot, after: Snapshot) -> Domain:
    return with_rates(after, samples(before)).domains[0]


def test_change_per_second() -> None:
    rated = rates(snapshot(100, 10, read=0), snapshot(110, 15, read=5120))
    assert rated.rates.cpu_time == 0.5
    assert rated.disks[0].rates.read_bytes == 512


def test_gauges_have_no_rate() -> None:
    assert rates(snapshot(100, 10), snapshot(110, 15)).disks[0].rates.capacity is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(snapshot(100, 10), snapshot(110, 5), id="counter went backwards"),
        pytest.param(snapshot(100, 10, run=1), snapshot(110, 15, run=2), id="domain restarted"),
        pytest.param(snapshot(100, 10), snapshot(100.1, 15), id="too close together"),
        pytest.param(snapshot(100, 10), snapshot(101 + MAX_SECONDS, 15), id="too far apart"),
        pytest.param(snapshot(100, 10), snapshot(90, 15), id="time went backwards"),
        pytest.param(snapshot(100, 10, name="b"), snapshot(110, 15), id="another domain"),
        pytest.param(snapshot(100, None), snapshot(110, 15), id="not known before"),
        pytest.param(snapshot(100, 10), snapshot(110, None), id="not known now"),
    ],
)
def test_no_rate_rather_than_a_wrong_one(before: Snapshot, after: Snapshot) -> None:
    assert rates(before, after).rates.cpu_time is None


@pytest.mark.parametrize(
    ("cpu", "swap", "faults", "told"),
    [
        pytest.param(15, 5, 70, {"cpu_time": 0.5}, id="it booted: a counter of the guest's went back"),
        pytest.param(5, 20, 70, {}, id="it was replaced: one of its QEMU's did"),
        pytest.param(15, 20, 70, {"cpu_time": 0.5, "swap_in": 1.0, "major_faults": 2.0}, id="none did"),
    ],
)
def test_what_the_guest_counts_costs_nothing_of_what_its_host_does(
    cpu: float, swap: float, faults: float, told: dict[str, float]
) -> None:
    """A guest can set its own as it likes, and would not be seen using the CPU."""

    def counted(time: float, cpu: float, swap: float, faults: float) -> Snapshot:
        stats = DomainStats(cpu_time=cpu, swap_in=swap, major_faults=faults)
        return Snapshot("test", time, 0, domains=(Domain("uuid", "a", 1, 1, 1, time, stats=stats),))

    rated = rates(counted(100, 10, 10, 50), counted(110, cpu, swap, faults))
    assert {name: rate for name, rate in rated.rates._asdict().items() if rate is not None} == told
    lost = {group for group in (Group.CPU, Group.MEMORY) if lacking(Snapshot("", 0, 0, domains=(rated,)), group)}
    assert lost == ({Group.CPU, Group.MEMORY} if not told else set() if len(told) > 1 else {Group.MEMORY})


def test_an_interface_that_is_plugged_anew_is_another_one() -> None:
    """Its MAC may be the same, or that of one which was unplugged (which is legal, of two at once, too)."""

    def plugged(time: float, *taps: tuple[str, float]) -> Snapshot:
        xml = "".join(
            f"<interface type='bridge'><mac address='52:54:00:00:00:01'/><target dev='{tap}'/></interface>"
            for tap, _ in taps
        )
        interfaces = tuple(
            interface._replace(stats=InterfaceStats(rx_bytes=count))
            for interface, (_, count) in zip(
                domain_xml.parse(f"<domain><devices>{xml}</devices></domain>").interfaces, taps
            )
        )
        return Snapshot("test", time, 0, domains=(Domain("uuid", "a", 1, 1, 1, time, interfaces=interfaces),))

    def rx(before: Snapshot, after: Snapshot) -> list[float | None]:
        return [interface.rates.rx_bytes for interface in rates(before, after).interfaces]

    both = plugged(100, ("vnet0", 10), ("vnet1", 5_000_000))
    assert rx(both, plugged(110, ("vnet0", 20), ("vnet1", 5_000_010))) == [1, 1]
    assert rx(both, plugged(110, ("vnet1", 5_000_010))) == [None]
    assert rx(plugged(100, ("vnet0", 10)), plugged(110, ("vnet2", 700))) == [None]


@given(st.floats(-10, MAX_SECONDS + 10))
@example(MIN_SECONDS)
@example(MAX_SECONDS)
def test_what_has_no_rate_says_so(seconds: float) -> None:
    """Else a check would judge nothing of it, and call that OK."""
    rated = with_rates(snapshot(1000 + seconds, 15), samples(snapshot(1000, 10)))
    told = {(part.group, part.text) for part in rated.domains[0].unread}
    assert told == (set() if rated.domains[0].rates.cpu_time is not None else {(Group.CPU, NO_RATE)})
    assert lacking(rated, Group.CPU) == (frozenset({"uuid-a"}) if told else frozenset())
    assert not lacking(rated, Group.MEMORY)


@given(st.lists(st.floats(0, 2 * MAX_SECONDS), max_size=4))
def test_the_first_earlier_reading_that_gives_rates_is_taken(ages: list[float]) -> None:
    earlier = [samples(snapshot(10_000 - age, 10)) for age in ages]
    rate = with_rates(snapshot(10_000, 15), *earlier).domains[0].rates.cpu_time
    usable = [age for age in ages if MIN_SECONDS <= 10_000 - (10_000 - age) <= MAX_SECONDS]
    assert rate == (pytest.approx(5 / usable[0]) if usable else None)


def test_counters_that_begin_later_have_a_rate_from_a_later_reading() -> None:
    """A guest reports its memory long after its vCPUs began to run: that is no reason to know no rate of it."""

    def counted(time: float, **stats: float) -> Snapshot:
        domain = Domain("uuid-a", "a", 1, 1, 1, time, stats=DomainStats(cpu_time=time, **stats))
        return Snapshot("test", time, 0, domains=(domain,))

    last_run, first, again = counted(100), counted(160, swap_in=8), counted(161, swap_in=10)
    assert lacking(with_rates(first, samples(last_run)), Group.MEMORY) == {"uuid-a"}
    rated = with_rates(again, samples(last_run), samples(first))
    assert lacking(rated, Group.MEMORY) == frozenset()
    assert rated.domains[0].rates == DomainStats(cpu_time=1, swap_in=2)


@given(period=st.integers(1, 20), delay=st.integers(1, 60), late=st.integers(0, 19))
@example(period=10, delay=3, late=0)
def test_a_guest_that_swaps_evenly_is_seen_to_however_often_it_is_read(period: int, delay: int, late: int) -> None:
    """It reports every 10 s, say: who reads every 3 s would find that it swaps thrice as much, now and then."""
    kept: Samples = {}
    seen = set()
    for moment in range(0, 10 * (period + delay), delay):
        updated = (moment + late) // period * period - late
        stats = DomainStats(cpu_time=moment, swap_in=7 * (updated + late), balloon_updated=1_795_000_000 + updated)
        domain = Domain("uuid", "a", 1, 1, 1, 1000.0 + moment, balloon_period=period, stats=stats)
        now = Snapshot("test", 1_795_000_000 + moment, 0, domains=(domain,))
        if updated >= 2 * period:  # it has reported twice since it was first looked at
            seen.add(with_rates(now, kept).domains[0].rates.swap_in)
        kept = {**samples(now), **reported.samples(now, kept)}
    assert seen == {7}


def test_a_guest_that_boots_again_begins_anew() -> None:
    kept: Samples = {}
    told = []
    for moment, run, swapped in ((0, 1, 50), (10, 1, 60), (20, 1, 4), (30, 1, 14), (40, 2, 24), (50, 2, 34)):
        stats = DomainStats(swap_in=swapped, balloon_updated=1_795_000_000 + moment)
        domain = Domain("uuid", "a", run, 1, 1, 1000.0 + moment, stats=stats)
        now = Snapshot("test", 1_795_000_000 + moment, 0, domains=(domain,))
        told.append(with_rates(now, kept).domains[0].rates.swap_in)
        kept = {**samples(now), **reported.samples(now, kept)}
    assert told == [None, 1, None, 1, None, 1]


def test_a_guest_that_reports_no_more_is_not_told_to_swap() -> None:
    """It was paused at 68 s, or its driver hangs: what it did before is not known of now."""
    kept: Samples = {}
    told = []
    for moment in range(0, 300, 60):
        updated = min(moment // 10 * 10 - 2, 68)
        stats = DomainStats(swap_in=100 * updated, balloon_updated=1_795_000_000 + updated)
        domain = Domain("uuid", "a", 1, 1, 1, 1000.0 + moment, balloon_period=10, stats=stats)
        now = Snapshot("test", 1_795_000_000 + moment, 0, domains=(domain,))
        told.append(with_rates(now, kept).domains[0].rates.swap_in)
        kept = {**samples(now), **reported.samples(now, kept)}
    assert told[1] == 100
    assert told[3:] == [0, 0]


@pytest.mark.parametrize("step", [1800, -1800, -9, 15])
def test_a_clock_that_is_set_makes_no_swapping(step: int) -> None:
    """The guest's reports are stamped by it; one of them may be without a rate then."""
    kept: Samples = {}
    for moment in range(0, 60, 3):
        clock = 1_795_000_000 + moment + (step if moment > 31 else 0)
        updated = moment // 10 * 10
        stamp = 1_795_000_000 + updated + (step if updated > 31 else 0)
        stats = DomainStats(swap_in=100 * updated, balloon_updated=stamp)
        domain = Domain("uuid", "a", 1, 1, 1, 1000.0 + moment, balloon_period=10, stats=stats)
        now = Snapshot("test", clock, 0, domains=(domain,))
        if updated >= 20:
            rate = with_rates(now, kept).domains[0].rates.swap_in
            assert rate is not None
            assert rate <= 350, moment
        kept = {**samples(now), **reported.samples(now, kept)}
    assert rate == 100, "when it is over"


def test_one_counter_that_went_backwards_discredits_the_others_of_its_record_only() -> None:
    rated = rates(snapshot(100, 10, read=100), snapshot(110, 15, read=50))
    assert rated.disks[0].rates.read_bytes is None
    assert rated.rates.cpu_time == 0.5


def host(time: float, user: float, idle: float | None, cpus: int = 4) -> Snapshot:
    stats = HostStats(cpu_user=user, cpu_idle=idle, cpus=cpus)
    return Snapshot("test", time, 0, host=Host("h", "QEMU", "9", "7", time, stats))


def test_host_keeps_its_rates_when_idle_steps_back_by_a_tick() -> None:
    """And whoever takes the rate of what is exported sees no counter that begins anew."""
    before = samples(host(100, 10, 100))
    now = steady(host(110, 15, 99.99), before)
    assert now.host
    assert now.host.stats == HostStats(cpu_user=15, cpu_idle=100, cpus=4)
    rated = with_rates(now, before).host
    assert rated is not None
    assert rated.rates.cpu_user == 0.5
    assert rated.rates.cpu_idle == 0
    assert rated.unread == ()
    further = steady(host(120, 20, 99.995), samples(now)).host
    assert further
    assert further.stats.cpu_idle == 100


class Kept:
    def __init__(self, kept: Samples) -> None:
        self.kept = kept

    def load(self) -> Samples:
        return self.kept

    def save(self, samples: Samples) -> None:
        self.kept = samples


@pytest.mark.parametrize("is_first_run", [True, False])
def test_each_reading_is_steady_after_that_before(is_first_run: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_SAMPLING", 0.0)
    before, now = host(100, 10, 100), host(110, 15, 99.99)
    counters = Kept({} if is_first_run else samples(before))
    reader: Any = SimpleNamespace(groups=Group.HOST, again_takes=lambda _: 0.0, read_again=lambda *_: now)
    read = sampling.rated_by(reader, before if is_first_run else now, counters, Deadline(10))
    assert read.host
    assert read.host.stats.cpu_idle == 100
    assert read.host.rates.cpu_user == 0.5
    assert counters.kept["host"].counters["cpu_idle"] == 100


@pytest.mark.parametrize(
    "now", [host(110, 9, 100.5), host(110, 15, 96), host(110, 15, None), host(110, 15, 99.99, cpus=3)]
)
def test_what_else_becomes_of_the_hosts_counters_is_told_as_it_is(now: Snapshot) -> None:
    """One that is higher, that begins anew, that is not known; those of other CPUs."""
    assert steady(now, samples(host(100, 10, 100))) == now
    assert steady(now, {}) == now


def test_a_cpu_that_comes_or_goes_costs_the_hosts_rates() -> None:
    """It brings along for how long it has been idle: the host would be as good as idle itself, once."""

    def at(time: float, cpus: int, idle: float) -> Snapshot:
        stats = HostStats(cpus=cpus, cpu_user=time, cpu_system=0, cpu_idle=idle)
        return Snapshot("test", time, 0, host=Host("h", None, None, None, time, stats))

    for cpus, idle in ((8, 9_000), (2, 110)):
        host = with_rates(at(110, cpus, idle), samples(at(100, 4, 100))).host
        assert host is not None
        assert host.rates == HostStats()
        assert [(part.group, part.why) for part in host.unread] == [(Group.HOST, NO_RATE)]
