"""As much of Zabbix as the templates use: items with their preprocessing, trigger expressions, problems.

A template's own objects are taken, with their LLD macros replaced; time is what the tests say. What Zabbix cannot
evaluate is None here, and behaves as there: unknown and false is false, unknown or true is true.
"""

from __future__ import annotations

import copy
import json
import math
import operator
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from zabbix_templates.model import Item, Step, Template, Trigger

Value = float | str
Sample = tuple[float, Value]

_MACRO = re.compile(r'\{\$([A-Z.]+)(?::"((?:[^"\\]|\\.)*)")?\}')
_TOKEN = re.compile(
    r'\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<suffix>[smhdwKMGT]?)|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<word>[a-z_]+)|(?P<sign><>|<=|>=|[-+*/=<>(),]))"
)
_SUFFIXES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "K": 2**10, "M": 2**20, "G": 2**30}
_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    **{"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv},
    **{"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
}


@cache
def seconds(text: str) -> float:
    """A time with its suffix."""
    return float(text[:-1]) * _SUFFIXES[text[-1]] if text[-1].isalpha() else float(text)


class Macros:
    """User macros: a template's defaults, and what a host has of its own, with contexts."""

    def __init__(self, template: Template, own: Mapping[str, str] | None = None) -> None:
        """``own``: ``KVM.VM.EXPECT:web1`` to value."""
        self._values = {macro.name[2:-1]: macro.value for macro in template.macros}
        self._own = dict(own or {})

    def resolve(self, text: str) -> str:
        """Replace all macros of a text."""
        return _MACRO.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        name, context = found[1], (found[2] or "").replace('\\"', '"')
        return self._own.get(f"{name}:{context}", self._own.get(name, self._values.get(name, found[0])))


Histories = Mapping[str, Sequence[Sample]]
Part = Callable[[Histories, float], "Value | None"]


class Expression:
    """A trigger expression or formula over the histories of items."""

    def __init__(self, text: str) -> None:
        """``text``: with all macros replaced."""
        self._text, self._at = text, 0
        self.keys: set[str] = set()
        self._part = self._or()
        assert not text[self._at :].strip(), f"not understood: {text[self._at :]!r} in {text!r}"

    def value(self, histories: Histories, now: float) -> Value | None:
        """What it gives: 1 or 0 for a condition, None where Zabbix cannot evaluate it."""
        return self._part(histories, now)

    def _peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self._text, self._at)

    def _take(self, *signs: str) -> str | None:
        found = self._peek()
        if found and (found["sign"] or found["word"]) in signs:
            self._at = found.end()
            return found["sign"] or found["word"]
        return None

    def _or(self) -> Part:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else partial(_any, parts)

    def _and(self) -> Part:
        parts = [self._comparison()]
        while self._take("and"):
            parts.append(self._comparison())
        return parts[0] if len(parts) == 1 else partial(_all, parts)

    def _comparison(self) -> Part:
        left = self._sum()
        sign = self._take("<>", "<=", ">=", "=", "<", ">")
        return partial(_compared, left, sign, self._sum()) if sign else left

    def _sum(self) -> Part:
        part = self._product()
        while sign := self._take("+", "-"):
            part = partial(_calculated, part, sign, self._product())
        return part

    def _product(self) -> Part:
        part = self._operand()
        while sign := self._take("*", "/"):
            part = partial(_calculated, part, sign, self._operand())
        return part

    def _operand(self) -> Part:
        if self._take("("):
            part = self._or()
            assert self._take(")"), self._text[self._at :]
            return part
        found = self._peek()
        assert found, f"not understood: {self._text[self._at :]!r}"
        self._at = found.end()
        constant: Value
        if found["number"]:
            constant = float(found["number"]) * _SUFFIXES[found["suffix"]]
        elif found["string"]:
            constant = found["string"][1:-1].replace('\\"', '"').replace("\\\\", "\\")
        else:
            assert found["word"], self._text
            return self._function(found["word"])
        return lambda histories, now: constant

    def _function(self, name: str) -> Part:
        assert self._take("("), self._text
        if not self._text[self._at :].lstrip().startswith("/"):
            inner = self._or()
            assert name == "length", name
            assert self._take(")"), self._text
            return partial(_length, inner)
        key = self._reference()
        self.keys.add(key)
        parameters = []
        while self._take(","):
            end = _end_of_parameter(self._text, self._at)
            parameters.append(self._text[self._at : end].strip().strip('"'))
            self._at = end
        assert self._take(")"), self._text[self._at :]
        return lambda histories, now: evaluated(name, histories.get(key, ()), parameters, now)

    def _reference(self) -> str:
        found = re.compile(r"\s*/\w*/([\w.]+)").match(self._text, self._at)
        assert found, self._text[self._at :]
        end = found.end()
        if self._text[end] == "[":
            end = self._text.index("]", end) + 1
        self._at, key = end, self._text[found.start(1) : end]
        return key


