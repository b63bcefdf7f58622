"""Items and triggers of domains and their parts, for both templates: below a hypervisor, and as a host of its own."""

from __future__ import annotations

from typing import NamedTuple

from kvmwatch.derived import DERIVED
from kvmwatch.metrics import COUNTER, catalogue
from zabbix_templates.model import Graph, Item, Rule, Step, Tags, Trigger

YES_NO, STATE, POOL_STATE, AGENT, LINK = (
    "KVM yes or no",
    "KVM domain state",
    "KVM pool state",
    "KVM guest agent",
    "KVM link",
)

VALUE_MAPS = {
    STATE: (
        *(("0", "no state"), ("1", "running"), ("2", "blocked"), ("3", "paused"), ("4", "shutting down")),
        *(("5", "shut off"), ("6", "crashed"), ("7", "suspended")),
    ),
    AGENT: (("0", "not connected"), ("1", "connected")),
    LINK: (("0", "up"), ("1", "set down")),
    YES_NO: (("0", "no"), ("1", "yes")),
    POOL_STATE: (("0", "inactive"), ("1", "building"), ("2", "running"), ("3", "degraded"), ("4", "inaccessible")),
}

THROTTLE = Step("DISCARD_UNCHANGED_HEARTBEAT", ("1h",))
RATE = Step("CHANGE_PER_SECOND")

_KINDS = {metric.full_name: metric.declaration.kind for metric in catalogue()}
_KINDS |= {f"{derived.entity}.{derived.name}": derived.kind for derived in DERIVED}
_HELP = {metric.full_name: metric.declaration.help for metric in catalogue()}
_HELP |= {f"{derived.entity}.{derived.name}": derived.help for derived in DERIVED}


class Shown(NamedTuple):
    """How a catalogue metric (or another key of the document) becomes an item."""

    name: str  # below its entity
    title: str
    units: str = ""
    times: int = 1  # what a rate is multiplied with
    steady: bool = False  # changes seldom: discard unchanged
    most: int = 0  # a rate over this is no rate: its divisor changed
    value_type: str = ""
    value_map: str = ""
    instead: str | None = None  # value where the document has none
    component: str = ""
    inventory: str = ""


class Scope(NamedTuple):
    """Where an entity's record stands in the document, and what its items are called."""

    entity: str
    path: str  # JSONPath of the record
    single: bool  # whether the path gives the record itself, not a list of those that a filter found
    parameters: str  # of the key: [..] or empty
    title: str  # before the item's name
    master: str
    tags: Tags = ()

    def key(self, name: str) -> str:
        """The item key of a metric."""
        return f"kvm.{self.entity}.{name}{self.parameters}"

    def ref(self, name: str) -> str:
        """The item in an expression."""
        return f"/T/{self.key(name)}"

    def picked(self, name: str) -> str:
        """The JSONPath of a value."""
        return f"{self.path}.{name}" if self.single else f"{self.path}.{name}.first()"

    def items(self, shown: tuple[Shown, ...]) -> tuple[Item, ...]:
        """The items of the entity."""
        return tuple(self._item(one) for one in shown)

    def _item(self, shown: Shown) -> Item:
        full_name = f"{self.entity}.{shown.name}"
        rate = _KINDS.get(full_name) == COUNTER
        fails = "DISCARD_VALUE" if shown.instead is None else "CUSTOM_VALUE"
        steps = [Step("JSONPATH", (self.picked(shown.name),), fails, shown.instead)]
        if rate:
            steps.append(RATE)
        if shown.times != 1:
            steps.append(Step("MULTIPLIER", (str(shown.times),)))
        if shown.most:
            steps.append(Step("IN_RANGE", ("0", str(shown.most)), "DISCARD_VALUE"))
        if shown.steady:
            steps.append(THROTTLE)
        whole = shown.units == "B" or shown.value_map
        return Item(
            name=f"{self.title}{shown.title}",
            key=self.key(shown.name),
            value_type=shown.value_type or ("UNSIGNED" if whole and not rate else "FLOAT"),
            units=shown.units,
            description=_HELP.get(full_name, ""),
            master=self.master,
            steps=tuple(steps),
            history="7d",
            value_map=shown.value_map,
            tags=(("component", shown.component or self.entity), *self.tags),
            inventory=shown.inventory,
        )


