"""Counters to rates: what changed per second between two readings.

A rate is ``None`` rather than wrong: for a domain that restarted (libvirt gave it a new id), a counter that
went backwards, readings too close together or too far apart. Time is CLOCK_MONOTONIC, so a changed host
clock does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, TypeVar

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import (
    COUNTER,
    RECORDS,
    Declaration,
    DiskStats,
    DomainStats,
    HostStats,
    InterfaceStats,
    ProcessStats,
    ThreadStats,
    UplinkStats,
    Value,
    VcpuStats,
    declarations,
)
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import (
    IOTHREAD,
    OTHER,
    VCPU,
    VHOST,
    Disk,
    Domain,
    Host,
    Interface,
    Netdev,
    Process,
    Snapshot,
    Thread,
    Unread,
    Uplink,
    Vcpu,
)

MIN_SECONDS = 0.5
MAX_SECONDS = 3600.0
NO_RATE = "no rate yet"

#: times of the host of which the kernel may take some back (proc(5)), and how many seconds that is at most
_TAKEN_BACK, _MOST_BACK = ("cpu_idle", "cpu_iowait", "cpu_steal"), 3.0

Rated = TypeVar("Rated", Host, Domain, Vcpu, Disk, Interface, Process, Thread, Uplink, Netdev)
#: what has sums over its parts
Whole = TypeVar("Whole", Domain, Process)
OfNetwork = TypeVar("OfNetwork", Uplink, Netdev)


class Sample(Record):
    """The counters of one thing at one moment.

    ``generation`` is the id of the domain's run, a process's start, of the host the number of its CPUs: one that
    comes online brings all the time along that it has been idle.
    """

    time: float
    generation: Optional[float]
    counters: dict[str, float]


#: ends of the keys of what a guest told of its memory in its last report, and in the one before
REPORTS = ("/report", "/report/before")
#: when that was, among the counters of a report
UPDATED = "balloon_updated"

#: keys: "host", UUID, "UUID/report", "UUID/disk/vda", "UUID/interface/MAC/vnet0", "UUID/vcpu/0", "process/PID",
#: "process/PID/TID", "net/eth0"
Samples = dict[str, Sample]


def samples(snapshot: Snapshot) -> Samples:
    """Take all counters out of a snapshot, to be compared with a later one."""
    taken = {}
    if snapshot.host:
        stats = snapshot.host.stats
        taken["host"] = Sample(snapshot.host.time, stats.cpus, _counters(stats))
    for domain in snapshot.domains:
        for key, record in _parts(domain):
            counters = _counters(record.stats)
            if counters:
                taken[key] = Sample(domain.time, domain.id, counters)
    for process in snapshot.processes:
        taken[f"process/{process.pid}"] = Sample(process.time, process.started, _counters(process.stats))
        for thread in process.threads:
            key = f"process/{process.pid}/{thread.tid}"
            taken[key] = Sample(process.time, thread.started, _counters(thread.stats))
    netdevs: list[Uplink | Netdev] = [*(snapshot.uplinks or ()), *snapshot.netdevs]
    for netdev in netdevs:
        taken[f"net/{netdev.name}"] = Sample(netdev.time, None, _counters(netdev.stats))
    return taken


def steady(snapshot: Snapshot, earlier: Samples) -> Snapshot:
    """The snapshot with times of the host (_TAKEN_BACK) that are none below those of a moment ago.

    Whoever takes the rate of a counter that steps back by a tick believes that it has begun anew, and that all of
    it, the idle time since the boot, has passed since the last reading.
    """
    host, before = snapshot.host, earlier.get("host")
    if not host or not before or before.generation != host.stats.cpus:
        return snapshot
    now, then = _counters(host.stats), before.counters
    back = {name: then[name] - now[name] for name in _TAKEN_BACK if name in now and name in then}
    kept = {name: then[name] for name, seconds in back.items() if 0 < seconds <= _MOST_BACK}
    return snapshot._replace(host=host._replace(stats=host.stats._replace(**kept)))


def with_rates(snapshot: Snapshot, *earlier: Samples, longest: float = MAX_SECONDS) -> Snapshot:
    """Fill the ``rates`` of a snapshot's records from earlier samples, each rate from the first that gives it.

    Counters of a record may begin at different times: those that a guest reports, long after it was started.
    Samples older than ``longest`` seconds give none. A record with counters that have no rate says so in its
    ``unread``.
    """
    host = snapshot.host
    if host:
        host = _rated(host, earlier, longest, (("host", host.time),), host.stats.cpus)
    return snapshot._replace(
        host=host,
        domains=tuple(_rated_domain(domain, earlier, longest, snapshot.time) for domain in snapshot.domains),
        processes=tuple(_rated_process(process, earlier, longest) for process in snapshot.processes),
        uplinks=None
        if snapshot.uplinks is None
        else tuple(_rated_netdev(each, earlier, longest) for each in snapshot.uplinks),
        netdevs=tuple(_rated_netdev(each, earlier, longest) for each in snapshot.netdevs),
    )


def lacking(snapshot: Snapshot, groups: Group) -> frozenset[str]:
    """UUIDs of the domains of which these groups lack a rate; an empty one for anything else."""
    uuids = {
        domain.uuid for domain in snapshot.domains if any(_lacks(record, groups) for _, record in _parts(domain))
    }
    others: list[Any] = [*filter(None, [snapshot.host]), *snapshot.processes]
    others += [*(snapshot.uplinks or ()), *snapshot.netdevs]
    return frozenset(uuids | {"" for record in others if _lacks(record, groups)})


def _lacks(record: Any, groups: Group) -> bool:
    return any(part.why == NO_RATE and part.group in groups for part in record.unread)


def _rated_netdev(netdev: OfNetwork, earlier: tuple[Samples, ...], longest: float) -> OfNetwork:
    return _rated(netdev, earlier, longest, ((f"net/{netdev.name}", netdev.time),), None)


def reported_at(domain: Domain, now: float) -> float:
    """When its guest reported last, by the monotonic clock; ``now`` is by the other, which may have been set."""
    age = now - (domain.stats.balloon_updated or now)
    return domain.time - min(max(age, 0.0), _overdue(domain))


def _overdue(domain: Domain) -> float:
    """After how many seconds a guest that reports would have reported again."""
    return max(2.0 * (domain.balloon_period or 0), 20.0)


def _reports(domain: Domain, earlier: tuple[Samples, ...], now: float) -> Iterator[tuple[str, float]]:
    """Keys of its guest's last reports, with the moment of what is told now; one that is overdue gives no rate."""
    moment = reported_at(domain, now)
    last, before = (domain.uuid + end for end in REPORTS)
    yield last, moment
    known = next((samples[last] for samples in earlier if last in samples), None)
    if known and domain.time - known.time <= _overdue(domain):
        yield before, moment


