"""check_kvm_host: the hypervisor's CPU, memory, load and swap, what it promised to guests, libvirt's latency."""

from __future__ import annotations

from check_kvm.frame import plugin
from check_kvm.frame.plugin_api import Unknown
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict, not_responding
from kvmwatch.model import derived
from kvmwatch.model.derived import percent
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Host, Snapshot

_PROMISED = ("vcpu_overcommit", "memory_overcommit")  # sums over all active domains


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge the host; what libvirt or the machine does not tell is left out, but not both CPU and memory."""
    host = snapshot.host
    verdict.owe()
    if host is None:
        return  # it could not be read, which the frame says
    subject = verdict.subject("", unread=host.unread)
    values = figures(host)
    for metric, value in values.items():
        most = 100 if metric in ("cpu", "memory", "hugepages", "swap") else None
        subject.measure(metric, value, most=most, why=_untold(metric, snapshot))
    subject.spare(*_without(host))
    if values["cpu"] is None and values["memory"] is None and subject.state is not Unknown:
        subject.say(Unknown, "neither its CPU use nor its memory is known from here")
    versions = f"libvirt {host.libvirt_version or '?'}, {host.driver or '?'} {host.hypervisor_version or '?'}"
    good = [text for state, text in subject.parts if not state.code]
    verdict.overview = ", ".join([*good, versions])


def _untold(metric: str, snapshot: Snapshot) -> str:
    """Why there is no sum of what the domains were promised; empty: the frame says it, or nothing does."""
    for domain in snapshot.domains if metric in _PROMISED else ():
        if domain.active and domain.not_responding is not None and domain.stats.vcpu_count is None:
            return f"{metric.replace('_', ' ')} not known: {domain.name} is {not_responding(domain)}"
    return ""


def _without(host: Host) -> tuple[str, ...]:
    """The metrics of what it has none of."""
    there = {"hugepages": host.stats.hugepages_total, "swap": host.stats.swap_total}
    return tuple(metric for metric, total in there.items() if total == 0)


def figures(host: Host) -> dict[str, float | None]:
    """The values of the host by metric."""
    stats = host.stats
    return {
        "cpu": _busy(host),
        "memory": derived.host_memory_usage(host),
        "hugepages": derived.hugepages_usage(host),
        "load": derived.load_per_cpu(host),
        "vcpu_overcommit": percent(stats.vcpus_assigned, stats.cpus),
        "memory_overcommit": percent(stats.memory_assigned, stats.memory_total),
        "latency": stats.latency,
        "swap": percent(stats.swap_used, stats.swap_total),
    }


def _busy(host: Host) -> float | None:
    rates = host.rates
    busy, idle = (rates.cpu_user, rates.cpu_system), (rates.cpu_idle, rates.cpu_iowait)
    if rates.cpu_idle is None or None in busy:
        return None
    working = sum(rate or 0 for rate in busy)
    return percent(working, working + sum(rate or 0 for rate in idle))


CHECK = plugin.Check(
    name="host",
    description="Judges the hypervisor: CPU, memory, load, swap, vCPUs and memory promised to active domains,\n"
    "and how fast libvirt answers.",
    groups=Group.HOST | Group.SIZE,
    metrics=(
        MetricSpec("cpu", "%", "CPU use", "90", "97"),
        MetricSpec("memory", "%", "memory that is not available any more, huge pages apart", "90", "95"),
        # no critical: what runs has its pages, only the next domain will not start
        MetricSpec("hugepages", "%", "huge pages in use or promised", "95"),
        MetricSpec("load", "", "load average over 5 minutes, per CPU", "2", "4"),
        MetricSpec("vcpu_overcommit", "%", "vCPUs of active domains, % of the CPUs"),
        MetricSpec("memory_overcommit", "%", "memory that active domains can take, % of the host's"),
        MetricSpec("latency", "s", "time libvirt takes to connect and list the domains", "1", "5"),
        MetricSpec("swap", "%", "swap space in use", "50", "80"),
    ),
    judge=judge,
    of_each_domain=False,
    of_host=True,
    needs_rates=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