DOMAIN = (
    Shown("state", "State", value_map=STATE, component="state"),
    Shown("reason", "Reason of the state", steady=True, value_type="CHAR", component="state"),
    Shown("expected", "Expected state", steady=True, value_type="CHAR", component="state"),
    Shown("id", "Number of this run", value_type="UNSIGNED", component="state"),
    Shown("not_responding", "QEMU has not answered for", "s", component="state"),
    Shown("agent", "Guest agent", steady=True, value_map=AGENT, component="state"),
    Shown("cpu_time_per_vcpu", "CPU utilization", "%", 100, most=1000, component="cpu"),
    Shown("cpu_delay_per_vcpu", "CPU steal", "%", 100, most=1000, component="cpu"),
    Shown("vcpu_count", "vCPUs", steady=True, value_type="UNSIGNED", component="cpu"),
    Shown("memory_usage", "Memory utilization", "%", component="memory"),
    Shown("memory_usable", "Memory usable without swapping", "B", component="memory"),
    Shown("memory_current", "Memory given (balloon)", "B", component="memory"),
    Shown("memory_maximum", "Memory maximum", "B", steady=True, component="memory"),
    Shown("memory_rss", "Host memory of QEMU", "B", component="memory"),
    Shown("swap_in", "Swapped in", "Bps", component="memory"),
    Shown("swap_out", "Swapped out", "Bps", component="memory"),
    Shown("major_faults", "Major page faults", "!faults/s", component="memory"),
    Shown("balloon_updated", "Memory last reported", "unixtime", value_type="UNSIGNED", component="memory"),
    Shown("disk_bytes", "Disk throughput", "Bps", component="storage"),
    Shown("network_bytes", "Network traffic", "bps", 8, component="network"),
    Shown("snapshots", "Snapshots", steady=True, value_type="UNSIGNED", component="storage"),
    Shown("oldest_snapshot", "Oldest snapshot", "unixtime", value_type="UNSIGNED", component="storage"),
)
VCPU = (
    Shown("time", "CPU utilization", "%", 100),
    Shown("delay", "CPU steal", "%", 100),
    Shown("wait", "Waiting for I/O", "%", 100),
)
DISK = (
    Shown("read_requests", "Reads", "!r/s"),
    Shown("write_requests", "Writes", "!w/s"),
    Shown("flush_requests", "Flushes", "!f/s"),
    Shown("read_bytes", "Read rate", "Bps"),
    Shown("write_bytes", "Write rate", "Bps"),
    Shown("read_time", "Reads under way (mean)"),
    Shown("write_time", "Writes under way (mean)"),
    Shown("flush_time", "Flushes under way (mean)"),
    Shown("capacity", "Capacity", "B", steady=True),
    Shown("allocation", "Allocation on the host", "B", steady=True),
    Shown("allocation_usage", "Allocation of capacity", "%", steady=True),
    Shown("errors", "I/O errors hold the VM", steady=True, value_map=YES_NO),
)
INTERFACE = (
    Shown("rx_bytes", "Bits received", "bps", 8),
    Shown("tx_bytes", "Bits sent", "bps", 8),
    Shown("rx_packets", "Packets received", "!pps"),
    Shown("tx_packets", "Packets sent", "!pps"),
    Shown("rx_errors", "Receive errors", "!pps"),
    Shown("tx_errors", "Send errors", "!pps"),
    Shown("rx_drops", "Receive drops", "!pps"),
    Shown("tx_drops", "Send drops", "!pps"),
    Shown("link_down", "Link", steady=True, value_map=LINK),
)
FILESYSTEM = (
    Shown("total", "Size", "B", steady=True),
    Shown("used", "Used", "B"),
    Shown("usage", "Utilization", "%"),
)


