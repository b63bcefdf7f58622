"""check_kvm_cpu: CPU use in % of the vCPUs a domain has, and the time its vCPUs waited for a physical CPU."""

from __future__ import annotations

from check_kvm.frame import plugin
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Unknown
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from kvmwatch.model import derived, states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Snapshot

_NO_STEAL = "steal not known: its libvirt or its kernel does not tell how long vCPUs wait for a physical CPU"


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every active domain that has rates."""
    usages, steals = {}, {}
    active = 0
    for domain, subject in verdict.domains(snapshot):
        active += 1
        usage = derived.vcpu_usage(domain)
        steal = derived.steal(domain)
        running = domain.state in (states.RUNNING, states.BLOCKED)
        if running and None in (domain.stats.cpu_time, usage) and subject.state is not Unknown:
            subject.say(
                Unknown, f"libvirt gives no CPU {'time' if domain.stats.cpu_time is None else 'use'} of it"
            )
        subject.measure("usage", usage)
        subject.measure("steal", steal, why=_NO_STEAL)
        subject.measure("emulator", derived.emulator_usage(domain))
        subject.rank = max(usage or 0, steal or 0)
        usages[domain.name], steals[domain.name] = usage, steal
    verdict.overview = ", ".join(
        [count(active, "active domain"), *highest("usage", usages, "%"), *highest("steal", steals, "%")]
    )


CHECK = plugin.Check(
    name="cpu",
    description="Judges CPU use of each active domain in % of the vCPUs it has, and steal: the time\n"
    " its vCPUs were ready but waited for a physical CPU.",
    groups=Group.DEFINED | Group.CPU | Group.POLICY | Group.CONTROL,
    metrics=(
        MetricSpec("usage", "%", "CPU use, % of the domain's vCPUs", "90", "95"),
        MetricSpec("steal", "%", "waiting for a physical CPU, % of the domain's vCPUs", "10", "25"),
        MetricSpec("emulator", "%", "CPU of QEMU's emulator and I/O threads, % of one CPU"),
    ),
    judge=judge,
    needs_rates=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
