"""check_kvm_snapshot: how many snapshots a domain carries, how old the oldest is, and its newest checkpoint."""

from __future__ import annotations

from check_kvm.frame import plugin
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Unknown
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Subject, Verdict
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.units import duration

_CLOCKS_DIFFER = 300.0  # seconds at most, where this does not run on the hypervisor


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every domain, running or not; one whose snapshots libvirt did not tell is UNKNOWN."""
    ages: dict[str, float | None] = {}
    total = 0.0
    for domain, subject in verdict.domains(snapshot, active_only=False):
        number, oldest = domain.stats.snapshots, domain.stats.oldest_snapshot
        if number is None:
            if subject.state is not Unknown:  # else the reason is said
                subject.say(Unknown, "libvirt does not tell its snapshots")
        else:
            total += number
            subject.measure("count", number, text=count(int(number), "snapshot"))
            ages[domain.name] = age = _age(oldest, snapshot.time)
            subject.rank = age or 0
            if number:
                subject.measure("age", age, text=None if age is None else f"the oldest {duration(age)} old")
            if oldest is not None and age is None:
                subject.say(Unknown, f"the oldest is {_from_now(oldest, snapshot.time)}")
        if not subject.silent:
            _judge_backup(domain, subject, snapshot.time)
    parts = [count(int(total), "snapshot"), *highest("age", ages, "s")]
    verdict.overview = ", ".join(parts)


def _judge_backup(domain: Domain, subject: Subject, now: float) -> None:
    """Judge the age of the newest checkpoint; that there is none matters only to who set a threshold."""
    newest = domain.stats.newest_checkpoint
    age = _age(newest, now)
    text = None if age is None else f"the newest checkpoint {duration(age)} old"
    known = (part.text for part in domain.unread if part.group is Group.CHECKPOINTS)
    why = next(known, "has no checkpoint, which would tell when it was backed up")
    if newest is not None and age is None:
        why = f"the newest checkpoint is {_from_now(newest, now)}"
    subject.measure("backup_age", age, text=text, why=why)


def _age(made: float | None, now: float) -> float | None:
    """Its age in seconds; None where it was made later than clocks may differ, and would be new for ever."""
    return None if made is None or made - now > _CLOCKS_DIFFER else max(0.0, now - made)


def _from_now(made: float, now: float) -> str:
    return f"of {duration(made - now)} from now: the clock here or on its hypervisor is wrong, or was then"


CHECK = plugin.Check(
    name="snapshot",
    description="Judges the snapshots of each domain: a forgotten one grows, and slows the disk down;\n"
    "and with a threshold on backup_age the age of its last incremental backup.",
    groups=Group.SHUT_OFF | Group.SNAPSHOTS | Group.POLICY,
    beside=Group.CHECKPOINTS,
    metrics=(
        MetricSpec("count", "", "snapshots of the domain", "10"),
        MetricSpec("age", "s", "age of its oldest snapshot, seconds", "604800"),
        MetricSpec("backup_age", "s", "age of its newest checkpoint, with which its last backup began, seconds"),
    ),
    judge=judge,
    by_default=False,  # of VMs that have none it would say nothing
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