class Owner(NamedTuple):
    """Whose parts they are: each VM below a hypervisor, or the guest that is the host."""

    path: str  # JSONPath of the domain's record
    single: bool
    master: str
    parameters: tuple[str, ...]  # what a key begins with
    title: str  # what names begin with
    tags: Tags
    context: str  # what the context of a macro begins with
    time: str  # the item with the time of the data
    lists: str  # JSONPath of the discovery lists
    filters: tuple[tuple[str, str, str], ...] = ()

    def scope(self) -> Scope:
        """The domain itself."""
        parameters = f"[{','.join(self.parameters)}]" if self.parameters else ""
        return Scope("domain", self.path, self.single, parameters, self.title, self.master, self.tags)

    def part(self, entity: str, list_name: str, key: str, macro: str, title: str, tag: str) -> Scope:
        """A part of the domain that a filter on ``key`` finds."""
        value = macro if entity == "vcpu" else f'"{macro}"'
        parameter = f'"{macro}"' if entity == "filesystem" else macro
        return Scope(
            entity,
            f"{self.path}.{list_name}[?(@.{key} == {value})]",
            False,
            f"[{','.join((*self.parameters, parameter))}]",
            f"{self.title}{title}: ",
            self.master,
            (*self.tags, (tag, macro)),
        )

    def macro(self, name: str, *parts: str) -> str:
        """A threshold macro with its context: the VM's name, the part, or both with a space between."""
        context = " ".join(filter(None, (self.context, *parts)))
        return f'{{$KVM.{name}:"{context}"}}' if context else f"{{$KVM.{name}}}"

    def state_of(self, part: Scope) -> Item:
        """The VM's state beside a part: a trigger prototype can only use items of its own rule."""
        return Item(
            name=f"{part.title}State of its VM",
            key=part.key("vm_state"),
            value_type="UNSIGNED",
            description="For the triggers of this rule: they are about running VMs.",
            master=self.master,
            steps=(Step("JSONPATH", (self.scope().picked("state"),), "DISCARD_VALUE"), THROTTLE),
            value_map=STATE,
            tags=(("component", part.entity), *part.tags),
        )

    def alerts(self) -> str:
        """The last factor of every expression: whether this VM's problems are to be told here."""
        return f" and {self.macro('VM.ALERTS')}=1"


