"""A page about one thing: its lines, then a table for each kind of thing that it has; for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kvmwatch.model.text import readable
from kvmwatch_terminal import reading
from kvmwatch_terminal.columns import NONE, Column, cell
from kvmwatch_terminal.details import CHECKS
from kvmwatch_terminal.formats import rounded
from kvmwatch_terminal.rows import Line, Said, Thing
from kvmwatch_terminal.table import GAP, stacked, table
from kvmwatch_terminal.width import cut, fill, width, wrapped

_INDENT = "  "
_LEAST = 8  # columns of a text that goes on in the next line; with less it begins there
_NARROWEST = 2  # a wide character


class Part(NamedTuple):
    """One table of the page; ``name`` is its key in JSON."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Thing]


def checks(verdicts: Iterable[Said], now: float) -> Part:
    """What the checks say."""
    return Part("checks", "Checks", CHECKS, [Thing(each, now, status=each.severity) for each in verdicts])


def in_words(
    title: str,
    columns: Sequence[Column],
    of: Line | None,
    parts: Iterable[Part],
    unread: Sequence[str],
    room: int | None = None,
    coloured: bool = False,
) -> str:
    """The page for people, without what there is not.

    ``room``: the terminal's columns, where lines have to fit; then long texts go on in the next line, and the
    columns of a table for which there is no room in another table below.
    """
    shown = [(each.header.lower(), readable(cell(each, of), reading.LONGEST)) for each in columns] if of else []
    widest = max((width(label) for label, text in shown if text != NONE), default=0)
    lines = _fitting(readable(title, reading.LONGEST), room)
    lines.append("")
    for label, text in shown:
        if text != NONE:
            lines += _fitting(text, room, f"{_INDENT}{fill(label, widest)}{GAP}")
    for part in parts:
        if part.rows:
            lines += ["", *_fitting(part.title, room), *(_INDENT + line for line in _table(part, room, coloured))]
    if unread:
        lines += ["", "Could not be had", *(line for text in unread for line in _fitting(text, room, _INDENT))]
    return "\n".join(lines)


def _table(part: Part, room: int | None, coloured: bool) -> list[str]:
    """The columns that have something; where they do not fit, in several tables."""
    kept = [each for each in part.columns if any(cell(each, thing) != NONE for thing in part.rows)]
    if room is None:
        return table(part.rows, kept, coloured=coloured).split("\n")
    return stacked(part.rows, kept, max(1, room - len(_INDENT)), coloured)


def _fitting(text: str, room: int | None, before: str = "") -> list[str]:
    """A text in lines that fit, each as far in as what stands ``before`` the first; or below that."""
    if room is None:
        return [before + text]
    if before.strip() and room - width(before) < _LEAST:
        return [*_fitting(before.strip(), room, _INDENT), *_fitting(text, room, _INDENT * 2)]
    first, *others = wrapped(text, max(_NARROWEST, room - width(before)))
    return [cut(line, room) for line in (before + first, *(" " * width(before) + line for line in others))]


def values(columns: Iterable[Column], of: Line | None) -> dict[str, Any]:
    """The lines as JSON, in base units; null where the whole thing could not be read."""
    return {each.name: rounded(each.of(of)) if of else None for each in columns}


def tables(parts: Iterable[Part]) -> dict[str, list[dict[str, Any]]]:
    """The tables as JSON."""
    return {part.name: [values(part.columns, thing) for thing in part.rows] for part in parts}
