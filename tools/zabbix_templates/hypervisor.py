"""KVM Hypervisor: one master item, everything else depends on it. Four ways to get the master item."""

from __future__ import annotations

from typing import NamedTuple

from zabbix_templates import domain, guest, host, interface, network, pool, uplink
from zabbix_templates.dashboards import overview, prototypes, side_by_side
from zabbix_templates.model import Dashboard, HostPrototype, Item, Macro, Page, Rule, Template
from zabbix_templates.scope import VALUE_MAPS, Owner, Scope

MASTER = "kvm.collect"


class Way(NamedTuple):
    """A way in which the master item arrives."""

    suffix: str
    type: str  # of the master item
    key: str
    delay: str
    says: str
    setup: str
    macros: tuple[Macro, ...] = ()


_AGENT_SETUP = """\
1. On the hypervisor: install the package kvmwatch-zabbix (elsewhere: kvmwatch, and `agent/kvmwatch.conf` into the
   agent's include folder), and restart the agent.
2. Test: `sudo -u zabbix zabbix_agentd -t kvm.collect` prints JSON.
3. In Zabbix: import this template and `KVM Guest` (that one first), and link this one to the hypervisor's host.
"""
_URI_MACROS = (
    Macro(
        "{$KVM.URI}",
        "qemu:///system",
        "libvirt URI as the proxy or server opens it, e.g. qemu+ssh://kvm-reader@HOST/system",
    ),
    Macro(
        "{$KVM.TIMEOUT}", "25", "Seconds for one collection; less than Timeout of the proxy or server (at most 30)"
    ),
)

WAYS = (
    Way(
        "by Zabbix agent",
        "ZABBIX_PASSIVE",
        MASTER,
        "{$KVM.INTERVAL}",
        "The server or proxy asks the agent once per interval.",
        _AGENT_SETUP,
    ),
    Way(
        "by Zabbix agent active",
        "ZABBIX_ACTIVE",
        MASTER,
        "{$KVM.INTERVAL}",
        "The agent sends by itself, once per interval: for agents that nobody can connect to.",
        _AGENT_SETUP,
    ),
    Way(
        "by Zabbix trapper",
        "TRAP",
        MASTER,
        "0",
        "A timer pushes (zabbix_kvm send): without a limit of size, and for hypervisors without an agent.",
        """\
1. Import this template and `KVM Guest` (that one first), and link this one to the hypervisor's host.
2. On the hypervisor, install the package kvmwatch-zabbix and zabbix-sender, and let `kvmwatch-send.timer` run
   `zabbix_kvm send` every minute. It takes the server list, the host name and the TLS settings from the agent's
   configuration file; other options are in `/etc/default/kvmwatch-send`. Elsewhere, for another machine's hypervisor,
   it has `-u qemu+ssh://kvm-reader@HOST/system --host HOST` among them.
3. It prints how many values were accepted, and fails when some were not.
""",
    ),
    Way(
        "by external check",
        "EXTERNAL",
        'zabbix_kvm["collect","--for-agent","--uri","{$KVM.URI}","--timeout","{$KVM.TIMEOUT}"]',
        "{$KVM.INTERVAL}",
        "A proxy or server runs zabbix_kvm itself, for hypervisors without an agent.",
        """\
1. On the proxy (or server): install the package kvmwatch-zabbix, and link the command into its `ExternalScripts` folder:
   `ln -s /usr/bin/zabbix_kvm_external /usr/lib/zabbix/externalscripts/zabbix_kvm`. Set `Timeout=30` in its configuration.
   Write each URI that it may collect from into `/etc/kvmwatch/external-check.uris`, one a line: a URI can name a program
   to run, and this way nobody else can choose one.
2. For `qemu+ssh://`, give the user `zabbix` a key without a passphrase and its known_hosts; for `qemu+tls://`, a
   client certificate in `/etc/pki/libvirt`. Test: `sudo -u zabbix zabbix_kvm collect -u URI`.
3. Import this template and `KVM Guest` (that one first), link this one to a host, and set `{$KVM.URI}` on it.
""",
        _URI_MACROS,
    ),
)


_MACROS = (
    Macro("{$KVM.VM.MATCHES}", ".*", "VMs to discover, a regular expression over the name"),
    Macro("{$KVM.VM.NOT_MATCHES}", "CHANGE_IF_NEEDED", "VMs not to discover"),
    Macro(
        "{$KVM.VM.STATE.MATCHES}",
        ".*",
        "VMs to discover, by their state when it is first seen: running, wanted (does not run and should), off",
    ),
    Macro(
        "{$KVM.VM.STATE.NOT_MATCHES}",
        "CHANGE_IF_NEEDED",
        "VMs not to discover, by the same; ^off$ leaves out templates and golden images",
    ),
    Macro(
        "{$KVM.VM.PARTS.MATCHES}",
        ".*",
        "VMs whose vCPUs, disks, interfaces and file systems are discovered here; ^$ where guests are hosts of their own",
    ),
    Macro(
        "{$KVM.GUEST.HOSTS}",
        "^$",
        "VMs (by UUID) that become hosts of their own with the template KVM Guest; .* for all",
    ),
)


