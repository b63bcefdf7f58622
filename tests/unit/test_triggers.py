"""Every trigger of every template keeps the rules that docs/zabbix.md tells (tools/zabbix_templates/triggers.py)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from small_zabbix import Expression, Macros, Sample, Value, all_triggers, seconds
from zabbix_templates import triggers as rules
from zabbix_templates.all import templates
from zabbix_templates.model import Item, Template, Trigger

ALL = templates()
#: with these all triggers are tried: the other ways of collecting have the same
TRIED = [
    pytest.param(template, trigger, id=f"{template.folder}-{trigger.name}")
    for template in ALL[:2]
    for trigger in all_triggers(template)
]
PREFIX = r"KVM\.(VM|DISK|IF|FS|POOL|NET)\."

NOW, INTERVAL, HISTORY = 1_800_000_000.0, 60, 3 * 3600
#: told of a change, not of how it is; scenarios show when (test_normal_life.py)
OF_CHANGES = re.compile(
    r"No data|Restarted|Rebooted|of another version|Moved to|No link|Gone from|Will be full|Allocation is near|agent is lost"
)
#: it says of itself for how long nothing came
OF_ABSENCE = re.compile(r"No data")


def of_each_trigger(rule: Callable[[Template, Trigger], None]) -> Any:
    """A test for each template: the rule holds for all of its triggers, of which there are too many for a test each."""

    @pytest.mark.parametrize("template", ALL, ids=lambda template: template.folder)
    def holds(template: Template) -> None:
        for trigger in all_triggers(template):
            rule(template, trigger)

    return holds


def items(template: Template) -> dict[str, Item]:
    found = [*template.items, *(item for rule in template.rules for item in rule.items)]
    return {item.key: item for item in found}


def references(expression: str) -> set[str]:
    return set(re.findall(r"/T/(kvm\.[\w.]+(?:\[[^]]*\])?)", expression))


@of_each_trigger
def test_name_of_a_problem_says_what_and_how_much(template: Template, trigger: Trigger) -> None:
    assert trigger.event_name.startswith(f"{trigger.name}: "), "a problem is found by its trigger's name"
    told = trigger.event_name.removeprefix(f"{trigger.name}: ")
    assert re.search(r"\{ITEM\.LASTVALUE\d\}|\{\?last\(/\{HOST\.HOST\}/", told) or re.search(
        r"for \{\$KVM", told
    ), told
    assert "{ITEM.LASTVALUE1}" in trigger.opdata
    for key in re.findall(r"\{\?last\(/\{HOST\.HOST\}/(kvm\.[\w.]+(?:\[[^]]*\])?)\)\}", told):
        assert key in items(template), f"{trigger.name} tells of {key}, which {template.name} does not have"


@of_each_trigger
def test_every_time_and_limit_is_a_macro_with_its_context(template: Template, trigger: Trigger) -> None:
    for expression in (trigger.expression, trigger.recovery):
        for window in re.findall(r"(?:now-|[\])\w],)(\d+\w?|\{\$[A-Z.]+)", expression):
            assert window.startswith("{$"), f"{trigger.name}: {window} cannot be set otherwise"
    if not any(trigger in rule.triggers for rule in template.rules):
        return
    for text in (trigger.expression, trigger.recovery, trigger.event_name):
        bare = [macro[0] for macro in re.finditer(rf"\{{\${PREFIX}[A-Z.]+\}}", text)]
        if template.name == "KVM Guest":  # which has no VM in its contexts
            bare = [macro for macro in bare if not macro.startswith("{$KVM.VM.")]
        assert not bare, f"{trigger.name}: {bare} without the context that gives one its own"


@of_each_trigger
def test_windows_are_longer_than_the_silence_of_items_that_do_not_change(
    template: Template, trigger: Trigger
) -> None:
    known, macros = items(template), Macros(template)
    for expression in (trigger.expression, trigger.recovery):
        for key, window in re.findall(r"(?:min|max|avg)\(/T/(kvm\.[\w.]+(?:\[[^]]*\])?),([^)]+?)\)", expression):
            silence = [
                step.parameters[0] for step in known[key].steps if step.type == "DISCARD_UNCHANGED_HEARTBEAT"
            ]
            for heartbeat in silence:
                assert seconds(macros.resolve(window)) > seconds(heartbeat), (
                    f"{trigger.name}: {key} may have no value in {window}: ask whether it is held"
                )


@of_each_trigger
def test_time_goes_by_also_for_items_that_do_not_change(template: Template, trigger: Trigger) -> None:
    """Zabbix looks at a trigger when one of its items has a value: one must have it at every reading."""
    if "now-" in trigger.expression and "nodata(" not in trigger.expression:
        steps = [{step.type for step in items(template)[key].steps} for key in references(trigger.expression)]
        assert any("DISCARD_UNCHANGED_HEARTBEAT" not in types for types in steps), f"{trigger.name}: add SETTLED"


@of_each_trigger
def test_dependencies_are_there_and_lead_to_worse_ones(template: Template, trigger: Trigger) -> None:
    order = ("INFO", "WARNING", "AVERAGE", "HIGH", "DISASTER")
    among = next((rule.triggers for rule in template.rules if trigger in rule.triggers), ())
    known = {other.name: other for other in (*template.triggers, *among)}
    for name in trigger.depends:
        assert order.index(known[name].severity) >= order.index(trigger.severity)
        assert trigger.name not in known[name].depends


def test_two_severities_share_one_problem() -> None:
    for template in ALL:
        names = {trigger.name: trigger for trigger in all_triggers(template)}
        for name in filter(lambda name: name.endswith(" (severe)"), names):
            assert name in names[name.removesuffix(" (severe)")].depends


def test_one_sample_wakes_nobody() -> None:
    once = rules.now("/T/kvm.host.cpus", "=", "0")
    with pytest.raises(ValueError, match="one sample"):
        rules.alarm("Too early", "HIGH", once, "", "", "availability")
    with pytest.raises(ValueError, match="one sample"):
        rules.alarm("Too early", "HIGH", rules.held("/T/a", 1, "{$KVM.X}") | once, "", "", "availability")
    assert rules.alarm("In time", "HIGH", rules.held("/T/a", 1, "{$KVM.X}") & once, "", "", "availability")


# What follows tries every trigger with all values that its items may have, as far as they matter to it.


class World:
    """A trigger, and the values of its items: ``before`` until a moment, ``after`` from then on."""

    def __init__(self, template: Template, trigger: Trigger) -> None:
        macros = Macros(template)
        # all VMs, disks and so on have the general values
        self.trigger = trigger
        self._text = macros.resolve(trigger.expression)
        self._expression, self._recovery = Expression(self._text), Expression(macros.resolve(trigger.recovery))
        self._items = {key: item for key, item in items(template).items() if key in references(trigger.expression)}
        self._known: dict[tuple[str, Value, Value, float], Sequence[Sample]] = {}
        self._maps = {name: [float(value) for value, _ in pairs] for name, pairs in template.value_maps}

    def possible(self) -> Iterator[dict[str, Value]]:
        """All combinations of values of the items."""
        keys = [key for key, item in self._items.items() if "_latency[" not in key]
        for values in itertools.product(*(self._candidates(self._items[key]) for key in keys)):
            made = dict(zip(keys, values))
            latencies = [key for key in self._items if key not in made]
            for key in latencies:
                took, requests = (float(made[key.replace("_latency", what)]) for what in ("_time", "_requests"))
                made[key] = took / requests if requests else 0.0
            yield made

    def _candidates(self, item: Item) -> list[Value]:
        if item.key == "kvm.gap":
            return [float(INTERVAL)]
        if item.key == "kvm.time":
            return [NOW]
        if item.units == "unixtime":
            return [NOW - 3600, NOW - 1e8]
        if item.value_map:
            return list(self._maps[item.value_map])
        if item.value_type in ("CHAR", "TEXT"):
            texts = re.findall(r'="([^"]*)"|>"([^"]*)"', self._text)
            return ["", "other", *sorted({one or other for one, other in texts})]
        limits = {float(number) for number in re.findall(r"[<>]=?(\d+(?:\.\d+)?)(?![\w.])", self._text)}
        return sorted({0.0, 1.0, *(limit * 0.9 for limit in limits), *(limit * 2 + 1 for limit in limits)})

    def is_so(self, before: dict[str, Value], after: dict[str, Value], since: float) -> bool:
        """Whether the expression is true now, when values changed so many seconds ago."""
        return bool(self._expression.value(self._histories(before, after, since), NOW))

    def ends(self, after: dict[str, Value]) -> bool:
        """Whether a problem ends with these values at last."""
        return bool(self._recovery.value(self._histories(after, after, HISTORY), NOW))

    def _histories(
        self, before: dict[str, Value], after: dict[str, Value], since: float
    ) -> dict[str, Sequence[Sample]]:
        return {key: self._history(key, before[key], after[key], since) for key in self._items}

    def _history(self, key: str, before: Value, after: Value, since: float) -> Sequence[Sample]:
        """That of an item. The combinations are many, and what one item's values may be is little."""
        known = self._known.get((key, before, after, since))
        if known is not None:
            return known
        silent = next(
            (
                seconds(step.parameters[0])
                for step in self._items[key].steps
                if step.type == "DISCARD_UNCHANGED_HEARTBEAT"
            ),
            0.0,
        )
        samples: list[Sample] = []
        for age in range(HISTORY, -1, -INTERVAL):
            value = after if age <= since else before
            if not samples or samples[-1][1] != value or NOW - age - samples[-1][0] >= silent:
                samples.append((NOW - age, value))
        self._known[key, before, after, since] = samples
        return samples


@pytest.mark.parametrize(("template", "trigger"), TRIED)
def test_each_is_told_after_its_time_ends_and_is_never_of_one_sample_when_grave(
    template: Template, trigger: Trigger
) -> None:
    world = World(template, trigger)
    possible = list(world.possible())
    bad = [values for values in possible if world.is_so(values, values, HISTORY)]
    good = [values for values in possible if values not in bad]
    if not OF_CHANGES.search(trigger.name):
        assert bad, f"nothing can ever make {trigger.name!r} a problem"
        stuck = [values for values in good if not world.ends(values)]
        assert not stuck, f"{trigger.name!r} would stay a problem for ever with {stuck[:3]}"
    if trigger.severity in rules.GRAVE and not OF_ABSENCE.search(trigger.name):
        for before, after in itertools.product(good, bad):
            if any(before[key] != after[key] for key in before if ".own_host[" in key):
                continue  # who tells of the VM is another one now: what lasts has lasted
            assert not world.is_so(before, after, 0), (
                f"{trigger.name!r} is told of one sample: {before}, then {after}"
            )
