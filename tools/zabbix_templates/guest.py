"""KVM Guest: a VM as a host of its own. Its document is pushed; see zabbix_kvm send --guests."""

from __future__ import annotations

from zabbix_templates import disk, domain, filesystem, filling, interface, vcpu
from zabbix_templates.dashboards import overview, prototypes
from zabbix_templates.model import Dashboard, Item, Macro, Rule, Step, Template
from zabbix_templates.scope import AGENT, LINK, STATE, THROTTLE, VALUE_MAPS, YES_NO, Owner

NAME = "KVM Guest"
MASTER = "kvm.guest"

_OWNER = Owner("$", True, MASTER, (), "", (), "", "/T/kvm.time", "$.discovery")


#: the parts of a VM
_PARTS = (vcpu, disk, interface, filesystem)
#: thresholds of VMs; the hypervisor's template has the same ones
MACROS = (
    Macro("{$KVM.WINDOW}", "3m", "Latencies are means over this time; at least two intervals"),
    Macro("{$KVM.LLD.LIFETIME}", "7d", "How long what is not there any more is kept"),
    *(*domain.MACROS, *disk.MACROS, *interface.MACROS, *filesystem.MACROS, *filling.MACROS),
)


def part_rules(owner: Owner) -> tuple[Rule, ...]:
    """The discovery rules of a VM's parts."""
    return tuple(part.rule(owner) for part in _PARTS)


def template() -> Template:
    """The template."""
    return Template(
        name=NAME,
        description="A VM as a host of its own, by kvmwatch. Its hypervisor pushes the data (zabbix_kvm send --guests), "
        "so the host and its history stay when the VM moves.",
        setup="""\
1. Import this template before `KVM Hypervisor ...`.
2. Make the hosts: `kvmwatch-guests.timer` (`zabbix_kvm provision` with `--guests`) where VMs migrate, or the macro
   `{$KVM.GUEST.HOSTS}` = `.*` on the hypervisor where they stay ([which one](../../docs/zabbix.md#guests-as-hosts)).
   Set `{$KVM.VM.ALERTS}` = `0` on the hypervisor, so that a problem of a VM is told once.
3. On each hypervisor let `kvmwatch-send.timer` run `zabbix_kvm send` with `--guests-only` (or `--guests`, where the
   hypervisor's own data is pushed, too).
""",
        macros=(
            *MACROS,
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
                inventory="CHASSIS",
            ),
            *_OWNER.scope().items(domain.SHOWN),
        ),
        rules=part_rules(_OWNER),
        triggers=domain.triggers(_OWNER),
        graphs=domain.graphs(_OWNER),
        dashboards=(_dashboard(),),
        value_maps=tuple((name, VALUE_MAPS[name]) for name in (STATE, AGENT, LINK, YES_NO)),
    )


def _dashboard() -> Dashboard:
    vm = _OWNER.scope()
    graphs = ("CPU", "Memory utilization", "Memory", "Swapping", "Disk throughput", "Network traffic")
    return Dashboard(
        "KVM guest",
        (
            overview(
                (
                    *(("State", vm.key("state")), ("Hypervisor", "kvm.hypervisor")),
                    *(("CPU", vm.key("cpu_time_per_vcpu")), ("Steal", vm.key("cpu_delay_per_vcpu"))),
                    *(("Memory", vm.key("memory_usage")), ("Guest agent", vm.key("agent"))),
                ),
                [(name, f"VM: {name}") for name in graphs],
            ),
            prototypes("Disks", ("Disk {#DISK.NAME}: Throughput", "Disk {#DISK.NAME}: Latency"), 3),
            prototypes("Network", ("Interface {#IF.MAC}: Traffic", "Interface {#IF.MAC}: Errors and drops"), 3),
            prototypes("File systems", ("File system {#FS.MOUNTPOINT}: Utilization",), 4),
        ),
    )
