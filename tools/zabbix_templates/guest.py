"""KVM Guest: a VM as a host of its own. Its document is pushed; see zabbix_kvm send --guests."""

from __future__ import annotations

from zabbix_templates import disk, domain, domain_triggers, filesystem, filling, interface, scope, vcpu
from zabbix_templates.dashboards import overview, prototypes
from zabbix_templates.model import Dashboard, Item, Macro, Rule, Step, Template, Trigger
from zabbix_templates.scope import (
    AGENT,
    CONDITION,
    HEARD,
    LINK,
    REPORT,
    SOON,
    STATE,
    THROTTLE,
    VALUE_MAPS,
    WHOLE,
    YES_NO,
    Owner,
    since_before,
)
from zabbix_templates.triggers import When, alarm, changed

NAME = "KVM Guest"
MASTER = "kvm.guest"
#: of a hypervisor, followed by a VM's UUID: it has a value from each collection that has read this VM, and no other
TELLS = "kvm.domain.state"
_TOLD = "kvm.guest.told"

_OWNER = Owner("$", True, MASTER, (), "", (), "", "/T/kvm.time", "$.discovery")


#: the parts of a VM
_PARTS = (vcpu, disk, interface, filesystem)
#: thresholds of VMs; the hypervisor's template has the same ones
MACROS = (
    Macro("{$KVM.WINDOW}", "3m", "Latencies are means over this time; at least two intervals"),
    Macro("{$KVM.LLD.LIFETIME}", "7d", "How long what is not there any more is kept"),
    Macro("{$KVM.DETAILS.MATCHES}", "^$", "VMs of which also that is kept which few look at; on a guest's own host: its disks and interfaces"),
    *(*scope.MACROS, *domain.MACROS, *vcpu.MACROS, *disk.MACROS, *interface.MACROS, *filesystem.MACROS),
    *filling.MACROS,
)  # fmt: skip


