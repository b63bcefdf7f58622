"""check_kvm_memory: the guests' memory as they report it through the balloon, and what QEMU takes on the host."""

from __future__ import annotations

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Ok, Warn
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Subject, Verdict
from kvmwatch.model import derived, states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.units import duration

STALE = Condition("stale", Warn, "the guest does not report its memory, or without values, though it has a period")

_REPORTED = ("usage", "swap")  # by the guest


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every active domain."""
    usages: dict[str, float | None] = {}
    for domain, subject in verdict.domains(snapshot):
        usage = derived.memory_usage(domain)
        usages[domain.name] = usage
        subject.rank = usage or 0
        subject.measure("usage", usage, most=100)
        subject.measure("rss", domain.stats.memory_rss)
        subject.measure("swap", _swap(domain))
        balloon = derived.percent(domain.stats.memory_current, domain.stats.memory_maximum)
        subject.measure("balloon", balloon, most=100)
        if usage is None and domain.not_responding is None:
            _explain_missing(domain, subject, snapshot.time)
    known = sum(usage is not None for usage in usages.values())
    parts = [count(len(usages), "active domain"), *highest("usage", usages, "%")]
    if known < len(usages):
        parts.append(f"{len(usages) - known} without balloon statistics")
    verdict.overview = ", ".join(parts)


def _swap(domain: Domain) -> float | None:
    rates = (domain.rates.swap_in, domain.rates.swap_out)
    return None if None in rates else sum(rate or 0 for rate in rates)


def _explain_missing(domain: Domain, subject: Subject, now: float) -> None:
    """Say why there is no usage; a guest that never told it has perhaps no way to."""
    updated, period = domain.stats.balloon_updated, domain.balloon_period
    if domain.state not in (states.RUNNING, states.BLOCKED):
        subject.say(Ok, f"{states.label(domain.state)}, reports no memory")
        return
    if not updated:
        subject.say(Ok, "no balloon statistics (no balloon device, or no driver in the guest)")
        subject.spare(*_REPORTED, unless_own=True)
        return
    age, limit = now - updated, derived.balloon_limit(period)
    wanted = STALE if period else Ok  # whoever set a period wants to know
    if period:
        subject.spare(*_REPORTED)
    if age < -limit:
        subject.say(
            wanted,
            f"balloon statistics are of {duration(-age)} from now: the clock here or on its hypervisor is wrong",
        )
    elif age <= limit:
        subject.say(
            wanted,
            "balloon driver answers without values: in Windows start its service (blnsvr.exe -i); "
            "a kernel that old has none",
        )
    elif period:
        subject.say(
            STALE,
            f"guest stopped reporting its memory {duration(age)} ago (it should every {duration(period)})",
        )
    else:
        subject.say(
            Ok,
            f"balloon statistics are {duration(age)} old; "
            "virsh dommemstat DOMAIN --period 10 --live --config keeps them fresh",
        )


CHECK = plugin.Check(
    name="memory",
    description="Judges the memory of each active domain: what the guest uses (reported by its balloon driver),\n"
    "what QEMU takes on the host, and swapping inside the guest.",
    groups=Group.DEFINED | Group.MEMORY | Group.DEFINITION | Group.CONTROL,
    metrics=(
        MetricSpec("usage", "%", "used by the guest, % of its memory", "90", "95"),
        MetricSpec("rss", "B", "host memory that QEMU takes, bytes"),
        MetricSpec("swap", "B/s", "swapped in and out by the guest, bytes/s", "1048576", "10485760"),
        MetricSpec("balloon", "%", "memory given to the guest, % of its maximum"),
    ),
    judge=judge,
    conditions=(STALE,),
    needs_rates=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
