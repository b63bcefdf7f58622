"""KVM Hypervisor: one master item, everything else depends on it. Four ways to get the master item."""

from __future__ import annotations

from typing import NamedTuple

from zabbix_templates import guest
from zabbix_templates.model import (
    Dashboard,
    Graph,
    HostPrototype,
    Item,
    Macro,
    Page,
    Rule,
    Step,
    Template,
    Trigger,
    Widget,
)
from zabbix_templates.parts import (
    DOMAIN,
    POOL_STATE,
    THROTTLE,
    VALUE_MAPS,
    YES_NO,
    Owner,
    Scope,
    Shown,
    domain_graphs,
    domain_triggers,
    filling,
    part_rules,
)

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
1. On the hypervisor: install kvmwatch and `zabbix/agent/kvmwatch.conf` into the agent's include folder
   (`/etc/zabbix/zabbix_agentd.d/` or `/etc/zabbix/zabbix_agent2.d/`), and restart the agent.
2. Test: `zabbix_get -s HYPERVISOR -k kvm.collect` prints JSON.
3. In Zabbix: import this template and `KVM Guest` (that one first), and link this one to the hypervisor's host.
"""
_URI_MACROS = (
    Macro(
        "{$KVM.URI}",
        "qemu:///system",
        "libvirt URI as the proxy or server opens it, e.g. qemu+ssh://kvm@HOST/system",
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
        _AGENT_SETUP.replace("`zabbix_get -s HYPERVISOR -k kvm.collect`", "`zabbix_agentd -t kvm.collect`"),
    ),
    Way(
        "by Zabbix trapper",
        "TRAP",
        MASTER,
        "0",
        "A timer pushes (zabbix_kvm send): without a limit of size, and for hypervisors without an agent.",
        """\
1. Import this template and `KVM Guest` (that one first), and link this one to the hypervisor's host.
2. Where the hypervisor can be read, let a timer run `zabbix_kvm send` every minute; it takes the server list, the
   host name and the TLS settings from the agent's configuration file (`--config`, `--host`). For another machine's
   hypervisor: `zabbix_kvm send -u qemu+ssh://kvm@HOST/system --host HOST`.
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
1. On the proxy (or server): install kvmwatch, and link the command into its `ExternalScripts` folder:
   `ln -s /usr/bin/zabbix_kvm /usr/lib/zabbix/externalscripts/`. Set `Timeout=30` in its configuration.
2. For `qemu+ssh://`, give the user `zabbix` a key without a passphrase and its known_hosts; for `qemu+tls://`, a
   client certificate in `/etc/pki/libvirt`. Test: `sudo -u zabbix zabbix_kvm collect -u URI`.
