"""What several dashboards show: problems, and the figures by which a VM and a hypervisor are known."""

from __future__ import annotations

from prometheus_rules.figures import OF_THOSE_THAT_FILL_UP
from zabbix_templates import defaults

from grafana_dashboards.model import HYPERVISOR, STATUS, TABLE, TIMELINE, VM, Panel, Query, Words, rate

#: seconds from which on a snapshot is old
OLD = float(defaults.warning("snapshot.age"))
#: CRITICAL above UNKNOWN, which has the higher number
_WORST: Words = {1: STATUS[1], 3: STATUS[3], 4: STATUS[2]}


def levels(name: str) -> tuple[float, float]:
    """The default thresholds of a check's metric, CHECK.METRIC."""
    return float(defaults.warning(name)), float(defaults.critical(name))


def problems(where: str = "") -> Panel:
    """What checks find wrong, the worst first."""
    more = f"{{{where}}}" if where else ""
    return Panel(
        TABLE,
        "Problems",
        (
            Query(
                f"sort_desc((kvm_check_status{more} == 2) + 2 or kvm_check_status{more} > 0)",
                "Says",
                words=_WORST,
                empty="nothing is wrong",
            ),
        ),
        width=24,
        height=9,
        description="What the checks say that is not OK. kvmwatch show VM on the hypervisor tells why; docs/alerts.md what to do.",
        labels={"domain": "VM", "check": "Check", "instance": "Hypervisor"},
        sorted_by="Says",
        leads_to=(VM, HYPERVISOR),
    )


def verdicts(title: str, where: str, legend: str, leads_to: tuple[str, ...] = ()) -> Panel:
    """What checks said over time."""
    return Panel(
        TIMELINE,
        title,
        (Query(f"kvm_check_status{{{where}}}", legend),),
        width=24,
        height=9,
        words=STATUS,
        leads_to=leads_to,
    )


def cpu(where: str = "") -> str:
    """What VMs use of the vCPUs that they have, %; without vCPUs' times what all threads use, at most all of it."""
    vcpus, threads = (
        rate("kvm_domain_vcpu_time_seconds_total", where),
        rate("kvm_domain_cpu_time_seconds_total", where),
    )
    return (
        f"(100 * {vcpus} / kvm_domain_vcpus{where} or clamp_max(100 * {threads} / kvm_domain_vcpus{where}, 100))"
    )


def steal(where: str = "") -> str:
    """The time that their vCPUs waited for a physical CPU, % of all of it."""
    return f"100 * {rate('kvm_domain_cpu_delay_seconds_total', where)} / kvm_domain_vcpus{where}"


def memory(where: str = "") -> str:
    """What their guests cannot give away, % of what they have."""
    has = f"kvm_domain_memory_available_bytes{where}"
    # guests before Linux 3.14 tell only what is not used at all
    free = f"(kvm_domain_memory_usable_bytes{where} or kvm_domain_memory_unused_bytes{where})"
    return f"100 * ({has} - {free}) / {has}"


def latency(what: str, where: str = "") -> str:
    """How long reads, writes or flushes of disks took, in seconds; of those that there were."""
    return f"{rate(f'kvm_disk_{what}_time_seconds_total', where)} / ({rate(f'kvm_disk_{what}_requests_total', where)} > 0)"


def host_cpu(where: str = "") -> str:
    """How busy the CPUs of hypervisors are, %."""
    busy = (
        f"({rate('kvm_host_cpu_user_seconds_total', where)} + {rate('kvm_host_cpu_system_seconds_total', where)})"
    )
    return f"100 * {busy} / kvm_host_cpus{where}"


def host_memory(where: str = "") -> str:
    """Their memory that cannot be given out any more, % of what is not set aside as huge pages."""
    total = f"kvm_host_memory_total_bytes{where}"
    normal = f"({total} - (kvm_host_hugepages_total_bytes{where} or 0 * {total}))"
    return f"100 * ({normal} - kvm_host_memory_available_bytes{where}) / {normal}"


def pool_usage(where: str = "") -> str:
    """What is used of storage pools that fill up, % of that and what can be written."""
    used = f"kvm_pool_used_bytes{where}"
    return f"100 * {used} / ({used} + kvm_pool_available_bytes{where}) {OF_THOSE_THAT_FILL_UP}"
