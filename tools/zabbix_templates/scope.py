"""How values of the collected document become items: of a hypervisor, of each VM below it, of a guest on its own."""

from __future__ import annotations

from typing import NamedTuple

from zabbix_kvm import conditions
from zabbix_kvm.discovery import PARTS

from kvmwatch.model import derived
from kvmwatch.model.derived import DERIVED
from kvmwatch.model.metrics import COUNTER, catalogue
from zabbix_templates.model import Item, Macro, Rule, Step, Tags
from zabbix_templates.triggers import Guard, always, held

YES_NO, STATE, CONDITION, POOL_STATE, ACTIVE, AGENT, LINK, REPORT = (
    "KVM yes or no",
    "KVM domain state",
    "KVM condition",
    "KVM pool state",
    "KVM network state",
    "KVM guest agent",
    "KVM link",
    "KVM memory report",
)
#: of a pool or network that libvirt does not have any more
REMOVED = 9

VALUE_MAPS = {
    STATE: (
        *(("0", "no state"), ("1", "running"), ("2", "blocked"), ("3", "paused"), ("4", "shutting down")),
        *(("5", "shut off"), ("6", "crashed"), ("7", "suspended")),
    ),
    CONDITION: tuple((str(number), text) for number, text in enumerate(conditions.TEXTS)),
    REPORT: (("0", "reported"), ("1", "not reported any more"), ("2", "reported without values")),
    ACTIVE: (("0", "inactive"), ("1", "active"), (str(REMOVED), "removed")),
    AGENT: (("0", "not connected"), ("1", "connected")),
    LINK: tuple((str(number), text) for number, text in enumerate(derived.LINKS)),
    YES_NO: (("0", "no"), ("1", "yes")),
    POOL_STATE: (
        *(("0", "inactive"), ("1", "building"), ("2", "running"), ("3", "degraded"), ("4", "inaccessible")),
        (str(REMOVED), "removed"),
    ),
}

#: a point in time is shown as one only when it is a whole number
WHOLE = Step("REGEX", (r"^([0-9]+)", r"\1"), "DISCARD_VALUE")
THROTTLE = Step("DISCARD_UNCHANGED_HEARTBEAT", ("1h",))
#: of a VM below a hypervisor: whether its own host has data
OWN_HOST = "own_host"
#: of a guest's own host, followed by its UUID: whether it has data
HEARD = "kvm.guest.heard"
#: of what changes seldom: shorter than the ten minutes over which triggers look at it
CALM = "8m"
# of a value that is made with a macro: a changed one is heeded only when a value comes
SOON = Step("DISCARD_UNCHANGED_HEARTBEAT", (CALM,))
RATE = Step("CHANGE_PER_SECOND")

_KINDS = {metric.full_name: metric.declaration.kind for metric in catalogue()}
_KINDS |= {f"{one.entity}.{one.name}": one.kind for one in DERIVED}
_HELP = {metric.full_name: metric.declaration.help for metric in catalogue()}
_HELP |= {f"{one.entity}.{one.name}": one.help for one in DERIVED}


#: the item with the conditions of all VMs
CONDITIONS = "kvm.conditions"
_EXPECTED = """\
var wanted = '{macro}';
if (wanted === 'auto') {{
    return value;
}}
if (['running', 'any', 'shutoff', 'paused'].indexOf(wanted) < 0) {{
    throw 'KVM.VM.EXPECT: "' + wanted + '" is none of auto, running, any, shutoff, paused';
}}
return wanted;"""
#: of whatever is read again and again
MACROS = (
    Macro("{$KVM.SETTLE.TIME}", "5m", "No problems of states for this time after the readings were interrupted (reboot of "
          "the hypervisor, restart of libvirt or of the agent)"),
)  # fmt: skip


def since_before(path: str, master: str) -> Item:
    """The time from one reading that worked to the next."""
    return Item(
        name="Time since the reading before",
        key="kvm.gap",
        units="s",
        description="Seconds from one reading that worked to the next: more than {$KVM.INTERVAL} when they were "
        "interrupted.",
        master=master,
        steps=(Step("JSONPATH", (path,), "DISCARD_VALUE"), Step("SIMPLE_CHANGE")),
        tags=(("component", "libvirt"),),
    )


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
    removed: str = ""  # value when the record is not in its list any more (see Scope.listed)
    raw: bool = False  # the counter itself, not its rate
    calm: str = ""  # mostly the same, and looked at over a time: discard unchanged, but for this long at most
    enabled: bool = True


