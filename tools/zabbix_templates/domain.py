"""VMs as a whole: items and graphs, below a hypervisor or as a host of their own."""

from __future__ import annotations

from zabbix_templates import domain_triggers
from zabbix_templates.defaults import critical, period, warning
from zabbix_templates.model import Graph, Item, Macro, Rule
from zabbix_templates.scope import AGENT, CALM, REPORT, SOON, STATE, Owner, Shown

MACROS = (
    Macro("{$KVM.VM.ALERTS}", "1", "0: no problems of VMs. Context: the VM's name"),
    Macro("{$KVM.VM.EXPECT}", "auto", "What a VM should be: running, any, shutoff, paused, or auto: what its metadata or autostart says. Context: the VM's name"),
    Macro("{$KVM.VM.DOWN.TIME}", "5m", "Not as it should be (off, or running) for this long is a problem. Context: the VM's name"),
    Macro("{$KVM.VM.FAULT.TIME}", "2m", "Crashed, or paused by a fault, for this long is a problem. Context: the VM's name"),
    Macro("{$KVM.VM.PAUSED.TIME}", "10m", "Paused by a person or from a snapshot for this long is a problem. Context: the VM's name"),
    Macro("{$KVM.VM.UNKNOWN.TIME}", "10m", "In a state that cannot be judged for this long is a problem. Context: the VM's name"),
    Macro("{$KVM.VM.GONE.TIME}", "1h", "How long it is told that a VM is gone. Context: the VM's name"),
    Macro("{$KVM.VM.BRIEF.WARN}", "5m", "Starting up or shutting down for this long: warning. Context: the VM's name"),
    Macro("{$KVM.VM.BRIEF.MAX}", "15m", "The same: high. Context: the VM's name"),
    Macro("{$KVM.VM.JOB.WARN}", "30m", "Migrating, saving, dumping or making a snapshot for this long: warning. Context: the VM's name"),
    Macro("{$KVM.VM.JOB.MAX}", "2h", "The same: high. Context: the VM's name"),
    Macro("{$KVM.VM.RESPONSE.MAX}", "30", "Seconds for which a QEMU may owe libvirt an answer. Context: the VM's name"),
    Macro("{$KVM.VM.RESPONSE.TIME}", "3m", "Owing it for more, for this long, is a problem. Context: the VM's name"),
    Macro("{$KVM.VM.RESTART.TIME}", "10m", "How long a restart is told. Context: the VM's name"),
    Macro("{$KVM.VM.CPU.WARN}", warning("cpu.usage"), "CPU utilization of a VM, %: warning. Context: the VM's name"),
    Macro("{$KVM.VM.CPU.MAX}", critical("cpu.usage"), "The same: average. Context: the VM's name"),
    Macro("{$KVM.VM.CPU.TIME}", "15m", "For how long. Context: the VM's name"),
    Macro("{$KVM.VM.STEAL.WARN}", warning("cpu.steal"), "CPU steal of a VM, %: warning. Context: the VM's name"),
    Macro("{$KVM.VM.STEAL.MAX}", critical("cpu.steal"), "The same: average. Context: the VM's name"),
    Macro("{$KVM.VM.STEAL.TIME}", "15m", "For how long. Context: the VM's name"),
    Macro("{$KVM.VM.MEMORY.WARN}", warning("memory.usage"), "Memory utilization of a VM, %: warning. Context: the VM's name"),
    Macro("{$KVM.VM.MEMORY.MAX}", critical("memory.usage"), "The same: average. Context: the VM's name"),
    Macro("{$KVM.VM.MEMORY.SQUEEZED}", "85", "Memory utilization while its balloon holds memory back, %. Context: the VM's name"),
    Macro("{$KVM.VM.MEMORY.TIME}", "10m", "For how long; also: for how long the guest may not report its memory. Context: the VM's name"),
    Macro("{$KVM.VM.SWAP.WARN}", warning("memory.swap"), "Bytes a second swapped in and out in a VM: warning. Context: the VM's name"),
    Macro("{$KVM.VM.SWAP.MAX}", critical("memory.swap"), "The same: average. Context: the VM's name"),
    Macro("{$KVM.VM.SWAP.TIME}", "10m", "For how long. Context: the VM's name"),
    Macro("{$KVM.VM.AGENT.TIME}", "15m", "A guest agent that is not connected for this long is lost ... Context: the VM's name"),
    Macro("{$KVM.VM.AGENT.MEMORY}", "1d", "... if it was connected within this time. Context: the VM's name"),
    Macro("{$KVM.VM.SNAPSHOT.AGE.MAX}", period(warning("snapshot.age")), "Age of a snapshot. Context: the VM's name"),
    Macro("{$KVM.VM.SNAPSHOT.COUNT.MAX}", warning("snapshot.count"), "Snapshots of a VM. Context: the VM's name"),
)  # fmt: skip