3. Import this template and `KVM Guest` (that one first), link this one to a host, and set `{$KVM.URI}` on it.
""",
        _URI_MACROS,
    ),
)

HOST = (
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
    Shown("swap_total", "Swap space", "B", steady=True, component="memory"),
    Shown("swap_used", "Swap space used", "B", component="memory"),
    Shown("swap_usage", "Swap utilization", "%", component="memory"),
    Shown("vcpus_assigned", "vCPUs of active VMs", value_type="UNSIGNED", component="cpu"),
    Shown("memory_assigned", "Memory that active VMs can take", "B", component="memory"),
    Shown("vcpu_overcommit", "vCPU overcommit", "%", component="cpu"),
    Shown("memory_overcommit", "Memory overcommit", "%", component="memory"),
    Shown("latency", "libvirt response time", "s", component="libvirt"),
    Shown("hostname", "Host name", value_type="CHAR", steady=True, component="libvirt", inventory="NAME"),
    Shown("libvirt_version", "libvirt version", value_type="CHAR", steady=True, component="libvirt"),
    Shown(
        "hypervisor",
        "Hypervisor version",
        value_type="CHAR",
        steady=True,
        component="libvirt",
        inventory="SOFTWARE",
    ),
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
POOL = (
    Shown("state", "State", value_map=POOL_STATE, component="storage"),
    Shown("autostart", "Autostart", steady=True, value_map=YES_NO, component="storage"),
    Shown("answered", "Storage answers", value_map=YES_NO, component="storage"),
    Shown("capacity", "Capacity", "B", steady=True, component="storage"),
    Shown("used", "Used", "B", component="storage"),
    Shown("available", "Available", "B", component="storage"),
    Shown("usage", "Utilization", "%", component="storage"),
    Shown("provisioned", "Promised to volumes", "B", steady=True, component="storage"),
    Shown("overcommit", "Promised, of the capacity", "%", steady=True, component="storage"),
    Shown("volumes", "Volumes", value_type="UNSIGNED", steady=True, component="storage"),
)
NETWORK = (
    Shown("active", "Active", value_map=YES_NO, component="network"),
    Shown("autostart", "Autostart", steady=True, value_map=YES_NO, component="network"),
    Shown("leases", "DHCP leases", value_type="UNSIGNED", steady=True, component="network"),
)

_CHOICE = (
    Macro("{$KVM.VM.MATCHES}", ".*", "VMs to discover, a regular expression over the name"),
    Macro("{$KVM.VM.NOT_MATCHES}", "CHANGE_IF_NEEDED", "VMs not to discover"),
    Macro("{$KVM.POOL.MATCHES}", ".*", "Storage pools to discover"),
    Macro("{$KVM.POOL.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Storage pools not to discover"),
    Macro("{$KVM.NET.MATCHES}", ".*", "Virtual networks to discover"),
    Macro("{$KVM.NET.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Virtual networks not to discover"),
    Macro(
        "{$KVM.GUEST.HOSTS}",
        "^$",
        "VMs (by UUID) that become hosts of their own with the template KVM Guest; .* for all",
    ),
)
_LIMITS = (
    Macro("{$KVM.NODATA}", "5m", "No data for this long is a problem"),
    Macro("{$KVM.LATENCY.MAX}", "5", "Seconds that libvirt may take to connect and list the VMs"),
    Macro("{$KVM.HOST.CPU.MAX}", "90", "CPU utilization of the hypervisor, %"),
    Macro("{$KVM.HOST.MEMORY.MAX}", "95", "Memory utilization of the hypervisor, %"),
    Macro("{$KVM.HOST.SWAP.MAX}", "50", "Swap utilization of the hypervisor, %"),
    Macro("{$KVM.HOST.LOAD.MAX}", "4", "Load average over 5 minutes, per CPU"),
    Macro("{$KVM.HOST.VCPU.OVERCOMMIT.MAX}", "500", "vCPUs of active VMs, % of the CPUs"),
    Macro("{$KVM.HOST.MEMORY.OVERCOMMIT.MAX}", "150", "Memory that active VMs can take, % of the host's"),
    Macro("{$KVM.POOL.WARN}", "85", "Utilization of a pool, %: warning. Context: the pool's name"),
    Macro("{$KVM.POOL.MAX}", "95", "Utilization of a pool, %: high. Context: the pool's name"),
    Macro(
        "{$KVM.POOL.TIMELEFT}",
        "7d",
        "A pool that will be full within this time is a problem. Context: the pool's name",
    ),
    Macro("{$KVM.POOL.OVERCOMMIT.MAX}", "100", "Promised to volumes, % of the pool. Context: the pool's name"),
    Macro(
        "{$KVM.POOL.OVERCOMMIT.FROM}",
        "70",
        "Over-allocation is a problem from this utilization on, %. Context: the pool's name",
    ),
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
    host = Scope("host", "$.host", True, "", "", way.key)
    owner = Owner(
        path='$.domains[?(@.uuid == "{#VM.UUID}")]',
        single=False,
        master=way.key,
        parameters=("{#VM.UUID}",),
        title="VM {#VM.NAME}: ",
        tags=(("vm", "{#VM.NAME}"),),
        context="{#VM.NAME}",
        time="/T/kvm.time",
        lists="$.discovery",
        filters=(("{#VM.NAME}", "{$KVM.VM.MATCHES}", "{$KVM.VM.NOT_MATCHES}"),),
    )
    return Template(
        name=f"KVM Hypervisor {way.suffix}",
        description=f"A KVM/libvirt hypervisor with its VMs, storage pools and networks, by kvmwatch. {way.says}",
        setup=way.setup,
        macros=(*guest.macros(), *_CHOICE, *_LIMITS, *way.macros, _interval(way)),
        items=(master, *_about(way.key), *host.items(HOST), *_counts(way.key)),
        rules=(_domains(owner), *part_rules(owner), _pools(way.key), _networks(way.key), _guests(way.key)),
        triggers=_triggers(host),
        graphs=_graphs(host),
        dashboards=(_dashboard(host, owner),),
        value_maps=tuple(VALUE_MAPS.items()),
        needs=(guest.NAME,),
    )


def _interval(way: Way) -> Macro:
    if way.delay == "0":
        return Macro("{$KVM.INTERVAL}", "1m", "How often latencies are computed; as often as the timer pushes")
    return Macro("{$KVM.INTERVAL}", "1m", "How often the hypervisor is asked")


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


def _domains(owner: Owner) -> Rule:
    return Rule(
        name="VM discovery",
        key="kvm.discovery[domains]",
        path="$.discovery.domains",
        description='The VMs, running or not; those with <watch ignore="yes"/> in their metadata are left out.',
        master=owner.master,
        filters=owner.filters,
        items=owner.scope().items(DOMAIN),
        triggers=domain_triggers(owner),
        graphs=domain_graphs(owner),
    )


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
            ("{#VM.NAME}", "{$KVM.VM.MATCHES}", "{$KVM.VM.NOT_MATCHES}"),
        ),
        hosts=(
            HostPrototype(
                "{#VM.UUID}",
                "{#VM.NAME} ({#VM.HYPERVISOR})",
                ("KVM guests",),
                ("KVM guests/{#VM.HYPERVISOR}",),
                guest.NAME,
            ),
        ),
    )


def _pools(master: str) -> Rule:
    scope = Scope(
        "pool", '$.pools[?(@.uuid == "{#POOL.UUID}")]', False, "[{#POOL.UUID}]", "Pool {#POOL.NAME}: ", master,
        (("pool", "{#POOL.NAME}"),),
    )  # fmt: skip

    def macro(name: str) -> str:
        return f'{{$KVM.POOL.{name}:"{{#POOL.NAME}}"}}'

    state, name = scope.ref("state"), "{#POOL.NAME}"
    return Rule(
        name="Storage pool discovery",
        key="kvm.discovery[pools]",
        path="$.discovery.pools",
        description="The storage pools, active or not.",
        master=master,
        filters=(("{#POOL.NAME}", "{$KVM.POOL.MATCHES}", "{$KVM.POOL.NOT_MATCHES}"),),
        items=scope.items(POOL),
        triggers=(
            Trigger(
                f"Pool {name}: Inactive though it should be active",
                f"last({state})=0 and last({scope.ref('autostart')})=1",
                "HIGH",
                "The pool has autostart and is not active: VMs on it cannot be started.",
                "virsh pool-start NAME says why it does not; or switch its autostart off.",
                "availability",
            ),
            Trigger(
                f"Pool {name}: Degraded or inaccessible",
                f"last({state})=3 or last({state})=4",
                "HIGH",
                "libvirt says that the pool has lost redundancy, or cannot be reached.",
                "look at the storage behind it.",
                "availability",
                opdata="{ITEM.LASTVALUE1}",
            ),
            Trigger(
                f"Pool {name}: Storage does not answer",
                f"max({scope.ref('answered')},#3)=0",
                "HIGH",
                "Asking the pool's file system how full it is blocks: a dead NFS server, mostly.",
                "look at the mount and its server; VMs on it hang, too.",
                "availability",
            ),
            *filling(
                f"Pool {name}: ",
                "A storage pool",
                scope.ref("usage"),
                (macro("WARN"), macro("MAX"), macro("TIMELEFT")),
                "delete or move volumes, or add storage; thin disks on it stop their VMs when it is full.",
            ),
            Trigger(
                f"Pool {name}: Over-allocated and filling up",
                f"last({scope.ref('overcommit')})>{macro('OVERCOMMIT.MAX')} "
                f"and last({scope.ref('usage')})>{macro('OVERCOMMIT.FROM')}",
                "WARNING",
                "More is promised to volumes than there is, and what there is gets used up.",
                "add storage before the VMs take what they were promised, or move volumes.",
                "capacity",
                opdata="promised {ITEM.LASTVALUE1}, used {ITEM.LASTVALUE2}",
            ),
        ),
        graphs=(
            Graph(f"Pool {name}: Space", tuple(scope.key(key) for key in ("used", "available")), stacked=True),
            Graph(f"Pool {name}: Utilization", (scope.key("usage"),), percent=True),
        ),
    )


def _networks(master: str) -> Rule:
    scope = Scope(
        "network", '$.networks[?(@.uuid == "{#NET.UUID}")]', False, "[{#NET.UUID}]", "Network {#NET.NAME}: ", master,
        (("network", "{#NET.NAME}"),),
    )  # fmt: skip
    return Rule(
        name="Virtual network discovery",
        key="kvm.discovery[networks]",
        path="$.discovery.networks",
        description="libvirt's virtual networks, active or not.",
        master=master,
        filters=(("{#NET.NAME}", "{$KVM.NET.MATCHES}", "{$KVM.NET.NOT_MATCHES}"),),
        items=scope.items(NETWORK),
        triggers=(
            Trigger(
                "Network {#NET.NAME}: Inactive though it should be active",
                f"last({scope.ref('active')})=0 and last({scope.ref('autostart')})=1",
                "HIGH",
                "The network has autostart and is not active: VMs on it cannot be started.",
                "virsh net-start NAME says why it does not; or switch its autostart off.",
                "availability",
            ),
        ),
    )


def _triggers(host: Scope) -> tuple[Trigger, ...]:
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


def _graphs(host: Scope) -> tuple[Graph, ...]:
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
    )


def _dashboard(host: Scope, owner: Owner) -> Dashboard:
    values = (
        *(("VMs running", "kvm.domains.running"), ("Crashed", "kvm.domains.crashed")),
        *(("Paused", "kvm.domains.paused"), ("CPU", host.key("cpu_busy_per_cpu"))),
        *(("Memory", host.key("memory_usage")), ("libvirt answers in", host.key("latency"))),
    )
    graphs = ("CPU", "Memory utilization", "VMs by state", "Overcommit", "Load average", "libvirt response time")
    vm = owner.title
    return Dashboard(
        "KVM hypervisor",
        (
            Page(
                "Overview",
                (
                    *(
                        Widget("ITEM", name, key, 4 * number, 0, 4, 3)
                        for number, (name, key) in enumerate(values)
                    ),
                    *(
                        Widget("GRAPH_CLASSIC", name, f"KVM: {name}", 12 * (number % 2), 3 + 5 * (number // 2), 12, 5)
                        for number, name in enumerate(graphs)
                    ),
                ),
            ),
            _prototypes("VMs", (f"{vm}CPU", f"{vm}Memory utilization"), 3),
            _prototypes("Disks", (f"{vm}Disk {{#DISK.NAME}}: Throughput", f"{vm}Disk {{#DISK.NAME}}: Latency"), 3),
            _prototypes("Network", (f"{vm}Interface {{#IF.MAC}}: Traffic", f"{vm}Interface {{#IF.MAC}}: Errors and drops"), 3),
            _prototypes("Storage pools", ("Pool {#POOL.NAME}: Space", "Pool {#POOL.NAME}: Utilization"), 2),
        ),
    )  # fmt: skip


def _prototypes(page: str, names: tuple[str, str], rows: int) -> Page:
    """A page with a column for each of two graph prototypes."""
    return Page(
        page,
        tuple(
            Widget("GRAPH_PROTOTYPE", "", name, 12 * side, 0, 12, 6 * rows, 1, rows)
            for side, name in enumerate(names)
        ),
    )
