"""check_kvm_pool: storage pools, their state, how full they are and how much they promise."""

from __future__ import annotations

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


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every pool."""
    usages: dict[str, float | None] = {}
    for pool in snapshot.pools:
        subject = verdict.subject(pool.name, pool.name, unread=pool.unread)
        state, text = _state(pool)
        if text:
            subject.say(state, text)
        stats = pool.stats
        usages[pool.name] = usage = derived.pool_usage(pool)
        subject.rank = usage or 0
        subject.measure("usage", usage, most=100)
        if usage is not None:
            subject.say(Ok, f"{human(stats.available or 0, 'B')} free")
        subject.measure("overcommit", derived.pool_overcommit(pool))
    inactive = sum(not pool.active for pool in snapshot.pools)
    parts = [count(len(snapshot.pools), "pool")] if snapshot.has(Group.POOLS) else []
    if inactive:
        parts.append(f"{inactive} inactive")
    verdict.overview = ", ".join([*parts, *highest("usage", usages, "%")])


def _state(pool: Pool) -> tuple[ServiceState, str]:
    if not pool.active:
        if pool.autostart:
            return Critical, "inactive though it should be active (autostart)"
        return Ok, "inactive"
    if not pool.answered:
        return Unknown, "its storage does not answer"
    if pool.state in (states.POOL_DEGRADED, states.POOL_INACCESSIBLE):
        return Critical, states.POOL_LABELS[pool.state]
    return Ok, states.POOL_LABELS[pool.state] if pool.state == states.POOL_BUILDING else ""


CHECK = plugin.Check(
    name="pool",
    description="Judges storage pools: state, use, and capacity promised to volumes. -d and -x select pools.",
    groups=Group.POOLS,
    metrics=(
        MetricSpec("usage", "%", "used, % of the pool", "85", "95"),
        MetricSpec("overcommit", "%", "capacity of all volumes, % of the pool's"),
    ),
    judge=judge,
    of_each_domain=False,
    selects="pool",
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
