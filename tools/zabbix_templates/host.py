"""The hypervisor itself: its CPU, memory, load, libvirt, and how many VMs are in which state."""

from __future__ import annotations

from zabbix_templates import findings, reading
from zabbix_templates.defaults import critical, warning
from zabbix_templates.model import Graph, Item, Macro, Step, Trigger
from zabbix_templates.scope import Scope, Shown
from zabbix_templates.triggers import When, alarm, changed, over, pair

MACROS = (
    *reading.MACROS,
    *findings.MACROS,
    Macro("{$KVM.LATENCY.WARN}", warning("host.latency"), "Seconds that libvirt may take to connect and list the VMs: warning"),
    Macro("{$KVM.LATENCY.MAX}", critical("host.latency"), "The same: average. To be reached it needs a Timeout of agent and server beyond it"),
    Macro("{$KVM.LATENCY.TIME}", "10m", "For how long"),
    Macro("{$KVM.HOST.RESTART.TIME}", "10m", "How long a restart of the hypervisor is told"),
    Macro("{$KVM.HOST.CPU.WARN}", warning("host.cpu"), "CPU utilization of the hypervisor, %: warning"),
    Macro("{$KVM.HOST.CPU.MAX}", critical("host.cpu"), "The same: average"),
    Macro("{$KVM.HOST.CPU.TIME}", "15m", "For how long"),
    Macro("{$KVM.HOST.MEMORY.WARN}", warning("host.memory"), "Memory utilization of the hypervisor, %: warning"),
    Macro("{$KVM.HOST.MEMORY.MAX}", critical("host.memory"), "The same: average"),
    Macro("{$KVM.HOST.MEMORY.TIME}", "10m", "For how long; huge pages and swap, too"),
    Macro("{$KVM.HOST.HUGEPAGES.MAX}", warning("host.hugepages"), "Huge pages of the hypervisor in use, %"),
    Macro("{$KVM.HOST.SWAP.WARN}", warning("host.swap"), "Swap utilization of the hypervisor, %: warning"),
    Macro("{$KVM.HOST.SWAP.MAX}", critical("host.swap"), "The same: average"),
    Macro("{$KVM.HOST.LOAD.WARN}", warning("host.load"), "Load average over 5 minutes, per CPU: warning"),
    Macro("{$KVM.HOST.LOAD.MAX}", critical("host.load"), "The same: average"),
    Macro("{$KVM.HOST.LOAD.TIME}", "15m", "For how long"),
    Macro("{$KVM.HOST.VCPU.OVERCOMMIT.MAX}", "500", "vCPUs of active VMs, % of the CPUs"),
    Macro("{$KVM.HOST.MEMORY.OVERCOMMIT.MAX}", "150", "Memory that active VMs can take, % of the host's"),
    Macro("{$KVM.HOST.OVERCOMMIT.TIME}", "15m", "For how long; VMs that are being moved count twice"),
)  # fmt: skip


SHOWN = (
    Shown("cpu_busy_per_cpu", "CPU utilization", "%", 100, most=1000, component="cpu"),
    Shown("cpu_iowait_per_cpu", "CPU waiting for I/O", "%", 100, most=1000, component="cpu"),
    Shown("cpus", "CPUs", steady=True, value_type="UNSIGNED", component="cpu"),
    Shown("load1", "Load average (1 minute)", component="cpu"),
    Shown("load5", "Load average (5 minutes)", component="cpu"),
    Shown("load15", "Load average (15 minutes)", component="cpu"),
    Shown("load_per_cpu", "Load average (5 minutes) per CPU", component="cpu"),
    Shown("memory_total", "Memory", "B", steady=True, component="memory"),
    Shown("memory_available", "Memory available", "B", component="memory"),
    Shown("memory_usage", "Memory utilization", "%", component="memory"),
    Shown("hugepages_total", "Huge pages", "B", steady=True, component="memory"),
    Shown("hugepages_free", "Huge pages free", "B", component="memory"),
    Shown("hugepages_usage", "Huge pages utilization", "%", component="memory"),
    Shown("swap_total", "Swap space", "B", steady=True, component="memory"),
    Shown("swap_used", "Swap space used", "B", component="memory"),
    Shown("swap_usage", "Swap utilization", "%", component="memory"),
    Shown("vcpus_assigned", "vCPUs of active VMs", value_type="UNSIGNED", component="cpu"),
    Shown("memory_assigned", "Memory that active VMs can take", "B", component="memory"),
    Shown("vcpu_overcommit", "vCPU overcommit", "%", component="cpu"),
    Shown("memory_overcommit", "Memory overcommit", "%", component="memory"),
    Shown("latency", "libvirt response time", "s", component="libvirt"),
    Shown("uptime", "Uptime", "uptime", component="cpu"),
    Shown("hostname", "Host name", value_type="CHAR", steady=True, component="libvirt"),
    Shown("libvirt_version", "libvirt version", value_type="CHAR", steady=True, component="libvirt"),
    Shown("hypervisor", "Hypervisor version", value_type="CHAR", steady=True, component="libvirt"),
)
STATES = {
    **{"running": "running", "paused": "paused", "shutoff": "shut off", "crashed": "crashed"},
    **{
        "pmsuspended": "suspended",
        "shutdown": "shutting down",
        "blocked": "blocked",
        "nostate": "without a state",
    },
}


