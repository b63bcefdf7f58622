"""KVM Guest: a VM as a host of its own. Its document is pushed; see zabbix_kvm send --guests."""

from __future__ import annotations

from zabbix_templates.model import Dashboard, Item, Macro, Page, Step, Template, Widget
from zabbix_templates.parts import (
    AGENT,
    DOMAIN,
    LINK,
    STATE,
    THROTTLE,
    VALUE_MAPS,
    YES_NO,
    Owner,
    domain_graphs,
    domain_triggers,
    part_rules,
)

NAME = "KVM Guest"
MASTER = "kvm.guest"

_OWNER = Owner("$", True, MASTER, (), "", (), "", "/T/kvm.time", "$.discovery")


def macros() -> tuple[Macro, ...]:
    """Thresholds of VMs; the hypervisor's template has the same ones."""
    return (
        Macro("{$KVM.WINDOW}", "3m", "Latencies are means over this time; at least two intervals"),
        Macro("{$KVM.LLD.LIFETIME}", "7d", "How long what is not there any more is kept"),
        Macro("{$KVM.VM.ALERTS}", "1", "0: no problems of VMs. Context: the VM's name"),
        Macro("{$KVM.VM.CPU.MAX}", "90", "CPU utilization of a VM, %. Context: the VM's name"),
        Macro("{$KVM.VM.STEAL.WARN}", "10", "CPU steal of a VM, %: warning. Context: the VM's name"),
        Macro("{$KVM.VM.STEAL.MAX}", "25", "CPU steal of a VM, %: average. Context: the VM's name"),
        Macro("{$KVM.VM.MEMORY.MAX}", "95", "Memory utilization of a VM, %. Context: the VM's name"),
        Macro("{$KVM.VM.MEMORY.SQUEEZED}", "85", "The same, while its balloon holds memory back. Context: the VM's name"),
        Macro("{$KVM.VM.SWAP.MAX}", "1M", "Bytes a second swapped in and out in a VM. Context: the VM's name"),
        Macro("{$KVM.VM.RESPONSE.MAX}", "30", "Seconds for which a QEMU may owe libvirt an answer. Context: the VM's name"),
        Macro("{$KVM.VM.RESTART.TIME}", "10m", "How long a restart is told. Context: the VM's name"),
        Macro("{$KVM.VM.AGENT.MEMORY}", "1d", "A guest agent is lost if it was there within this time. Context: the VM's name"),
        Macro("{$KVM.VM.SNAPSHOT.AGE.MAX}", "7d", "Age of a snapshot. Context: the VM's name"),
        Macro("{$KVM.DISK.LATENCY.MAX}", "0.2", "Mean latency of reads, writes and flushes, seconds. Context: VM and disk: \"web1 vda\""),
        Macro("{$KVM.DISK.ALLOCATION.MAX}", "90", "Allocation of a growing image, % of its capacity. Context: VM and disk"),
        Macro("{$KVM.DISK.MATCHES}", ".*", "Disks to discover, by target name"),
        Macro("{$KVM.DISK.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Disks not to discover"),
        Macro("{$KVM.IF.ERRORS.MAX}", "1", "Errors a second. Context: VM and MAC address"),
        Macro("{$KVM.IF.DROPS.MAX}", "10", "Drops a second. Context: VM and MAC address"),
        Macro("{$KVM.IF.MATCHES}", ".*", "Interfaces to discover, by the network or bridge they hang on"),
        Macro("{$KVM.IF.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Interfaces not to discover"),
        Macro("{$KVM.FS.MATCHES}", ".*", "Guest file systems to discover, by mount point"),
        Macro("{$KVM.FS.NOT_MATCHES}", "^(/boot/efi|/snap/.*)$", "Guest file systems not to discover"),
        Macro("{$KVM.FS.TYPE.MATCHES}", "^(btrfs|ext2|ext3|ext4|f2fs|jfs|ntfs|NTFS|ReFS|refs|ufs|vfat|FAT32|xfs|zfs)$", "Guest file systems to discover, by type"),
        Macro("{$KVM.FS.WARN}", "85", "Utilization of a guest file system, %: warning. Context: VM and mount point"),
        Macro("{$KVM.FS.MAX}", "95", "Utilization of a guest file system, %: high. Context: VM and mount point"),
        Macro("{$KVM.FS.TIMELEFT}", "7d", "A file system that will be full within this time is a problem. Context: VM and mount point"),
        Macro("{$KVM.FORECAST.HISTORY}", "2d", "What forecasts look back at"),
        Macro("{$KVM.FORECAST.FROM}", "60", "No forecast below this utilization, %"),
    )  # fmt: skip