def domain_triggers(owner: Owner) -> tuple[Trigger, ...]:
    """What can be wrong with a VM as a whole."""
    vm, alerts, macro = owner.scope(), owner.alerts(), owner.macro
    running = f"last({vm.ref('state')})=1"
    title = owner.title or "VM: "
    crashed = f"{title}Crashed"
    shut_off = f"(last({vm.ref('state')})=5 or last({vm.ref('state')})=7)"
    wanted = f'(last({vm.ref("expected")})="running" or last({vm.ref("expected")})="paused")'
    reason = f"last({vm.ref('reason')})"
    steal = f"{title}CPU steal is high"

    def trigger(
        name: str, expression: str, severity: str, meaning: str, cure: str, scope: str, **more: object
    ) -> Trigger:
        return Trigger(f"{title}{name}", expression + alerts, severity, meaning, cure, scope, **more)  # type: ignore[arg-type]

    return (
        trigger(
            "Crashed",
            f"(last({vm.ref('state')})=6 or (last({vm.ref('state')})=5 and ({reason}=\"crashed\" or {reason}=\"failed\")))",
            "HIGH",
            "The guest's kernel panicked, QEMU died, or the VM could not be started.",
            "look at the VM's console and at /var/log/libvirt/qemu/NAME.log; then virsh destroy NAME and virsh start NAME.",
            "availability",
            opdata="{ITEM.LASTVALUE1}",
        ),
        trigger(
            "Not running though it should be",
            f"{shut_off} and {wanted}",
            "HIGH",
            "The VM has autostart (or its metadata says that it should run) and is shut off or suspended.",
            "virsh start NAME (or virsh dompmwakeup NAME); if that is intended, switch autostart off or set expect=\"any\" in its metadata.",
            "availability",
            depends=(crashed,),
            opdata="{ITEM.LASTVALUE1}",
        ),
        trigger(
            "Paused by an I/O error",
            f'last({vm.ref("state")})=3 and {reason}="I/O error"',
            "HIGH",
            "QEMU stopped the guest because its storage gave an error, mostly because it is full.",
            "virsh domblkerror NAME names the disk; make room or mend the storage, then virsh resume NAME.",
            "availability",
        ),
        trigger(
            "Paused by a fault",
            f'last({vm.ref("state")})=3 and ({reason}="watchdog" or {reason}="crashed" or {reason}="post-copy failed" '
            f'or {reason}="API error")',
            "HIGH",
            "The guest was stopped by its watchdog, a panic, or a failed migration or operation.",
            "look at /var/log/libvirt/qemu/NAME.log; virsh resume NAME if the cause is gone, else virsh reset NAME.",
            "availability",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "Paused",
            f'last({vm.ref("state")})=3 and ({reason}="user" or {reason}="unknown") and last({vm.ref("expected")})<>"paused"',
            "WARNING",
            "Somebody paused the VM; nobody can use it.",
            "virsh resume NAME, or set expect=\"paused\" in its metadata.",
            "availability",
        ),
        trigger(
            "Running though it should be shut off",
            f'{running} and last({vm.ref("expected")})="shutoff"',
            "WARNING",
            "Its metadata says expect=\"shutoff\", and it runs.",
            "find out who started it; virsh shutdown NAME.",
            "notice",
        ),
        trigger(
            "QEMU does not answer",
            f"last({vm.ref('not_responding')})>{macro('VM.RESPONSE.MAX')}",
            "HIGH",
            "The VM's QEMU process has not answered libvirt; the guest may hang, and nothing can be measured of it.",
            "look at its storage (NFS?) and at dmesg on the hypervisor; virsh domcontrol NAME says the same.",
            "availability",
            opdata="for {ITEM.LASTVALUE1}",
        ),
        trigger(
            "Restarted",
            f"max({vm.ref('id')},{macro('VM.RESTART.TIME')})>min({vm.ref('id')},{macro('VM.RESTART.TIME')}) "
            f'and {reason}<>"migrated"',
            "INFO",
            "The VM was stopped and started again (a reboot inside the guest does not count).",
            "nothing, if that was intended; else see its log and the hypervisor's.",
            "notice",
            manual_close=True,
        ),
        trigger(
            "CPU utilization is high",
            f"{running} and min({vm.ref('cpu_time_per_vcpu')},5m)>{macro('VM.CPU.MAX')}",
            "WARNING",
            "The VM has used nearly all of its vCPUs for 5 minutes.",
            "look inside for what uses it, or give it more vCPUs.",
            "performance",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "CPU steal is high",
            f"{running} and min({vm.ref('cpu_delay_per_vcpu')},5m)>{macro('VM.STEAL.WARN')}",
            "WARNING",
            "The VM's vCPUs were ready but waited for a physical CPU (or for the VM's own quota).",
            "move VMs to another hypervisor, or give this one more CPU shares.",
            "performance",
            depends=(f"{steal} (severe)",),
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "CPU steal is high (severe)",
            f"{running} and min({vm.ref('cpu_delay_per_vcpu')},5m)>{macro('VM.STEAL.MAX')}",
            "AVERAGE",
            "The VM's vCPUs waited for a physical CPU a great part of the time: it is slow now.",
            "move VMs to another hypervisor now.",
            "performance",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "Memory is low",
            f"{running} and min({vm.ref('memory_usage')},5m)>{macro('VM.MEMORY.MAX')}",
            "AVERAGE",
            "The guest can hardly get memory without swapping (caches count as free).",
            "look inside for what takes it, or give it more memory: virsh setmem NAME SIZE --live.",
            "capacity",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "Balloon is squeezed while memory is short",
            f"{running} and last({vm.ref('memory_current')})<last({vm.ref('memory_maximum')}) "
            f"and min({vm.ref('memory_usage')},5m)>{macro('VM.MEMORY.SQUEEZED')}",
            "WARNING",
            "The hypervisor holds back memory that the VM may have, and the guest is short of it.",
            "virsh setmem NAME SIZE --live; if the host has none to give, move VMs away.",
            "capacity",
            depends=(f"{title}Memory is low",),
        ),
        trigger(
            "Swapping",
            f"{running} and (min({vm.ref('swap_in')},5m)+min({vm.ref('swap_out')},5m))>{macro('VM.SWAP.MAX')}",
            "WARNING",
            "The guest has been swapping for 5 minutes.",
            "give it more memory, or find what takes it.",
            "performance",
        ),
        trigger(
            "Guest agent is lost",
            f"{running} and last({vm.ref('agent')})=0 and max({vm.ref('agent')},{macro('VM.AGENT.MEMORY')})=1",
            "WARNING",
            "The guest agent was connected and is not any more: no file systems, no frozen backups.",
            "systemctl restart qemu-guest-agent inside of the guest.",
            "notice",
        ),
        trigger(
            "A snapshot is too old",
            f"last({vm.ref('snapshots')})>0 and last({owner.time})-last({vm.ref('oldest_snapshot')})>{macro('VM.SNAPSHOT.AGE.MAX')}",
            "WARNING",
            "A forgotten snapshot: it grows, and slows the disk down.",
            "virsh snapshot-list NAME; delete what nobody needs.",
            "capacity",
            opdata="made {ITEM.LASTVALUE3}",
        ),
    )  # fmt: skip