def items(scope: Scope) -> tuple[Item, ...]:
    """Its items, those about the reading of it among them."""
    return (
        *reading.items(scope.master),
        *findings.items(scope.master),
        *scope.items(SHOWN),
        *_counts(scope.master),
        *_of_all_vms(),
    )


def triggers(host: Scope) -> tuple[Trigger, ...]:
    """What can be wrong with it."""
    return (*reading.triggers(), *findings.triggers(), *_of_load(host), *_of_changes(host))


def _of_changes(host: Scope) -> tuple[Trigger, ...]:
    """What is told once, for whoever wonders later."""

    def other(name: str, ref: str, meaning: str) -> Trigger:
        cure = "nothing, if somebody updated it; VMs that run go on with the QEMU that they were started with."
        return alarm(f"KVM: {name}", "INFO", changed(ref), meaning, cure, "notice", manual_close=True)

    uptime = host.ref("uptime")
    return (
        alarm(
            "KVM: Hypervisor restarted",
            "INFO",
            When(f"last({uptime})<{{$KVM.HOST.RESTART.TIME}}", f"last({uptime})>={{$KVM.HOST.RESTART.TIME}}"),
            "The hypervisor was booted within {$KVM.HOST.RESTART.TIME}.",
            "nothing, if that was intended; else look at its log of the time before (journalctl -b -1).",
            "notice",
            tells="up for {ITEM.LASTVALUE1}",
            manual_close=True,
        ),
        other("libvirt is of another version", host.ref("libvirt_version"), "libvirt was updated, or went back."),
        other("Hypervisor is of another version", host.ref("hypervisor"), "QEMU was updated, or went back."),
        other("kvmwatch is of another version", "/T/kvm.version", "kvmwatch was updated, or went back."),
    )


def _of_load(host: Scope) -> tuple[Trigger, ...]:
    """What it uses, and what it has promised."""

    def both(name: str, metric: str, macro: str, time: str, meanings: tuple[str, str], cure: str, scope: str,
             unit: str = "") -> tuple[Trigger, ...]:  # fmt: skip
        ref, last = host.ref(metric), f"{{$KVM.{time}.TIME}}"
        limits = (over(ref, f"{{$KVM.{macro}.{level}}}", last, unit) for level in ("WARN", "MAX"))
        return pair(f"KVM: {name}", tuple(limits), meanings, cure, scope)  # type: ignore[arg-type]

    def one(name: str, metric: str, macro: str, time: str, meaning: str, cure: str, scope: str) -> Trigger:
        when = over(host.ref(metric), f"{{$KVM.{macro}.MAX}}", f"{{$KVM.{time}.TIME}}", " %")
        return alarm(f"KVM: {name}", "WARNING", when, meaning, cure, scope)

    return (
        *both(
            "libvirt is slow",
            *("latency", "LATENCY", "LATENCY"),
            (
                "libvirt takes long to connect and to list the VMs.",
                "libvirt takes very long to connect and to list the VMs.",
            ),
            "look at the host's load, and at whether many clients ask libvirtd.",
            "performance",
            " s",
        ),
        *both(
            "CPU utilization is high",
            *("cpu_busy_per_cpu", "HOST.CPU", "HOST.CPU"),
            (
                "The hypervisor's CPUs are busy: VMs wait for them (see their steal).",
                "The hypervisor's CPUs have nothing left to give: all VMs wait for them.",
            ),
            "move VMs away; the dashboard's page VMs shows who uses them.",
            "performance",
            " %",
        ),
        *both(
            "Memory utilization is high",
            *("memory_usage", "HOST.MEMORY", "HOST.MEMORY"),
            (
                "The hypervisor has little memory left to give out without swapping.",
                "The hypervisor can hardly give out memory without swapping; the kernel may end a QEMU.",
            ),
            "move VMs away, or squeeze balloons.",
            "capacity",
            " %",
        ),
        one(
            "Huge pages utilization is high",
            *("hugepages_usage", "HOST.HUGEPAGES", "HOST.MEMORY"),
            "The hypervisor has hardly any huge pages left: the next VM that is made of them will not start here.",
            "move VMs away, or set more aside: virsh allocpages; /sys/kernel/mm/hugepages shows them.",
            "capacity",
        ),
        *both(
            "Swap utilization is high",
            *("swap_usage", "HOST.SWAP", "HOST.MEMORY"),
            (
                "Memory of VMs lies in the hypervisor's swap: they are slow.",
                "The hypervisor's swap is nearly used up; the kernel may end a QEMU then.",
            ),
            "move VMs away, then swapoff -a and swapon -a.",
            "capacity",
            " %",
        ),
        *both(
            "Load average is high",
            *("load_per_cpu", "HOST.LOAD", "HOST.LOAD"),
            (
                "Many processes wait for a CPU or for storage.",
                "Very many processes wait for a CPU or for storage.",
            ),
            "compare CPU utilization and waiting for I/O to see which.",
            "performance",
            " per CPU",
        ),
        one(
            "vCPU overcommit is high",
            *("vcpu_overcommit", "HOST.VCPU.OVERCOMMIT", "HOST.OVERCOMMIT"),
            "The active VMs have many more vCPUs than there are CPUs.",
            "start no more VMs here, or move some away.",
            "capacity",
        ),
        one(
            "Memory overcommit is high",
            *("memory_overcommit", "HOST.MEMORY.OVERCOMMIT", "HOST.OVERCOMMIT"),
            "The active VMs can take much more memory than there is.",
            "start no more VMs here, or move some away.",
            "capacity",
        ),
    )


