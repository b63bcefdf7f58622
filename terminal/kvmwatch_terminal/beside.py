"""The lines of ``kvmwatch list --problems`` that are no VM's: of the host, a pool, a network, a stray QEMU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

from kvmwatch_terminal.columns import Column, Value
from kvmwatch_terminal.rows import SEVERITIES, Line, Problem, Row, Thing, in_words

_PROCESS = "QEMU process"


class Wrong(NamedTuple):
    """What something is wrong with; the problems are the worst first, and do without its name."""

    called: str  # "host", "pool images", "network default"
    problems: tuple[Problem, ...]


def lines(problems: Iterable[Problem], now: float) -> list[Thing]:
    """A line for each thing that these problems of the hypervisor are of."""
    found = []
    for called, alike in groupby(sorted(problems, key=_called), key=_called):
        worst_first = sorted(alike, key=lambda problem: -SEVERITIES.index(problem.severity))
        wrong = Wrong(called, tuple(problem._replace(thing="") for problem in worst_first))
        found.append(Thing(wrong, now, status=worst_first[0].severity))
    return found


def _called(problem: Problem) -> str:
    """What it is and its name, which can be that of a VM as well."""
    kind = {"pool": "pool", "net": "network"}.get(problem.check)
    if kind:
        return f"{kind} {problem.thing}" if problem.thing else f"{kind}s"
    if problem.check == "process" and problem.thing and not problem.thing.startswith(_PROCESS):
        return f"{_PROCESS} of {problem.thing}"  # of one that libvirt does not know the name says it
    return problem.thing or "host"


@cache
def with_them(column: Column) -> Column:
    """The column of VMs with what it has for these lines: a name, how bad it is, and what it is."""

    def of(line: Line) -> Value:
        return column.of(line) if isinstance(line, Row) else _value(column.name, line)

    def text(line: Line) -> str:
        return column.text(line) if column.text and isinstance(line, Row) else str(of(line))

    return column._replace(of=of, text=text if column.name == "name" else column.text)


def _value(name: str, line: Thing) -> Value:
    if name == "name":
        return str(line.of.called)
    if name == "status":
        return line.status
    return in_words(line.of.problems) if name == "problem" else None


def objects(problems: Sequence[Problem]) -> list[dict[str, str | None]]:
    """The same for programs, an object for each problem, the worst first."""
    worst_first = sorted(problems, key=lambda problem: -SEVERITIES.index(problem.severity))
    return [
        {"status": each.severity, "check": each.check, "thing": each.thing or None, "text": each.text}
        for each in worst_first
    ]