def domain_graphs(owner: Owner) -> tuple[Graph, ...]:
    """Graphs of a VM."""
    vm = owner.scope()
    return (
        Graph(f"{owner.title}CPU", (vm.key("cpu_time_per_vcpu"), vm.key("cpu_delay_per_vcpu"))),
        Graph(
            f"{owner.title}Memory",
            (vm.key("memory_rss"), vm.key("memory_current"), vm.key("memory_usable"), vm.key("memory_maximum")),
        ),
        Graph(f"{owner.title}Memory utilization", (vm.key("memory_usage"),), percent=True),
        Graph(f"{owner.title}Swapping", (vm.key("swap_in"), vm.key("swap_out"))),
    )


def part_rules(owner: Owner) -> tuple[Rule, ...]:
    """The discovery rules of a VM's parts."""
    return (_vcpus(owner), _disks(owner), _interfaces(owner), _filesystems(owner))


def _rule(owner: Owner, kind: str, name: str, description: str, **more: object) -> Rule:
    return Rule(
        name=name,
        key=f"kvm.discovery[{kind}]",
        path=f"{owner.lists}.{kind}",
        description=description,
        master=owner.master,
        **more,  # type: ignore[arg-type]
    )


def _vcpus(owner: Owner) -> Rule:
    scope = owner.part("vcpu", "vcpus", "id", "{#VCPU.ID}", "vCPU {#VCPU.ID}", "vcpu")
    return _rule(
        owner,
        "vcpus",
        "vCPU discovery",
        "The vCPUs that each VM's definition gives it.",
        filters=owner.filters,
        items=scope.items(VCPU),
        graphs=(Graph(f"{scope.title}CPU", (scope.key("time"), scope.key("delay"), scope.key("wait"))),),
    )


