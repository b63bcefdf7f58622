"""A page about one thing: its lines, then a table for each kind of thing that it has; for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kvmwatch.model.text import readable
from kvmwatch_terminal import reading
from kvmwatch_terminal.columns import NONE, Column, cell
from kvmwatch_terminal.details import CHECKS
from kvmwatch_terminal.formats import rounded
from kvmwatch_terminal.rows import Row, Said, Thing
from kvmwatch_terminal.table import table
from kvmwatch_terminal.width import cut, fill, width


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
    of: Row | Thing | None,
    parts: Iterable[Part],
    unread: Sequence[str],
    room: int | None = None,
    coloured: bool = False,
) -> str:
    """The page for people, without what there is not; ``room``: as :func:`~kvmwatch_terminal.table.table`."""
    lines = [readable(title, reading.LONGEST)]
    shown = [(each.header.lower(), readable(cell(each, of), reading.LONGEST)) for each in columns] if of else []
    widest = max((width(label) for label, text in shown if text != NONE), default=0)
    lines += ["", *(f"  {fill(label, widest)}  {text}" for label, text in shown if text != NONE)]
    for part in parts:
        if not part.rows:
            continue
        kept = [each for each in part.columns if any(cell(each, thing) != NONE for thing in part.rows)]
        inner = None if room is None else max(1, room - 2)
        text = table(part.rows, kept, inner, kept, coloured)
        lines += ["", part.title, *(f"  {line}" for line in text.split("\n"))]
    lines += ["", "Could not be had", *(f"  {text}" for text in unread)] if unread else []
    # those of a table fit, and a colour in them takes no room
    return "\n".join(lines if room is None else [line if "\x1b" in line else cut(line, room) for line in lines])


def values(columns: Iterable[Column], of: Row | Thing | None) -> dict[str, Any]:
    """The lines as JSON, in base units; null where the whole thing could not be read."""
    return {each.name: rounded(each.of(of)) if of else None for each in columns}


def tables(parts: Iterable[Part]) -> dict[str, list[dict[str, Any]]]:
    """The tables as JSON."""
    return {part.name: [values(part.columns, thing) for thing in part.rows] for part in parts}
