"""All hypervisors: what is wrong, who has how much left, and which VMs take most."""

from __future__ import annotations

from prometheus_rules.figures import OF_THOSE_THAT_FILL_UP

from grafana_dashboards.model import (
    BARS,
    FLEET,
    HYPERVISOR,
    TABLE,
    VM,
    YES_NO,
    Dashboard,
    Panel,
    Query,
    Section,
    rate,
    stat,
    top,
)
from grafana_dashboards.shared import (
    OLD,
    cpu,
    host_cpu,
    host_memory,
    latency,
    levels,
    memory,
    pool_usage,
    problems,
    steal,
)

_VM, _DISK, _POOL = "{{domain}}", "{{domain}} {{disk}}", "{{instance}} {{pool}}"


def dashboard() -> Dashboard:
    """Give it."""
    return Dashboard(
        FLEET,
        "KVM: fleet",
        "Every hypervisor and what is wrong on it, the worst first.",
        (
            Section("What is wrong", (*_numbers(), problems())),
            Section("Hypervisors", (_hypervisors(),)),
            Section("VMs that take most", tuple(panel._replace(leads_to=(VM,)) for panel in _tops())),
            Section("Storage", tuple(panel._replace(leads_to=(HYPERVISOR,)) for panel in _pools())),
        ),
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        stat("Hypervisors", "count(kvm_up)"),
        stat("Not readable", "count(kvm_up) - sum(kvm_up)", levels=(1, 1)),
        stat("Oldest figures", "max(time() - kvm_reading_timestamp_seconds)", "s", levels=(120, 300)),
        stat("VMs", "count(kvm_domain_info)"),
        stat("Running", 'sum(kvm_domain_state{state="running"})'),
        stat("CRITICAL", "sum(kvm_check_status == bool 2)", levels=(1, 1)),
        stat("WARNING", "sum(kvm_check_status == bool 1)", levels=(1,)),
        stat("UNKNOWN", "sum(kvm_check_status == bool 3)", levels=(1,)),
    )


def _hypervisors() -> Panel:
    return Panel(
        TABLE,
        "Hypervisors",
        (
            Query("kvm_up", "Readable", words=YES_NO),
            Query("count by (job, instance) (kvm_check_status > 0)", "Problems", levels=(1,), empty="nothing is wrong"),
            Query('sum by (job, instance) (kvm_domain_state{state="running"})', "Running"),
            Query(host_cpu(), "CPU", "percent", levels=levels("host.cpu")),
            Query(host_memory(), "Memory", "percent", levels=levels("host.memory")),
            Query("kvm_host_load5 / kvm_host_cpus", "Load per CPU", levels=levels("host.load")),
            Query("100 * kvm_host_vcpus_assigned / kvm_host_cpus", "vCPUs promised", "percent"),
            Query("100 * kvm_host_memory_assigned_bytes / kvm_host_memory_total_bytes", "Memory promised", "percent"),
            Query("kvm_host_latency_seconds", "libvirt answers in", "s", levels=levels("host.latency")),
            Query("kvm_host_uptime_seconds", "Up for", "s"),
            Query("time() - kvm_reading_timestamp_seconds", "Age of figures", "s", levels=(120, 300)),
        ),
        width=24,
        labels={"instance": "Hypervisor"},
        leads_to=(HYPERVISOR,),
    )  # fmt: skip


def _tops() -> tuple[Panel, ...]:
    return (
        top("CPU, % of its vCPUs", "percent", cpu(), _VM, levels=levels("cpu.usage"), most=100),
        top("Steal, % of its vCPUs", "percent", steal(), _VM, levels=levels("cpu.steal")),
        top("Memory used in the guest", "percent", memory(), _VM, levels=levels("memory.usage"), most=100),
        top("Memory on the host", "bytes", "kvm_domain_memory_rss_bytes", _VM),
        top("Disk writes", "Bps", rate("kvm_disk_write_bytes_total"), _DISK),
        top("Disk reads", "Bps", rate("kvm_disk_read_bytes_total"), _DISK),
        top("Write latency", "s", latency("write"), _DISK, levels=levels("disk.write_latency")),
        top("Flush latency", "s", latency("flush"), _DISK, levels=levels("disk.flush_latency"), empty="no guest flushes"),
        top(
            "Network, both ways",
            "Bps",
            f"{rate('kvm_interface_rx_bytes_total')} + {rate('kvm_interface_tx_bytes_total')}",
            "{{domain}} {{mac}}",
        ),
        top("QEMU does not answer", "s", "kvm_domain_not_responding_seconds > 0", _VM, levels=(1, 30), empty="all answer"),
        top(
            "Oldest snapshot", "s", "time() - kvm_domain_oldest_snapshot_timestamp_seconds", _VM,
            levels=(OLD,), empty="no VM has one",
        ),
        top("Snapshots", "short", "kvm_domain_snapshots > 0", _VM, empty="no VM has one"),
    )  # fmt: skip


def _pools() -> tuple[Panel, ...]:
    left = f"kvm_pool_available_bytes / -(deriv(kvm_pool_available_bytes[1d]) < 0) {OF_THOSE_THAT_FILL_UP}"
    return (
        top("Pools: used", "percent", pool_usage(), _POOL, levels=levels("pool.usage"), most=100),
        top(
            "Pools: promised to volumes",
            "percent",
            "100 * kvm_pool_provisioned_bytes / kvm_pool_capacity_bytes",
            _POOL,
        ),
        Panel(
            BARS,
            "Pools: full in",
            (Query(f"bottomk(10, {left})", _POOL, empty="no pool fills up"),),
            "s",
            8,
            description="If it goes on as in the last day.",
        ),
    )
