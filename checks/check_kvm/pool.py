"""check_kvm_pool: storage pools, their state, how full they are and how much they promise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from nagiosplugin import Critical, Ok, Unknown
from nagiosplugin.state import ServiceState

from check_kvm.frame import plugin
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from kvmwatch.model import derived, states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Pool, Snapshot
from kvmwatch.model.units import human


class StateVerdict(NamedTuple):
    """What a state of libvirt's is judged; ``autostart`` None: whichever. The page docs/pools.md shows these."""

    state: int  # virStoragePoolState
    autostart: Optional[bool]
    verdict: ServiceState
    says: str
    meaning: str


STATES = (
    StateVerdict(
        *(states.POOL_INACTIVE, True, Critical, "inactive though it should be active (autostart)"),
        "VMs on it cannot be started",
    ),
    StateVerdict(states.POOL_INACTIVE, False, Ok, "inactive", "nobody asked for it"),
    StateVerdict(states.POOL_BUILDING, None, Ok, "building", "it is being made, which ends by itself"),
    StateVerdict(states.POOL_RUNNING, None, Ok, "", "its use is judged, where that means something"),
    StateVerdict(states.POOL_DEGRADED, None, Critical, "degraded", "it works without redundancy"),
    StateVerdict(states.POOL_INACCESSIBLE, None, Critical, "inaccessible", "it cannot be reached"),
)


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every pool."""
    usages: dict[str, float | None] = {}
    for pool in snapshot.pools:
        subject = verdict.subject(pool.name, pool.name, unread=pool.unread)
        for state, text in _said(pool):
            subject.say(state, text)
        stats = pool.stats
        usages[pool.name] = usage = derived.pool_usage(pool)
        subject.rank = usage or 0
        subject.measure("usage", usage, most=100)
        if usage is not None and stats.available is not None:
            subject.say(Ok, f"{human(stats.available, 'B')} free")
        subject.measure("thin_data", stats.thin_data, most=100)
        subject.measure("thin_metadata", stats.thin_metadata, most=100)
        subject.measure("allocation", derived.pool_allocation(pool), most=100)
        subject.measure("overcommit", derived.pool_overcommit(pool))
        if pool.dated:
            subject.say(Ok, f"as of libvirt's last refresh ({pool.dated})")
    inactive = sum(not pool.active for pool in snapshot.pools)
    parts = [count(len(snapshot.pools), "pool")] if snapshot.has(Group.POOLS) else []
    if inactive:
        parts.append(f"{inactive} inactive")
    verdict.overview = ", ".join([*parts, *highest("usage", usages, "%")])


def _said(pool: Pool) -> Iterator[tuple[ServiceState, str]]:
    """What is said of it apart from its figures."""
    if pool.fault:
        yield Critical, pool.fault
    if not pool.answered:
        yield Unknown, "its storage does not answer"
    for state in STATES:
        if state.state == pool.state and state.autostart in (None, pool.autostart):
            if state.says:
                yield state.verdict, state.says
            return
    yield Unknown, f"in a state that is not known ({pool.state})"


CHECK = plugin.Check(
    name="pool",
    description="Judges storage pools: state, use, and capacity promised to volumes. -d and -x select pools.",
    groups=Group.POOLS,
    metrics=(
        MetricSpec("usage", "%", "used, % of the pool", "85", "95"),
        MetricSpec("thin_data", "%", "data of the fullest thin pool (LVM), % of it", "85", "95"),
        MetricSpec("thin_metadata", "%", "metadata of the same, % of its room", "85", "95"),
        MetricSpec("allocation", "%", "made volumes of, % of the volume group or disk"),
        MetricSpec("overcommit", "%", "capacity of all volumes, % of the pool's"),
    ),
    judge=judge,
    of_each_domain=False,
    selects="pool",
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
