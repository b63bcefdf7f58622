"""How values of the collected document become items: of a hypervisor, of each VM below it, of a guest on its own."""

from __future__ import annotations

from typing import NamedTuple

from zabbix_kvm.discovery import PARTS

from kvmwatch.model.derived import DERIVED
from kvmwatch.model.metrics import COUNTER, catalogue
from zabbix_templates.model import Item, Rule, Step, Tags

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
#: of a VM below a hypervisor: whether its own host has data
OWN_HOST = "own_host"
#: of a guest's own host, followed by its UUID: whether it has data
HEARD = "kvm.guest.heard"
# of a value on which a trigger hangs that has no other: a changed macro is heeded only when a value comes
SOON = Step("DISCARD_UNCHANGED_HEARTBEAT", ("5m",))
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

    def state_of(self, part: Scope) -> Item:
        """The VM's state beside a part: a trigger prototype can only use items of its own rule.

        Below a hypervisor it is "no state" for as long as the VM's own host tells its problems: see :meth:`own_host`.
        """
        state = Item(
            name=f"{part.title}State of its VM",
            key=part.key("vm_state"),
            value_type="UNSIGNED",
            description="For the triggers of this rule: they are about running VMs.",
            master=self.master,
            steps=(Step("JSONPATH", (self.scope().picked("state"),), "DISCARD_VALUE"), SOON),
            value_map=STATE,
            tags=(("component", part.entity), *part.tags),
        )
        if not self.parameters:
            return state
        vm = self.scope()
        return state._replace(
            name=f"{part.title}State of its VM, if its problems are told here",
            description="For the triggers of this rule: they are about running VMs. No state: the VM's own host tells "
            "its problems.",
            master="",
            type="CALCULATED",
            delay="{$KVM.INTERVAL}",
            formula=f"last(//{vm.key('state')})*(1-last(//{vm.key(OWN_HOST)}))",
            steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"), SOON),
        )

    def alerts(self) -> str:
        """The last factor of every expression: whether this VM's problems are wanted."""
        return f" and {self.macro('VM.ALERTS')}=1"

    def here(self, part: Scope | None = None) -> str:
        """A factor of every expression, of the VM or of a part: not while the VM's own host tells its problems."""
        if not self.parameters:
            return ""
        if part:
            return f" and last({part.ref('vm_state')})>0"
        return f" and last({self.scope().ref(OWN_HOST)})=0"

    def own_host(self) -> tuple[Item, ...]:
        """Below a hypervisor: whether the VM is a host of its own that has data. Nothing for a guest itself.

        Asked of Zabbix itself, wherever that host's data comes from. The key there has the UUID in it, so that an index
        of Zabbix's database finds it; a host that is not there, is disabled, or has said nothing yet: no.
        """
        if not self.parameters:
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
        **more: object,
    ) -> Rule:
        """The discovery rule of a kind of parts, with its own filters besides those of the VMs."""
        return Rule(
            name=name,
            key=f"kvm.discovery[{kind}]",
            path=f"{self.lists}.{'domains' if self.within else kind}",
            part=kind if self.within else "",
            macros=PARTS[kind].macros,
            description=description,
            master=self.master,
            filters=(*self.filters, *self.filters_of_parts, *filters),
            **more,  # type: ignore[arg-type]
        )