def _rated_domain(domain: Domain, earlier: tuple[Samples, ...], longest: float, now: float) -> Domain:
    def of(record: Rated, *keys: tuple[str, float]) -> Rated:
        return _rated(record, earlier, longest, keys, domain.id)

    whole = of(domain, *_reports(domain, earlier, now), (domain.uuid, domain.time))
    rated = {key: of(record, (key, domain.time)) for key, record in _parts(domain) if record is not domain}
    vcpus: tuple[Vcpu, ...] = tuple(rated[_key(domain, vcpu)] for vcpu in domain.vcpus)
    return _with_sums(whole, vcpus)._replace(
        vcpus=vcpus,
        disks=tuple(rated[_key(domain, disk)] for disk in domain.disks),
        interfaces=tuple(rated[_key(domain, interface)] for interface in domain.interfaces),
    )


def _with_sums(domain: Domain, vcpus: tuple[Vcpu, ...]) -> Domain:
    sums = {name: _sum(getattr(vcpu.rates, of_vcpu) for vcpu in vcpus) for name, of_vcpu in _SUMS.items()}
    return _with_rates(domain, sums, Group.CPU)


def _rated_process(process: Process, earlier: tuple[Samples, ...], longest: float) -> Process:
    key = f"process/{process.pid}"
    whole = _rated(process, earlier, longest, ((key, process.time),), process.started)
    if not process.threads:
        return whole
    threads = tuple(
        _rated(thread, earlier, longest, ((f"{key}/{thread.tid}", process.time),), thread.started)
        for thread in process.threads
    )
    sums = {
        name: _sum(getattr(thread.rates, of_thread) for thread in threads if thread.kind in kinds)
        for name, (of_thread, kinds) in _SUMS_OF_THREADS.items()
    }
    return _with_rates(whole._replace(threads=threads), sums, Group.THREADS)