def template() -> Template:
    """The template."""
    return Template(
        name=NAME,
        description="A VM as a host of its own, by kvmwatch. Its hypervisor pushes the data (zabbix_kvm send --guests), "
        "so the host and its history stay when the VM moves.",
        setup="""\
1. Import this template before `KVM Hypervisor ...`.
2. Make the hosts: `zabbix_kvm provision --guests` from a timer where VMs migrate, or the macro
   `{$KVM.GUEST.HOSTS}` = `.*` on the hypervisor where they stay ([which one](../../docs/zabbix.md#guests-as-hosts)).
   Set `{$KVM.VM.ALERTS}` = `0` on the hypervisor, so that a problem of a VM is told once.
3. On each hypervisor let a timer run `zabbix_kvm send --guests-only` every minute (or `--guests`, where the
   hypervisor's own data is pushed, too).
""",
        macros=(
            *macros(),
            Macro("{$KVM.INTERVAL}", "1m", "How often latencies are computed; as often as data comes"),
        ),
        items=(
            Item(
                name="Master item: all data of the VM",
                key=MASTER,
                value_type="TEXT",
                description="One JSON document; everything else depends on it. Not kept.",
                type="TRAP",
                history="0",
                tags=(("component", "raw"),),
            ),
            Item(
                name="Time of the data",
                key="kvm.time",
                units="unixtime",
                master=MASTER,
                steps=(Step("JSONPATH", ("$.time",), "DISCARD_VALUE"),),
                tags=(("component", "libvirt"),),
            ),
            Item(
                name="Hypervisor",
                key="kvm.hypervisor",
                value_type="CHAR",
                description="The hypervisor that has the VM now.",
                master=MASTER,
                steps=(Step("JSONPATH", ("$.hypervisor",), "DISCARD_VALUE"), THROTTLE),
                tags=(("component", "libvirt"),),
                inventory="LOCATION",
            ),
            *_OWNER.scope().items(DOMAIN),
        ),
        rules=part_rules(_OWNER),
        triggers=domain_triggers(_OWNER),
        graphs=domain_graphs(_OWNER),
        dashboards=(_dashboard(),),
        value_maps=tuple((name, VALUE_MAPS[name]) for name in (STATE, AGENT, LINK, YES_NO)),
    )


def _dashboard() -> Dashboard:
    vm = _OWNER.scope()
    values = (
        *(("State", vm.key("state")), ("Hypervisor", "kvm.hypervisor"), ("CPU", vm.key("cpu_time_per_vcpu"))),
        *(("Steal", vm.key("cpu_delay_per_vcpu")), ("Memory", vm.key("memory_usage")), ("Agent", vm.key("agent"))),
    )
    graphs = ("CPU", "Memory utilization", "Memory", "Swapping")
    parts = (
        ("Disk {#DISK.NAME}: Throughput", 0, 13),
        ("Disk {#DISK.NAME}: Latency", 12, 13),
        ("Interface {#IF.MAC}: Traffic", 0, 19),
        ("File system {#FS.MOUNTPOINT}: Utilization", 12, 19),
    )
    return Dashboard(
        "KVM guest",
        (
            Page(
                "Overview",
                (
                    *(Widget("ITEM", name, key, 4 * number, 0, 4, 3) for number, (name, key) in enumerate(values)),
                    *(
                        Widget("GRAPH_CLASSIC", name, name, 12 * (number % 2), 3 + 5 * (number // 2), 12, 5)
                        for number, name in enumerate(graphs)
                    ),
                    *(Widget("GRAPH_PROTOTYPE", "", name, x, y, 12, 6, 2, 1) for name, x, y in parts),
                ),
            ),
        ),
    )
