"""Results as lines of a Checkmk local check: ``STATE "SERVICE" METRICS TEXT``, of one VM and check each.

What Checkmk takes, by its documentation of local checks and what reads them there: metrics are
``name=value;warn;crit;min;max``, joined by ``|``, or ``-`` for none, values without units; ``\\n`` written out in
the text begins the details. A service whose line it cannot read is UNKNOWN there, with no word of what it said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nagios_kvm.judging import Result

_LABELLED = re.compile(r"(?:'([^']+)'|([^'= ]+))=(\S*)")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def line(result: Result) -> str:
    """One result as a local check's line, without the end of the line."""
    first, *more = result.output.split("\n")
    text, _, values = first.partition(" | ")
    details = "\\n".join(said.replace("\\", "/") for said in (text, *more))
    return f'{result.code} "{result.service}" {"|".join(metrics(values)) or "-"} {details}'


def metrics(values: str) -> Iterator[str]:
    """Perfdata as Checkmk has it; a value that is not known is left out, and so is a level it has no word for."""
    taken: set[str] = set()
    for quoted, plain, given in _LABELLED.findall(values):
        number, *levels = given.split(";")
        found = _NUMBER.match(number)
        if not found:
            continue
        levels += [""] * (4 - len(levels))
        parts = [found[0], *map(_upper, levels[:2]), *levels[2:4]]
        yield f"{_unlike(_name(quoted or plain), taken)}={';'.join(parts).rstrip(';')}"


def lines(results: Iterable[Result]) -> str:
    """All of them."""
    return "\n".join(map(line, results))


def _name(label: str) -> str:
    name = _NOT_IN_NAMES.sub("_", label)
    return name if name[0].isalpha() else f"m{name}"


def _unlike(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it where another label has become the same."""
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    taken.add(made)
    return made


def _upper(level: str) -> str:
    """An upper limit of a plugin range; a range of another kind is judged here, and not drawn there."""
    upper = level.removeprefix("~:").removeprefix("0:") if not level.startswith("@") else ""
    return upper if _NUMBER.fullmatch(upper) else ""