SHOWN = (
    Shown("state", "State", value_map=STATE, component="state"),
    Shown("reason", "Reason of the state", steady=True, value_type="CHAR", component="state"),
    Shown("id", "Number of this run", steady=True, value_type="UNSIGNED", component="state"),
    Shown("started", "Running since", "unixtime", steady=True, value_type="UNSIGNED", component="state"),
    Shown("not_responding", "QEMU has not answered for", "s", calm="2m", component="state"),
    Shown("agent", "Guest agent", steady=True, value_map=AGENT, component="state"),
    Shown("cpu_time_per_vcpu", "CPU utilization", "%", 100, most=1000, component="cpu"),
    Shown("cpu_delay_per_vcpu", "CPU steal", "%", 100, most=1000, component="cpu"),
    Shown("vcpu_count", "vCPUs", steady=True, value_type="UNSIGNED", component="cpu"),
    Shown("memory_usage", "Memory utilization", "%", component="memory"),
    Shown("memory_current", "Memory given (balloon)", "B", steady=True, component="memory"),
    Shown("memory_maximum", "Memory maximum", "B", steady=True, component="memory"),
    Shown("memory_rss", "Host memory of QEMU", "B", component="memory"),
    Shown("swap", "Swapped in and out", "Bps", calm=CALM, component="memory"),
    Shown(
        "major_faults",
        "Major page faults since the guest's boot",
        steady=True,
        raw=True,
        value_type="UNSIGNED",
        component="memory",
    ),
    Shown("memory_report", "Memory report", steady=True, value_map=REPORT, component="memory"),
    Shown("disk_bytes", "Disk throughput", "Bps", component="storage"),
    Shown("network_bytes", "Network traffic", "bps", 8, component="network"),
    Shown("addresses", "IP addresses", steady=True, value_type="CHAR", component="network"),
    Shown("snapshots", "Snapshots", steady=True, value_type="UNSIGNED", component="storage"),
    Shown(
        "oldest_snapshot", "Oldest snapshot", "unixtime", steady=True, value_type="UNSIGNED", component="storage"
    ),
)
#: what few look at: only where it is asked for
DETAILS = (
    Shown("emulator_time", "CPU of emulator and I/O threads (100 % is one CPU)", "%", 100, most=100000, component="cpu"),
    Shown("memory_usable", "Memory usable without swapping", "B", component="memory"),
    Shown("balloon_updated", "Memory last reported", "unixtime", value_type="UNSIGNED", component="memory"),
)  # fmt: skip


def rule(owner: Owner) -> Rule:
    """The discovery rule of the VMs of a hypervisor."""
    return Rule(
        name="VM discovery",
        key="kvm.discovery[domains]",
        path="$.discovery.domains",
        description='The VMs, running or not; those with <watch ignore="yes"/> in their metadata are left out.',
        master=owner.master,
        filters=owner.filters,
        items=items(owner),
        triggers=domain_triggers.triggers(owner),
        graphs=graphs(owner),
    )


def details(owner: Owner) -> Rule:
    """The discovery rule of what few look at."""
    return Rule(
        name="VM detail discovery",
        key="kvm.discovery[domain_details]",
        path="$.discovery.domains",
        description="What few look at of VMs as a whole: none unless {$KVM.DETAILS.MATCHES} says of which.",
        master=owner.master,
        filters=(*owner.filters, ("{#VM.NAME}", "{$KVM.DETAILS.MATCHES}", "")),
        items=owner.scope().items(DETAILS),
    )


def items(owner: Owner) -> tuple[Item, ...]:
    """The items of a VM as a whole."""
    shown = owner.scope().items(SHOWN)
    if owner.single:
        # below a hypervisor, that it comes with each collection tells that the VM is there
        state, *others = shown
        shown = (state._replace(steps=(*state.steps, SOON)), *others)
    return (*shown, owner.condition(), owner.expected(), *owner.own_host())


def graphs(owner: Owner) -> tuple[Graph, ...]:
    """Graphs of a VM."""
    vm = owner.scope()
    title = owner.title or "VM: "  # Linux by Zabbix agent has graphs like these, and two cannot be called the same
    return (
        Graph(
            f"{title}CPU",
            (vm.key("cpu_time_per_vcpu"), vm.key("cpu_delay_per_vcpu")),
        ),
        Graph(
            f"{title}Memory",
            (vm.key("memory_rss"), vm.key("memory_current"), vm.key("memory_maximum")),
        ),
        Graph(f"{title}Memory utilization", (vm.key("memory_usage"),), percent=True),
        Graph(f"{title}Swapping", (vm.key("swap"),)),
        Graph(f"{title}Disk throughput", (vm.key("disk_bytes"),)),
        Graph(f"{title}Network traffic", (vm.key("network_bytes"),)),
    )
