"""check_kvm_pool: storage pools, their state, how full they are and how much they promise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Critical, Ok, ServiceState, Unknown
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Subject, Verdict
from kvmwatch.model import derived, pool_kinds, states
from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Pool, Snapshot
from kvmwatch.model.units import human
from kvmwatch.reading.connection import is_local


class StateVerdict(Record):
    """What a state of libvirt's is judged; ``autostart`` None: whichever. The page docs/pools.md shows these."""

    state: int  # virStoragePoolState
    autostart: Optional[bool]
    verdict: ServiceState
    says: str
    meaning: str
    condition: Optional[Condition] = None


INACTIVE = Condition("inactive", Critical, "it has autostart and is inactive")
DEGRADED = Condition("degraded", Critical, "it works without redundancy")
INACCESSIBLE = Condition("inaccessible", Critical, "it cannot be reached")
GONE = Condition("gone", Critical, "its directory or its mount is gone, or of no use")
NOT_ANSWERING = Condition("not_answering", Unknown, "its storage does not answer")

STATES = (
    StateVerdict(
        states.POOL_INACTIVE,
        True,
        Critical,
        "inactive though it should be active (autostart)",
        "VMs on it cannot be started",
        INACTIVE,
    ),
    StateVerdict(states.POOL_INACTIVE, False, Ok, "inactive", "nobody asked for it"),
    StateVerdict(states.POOL_BUILDING, None, Ok, "building", "it is being made, which ends by itself"),
    StateVerdict(states.POOL_RUNNING, None, Ok, "", "its use is judged, where that means something"),
    StateVerdict(states.POOL_DEGRADED, None, Critical, "degraded", "it works without redundancy", DEGRADED),
    StateVerdict(states.POOL_INACCESSIBLE, None, Critical, "inaccessible", "it cannot be reached", INACCESSIBLE),
)


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every pool."""
    usages: dict[str, float | None] = {}
    for pool in snapshot.pools:
        verdict.owe(pool.name, metrics=_metrics(pool))
        subject = verdict.subject(pool.name, pool.name, unread=pool.unread)
        for found, text in _said(pool):
            subject.say(found, text)
        subject.excused = not pool.active or pool.fault is not None
        values = figures(pool)
        usages[pool.name] = usage = values["usage"]
        subject.rank = usage or 0
        for metric in _metrics(pool):
            _measure(subject, metric, values)
        if is_local(snapshot.uri):  # where one is seen, or said why not
            subject.spare("thin_data", "thin_metadata")
        if pool.dated:
            subject.say(Ok, f"as of libvirt's last refresh ({pool.dated})")
    inactive = sum(not pool.active for pool in snapshot.pools)
    parts = [count(len(snapshot.pools), "pool")] if snapshot.has(Group.POOLS) else []
    if inactive:
        parts.append(f"{inactive} inactive")
    verdict.overview = ", ".join([*parts, *highest("usage", usages, "%")])


def figures(pool: Pool) -> dict[str, float | None]:
    """The values of a pool by metric."""
    stats = pool.stats
    return {
        "usage": derived.pool_usage(pool),
        "free": stats.available,
        "used": derived.pool_used(pool),
        "capacity": stats.capacity,
        "thin_data": stats.thin_data,
        "thin_metadata": stats.thin_metadata,
        "allocation": derived.pool_allocation(pool),
        "overcommit": derived.pool_overcommit(pool),
    }


def _metrics(pool: Pool) -> Iterable[str]:
    """The metrics that pools of its type have; of a type that could not be read just now, those of most."""
    kind = pool_kinds.of(pool.kind)
    if kind.use == pool_kinds.LUNS:
        return ("capacity",)  # all of it is always used
    by_use = {pool_kinds.HANDED_OUT: ("allocation", "free", "used", "capacity")}
    thin = ("thin_data", "thin_metadata") if kind.name == "logical" else ()
    promised = ("overcommit",) if kind.promises or kind.use == pool_kinds.UNTOLD else ()
    return (*by_use.get(kind.use, ("usage", "free", "used", "capacity")), *thin, *promised)


def _measure(subject: Subject, metric: str, values: dict[str, float | None]) -> None:
    value, capacity = values[metric], values["capacity"]
    if metric in ("free", "used", "capacity"):
        subject.put(metric, value, most=None if metric == "capacity" else capacity)
        text = "" if value is None else f"{human(value, 'B')} {metric}"
        subject.judge(metric, value, text, quiet=metric != "free" or values["usage"] is None)
    else:
        subject.measure(metric, value, most=None if metric == "overcommit" else 100)


def _said(pool: Pool) -> Iterator[tuple[Condition | ServiceState, str]]:
    """What is said of it apart from its figures."""
    if pool.fault:
        yield GONE, pool.fault
    if not pool.answered:
        yield NOT_ANSWERING, "its storage does not answer"
    for state in STATES:
        if state.state == pool.state and state.autostart in (None, pool.autostart):
            if state.says:
                yield state.condition or state.verdict, state.says
            return
    yield Unknown, f"in a state that is not known ({pool.state})"


CHECK = plugin.Check(
    name="pool",
    description="Judges storage pools: state, use, and capacity promised to volumes. -d and -x select pools.",
    groups=Group.POOLS,
    metrics=(
        MetricSpec("usage", "%", "used, % of the pool", "85", "95"),
        MetricSpec("free", "B", "bytes that can still be written, or made volumes of"),
        MetricSpec("used", "B", "bytes in use, by all that share the storage"),
        MetricSpec("capacity", "B", "size of the pool, bytes"),
        MetricSpec("thin_data", "%", "data of the fullest thin pool (LVM), % of it", "85", "95"),
        MetricSpec("thin_metadata", "%", "metadata of the same, % of its room", "85", "95"),
        MetricSpec("allocation", "%", "made volumes of, % of the volume group or disk"),
        MetricSpec("overcommit", "%", "capacity of all volumes, % of the pool's"),
    ),
    judge=judge,
    conditions=(INACTIVE, DEGRADED, INACCESSIBLE, GONE, NOT_ANSWERING),
    of_each_domain=False,
    selects="pool",
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