def _disks(owner: Owner) -> Rule:
    scope = owner.part("disk", "disks", "name", "{#DISK.NAME}", "Disk {#DISK.NAME}", "disk")
    name = "{#DISK.NAME}"
    state = scope.ref("vm_state")
    latencies = tuple(_latency(scope, kind, title) for kind, title in _REQUESTS)
    triggers = tuple(
        Trigger(
            f"{scope.title}{title} latency is high",
            f"last({state})=1 and avg({scope.ref(f'{kind}_time')},5m)>"
            f"{owner.macro('DISK.LATENCY.MAX', name)}*avg({scope.ref(f'{kind}_requests')},5m)" + owner.alerts(),
            "WARNING",
            f"{title}s of this disk took too long over 5 minutes.",
            "look at the hypervisor's storage, and at which VMs keep it busy.",
            "performance",
        )
        for kind, title in _REQUESTS
    )
    return _rule(
        owner,
        "disks",
        "Disk discovery",
        "The disks of each VM; drives for media are left out.",
        filters=(*owner.filters, ("{#DISK.NAME}", "{$KVM.DISK.MATCHES}", "{$KVM.DISK.NOT_MATCHES}")),
        items=(*scope.items(DISK), *latencies, owner.state_of(scope)),
        triggers=(
            *triggers,
            Trigger(
                f"{scope.title}I/O errors",
                f"last({scope.ref('errors')})=1 and last({state})=3" + owner.alerts(),
                "HIGH",
                "The storage of this disk gave an error and the VM was stopped for it.",
                "make room or mend the storage, then virsh resume NAME.",
                "availability",
            ),
            Trigger(
                f"{scope.title}Allocation is near its capacity",
                f"last({scope.ref('allocation_usage')})>{owner.macro('DISK.ALLOCATION.MAX', name)} "
                f"and last({scope.ref('allocation_usage')})>min({scope.ref('allocation_usage')},1d)" + owner.alerts(),
                "WARNING",
                "A thin image has grown nearly to its full size within the last day (preallocated ones do not count).",
                "free space inside of the guest and trim (fstrim), or make the disk larger.",
                "capacity",
                opdata="{ITEM.LASTVALUE1}",
            ),
        ),
        graphs=(
            Graph(f"{scope.title}Operations", (scope.key("read_requests"), scope.key("write_requests"))),
            Graph(f"{scope.title}Throughput", (scope.key("read_bytes"), scope.key("write_bytes"))),
            Graph(f"{scope.title}Latency", tuple(latency.key for latency in latencies)),
        ),
    )  # fmt: skip


_REQUESTS = (("read", "Read"), ("write", "Write"), ("flush", "Flush"))


def _latency(scope: Scope, kind: str, title: str) -> Item:
    # With no requests there is nothing to divide by, and no latency: the value is discarded, not an error.
    return Item(
        name=f"{scope.title}{title} latency",
        key=scope.key(f"{kind}_latency"),
        units="s",
        description=f"Mean time of a {kind}; no value while there are none.",
        type="CALCULATED",
        delay="{$KVM.INTERVAL}",
        formula=f"avg(/{scope.key(f'{kind}_time')},{{$KVM.WINDOW}})/avg(/{scope.key(f'{kind}_requests')},{{$KVM.WINDOW}})".replace("avg(/", "avg(//"),
        steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),),
        tags=(("component", scope.entity), *scope.tags),
    )  # fmt: skip


