"""One VM, whichever hypervisor has it."""

from __future__ import annotations

from grafana_dashboards.model import (
    FLAG,
    HYPERVISOR,
    STAT,
    TABLE,
    VM,
    Dashboard,
    Mark,
    Panel,
    Query,
    Section,
    Variable,
    Words,
    graph,
    rate,
    stat,
)
from grafana_dashboards.shared import cpu, latency, levels, memory, steal, verdicts
from kvmwatch.model.derived import LINKS

_WHICH = 'uuid="$uuid"'
_HERE = f"{{{_WHICH}}}"
_DISK, _NIC = "{{disk}}", "{{mac}}"
_LINK: Words = dict(enumerate(zip(LINKS, ("green", "orange", "red", "text"))))
_REPORTS = "its balloon driver does not tell"


def dashboard() -> Dashboard:
    """Give it."""
    return Dashboard(
        VM,
        "KVM: VM",
        "One VM: what is wrong with it, and what it does.",
        (
            Section("What is wrong", (*_numbers(), verdicts("What the checks say", _WHICH, "{{check}}"))),
            Section("CPU", _cpu()),
            Section("Memory", _memory()),
            Section("Disks", _disks()),
            Section("Interfaces", _interfaces()),
            Section("QEMU process", _process()),
        ),
        (
            Variable(
                "uuid",
                "VM",
                "query_result(group by (domain, uuid) (kvm_domain_info))",
                '/domain="(?<text>.*)",uuid="(?<value>[^"]+)"/',
            ),
        ),
        (
            Mark("Restarted", f"changes(kvm_domain_started_timestamp_seconds{_HERE}[2m]) > 0", "{{domain}} was started"),
            Mark("Rebooted inside", f"resets(kvm_domain_minor_faults_total{_HERE}[2m]) > 0", "{{domain}} was rebooted or reset"),
        ),
    )  # fmt: skip


def _numbers() -> tuple[Panel, ...]:
    flags = (("autostart", "autostart"), ("persistent", "persistent"), ("managed_save", "managed save"))
    return (
        _called("State", f"kvm_domain_state{_HERE} == 1", "{{state}}"),
        _called("Hypervisor", f"kvm_domain_info{_HERE}", "{{instance}}")._replace(leads_to=(HYPERVISOR,)),
        stat("Running since", f"1000 * kvm_domain_started_timestamp_seconds{_HERE}", "dateTimeFromNow"),
        stat("QEMU does not answer for", f"kvm_domain_not_responding_seconds{_HERE}", "s", levels=(1, 30)),
        stat("vCPUs", f"kvm_domain_vcpus{_HERE}"),
        stat("Snapshots", f"kvm_domain_snapshots{_HERE}"),
        stat(
            "Oldest snapshot", f"1000 * kvm_domain_oldest_snapshot_timestamp_seconds{_HERE}", "dateTimeFromNow",
            empty="it has none",
        ),
        stat(
            "Newest checkpoint", f"1000 * kvm_domain_newest_checkpoint_timestamp_seconds{_HERE}", "dateTimeFromNow",
            empty="it has none",
        ),
        Panel(
            STAT,
            "Set",
            (
                *(Query(f"kvm_domain_{name}{_HERE}", title) for name, title in flags),
                Query(f"kvm_domain_agent_connected{_HERE}", "agent connected", empty="it has no agent's channel"),
            ),
            width=24,
            height=3,
            words=FLAG,
        ),
    )  # fmt: skip


def _called(title: str, expression: str, legend: str) -> Panel:
    return Panel(STAT, title, (Query(expression, legend),), width=3, height=4, named=True)


def _cpu() -> tuple[Panel, ...]:
    return (
        graph(
            "CPU, % of its vCPUs",
            "percent",
            Query(cpu(_HERE), "used"),
            Query(steal(_HERE), "steal"),
            levels=levels("cpu.usage"),
            most=100,
        ),
        graph(
            "CPU time, in CPUs",
            "short",
            Query(rate("kvm_domain_cpu_time_seconds_total", _HERE), "all threads of QEMU"),
            Query(rate("kvm_domain_cpu_user_seconds_total", _HERE), "user"),
            Query(rate("kvm_domain_cpu_system_seconds_total", _HERE), "system"),
        ),
        graph("Each vCPU", "percent", Query(f"100 * {rate('kvm_vcpu_time_seconds_total', _HERE)}", "vCPU {{vcpu}}"), most=100),
        graph(
            "Each vCPU waits",
            "percent",
            Query(f"100 * {rate('kvm_vcpu_delay_seconds_total', _HERE)}", "vCPU {{vcpu}} for a CPU"),
        ),
        graph("vCPUs", "short", Query(f"kvm_domain_vcpus{_HERE}", "has"), Query(f"kvm_domain_vcpu_maximum{_HERE}", "can be given")),
    )  # fmt: skip