def part_rules(owner: Owner) -> tuple[Rule, ...]:
    """The discovery rules of a VM's parts."""
    return (*(part.rule(owner) for part in _PARTS), *(part.details(owner) for part in (disk, interface)))


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
3. On each hypervisor let `kvmwatch-send.timer` run `zabbix_kvm send` with `--guests-only` (or `--guests`, where the
   hypervisor's own data is pushed, too).
""",
        macros=(
            *MACROS,
            Macro("{$KVM.INTERVAL}", "1m", "How often latencies are computed; as often as data comes"),
            Macro(
                "{$KVM.GUEST.NODATA}",
                "5m",
                "No data for this long, though a hypervisor tells of the VM, is a problem, and the hypervisor's host "
                "tells the VM's problems again; at least four intervals",
            ),
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
                value_type="UNSIGNED",
                units="unixtime",
                master=MASTER,
                steps=(Step("JSONPATH", ("$.time",), "DISCARD_VALUE"), WHOLE),
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
            Item(
                name="Title",
                key="kvm.domain.title",
                value_type="CHAR",
                description="What people call it: its title, or its name in OpenStack or OpenNebula.",
                master=MASTER,
                steps=(Step("JSONPATH", ("$.title",), "DISCARD_VALUE"), THROTTLE),
                tags=(("component", "state"),),
            ),
            since_before("$.time", MASTER),
            *domain.items(_OWNER),
            # no rule can switch these on
            *_OWNER.scope().items(tuple(shown._replace(enabled=False) for shown in domain.DETAILS)),
        ),
        rules=(*part_rules(_OWNER), _own_data()),
        triggers=(*domain_triggers.triggers(_OWNER), _moved()),
        graphs=domain.graphs(_OWNER),
        dashboards=(_dashboard(),),
        value_maps=tuple((name, VALUE_MAPS[name]) for name in (STATE, CONDITION, AGENT, LINK, REPORT, YES_NO)),
    )


def _moved() -> Trigger:
    return alarm(
        "VM: Moved to another hypervisor",
        "INFO",
        changed("/T/kvm.hypervisor"),
        "The VM was migrated, or stopped there and started here. Told for an hour at most.",
        "nothing, if that was intended.",
        "notice",
        manual_close=True,
    )


def _own_data() -> Rule:
    """Whether this host has data while a hypervisor tells of its VM.

    A trigger of a template can name no other host, a calculated item can ask all hosts for a key. A key with the
    VM's UUID in it is a single item in all of Zabbix (an index of its database finds it), and only a rule's items can
    have that: so there is a rule that finds the VM itself. Whichever hypervisor has the VM is asked, without anybody
    having to tell which that is.
    """
    uuid, window = "{#VM.UUID}", "{$KVM.GUEST.NODATA}"
    tags = (("component", "state"),)
    counted, silent = f"//{_TOLD}[{uuid}]", f"count(//kvm.time,{window})=0"
    # a hypervisor that dies may have told of the VM once more after the VM's last data, and one that is back does so
    # before its VMs' data has come: it has to tell for half of the window
    told = f"last({counted})*{{$KVM.INTERVAL}}*2>{window}"
    # where the macros do not fit the pace of the data there are never that many: most of an hour is enough, too
    for_long = f'count(//kvm.time,1h)=0 and count({counted},1h,"gt","0")*2>count({counted},1h)'
    return Rule(
        name="This VM",
        key="kvm.discovery[vm]",
        path="$.discovery.vm",
        description="The VM itself, so that hypervisors can be asked for it by its UUID.",
        master=MASTER,
        items=(
            Item(
                name="Collections of hypervisors that told of the VM",
                key=f"{_TOLD}[{uuid}]",
                value_type="UNSIGNED",
                description="How often within {$KVM.GUEST.NODATA} a hypervisor's own data had this VM in it. None while "
                "the hypervisor is down, cannot be read, or has the VM no more.",
                type="CALCULATED",
                delay="{$KVM.INTERVAL}",
                formula=f"sum(count_foreach(/*/{TELLS}[{uuid}],{window}))",
                # no hypervisor has such an item
                steps=(Step("CHECK_NOT_SUPPORTED", ("",), "CUSTOM_VALUE", "0"), SOON),
                tags=tags,
            ),
            Item(
                name="This host has data",
                key=f"{HEARD}[{uuid}]",
                description="Yes while data of the VM comes. No when none has come for {$KVM.GUEST.NODATA} though a "
                "hypervisor tells of the VM. When none does, it stays as it was.",
                type="CALCULATED",
                delay="{$KVM.INTERVAL}",
                formula=f"1-({silent})*(1+((({told}) or ({for_long}))=0))",
                steps=(
                    Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),
                    Step("IN_RANGE", ("0", "1"), "DISCARD_VALUE"),
                    SOON,
                ),
                value_map=YES_NO,
                tags=tags,
            ),
        ),
        triggers=(
            alarm(
                "VM: No data of its own",
                "WARNING",
                When(f"last(/T/{HEARD}[{uuid}])=0", f"last(/T/{HEARD}[{uuid}])=1"),
                "A hypervisor tells of the VM, but nothing has come to this host for {$KVM.GUEST.NODATA}. Until it does, "
                "the hypervisor's host tells the VM's problems.",
                "on the hypervisor that has the VM run zabbix_kvm send with --guests by hand, and look at "
                "systemctl status kvmwatch-send.timer.",
                "availability",
                (_OWNER.alerts(),),
                tells="for {$KVM.GUEST.NODATA}",
            ),
        ),
    )  # fmt: skip


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
            prototypes(
                "Network",
                (f"Interface {interface.NAME}: Traffic", f"Interface {interface.NAME}: Errors and drops"),
                3,
            ),
            prototypes("File systems", ("File system {#FS.MOUNTPOINT}: Utilization",), 4),
        ),
    )