def _any(parts: Sequence[Part], histories: Histories, now: float) -> float | None:
    values = [part(histories, now) for part in parts]
    return 1.0 if any(values) else None if None in values else 0.0


def _all(parts: Sequence[Part], histories: Histories, now: float) -> float | None:
    unknown = False
    for part in parts:
        value = part(histories, now)
        if value is None:
            unknown = True
        elif not value:
            return 0.0
    return None if unknown else 1.0


def _compared(left: Part, sign: str, right: Part, histories: Histories, now: float) -> float | None:
    one, other = left(histories, now), right(histories, now)
    return None if one is None or other is None else float(compare(one, sign, other))


def _length(inner: Part, histories: Histories, now: float) -> float | None:
    value = inner(histories, now)
    return None if value is None else float(len(str(value)))


def _calculated(left: Part, sign: str, right: Part, histories: Histories, now: float) -> float | None:
    one, other = left(histories, now), right(histories, now)
    if not isinstance(one, float) or not isinstance(other, float) or (sign == "/" and not other):
        return None
    return float(_SIGNS[sign](one, other))


def _end_of_parameter(text: str, start: int) -> int:
    quoted = False
    for at in range(start, len(text)):
        if text[at] == '"':
            quoted = not quoted
        elif text[at] in ",)" and not quoted:
            return at
    raise AssertionError(text)


def compare(left: Value, sign: str, right: Value) -> bool:
    """Compare as Zabbix does: equality of texts, all else of numbers."""
    if sign in ("=", "<>"):
        return (left == right) == (sign == "=")
    return bool(_SIGNS[sign](left, right))


def evaluated(name: str, history: Sequence[Sample], parameters: Sequence[str], now: float) -> float | str | None:
    """A history function; None where there is no value to look at."""
    window, shift = _window(parameters[0]) if parameters else ("", 0.0)
    end = now - shift
    until = _after(history, end)
    if name == "last":
        number = int(window[1:]) if window else 1
        return history[until - number][1] if until >= number else None
    start = end - seconds(window)
    within = history[_after(history, start) : until]
    values = [value for _, value in within]
    if name == "nodata":
        return float(not values)
    if name == "count":
        if len(parameters) == 1:
            return float(len(values))
        sign = {"ne": "<>", "eq": "=", "gt": ">", "lt": "<"}[parameters[1]]
        return float(sum(compare(value, sign, float(parameters[2])) for value in values))
    if not values:
        return None
    numbers = [float(value) for value in values]
    if name == "timeleft":
        return _timeleft(within, float(parameters[1]), now)
    return sum(numbers) / len(numbers) if name == "avg" else {"sum": sum, "min": min, "max": max}[name](numbers)


@cache
def _window(text: str) -> tuple[str, float]:
    """The first parameter of a history function: a time or number of values, and how long ago it ends."""
    window, _, shift = text.partition(":")
    return window, seconds(shift.removeprefix("now-")) if shift else 0.0


def _after(history: Sequence[Sample], clock: float) -> int:
    """The place of the first sample that is later than this."""
    return bisect_left(history, (math.nextafter(clock, math.inf),))  # type: ignore[arg-type]


def _timeleft(within: Sequence[Sample], threshold: float, now: float) -> float:
    clocks, values = [clock - now for clock, _ in within], [float(value) for _, value in within]
    mean_clock, mean = sum(clocks) / len(clocks), sum(values) / len(values)
    spread = sum((clock - mean_clock) ** 2 for clock in clocks)
    slope = sum((c - mean_clock) * (v - mean) for c, v in zip(clocks, values)) / spread if spread else 0.0
    return (threshold - (mean - slope * mean_clock)) / slope if slope > 0 else -1.0