class Scope(NamedTuple):
    """Where an entity's record stands in the document, and what its items are called."""

    entity: str
    path: str  # JSONPath of the record
    single: bool  # whether the path gives the record itself, not a list of those that a filter found
    parameters: str  # of the key: [..] or empty
    title: str  # before the item's name
    master: str
    tags: Tags = ()
    listed: str = ""  # JSONPath of the list that the record is in

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
        rate = _KINDS.get(full_name) == COUNTER and not shown.raw
        fails = "DISCARD_VALUE" if shown.instead is None else "CUSTOM_VALUE"
        steps = [Step("JSONPATH", (self.picked(shown.name),), fails, shown.instead)]
        if shown.removed:
            # without the list, it is not known
            within = self.picked(shown.name).replace(self.listed, "$", 1)
            steps = [
                Step("JSONPATH", (self.listed,), "DISCARD_VALUE"),
                Step("JSONPATH", (within,), "CUSTOM_VALUE", shown.removed),
            ]
        if rate:
            steps.append(RATE)
        if shown.times != 1:
            steps.append(Step("MULTIPLIER", (str(shown.times),)))
        if shown.most:
            steps.append(Step("IN_RANGE", ("0", str(shown.most)), "DISCARD_VALUE"))
        if shown.steady:
            steps.append(THROTTLE)
        if shown.calm:
            steps.append(Step("DISCARD_UNCHANGED_HEARTBEAT", (shown.calm,)))
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
            trended=shown.name not in _NUMBERED and not shown.raw,
            enabled=shown.enabled,
        )


#: numbers that tell one from another, and have no mean
_NUMBERED = ("id",)


