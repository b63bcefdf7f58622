"""Counters to rates: what changed per second between two readings.

A rate is ``None`` rather than wrong: for a domain that restarted (libvirt gave it a new id), a counter that
went backwards, readings too close together or too far apart. Time is CLOCK_MONOTONIC, so a changed host
clock does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Optional, TypeVar

from kvmwatch.model.metrics import COUNTER, RECORDS, HostStats, declarations
from kvmwatch.model.snapshot import Disk, Domain, Host, Interface, Process, Snapshot, Vcpu

MIN_SECONDS = 0.5
MAX_SECONDS = 3600.0

Record = TypeVar("Record", Host, Domain, Vcpu, Disk, Interface, Process)


class Sample(NamedTuple):
    """The counters of one thing at one moment; ``generation`` is the id of the domain's run, a process's start."""

    time: float
    generation: Optional[float]
    counters: dict[str, float]


Samples = dict[
    str, Sample
]  # keys: "host", UUID, "UUID/disk/vda", "UUID/interface/MAC", "UUID/vcpu/0", "process/PID"


def samples(snapshot: Snapshot) -> Samples:
    """Take all counters out of a snapshot, to be compared with a later one."""
    taken = {}
    if snapshot.host:
        taken["host"] = Sample(snapshot.host.time, None, _counters(snapshot.host.stats))
    for domain in snapshot.domains:
        for key, record in _parts(domain):
            counters = _counters(record.stats)
            if counters:
                taken[key] = Sample(domain.time, domain.id, counters)
    for process in snapshot.processes:
        taken[f"process/{process.pid}"] = Sample(process.time, process.started, _counters(process.stats))
    return taken


def comparable(current: Samples, previous: Samples) -> bool:
    """Tell whether two readings give rates: what is in both is neither too close together nor too far apart.

    The readings' own times count, as they do in :func:`with_rates`: else there are runs between which this sees
    time enough, and that sees none.
    """
    intervals = [sample.time - previous[key].time for key, sample in current.items() if key in previous]
    return bool(intervals) and min(intervals) >= MIN_SECONDS and max(intervals) <= MAX_SECONDS


def with_rates(snapshot: Snapshot, previous: Samples) -> Snapshot:
    """Fill the ``rates`` of a snapshot's records from the samples of an earlier one."""
    host = snapshot.host
    if host:
        host = _rated(host, previous.get("host"), host.time, None)
    return snapshot._replace(
        host=host,
        domains=tuple(_rated_domain(domain, previous) for domain in snapshot.domains),
        processes=tuple(
            _rated(process, previous.get(f"process/{process.pid}"), process.time, process.started)
            for process in snapshot.processes
        ),
    )


def _rated_domain(domain: Domain, previous: Samples) -> Domain:
    rated = {key: _rated(record, previous.get(key), domain.time, domain.id) for key, record in _parts(domain)}
    whole: Domain = rated[domain.uuid]
    return whole._replace(
        vcpus=tuple(rated[_key(domain, vcpu)] for vcpu in domain.vcpus),
        disks=tuple(rated[_key(domain, disk)] for disk in domain.disks),
        interfaces=tuple(rated[_key(domain, interface)] for interface in domain.interfaces),
    )


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
    return f"{domain.uuid}/interface/{part.key}"


_COUNTER_NAMES: dict[type, tuple[str, ...]] = {
    record: tuple(name for name, declared in declarations(record).items() if declared.kind == COUNTER)
    for record in RECORDS.values()
}


def _counters(stats: Any) -> dict[str, float]:
    values = ((name, getattr(stats, name)) for name in _COUNTER_NAMES[type(stats)])
    return {name: value for name, value in values if value is not None}


def _rated(record: Record, before: Sample | None, time: float, generation: float | None) -> Record:
    if before is None or before.generation != generation:
        return record
    seconds = time - before.time
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        return record
    counters = _counters(record.stats)
    backwards = any(value < before.counters.get(name, 0) for name, value in counters.items())
    # Then the thing was replaced (a disk, a NIC), and no counter of it can be trusted; except for the host,
    # whose idle and iowait times are known to step back by a tick.
    if backwards and not isinstance(record.stats, HostStats):
        return record
    rates = {
        name: (value - before.counters[name]) / seconds
        for name, value in counters.items()
        if value >= before.counters.get(name, value + 1)
    }
    return record._replace(rates=type(record.stats)(**rates))