def _sum(rates: Iterable[Value]) -> Value:
    """Of those that were there at both readings."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _with_rates(record: Whole, sums: Mapping[str, Value], group: Group) -> Whole:
    """Give a record the rates of its sums, as far as it has these."""
    rates = {name: rate for name, rate in sums.items() if getattr(record.stats, name) is not None}
    none = Unread(group, "", NO_RATE)
    unread = (*record.unread, none) if None in rates.values() and none not in record.unread else record.unread
    made: Whole = record._replace(rates=record.rates._replace(**rates), unread=unread)
    return made


def _parts(domain: Domain) -> Iterator[tuple[str, Any]]:
    yield domain.uuid, domain
    parts: list[Vcpu | Disk | Interface] = [*domain.vcpus, *domain.disks, *domain.interfaces]
    for part in parts:
        yield _key(domain, part), part


def _key(domain: Domain, part: Vcpu | Disk | Interface) -> str:
    if isinstance(part, Vcpu):
        return f"{domain.uuid}/vcpu/{part.number}"
    if isinstance(part, Disk):
        return f"{domain.uuid}/disk/{part.name}"
    # the tap counts, and one that is plugged anew has another, though it may have the same MAC
    return f"{domain.uuid}/interface/{part.key}/{part.name}"


#: counters of a domain that are sums over its vCPUs: they jump when one is plugged or unplugged, so their rates
#: are sums of the rates of those that were there at both readings
_SUMS = {"vcpu_time": "time", "cpu_delay": "delay"}
#: the same of a process over its threads of some kinds; those that work for its disks come and go
_SUMS_OF_THREADS: Mapping[str, tuple[str, Collection[str]]] = {
    "vcpu_time": ("cpu_time", (VCPU,)),
    "iothread_time": ("cpu_time", (IOTHREAD,)),
    "vhost_time": ("cpu_time", (VHOST,)),
    "io_delay": ("io_delay", (VCPU, IOTHREAD, VHOST, OTHER)),
}
_SUMMED: Mapping[type, Collection[str]] = {DomainStats: _SUMS, ProcessStats: _SUMS_OF_THREADS}
_COUNTERS: dict[type, dict[str, Declaration]] = {
    record: {
        name: declared
        for name, declared in declarations(record).items()
        if declared.kind == COUNTER and name not in _SUMMED.get(record, ())
    }
    for record in (*RECORDS.values(), ThreadStats)
}
#: names of the counters of a record, and their places in it
_PLACES: Mapping[type, Sequence[tuple[str, int]]] = {
    record: [(name, record._fields.index(name)) for name in counters]  # type: ignore[attr-defined]
    for record, counters in _COUNTERS.items()
}
_GROUPS = {
    HostStats: Group.HOST,
    VcpuStats: Group.CPU,
    DiskStats: Group.DISK,
    InterfaceStats: Group.INTERFACE,
    ProcessStats: Group.PROCESSES,
    ThreadStats: Group.THREADS,
    UplinkStats: Group.BRIDGES,  # who asks for the uplinks alone takes their counters, and need not wait for rates
}


def _counters(stats: Any) -> dict[str, float]:
    return {name: value for name, place in _PLACES[type(stats)] if (value := stats[place]) is not None}


def of_guest(stats: DomainStats) -> dict[str, float]:
    """The counters that the guest itself reports."""
    return {name: value for name, value in _counters(stats).items() if _group(stats, name) is Group.MEMORY}


def _rated(
    record: Rated,
    earlier: tuple[Samples, ...],
    longest: float,
    keys: tuple[tuple[str, float], ...],
    generation: float | None,
) -> Rated:
    """The record with rates; ``keys``: of the samples it is compared with, and when it was as it is now."""
    counters = _counters(record.stats)
    if not counters:
        return record
    rates: dict[str, float] = {}
    over: float | None = None
    for before, time in ((samples.get(key), time) for samples in earlier for key, time in keys):
        if not before or before.generation != generation:
            continue
        if given := _rates(record.stats, counters, before, time, longest):
            over = over or time - before.time
            rates = {**given, **rates}
        if len(rates) == len(counters):
            break
    unread = record.unread
    if without := counters.keys() - rates.keys():
        groups: set[Group] = {_group(record.stats, name) for name in without}
        unread += tuple(Unread(group, "", NO_RATE) for group in sorted(groups, key=lambda group: group.value))
    more: dict[str, Any] = {"rated_over": over} if isinstance(record, Disk) else {}
    rated: Rated = record._replace(rates=type(record.stats)(**rates), unread=unread, **more)
    return rated


def _rates(
    stats: Any, counters: dict[str, float], before: Sample, time: float, longest: float
) -> dict[str, float]:
    reported = before.counters.get(UPDATED)
    if reported is not None and reported == getattr(stats, UPDATED, None):
        return {}  # the same report
    seconds = time - before.time
    if not MIN_SECONDS <= seconds <= longest:
        return {}
    changes = {name: value - before.counters[name] for name, value in counters.items() if name in before.counters}
    went_back = {_group(stats, name) for name, change in changes.items() if change < 0}
    if went_back - {Group.MEMORY}:
        return {}  # the thing was replaced (a disk, a NIC), and no counter of it can be trusted
    # a guest that boots begins its own counters anew; those of its QEMU go on
    return {
        name: change / seconds
        for name, change in changes.items()
        if not went_back or _group(stats, name) is not Group.MEMORY
    }


def _group(stats: Any, counter: str) -> Group:
    of_memory = _COUNTERS[type(stats)][counter].field.startswith("balloon.")
    return _GROUPS.get(type(stats), Group.MEMORY if of_memory else Group.CPU)