#: keys of a part's item with the condition of its VM, for its rule and for that of its details
VM_STATE, DETAILS_VM_STATE = "vm_state", "details_vm_state"


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
    within: bool = False  # whether the parts stand within the rows of the list of domains
    filters: tuple[tuple[str, str, str], ...] = ()
    filters_of_parts: tuple[tuple[str, str, str], ...] = ()

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

    def condition(self) -> Item:
        """The VM's condition. One that is in no document any more is gone, and says so with the next one."""
        scope = self.scope()
        if self.single:
            step = Step("JSONPATH", ("$.condition",), "DISCARD_VALUE")
        else:
            step = Step("JSONPATH", ('$["{#VM.UUID}"]',), "CUSTOM_VALUE", str(conditions.GONE))
        return self._condition(scope, "condition", "Condition", "state")._replace(
            description="What its state and reason mean; the triggers look at this.",
            master=self.master if self.single else CONDITIONS,
            steps=(step, THROTTLE),
        )

    def state_of(self, part: Scope, key: str = VM_STATE) -> tuple[Item, ...]:
        """The VM's condition beside a part: a trigger prototype can use no prototypes but those of its own rule.

        It is "left alone" for as long as the VM's own host tells its problems: see :meth:`own_host`. Where the VM is
        the host, its condition is no prototype.
        """
        if self.single:
            return ()
        vm = self.scope()
        own = f"last(//{vm.key(OWN_HOST)})"
        return (
            self._condition(part, key, "Condition of its VM, if its problems are told here", part.entity)._replace(
                description="For the triggers of this rule. Left alone: also when the VM's own host tells its problems.",
                type="CALCULATED",
                delay="{$KVM.INTERVAL}",
                formula=f"last(//{vm.key('condition')})*(1-{own})+{conditions.LEFT_ALONE}*{own}",
                steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"), THROTTLE),
            ),
        )

    def state_ref(self, part: Scope, key: str = VM_STATE) -> str:
        """That item in an expression about the part."""
        return self.scope().ref("condition") if self.single else part.ref(key)

    def whose(self, part: str) -> str:
        """What a filter that chooses VMs looks at: their names or, where the VM is the host, those of its parts."""
        return "{#VM.NAME}" if self.within else part

    def _condition(self, scope: Scope, key: str, title: str, component: str) -> Item:
        return Item(
            name=f"{scope.title}{title}",
            key=scope.key(key),
            value_type="UNSIGNED",
            value_map=CONDITION,
            tags=(("component", component), *scope.tags),
        )

    def expected(self) -> Item:
        """What the VM should be: what the macro says or, when that says auto, its metadata and its autostart."""
        vm, macro = self.scope(), self.macro("VM.EXPECT")
        return Item(
            name=f"{vm.title}Expected state",
            key=vm.key("expected"),
            value_type="CHAR",
            description="What {$KVM.VM.EXPECT} says or, when that is auto, the VM's metadata or its autostart.",
            master=vm.master,
            steps=(
                Step("JSONPATH", (vm.picked("expected"),), "DISCARD_VALUE"),
                SOON,
                Step("JAVASCRIPT", (_EXPECTED.format(macro=macro),)),
            ),
            tags=(("component", "state"), *vm.tags),
        )

    def alerts(self, part: Scope | None = None) -> Guard:
        """Whether this VM's problems are to be told here: a guard of each of its triggers, and of those of its parts.

        Of a part its own item with the VM's condition says whether the VM's own host tells them (:meth:`state_of`).
        """
        macro = self.macro("VM.ALERTS")
        if self.single or part:
            return Guard(f"{macro}=1", f"{macro}<>1")
        own = f"last({self.scope().ref(OWN_HOST)})"
        return Guard(f"{macro}=1 and {own}=0", f"{macro}<>1 or {own}=1")

    def running(self, state: str, time: str) -> Guard:
        """Whether it has been running for this time: a start is no time for verdicts.

        A problem is not ended by a moment in which it is paused (for a snapshot), only when that lasts, and when it is
        off or not here.
        """
        running = conditions.RUNNING
        return Guard(
            held(state, running, time).expression,
            f"last({state})>={conditions.CRASHED} or last({state})<>{running} and last({state},#1:now-{time})<>{running} "
            f'and count({state},{time},"eq",{running})=0',
        )

    def watched(self, state: str, time: str = "") -> Guard:
        """Whether it is one of this hypervisor's that is to be watched, and was so for this time."""
        if time:
            return always(state, "<", conditions.ELSEWHERE, time)
        return Guard(f"last({state})<{conditions.ELSEWHERE}", f"last({state})>={conditions.ELSEWHERE}")

    def own_host(self) -> tuple[Item, ...]:
        """Below a hypervisor: whether the VM is a host of its own that has data. Nothing for a guest itself.

        Asked of Zabbix itself, wherever that host's data comes from. The key there has the UUID in it, so that an index
        of Zabbix's database finds it; a host that is not there, is disabled, or has said nothing yet: no.
        """
        if self.single:
            return ()
        vm = self.scope()
        return (
            Item(
                name=f"{self.title}Its own host tells its problems",
                key=vm.key(OWN_HOST),
                value_type="UNSIGNED",
                description="Whether the VM is a host of its own (template KVM Guest) that has fresh data. While it is, "
                "that host tells the VM's problems, and this one does not.",
                type="CALCULATED",
                delay="{$KVM.INTERVAL}",
                formula=f"max(last_foreach(/*/{HEARD}[{vm.parameters[1:-1]}]))",
                steps=(Step("CHECK_NOT_SUPPORTED", ("",), "CUSTOM_VALUE", "0"), SOON),
                value_map=YES_NO,
                tags=(("component", "state"), *vm.tags),
            ),
        )

    def rule(
        self,
        kind: str,
        name: str,
        description: str,
        filters: tuple[tuple[str, str, str], ...] = (),
        key: str = "",
        **more: object,
    ) -> Rule:
        """The discovery rule of a kind of parts, with its own filters besides those of the VMs."""
        return Rule(
            name=name,
            key=f"kvm.discovery[{key or kind}]",
            path=f"{self.lists}.{'domains' if self.within else kind}",
            part=kind if self.within else "",
            macros=PARTS[kind].macros,
            description=description,
            master=self.master,
            filters=(*self.filters, *self.filters_of_parts, *filters),
            **more,  # type: ignore[arg-type]
        )
