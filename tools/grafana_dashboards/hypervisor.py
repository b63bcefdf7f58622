"""One hypervisor: its own figures, its VMs, pools, networks and uplinks."""

from __future__ import annotations

from grafana_dashboards.model import (
    HYPERVISOR,
    STAT,
    TABLE,
    VM,
    YES_NO,
    Dashboard,
    Mark,
    Panel,
    Query,
    Section,
    Variable,
    graph,
    rate,
    stat,
)
from grafana_dashboards.shared import (
    cpu,
    host_cpu,
    host_memory,
    latency,
    levels,
    memory,
    pool_usage,
    problems,
    steal,
    verdicts,
)

_WHICH = 'instance="$instance"'
_HERE = f"{{{_WHICH}}}"
_POOL, _NET, _DEVICE = "{{pool}}", "{{network}}", "{{device}}"


def dashboard() -> Dashboard:
    """Give it."""
    return Dashboard(
        HYPERVISOR,
        "KVM: hypervisor",
        "One hypervisor: what is wrong, what it has left, and who takes it.",
        (
            Section("What is wrong", (*_numbers(), problems(_WHICH))),
            Section("VMs", (_vms(), verdicts("States of VMs", f'check="state", {_WHICH}', "{{domain}}", (VM,)))),
            Section("CPU and memory", _own()),
            Section("Who takes it", _takers()),
            Section("Storage pools", _pools()),
            Section("Networks and uplinks", _networks()),
        ),
        (Variable("instance", "Hypervisor", "label_values(kvm_up, instance)"),),
        (Mark("Restarted", f"kvm_host_uptime_seconds{_HERE} < 120", "{{instance}} was booted"),),
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        stat("Readable", f"kvm_up{_HERE}", words=YES_NO),
        stat("Age of figures", f"time() - kvm_reading_timestamp_seconds{_HERE}", "s", levels=(120, 300)),
        stat("Reading took", f"kvm_reading_duration_seconds{_HERE}", "s"),
        stat("libvirt answers in", f"kvm_host_latency_seconds{_HERE}", "s", levels=levels("host.latency")),
        stat("CPU", host_cpu(_HERE), "percent", levels=levels("host.cpu")),
        stat("Memory", host_memory(_HERE), "percent", levels=levels("host.memory")),
        stat("Up for", f"kvm_host_uptime_seconds{_HERE}", "s"),
        stat("kvmwatch", f"kvm_build_info{_HERE}", named=True)._replace(
            queries=(Query(f"kvm_build_info{_HERE}", "{{version}}"),)
        ),
        stat("CPUs", f"kvm_host_cpus{_HERE}", width=6),
        stat("vCPUs promised, % of CPUs", f"100 * kvm_host_vcpus_assigned{_HERE} / kvm_host_cpus{_HERE}", "percent", 6),
        stat(
            "Memory promised, % of all",
            f"100 * kvm_host_memory_assigned_bytes{_HERE} / kvm_host_memory_total_bytes{_HERE}",
            "percent",
            6,
        ),
        Panel(
            STAT,
            "libvirt, hypervisor",
            (Query(f"kvm_host_info{_HERE}", "{{libvirt_version}}, {{driver}} {{hypervisor_version}}"),),
            width=6,
            height=4,
            named=True,
        ),
    )  # fmt: skip


def _vms() -> Panel:
    whole = "sum by (uuid, domain) ({})"
    return Panel(
        TABLE,
        "VMs",
        (
            Query(f'kvm_domain_state{{state="running", {_WHICH}}}', "Running", words=YES_NO),
            Query(cpu(_HERE), "CPU", "percent", levels=levels("cpu.usage")),
            Query(steal(_HERE), "Steal", "percent", levels=levels("cpu.steal")),
            Query(memory(_HERE), "Memory", "percent", levels=levels("memory.usage")),
            Query(f"kvm_domain_memory_rss_bytes{_HERE}", "On the host", "bytes"),
            Query(whole.format(rate("kvm_disk_read_bytes_total", _HERE)), "Reads", "Bps"),
            Query(whole.format(rate("kvm_disk_write_bytes_total", _HERE)), "Writes", "Bps"),
            Query(whole.format(rate("kvm_interface_rx_bytes_total", _HERE)), "Receives", "Bps"),
            Query(whole.format(rate("kvm_interface_tx_bytes_total", _HERE)), "Sends", "Bps"),
        ),
        width=24,
        height=10,
        labels={"domain": "VM"},
        leads_to=(VM,),
    )


def _own() -> tuple[Panel, ...]:
    modes = ("user", "system", "iowait", "steal")
    of_cpus = f"/ on (job, instance) kvm_host_cpus{_HERE}"
    return (
        graph(
            "CPU",
            "percent",
            *(Query(f"100 * {rate(f'kvm_host_cpu_{mode}_seconds_total', _HERE)} {of_cpus}", mode) for mode in modes),
            stacked=True,
            most=100,
            description="user has the guests in it",
        ),
        graph(
            "CPU idle, and of guests",
            "percent",
            *(Query(f"100 * {rate(f'kvm_host_cpu_{mode}_seconds_total', _HERE)} {of_cpus}", mode) for mode in ("idle", "guest")),
            most=100,
        ),
        graph("Load average", "short", *(Query(f"kvm_host_load{minutes}{_HERE}", f"{minutes} min") for minutes in (1, 5, 15))),
        graph(
            "Memory",
            "bytes",
            Query(f"kvm_host_memory_total_bytes{_HERE}", "all"),
            Query(f"kvm_host_memory_available_bytes{_HERE}", "available"),
            Query(f"kvm_host_memory_assigned_bytes{_HERE}", "promised to VMs"),
            Query(f"sum by (instance) (kvm_domain_memory_rss_bytes{_HERE})", "taken by VMs"),
            Query(f"kvm_host_hugepages_total_bytes{_HERE}", "huge pages", empty="none are set aside"),
            Query(f"kvm_host_hugepages_free_bytes{_HERE}", "huge pages free", empty="none are set aside"),
        ),
        graph(
            "Swap",
            "bytes",
            Query(f"kvm_host_swap_total_bytes{_HERE}", "all"),
            Query(f"kvm_host_swap_used_bytes{_HERE}", "used"),
        ),
        graph("Swapping", "Bps", *(Query(rate(f"kvm_host_swap_{way}_bytes_total", _HERE), way) for way in ("in", "out"))),
        graph(
            "Pressure: time in which something waited",
            "percent",
            *(
                Query(f"100 * {rate(f'kvm_host_pressure_{what}_seconds_total', _HERE)}", what)
                for what in ("cpu", "memory", "io")
            ),
        ),
        graph("libvirt answers in", "s", Query(f"kvm_host_latency_seconds{_HERE}", "to connect and list"),
              Query(f"kvm_reading_duration_seconds{_HERE}", "the whole reading")),
    )  # fmt: skip