class _Discarded(Exception):
    """The value is not kept."""


class _Collected:
    """An item of a host, with its history and the state of its preprocessing."""

    def __init__(self, item: Item, macros: Macros) -> None:
        self.item, self._macros = item, macros
        self.history: list[Sample] = []
        self._states: dict[int, Any] = {}

    def copy(self) -> _Collected:
        """Another one with the same past."""
        other = copy.copy(self)
        other.history, other._states = list(self.history), dict(self._states)
        return other

    def take(self, value: Any, now: float) -> Any:
        """Give the value that it makes of its master's, and keep it; None when it discards that."""
        try:
            for number, step in enumerate(self.item.steps):
                value = self._step(number, step, value, now)
        except _Discarded:
            return None
        if self.item.value_type in ("FLOAT", "UNSIGNED"):
            value = float(value)
        self.history.append((now, value))
        return value

    def _step(self, number: int, step: Step, value: Any, now: float) -> Any:
        if step.type in ("DISCARD_UNCHANGED_HEARTBEAT", "SIMPLE_CHANGE", "CHANGE_PER_SECOND"):
            return self._compared(number, step, value, now)
        if step.type == "JAVASCRIPT":
            (macro,) = re.findall(r"'(\{\$KVM\.VM\.EXPECT.*?\})';", step.parameters[0])
            wanted = self._macros.resolve(macro)
            return value if wanted == "auto" else wanted
        return _transformed(step, value)

    def _compared(self, number: int, step: Step, value: Any, now: float) -> Any:
        """The steps that remember the value before."""
        before = self._states.get(number)
        if step.type == "DISCARD_UNCHANGED_HEARTBEAT":
            if before and before[0] == value and now - before[1] < seconds(step.parameters[0]):
                raise _Discarded
            self._states[number] = (value, now)
            return value
        self._states[number] = (value, now)
        if not before:
            raise _Discarded
        if step.type == "SIMPLE_CHANGE":
            return value - before[0]
        if value < before[0] or now <= before[1]:
            raise _Discarded
        return (value - before[0]) / (now - before[1])


def _transformed(step: Step, value: Any) -> Any:
    """The steps that look at nothing but the value."""
    if step.type == "JSONPATH":
        try:
            return picked(value, step.parameters[0])
        except (KeyError, StopIteration):
            if step.fails == "CUSTOM_VALUE":
                return step.instead
            raise _Discarded from None
    if step.type == "REGEX":
        pattern, output = step.parameters
        found = re.search(pattern, str(value))
        return found.expand(output) if found else step.instead
    if step.type == "MULTIPLIER":
        return value * float(step.parameters[0])
    if step.type == "IN_RANGE":
        low, high = map(float, step.parameters)
        if not low <= value <= high:
            raise _Discarded
    else:
        assert step.type == "CHECK_NOT_SUPPORTED", step.type
    return value


def picked(value: Any, path: str) -> Any:
    """What one of our JSONPaths picks. Raises KeyError or StopIteration when there is nothing."""
    for name, key, wanted in _steps_of(path):
        value = next(one for one in value if one.get(key) == wanted) if key else value[name]
    return value


@cache
def _steps_of(path: str) -> tuple[tuple[str, str, Any], ...]:
    """The steps of a JSONPath: each the name of a member, or a key and the value that it has in the one wanted."""
    found = re.findall(r'\.(\w+)(?!\()|\["([^"]*)"\]|\[\?\(@\.(\w+) == (.+?)\)\]', path.removesuffix(".first()"))
    return tuple((name or quoted, key, json.loads(wanted) if key else None) for name, quoted, key, wanted in found)


class Problem(NamedTuple):
    """An open problem."""

    name: str
    severity: str
    since: float