def _interfaces(owner: Owner) -> Rule:
    scope = owner.part("interface", "interfaces", "mac", "{#IF.MAC}", "Interface {#IF.MAC}", "interface")
    running = f"last({scope.ref('vm_state')})=1"

    def both(name: str) -> str:
        return f"(min({scope.ref(f'rx_{name}')},5m)+min({scope.ref(f'tx_{name}')},5m))"

    return _rule(
        owner,
        "interfaces",
        "Interface discovery",
        "The interfaces of each VM that have counters. Directions are as the guest sees them.",
        filters=(*owner.filters, ("{#IF.SOURCE}", "{$KVM.IF.MATCHES}", "{$KVM.IF.NOT_MATCHES}")),
        items=(*scope.items(INTERFACE), owner.state_of(scope)),
        triggers=(
            Trigger(
                f"{scope.title}Errors",
                f"{running} and {both('errors')}>{owner.macro('IF.ERRORS.MAX', '{#IF.MAC}')}" + owner.alerts(),
                "WARNING",
                "Packets were lost by errors for 5 minutes.",
                "look at the bridge or network it hangs on, and at the guest's driver.",
                "performance",
            ),
            Trigger(
                f"{scope.title}Drops",
                f"{running} and {both('drops')}>{owner.macro('IF.DROPS.MAX', '{#IF.MAC}')}" + owner.alerts(),
                "WARNING",
                "Packets were dropped for 5 minutes: the guest, or the host, does not keep up.",
                "look at the guest's CPU and steal; use virtio with several queues.",
                "performance",
            ),
            Trigger(
                f"{scope.title}Link is set down",
                f"{running} and last({scope.ref('link_down')})=1" + owner.alerts(),
                "WARNING",
                "The VM's definition has the link of this interface down.",
                "virsh domif-setlink NAME MAC up, if that is not intended.",
                "notice",
            ),
        ),
        graphs=(
            Graph(f"{scope.title}Traffic", (scope.key("rx_bytes"), scope.key("tx_bytes"))),
            Graph(
                f"{scope.title}Errors and drops",
                (scope.key("rx_errors"), scope.key("tx_errors"), scope.key("rx_drops"), scope.key("tx_drops")),
            ),
        ),
    )  # fmt: skip


def _filesystems(owner: Owner) -> Rule:
    scope = owner.part(
        "filesystem", "filesystems", "mountpoint", "{#FS.MOUNTPOINT}", "File system {#FS.MOUNTPOINT}", "filesystem"
    )
    usage, mount = scope.ref("usage"), "{#FS.MOUNTPOINT}"
    return _rule(
        owner,
        "filesystems",
        "Guest file system discovery",
        "File systems that the guest agents report (only with the collector's option --guest-agent).",
        filters=(
            *owner.filters,
            ("{#FS.MOUNTPOINT}", "{$KVM.FS.MATCHES}", "{$KVM.FS.NOT_MATCHES}"),
            ("{#FS.TYPE}", "{$KVM.FS.TYPE.MATCHES}", ""),
        ),
        items=scope.items(FILESYSTEM),
        triggers=filling(
            scope.title,
            "File system",
            usage,
            (owner.macro("FS.WARN", mount), owner.macro("FS.MAX", mount), owner.macro("FS.TIMELEFT", mount)),
            "free space inside of the guest, or make its disk larger.",
            owner.alerts(),
        ),
        graphs=(Graph(f"{scope.title}Utilization", (scope.key("usage"),), percent=True),),
    )


def filling(
    title: str, what: str, usage: str, macros: tuple[str, str, str], cure: str, alerts: str = ""
) -> tuple[Trigger, ...]:
    """Nearly full, full, and full soon: of file systems and pools."""
    warn, most, left = macros
    full, nearly = f"{title}Is full", f"{title}Is nearly full"
    return (
        Trigger(
            full,
            f"min({usage},5m)>{most}{alerts}",
            "HIGH",
            f"{what} with next to no room: what writes to it will fail or stop.",
            cure,
            "capacity",
            opdata="{ITEM.LASTVALUE1}",
        ),
        Trigger(
            nearly,
            f"min({usage},5m)>{warn}{alerts}",
            "WARNING",
            f"{what} with little room left.",
            cure,
            "capacity",
            opdata="{ITEM.LASTVALUE1}",
            depends=(full,),
        ),
        Trigger(
            f"{title}Will be full soon",
            f"last({usage})>{{$KVM.FORECAST.FROM}} and timeleft({usage},{{$KVM.FORECAST.HISTORY}},100)<{left} "
            f"and timeleft({usage},{{$KVM.FORECAST.HISTORY}},100)>=0{alerts}",
            "WARNING",
            f"{what} that fills up in this time if it goes on as in the history that the forecast looks at.",
            cure,
            "capacity",
            opdata="{ITEM.LASTVALUE1}",
            depends=(nearly,),
        ),
    )