def _takers() -> tuple[Panel, ...]:
    vm, disk, nic = "{{domain}}", "{{domain}} {{disk}}", "{{domain}} {{mac}}"

    def most(expression: str, legend: str) -> Query:
        return Query(f"topk(10, {expression})", legend)

    return (
        graph(
            "CPU of VMs, in CPUs",
            "short",
            most(rate("kvm_domain_cpu_time_seconds_total", _HERE), vm),
            stacked=True,
        ),
        graph("Steal of VMs", "percent", most(steal(_HERE), vm)),
        graph("Disk reads", "Bps", most(rate("kvm_disk_read_bytes_total", _HERE), disk)),
        graph("Disk writes", "Bps", most(rate("kvm_disk_write_bytes_total", _HERE), disk)),
        graph("Write latency", "s", most(latency("write", _HERE), disk)),
        graph("Memory on the host", "bytes", most(f"kvm_domain_memory_rss_bytes{_HERE}", vm), stacked=True),
        graph("Received by VMs", "Bps", most(rate("kvm_interface_rx_bytes_total", _HERE), nic)),
        graph("Sent by VMs", "Bps", most(rate("kvm_interface_tx_bytes_total", _HERE), nic)),
    )


def _pools() -> tuple[Panel, ...]:
    thin = "no volume group with thin pools"
    return (
        Panel(
            TABLE,
            "Storage pools",
            (
                Query(f"kvm_pool_active{_HERE}", "Active", words=YES_NO),
                Query(f"kvm_pool_autostart{_HERE}", "Autostart", words=YES_NO),
                Query(f"kvm_pool_answered{_HERE}", "Answers", words=YES_NO),
                Query(pool_usage(_HERE), "Used", "percent", levels=levels("pool.usage")),
                Query(f"kvm_pool_capacity_bytes{_HERE}", "Capacity", "bytes"),
                Query(f"kvm_pool_available_bytes{_HERE}", "Available", "bytes"),
                Query(f"100 * kvm_pool_provisioned_bytes{_HERE} / kvm_pool_capacity_bytes{_HERE}", "Promised", "percent"),
                Query(f"kvm_pool_volumes{_HERE}", "Volumes"),
                Query(f"kvm_pool_thin_data_percent{_HERE}", "Thin data", "percent", levels=levels("pool.thin_data"), empty=thin),
                Query(f"kvm_pool_thin_metadata_percent{_HERE}", "Thin metadata", "percent",
                      levels=levels("pool.thin_metadata"), empty=thin),
            ),
            width=24,
            labels={"pool": "Pool"},
        ),
        graph("Pools: used", "percent", Query(pool_usage(_HERE), _POOL), most=100),
        graph("Pools: used", "bytes", Query(f"kvm_pool_used_bytes{_HERE}", _POOL)),
    )  # fmt: skip


def _networks() -> tuple[Panel, ...]:
    alone = "no VM's bridge has a network card below it"
    return (
        Panel(
            TABLE,
            "Virtual networks",
            (
                Query(f"kvm_network_active{_HERE}", "Active", words=YES_NO),
                Query(f"kvm_network_autostart{_HERE}", "Autostart", words=YES_NO),
                Query(f"kvm_network_bridge_up{_HERE}", "Bridge is up", words=YES_NO),
                Query(f"kvm_network_dnsmasq_up{_HERE}", "dnsmasq runs", words=YES_NO),
                Query(f"kvm_network_leases{_HERE}", "Leases"),
                Query(f"kvm_network_addresses{_HERE}", "Addresses"),
            ),
            labels={"network": "Network"},
        ),
        Panel(
            TABLE,
            "Uplinks",
            (
                Query(f"kvm_uplink_up{_HERE}", "Link works", words=YES_NO, empty=alone),
                Query(f"kvm_uplink_speed_bytes_per_second{_HERE}", "Speed", "Bps", empty=alone),
            ),
            labels={"device": "Interface"},
        ),
        graph("Uplinks: received", "Bps", Query(rate("kvm_uplink_rx_bytes_total", _HERE), _DEVICE, empty=alone)),
        graph("Uplinks: sent", "Bps", Query(rate("kvm_uplink_tx_bytes_total", _HERE), _DEVICE, empty=alone)),
        graph(
            "Uplinks: errors and drops",
            "pps",
            *(
                Query(rate(f"kvm_uplink_{way}_{what}_total", _HERE), f"{_DEVICE} {way} {what}", empty=alone)
                for way in ("rx", "tx")
                for what in ("errors", "drops")
            ),
            width=24,
        ),
    )