def graphs(host: Scope) -> tuple[Graph, ...]:
    """Its graphs."""
    return (
        Graph("KVM: CPU", (host.key("cpu_busy_per_cpu"), host.key("cpu_iowait_per_cpu"))),
        Graph("KVM: Memory utilization", (host.key("memory_usage"), host.key("swap_usage")), percent=True),
        Graph(
            "KVM: Memory", (host.key("memory_available"), host.key("memory_assigned"), host.key("memory_total"))
        ),
        Graph("KVM: Overcommit", (host.key("vcpu_overcommit"), host.key("memory_overcommit"))),
        Graph("KVM: Load average", (host.key("load1"), host.key("load5"), host.key("load15"))),
        Graph("KVM: VMs by state", tuple(f"kvm.domains.{state}" for state in STATES), stacked=True),
        Graph("KVM: libvirt response time", (host.key("latency"),)),
        Graph("VMs: Highest CPU utilization and steal", ("kvm.vms.cpu", "kvm.vms.steal")),
        Graph("VMs: Highest memory utilization", ("kvm.vms.memory",), percent=True),
        Graph("VMs: Disk throughput", ("kvm.vms.disk",)),
        Graph("VMs: Network traffic", ("kvm.vms.network",)),
    )


def _counts(master: str) -> tuple[Item, ...]:
    return tuple(
        Item(
            name=f"VMs {label}",
            key=f"kvm.domains.{state}",
            value_type="UNSIGNED",
            master=master,
            steps=(Step("JSONPATH", (f"$.host.domains.{state}",), "DISCARD_VALUE"),),
            tags=(("component", "state"),),
        )
        for state, label in STATES.items()
    )


def _of_all_vms() -> tuple[Item, ...]:
    """The highest of all VMs, or what they take together: computed by Zabbix, for graphs and for the top of the NOC's lists."""
    shown = (
        ("cpu", "Highest CPU utilization", "%", "max", "cpu_time_per_vcpu"),
        ("steal", "Highest CPU steal", "%", "max", "cpu_delay_per_vcpu"),
        ("memory", "Highest memory utilization", "%", "max", "memory_usage"),
        ("disk", "Disk throughput", "Bps", "sum", "disk_bytes"),
        ("network", "Network traffic", "bps", "sum", "network_bytes"),
    )
    return tuple(
        Item(
            name=f"VMs: {title}",
            key=f"kvm.vms.{name}",
            units=units,
            description="Of all VMs, as means over {$KVM.WINDOW}.",
            type="CALCULATED",
            delay="{$KVM.INTERVAL}",
            formula=f"{function}(avg_foreach(//kvm.domain.{metric}[*],{{$KVM.WINDOW}}))",
            # no VM runs: no value
            steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),),
            tags=(("component", "vms"),),
        )
        for name, title, units, function, metric in shown
    )