_FILTERS = (
    ("{#VM.NAME}", "{$KVM.VM.MATCHES}", "{$KVM.VM.NOT_MATCHES}"),
    ("{#VM.STATE}", "{$KVM.VM.STATE.MATCHES}", "{$KVM.VM.STATE.NOT_MATCHES}"),
)


def templates() -> tuple[Template, ...]:
    """The template in all its ways."""
    return tuple(_template(way) for way in WAYS)


def _template(way: Way) -> Template:
    master = Item(
        name="Master item: all data of the hypervisor",
        key=way.key,
        value_type="TEXT",
        description="One JSON document (zabbix_kvm collect); everything else depends on it. Not kept.",
        type=way.type,
        delay=way.delay,
        history="0",
        tags=(("component", "raw"),),
    )
    itself = Scope("host", "$.host", True, "", "Hypervisor: ", way.key)
    owner = Owner(
        path='$.domains[?(@.uuid == "{#VM.UUID}")]',
        single=False,
        master=way.key,
        parameters=("{#VM.UUID}",),
        title="VM {#VM.LABEL}: ",
        tags=(("vm", "{#VM.NAME}"), ("title", "{#VM.TITLE}")),
        context="{#VM.NAME}",
        time="/T/kvm.time",
        lists="$.discovery",
        within=True,
        filters=_FILTERS,
        filters_of_parts=(("{#VM.NAME}", "{$KVM.VM.PARTS.MATCHES}", ""),),
    )
    return Template(
        name=f"KVM Hypervisor {way.suffix}",
        description=f"A KVM/libvirt hypervisor with its VMs, storage pools and networks, by kvmwatch. {way.says}",
        setup=way.setup,
        macros=(
            *(*guest.MACROS, *_MACROS, *host.MACROS, *pool.MACROS, *network.MACROS, *uplink.MACROS),
            *(*way.macros, _interval(way)),
        ),
        items=(master, *host.items(itself)),
        rules=(
            *(domain.rule(owner), domain.details(owner), *guest.part_rules(owner)),
            *(pool.rule(way.key), network.rule(way.key), uplink.rule(way.key), _guests(way.key)),
        ),
        triggers=host.triggers(itself),
        graphs=host.graphs(itself),
        dashboards=(_dashboard(itself, owner),),
        value_maps=tuple(VALUE_MAPS.items()),
        needs=(guest.NAME,),
    )


def _interval(way: Way) -> Macro:
    if way.delay == "0":
        return Macro("{$KVM.INTERVAL}", "1m", "How often latencies are computed; as often as the timer pushes")
    return Macro("{$KVM.INTERVAL}", "1m", "How often the hypervisor is asked")


def _guests(master: str) -> Rule:
    return Rule(
        name="Guests as hosts",
        key="kvm.discovery[guests]",
        path="$.discovery.domains",
        description="Makes a host of each VM whose UUID {$KVM.GUEST.HOSTS} matches (none by default). For hypervisors "
        "whose VMs stay; where VMs migrate, use zabbix_kvm provision --guests instead.",
        master=master,
        filters=(
            ("{#VM.UUID}", "{$KVM.GUEST.HOSTS}", ""),
            *_FILTERS,
        ),
        hosts=(
            HostPrototype(
                "{#VM.UUID}",
                "{#VM.LABEL} ({#VM.HYPERVISOR})",
                ("KVM guests",),
                ("KVM guests/{#VM.HYPERVISOR}",),
                guest.NAME,
            ),
        ),
    )


def _dashboard(itself: Scope, owner: Owner) -> Dashboard:
    graphs = ("CPU", "Memory utilization", "VMs by state", "Overcommit", "Load average", "libvirt response time")
    of_vms = (
        "Highest CPU utilization and steal",
        "Highest memory utilization",
        "Disk throughput",
        "Network traffic",
    )
    vm = owner.title
    return Dashboard(
        "KVM hypervisor",
        (
            overview(
                (
                    *(("VMs running", "kvm.domains.running"), ("Crashed", "kvm.domains.crashed")),
                    *(("Paused", "kvm.domains.paused"), ("CPU", itself.key("cpu_busy_per_cpu"))),
                    *(("Memory", itself.key("memory_usage")), ("libvirt answers in", itself.key("latency"))),
                ),
                [(name, f"KVM: {name}") for name in graphs],
            ),
            Page("All VMs", side_by_side([(f"VMs: {name}", f"VMs: {name}") for name in of_vms], 0)),
            prototypes("Each VM", (f"{vm}CPU", f"{vm}Memory utilization"), 3),
            prototypes("Disks", (f"{vm}Disk {{#DISK.NAME}}: Throughput", f"{vm}Disk {{#DISK.NAME}}: Latency"), 3),
            prototypes(
                "Network",
                tuple(f"{vm}Interface {interface.NAME}: {name}" for name in ("Traffic", "Errors and drops")),
                3,
            ),
            prototypes(
                "Uplinks", ("Uplink {#UPLINK.NAME}: Traffic", "Uplink {#UPLINK.NAME}: Errors and drops"), 2
            ),
            prototypes("Storage pools", ("Pool {#POOL.NAME}: Space", "Pool {#POOL.NAME}: Utilization"), 2),
        ),
    )