def _memory() -> tuple[Panel, ...]:
    kinds = (("current", "given"), ("maximum", "can be given"), ("rss", "on the host"))
    inside = (
        ("available", "as the guest counts it"),
        ("usable", "usable"),
        ("unused", "not used"),
        ("caches", "caches"),
    )
    return (
        graph(
            "Memory",
            "bytes",
            *(Query(f"kvm_domain_memory_{kind}_bytes{_HERE}", title) for kind, title in kinds),
            *(Query(f"kvm_domain_memory_{kind}_bytes{_HERE}", title, empty=_REPORTS) for kind, title in inside),
        ),
        graph("Used in the guest", "percent", Query(memory(_HERE), "used", empty=_REPORTS), levels=levels("memory.usage"), most=100),
        graph(
            "Swapping and page faults in the guest",
            "short",
            Query(rate("kvm_domain_swap_in_bytes_total", _HERE), "swapped in, B/s", empty=_REPORTS),
            Query(rate("kvm_domain_swap_out_bytes_total", _HERE), "swapped out, B/s", empty=_REPORTS),
            Query(rate("kvm_domain_major_faults_total", _HERE), "faults that needed the disk", empty=_REPORTS),
            Query(rate("kvm_domain_minor_faults_total", _HERE), "other faults", empty=_REPORTS),
        ),
        graph(
            "Age of what the guest told of its memory",
            "s",
            Query(f"time() - kvm_domain_balloon_updated_timestamp_seconds{_HERE}", "age", empty=_REPORTS),
        ),
    )  # fmt: skip


def _disks() -> tuple[Panel, ...]:
    ways = ("read", "write")
    return (
        graph("Bytes", "Bps", *(Query(rate(f"kvm_disk_{way}_bytes_total", _HERE), f"{_DISK} {way}") for way in ways)),
        graph(
            "Operations",
            "iops",
            *(Query(rate(f"kvm_disk_{way}_requests_total", _HERE), f"{_DISK} {way}") for way in (*ways, "flush")),
        ),
        graph(
            "Latency",
            "s",
            *(Query(latency(way, _HERE), f"{_DISK} {way}", empty=f"no {way} in this time") for way in (*ways, "flush")),
            levels=levels("disk.write_latency"),
        ),
        Panel(
            TABLE,
            "Disks",
            (
                Query(f"kvm_disk_capacity_bytes{_HERE}", "Size", "bytes"),
                Query(f"kvm_disk_allocation_bytes{_HERE}", "On the storage", "bytes"),
                Query(f"100 * kvm_disk_allocation_bytes{_HERE} / kvm_disk_capacity_bytes{_HERE}", "Of its size", "percent"),
                Query(f"kvm_disk_highest_offset_bytes{_HERE}", "Written up to", "bytes"),
                Query(f"kvm_disk_errors{_HERE}", "I/O errors", levels=(1, 1)),
            ),
            labels={"disk": "Disk"},
        ),
        Panel(
            TABLE,
            "Images",
            (Query(f"kvm_disk_info{_HERE}"),),
            labels={"disk": "Disk", "path": "Image", "bus": "Bus", "device": "Device", "kind": "Kind"},
            width=24,
            height=6,
        ),
    )  # fmt: skip


def _interfaces() -> tuple[Panel, ...]:
    ways = (("rx", "received"), ("tx", "sent"))

    def both(what: str, legend: str = "") -> tuple[Query, ...]:
        return tuple(
            Query(rate(f"kvm_interface_{way}_{what}_total", _HERE), f"{_NIC} {title} {legend}".strip())
            for way, title in ways
        )

    return (
        graph("Bytes", "Bps", *both("bytes")),
        graph("Packets", "pps", *both("packets")),
        graph("Errors and drops", "pps", *both("errors", "errors"), *both("drops", "drops")),
        Panel(
            TABLE,
            "Interfaces",
            (
                Query(f"kvm_interface_info{_HERE}"),
                Query(f"kvm_interface_link{_HERE}", "Way to the network", words=_LINK),
            ),
            labels={"mac": "MAC", "tap": "Tap", "source": "Network or bridge", "model": "Model"},
        ),
    )


def _process() -> tuple[Panel, ...]:
    root = "only root may read that"
    return (
        graph("CPU, in CPUs", "short", Query(rate("kvm_process_cpu_time_seconds_total", _HERE), "used")),
        graph(
            "Memory on the host",
            "bytes",
            Query(f"kvm_process_rss_bytes{_HERE}", "RSS"),
            Query(f"kvm_process_swap_bytes{_HERE}", "swapped out"),
        ),
        graph(
            "Storage",
            "Bps",
            Query(rate("kvm_process_read_bytes_total", _HERE), "read", empty=root),
            Query(rate("kvm_process_write_bytes_total", _HERE), "write", empty=root),
        ),
        graph(
            "Threads and files",
            "short",
            Query(f"kvm_process_threads{_HERE}", "threads"),
            Query(f"kvm_process_open_files{_HERE}", "files, sockets, pipes", empty=root),
            Query(f"kvm_process_files_limit{_HERE}", "of these at most"),
        ),
    )
