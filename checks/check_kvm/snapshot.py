"""check_kvm_snapshot: how many snapshots a domain carries, and how old the oldest is."""

from __future__ import annotations

from nagiosplugin import Unknown

from check_kvm.frame import plugin
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.model.units import duration


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every domain, running or not; one whose snapshots libvirt did not tell is UNKNOWN."""
    ages: dict[str, float | None] = {}
    total = 0.0
    for domain, subject in verdict.domains(snapshot, active_only=False):
        number, oldest = domain.stats.snapshots, domain.stats.oldest_snapshot
        if number is None and subject.parts:
            continue  # the reason is said
        if number is None:
            subject.say(Unknown, "libvirt does not tell its snapshots")
            continue
        total += number
        subject.measure("count", number, text=count(int(number), "snapshot"))
        ages[domain.name] = age = None if oldest is None else max(0.0, snapshot.time - oldest)
        subject.rank = age or 0
        subject.measure("age", age, text=None if age is None else f"the oldest {duration(age)} old")
    parts = [count(int(total), "snapshot"), *highest("age", ages, "s")]
    verdict.overview = ", ".join(parts)


CHECK = plugin.Check(
    name="snapshot",
    description="Judges the snapshots of each domain: a forgotten one grows, and slows the disk down.",
    groups=Group.SHUT_OFF | Group.SNAPSHOTS | Group.POLICY,
    metrics=(
        MetricSpec("count", "", "snapshots of the domain", "10"),
        MetricSpec("age", "s", "age of its oldest snapshot, seconds", "604800"),
    ),
    judge=judge,
    by_default=False,  # of VMs that have none it would say nothing
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
