"""The hypervisor itself: its CPU, memory, load, libvirt, and how many VMs are in which state."""

from __future__ import annotations

from zabbix_templates.model import Graph, Item, Macro, Step, Trigger
from zabbix_templates.scope import THROTTLE, Scope, Shown

MACROS = (
    Macro("{$KVM.NODATA}", "5m", "No data for this long is a problem"),
    Macro("{$KVM.LATENCY.MAX}", "5", "Seconds that libvirt may take to connect and list the VMs"),
    Macro("{$KVM.HOST.CPU.MAX}", "90", "CPU utilization of the hypervisor, %"),
    Macro("{$KVM.HOST.MEMORY.MAX}", "95", "Memory utilization of the hypervisor, %"),
    Macro("{$KVM.HOST.HUGEPAGES.MAX}", "95", "Huge pages of the hypervisor in use, %"),
    Macro("{$KVM.HOST.SWAP.MAX}", "50", "Swap utilization of the hypervisor, %"),
    Macro("{$KVM.HOST.LOAD.MAX}", "4", "Load average over 5 minutes, per CPU"),
    Macro("{$KVM.HOST.VCPU.OVERCOMMIT.MAX}", "500", "vCPUs of active VMs, % of the CPUs"),
    Macro("{$KVM.HOST.MEMORY.OVERCOMMIT.MAX}", "150", "Memory that active VMs can take, % of the host's"),
)


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
    """Its items, those about the data itself among them."""
    return (*_about(scope.master), *scope.items(SHOWN), *_counts(scope.master), *_of_all_vms())


def triggers(host: Scope) -> tuple[Trigger, ...]:
    """What can be wrong with it."""
    no_data, no_answer = "KVM: No data", "KVM: libvirt does not answer"

    def over(name: str, metric: str, macro: str, severity: str, meaning: str, cure: str, scope: str) -> Trigger:
        expression = f"min({host.ref(metric)},5m)>{{$KVM.{macro}}}"
        return Trigger(f"KVM: {name}", expression, severity, meaning, cure, scope, opdata="{ITEM.LASTVALUE1}")

    return (
        Trigger(
            no_data,
            "nodata(/T/kvm.time,{$KVM.NODATA})=1",
            "HIGH",
            "Nothing has arrived from the hypervisor: it, its agent or the timer that pushes is down. Its VMs keep "
            "their last values and raise no problems of their own.",
            "ping the hypervisor; look at its agent's log, or run zabbix_kvm send there by hand.",
            "availability",
        ),
        Trigger(
            no_answer,
            "length(last(/T/kvm.error))>0",
            "HIGH",
            "kvmwatch runs, but libvirt could not be read. VMs run on without it.",
            "do what the message says; systemctl restart libvirtd (or virtqemud) does not touch running VMs.",
            "availability",
            event_name="KVM: libvirt does not answer: {?last(/{HOST.HOST}/kvm.error)}",
            depends=(no_data,),
        ),
        Trigger(
            "KVM: Not everything could be read",
            "min(/T/kvm.unread,#3)>0",
            "WARNING",
            "libvirt tells of the VMs, but not of all else that is watched: the daemon or the driver for it is missing "
            "or hangs. What could not be read keeps its last values and raises no problems.",
            "do what the message says.",
            "availability",
            event_name="KVM: Could not be read: {?last(/{HOST.HOST}/kvm.unread.text)}",
            depends=(no_answer,),
        ),
        over(
            "libvirt is slow",
            *("latency", "LATENCY.MAX", "WARNING"),
            "libvirt takes long to connect and to list the VMs.",
            "look at the host's load, and at whether many clients ask libvirtd.",
            "performance",
        ),
        over(
            "CPU utilization is high",
            *("cpu_busy_per_cpu", "HOST.CPU.MAX", "WARNING"),
            "The hypervisor's CPUs have been busy for 5 minutes: VMs wait for them (see their steal).",
            "move VMs away; the dashboard's page VMs shows who uses them.",
            "performance",
        ),
        over(
            "Memory utilization is high",
            *("memory_usage", "HOST.MEMORY.MAX", "AVERAGE"),
            "The hypervisor can hardly give out memory without swapping; the kernel may end a QEMU.",
            "move VMs away, or squeeze balloons.",
            "capacity",
        ),
        over(
            "Huge pages utilization is high",
            *("hugepages_usage", "HOST.HUGEPAGES.MAX", "WARNING"),
            "The hypervisor has hardly any huge pages left: the next VM that is made of them will not start here.",
            "move VMs away, or set more aside: virsh allocpages; /sys/kernel/mm/hugepages shows them.",
            "capacity",
        ),
        over(
            "Swap utilization is high",
            *("swap_usage", "HOST.SWAP.MAX", "WARNING"),
            "Memory of VMs lies in the hypervisor's swap: they are slow.",
            "move VMs away, then swapoff -a and swapon -a.",
            "capacity",
        ),
        over(
            "Load average is high",
            *("load_per_cpu", "HOST.LOAD.MAX", "WARNING"),
            "Many processes wait for a CPU or for storage.",
            "compare CPU utilization and waiting for I/O to see which.",
            "performance",
        ),
        over(
            "vCPU overcommit is high",
            *("vcpu_overcommit", "HOST.VCPU.OVERCOMMIT.MAX", "WARNING"),
            "The active VMs have many more vCPUs than there are CPUs.",
            "start no more VMs here, or move some away.",
            "capacity",
        ),
        over(
            "Memory overcommit is high",
            *("memory_overcommit", "HOST.MEMORY.OVERCOMMIT.MAX", "WARNING"),
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


def _about(master: str) -> tuple[Item, ...]:
    tags = (("component", "libvirt"),)
    return (
        Item(
            name="Time of the data",
            key="kvm.time",
            units="unixtime",
            description="When the data was read, by the clock of the machine that read it.",
            master=master,
            steps=(Step("JSONPATH", ("$.time",), "DISCARD_VALUE"),),
            tags=tags,
        ),
        Item(
            name="Age of the data",
            key="kvm.age",
            units="s",
            description="How long ago the newest data was read.",
            type="CALCULATED",
            delay="1m",
            formula="now()-last(//kvm.time)",
            steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),),
            tags=tags,
        ),
        Item(
            name="Error",
            key="kvm.error",
            value_type="TEXT",
            description="Why the hypervisor could not be read; empty when it could.",
            master=master,
            steps=(Step("JSONPATH", ("$.error",), "CUSTOM_VALUE", ""), THROTTLE),
            tags=tags,
        ),
        Item(
            name="Not read",
            key="kvm.unread",
            value_type="UNSIGNED",
            description="How much libvirt did not tell: host figures, storage pools, virtual networks, and each VM "
            "that answers but could not be read.",
            master=master,
            steps=(Step("JSONPATH", ("$.unread.count",), "DISCARD_VALUE"),),
            tags=tags,
        ),
        Item(
            name="Not read: what and why",
            key="kvm.unread.text",
            value_type="TEXT",
            description="What could not be read, and what to do; empty when all could.",
            master=master,
            steps=(Step("JSONPATH", ("$.unread.text",), "DISCARD_VALUE"), THROTTLE),
            tags=tags,
        ),
        Item(
            name="kvmwatch version",
            key="kvm.version",
            value_type="CHAR",
            master=master,
            steps=(Step("JSONPATH", ("$.version",), "DISCARD_VALUE"), THROTTLE),
            tags=tags,
        ),
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