class Host:
    """A host with a template and what its rules have discovered."""

    def __init__(
        self,
        template: Template,
        rows: Sequence[Mapping[str, str]] = (),
        macros: Mapping[str, str] | None = None,
        kinds: Callable[[str], bool] = lambda key: True,
    ) -> None:
        """``rows``: of LLD macros; of each rule those prototypes are made of which a row has all macros."""
        self.macros = Macros(template, macros)
        items, triggers = list(template.items), list(template.triggers)
        for rule in filter(lambda rule: kinds(rule.key), template.rules):
            for row in rows:
                items += [made for item in rule.items if (made := _made(item, row))]
                triggers += [made for trigger in rule.triggers if (made := _made(trigger, row))]
        self._items = {item.key: _Collected(item, self.macros) for item in items}
        by_name = {trigger.name: trigger for trigger in triggers}
        # as Zabbix does, those that others depend on come first
        self.triggers = dict(sorted(by_name.items(), key=lambda found: _depth(found[1], by_name)))
        self._expressions = {
            name: (self._parsed(trigger.expression), trigger.recovery and self._parsed(trigger.recovery))
            for name, trigger in self.triggers.items()
        }
        self._formulas = {
            key: self._parsed(item.item.formula)
            for key, item in self._items.items()
            if item.item.type == "CALCULATED" and not re.search(r"_foreach|now\(\)", item.item.formula)
        }
        # no other host answers here
        self._unanswered = {
            key: step.instead
            for key, item in self._items.items()
            if "_foreach" in item.item.formula
            for step in item.item.steps
            if (step.type, step.fails) == ("CHECK_NOT_SUPPORTED", "CUSTOM_VALUE")
        }
        self.histories = {key: item.history for key, item in self._items.items()}
        self.problems: dict[str, Problem] = {}
        self.ever: dict[str, str] = {}  # all problems that there were, and their severities

    def copy(self) -> Host:
        """Another one with the same past, and a future of its own."""
        other = copy.copy(self)
        other._items = {key: item.copy() for key, item in self._items.items()}
        other.histories = {key: item.history for key, item in other._items.items()}
        other.problems, other.ever = dict(self.problems), dict(self.ever)
        return other

    def _parsed(self, text: str) -> Expression:
        return Expression(self.macros.resolve(text))

    def take(self, document: Mapping[str, Any] | None, now: float) -> None:
        """Take a document for the master item, if one came; look at the triggers whose items have a new value.

        As Zabbix does, those that ask for silence are looked at in any case.
        """
        fresh: set[str] = set()
        if document is not None:
            masters = (item.item for item in self._items.values() if item.item.history == "0")
            given: dict[str, Any] = {next(item.key for item in masters if not item.master): document}
            for key, item in self._items.items():
                if item.item.master in given and (value := item.take(given[item.item.master], now)) is not None:
                    given[key] = value
            for key, instead in self._unanswered.items():
                if self._items[key].take(instead, now) is not None:
                    fresh.add(key)
            for key, formula in self._formulas.items():
                if (value := formula.value(self.histories, now)) is not None:
                    self._items[key].take(value, now)
                    fresh.add(key)
            fresh |= given.keys()
        self._judge(now, fresh)

    def _judge(self, now: float, fresh: set[str]) -> None:
        for name, trigger in self.triggers.items():
            expression, recovery = self._expressions[name]
            if expression.keys.isdisjoint(fresh) and "nodata(" not in trigger.expression:
                continue
            is_so = expression.value(self.histories, now)
            if name in self.problems:
                if is_so == 0 and (not recovery or recovery.value(self.histories, now)):
                    del self.problems[name]
            elif is_so and not any(other in self.problems for other in trigger.depends):
                self.problems[name] = Problem(name, trigger.severity, now)
                self.ever[name] = trigger.severity


def _depth(trigger: Trigger, by_name: Mapping[str, Trigger]) -> int:
    return 1 + max((_depth(by_name[name], by_name) for name in trigger.depends), default=0)


def _made(prototype: Any, row: Mapping[str, str]) -> Any:
    """A prototype with a row's values for its macros; None when it needs others."""

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            for macro, text in row.items():
                value = value.replace(macro, text)
            return value
        if isinstance(value, tuple):
            made = [replaced(one) for one in value]
            return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
        return value

    made = replaced(prototype)
    name = made.key if isinstance(made, Item) else made.expression
    return None if "{#" in name else made


def all_triggers(template: Template) -> Iterator[Trigger]:
    """The triggers and trigger prototypes of a template."""
    yield from template.triggers
    for rule in template.rules:
        yield from rule.triggers
