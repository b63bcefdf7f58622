"""A table for people: as wide as its texts, or as the terminal is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kvmwatch.model.text import readable
from kvmwatch_terminal.columns import ALWAYS, Column, cell
from kvmwatch_terminal.rows import CRITICAL, UNKNOWN, WARNING, Row, Thing
from kvmwatch_terminal.width import cut, fill, width

_GAP = "  "
_LONGEST_CELL = 2000  # characters; what is longer nobody reads
_RESET = "\x1b[0m"
_COLOURS = {CRITICAL: "\x1b[31m", WARNING: "\x1b[33m", UNKNOWN: "\x1b[35m"}

Cells = list[str]


def table(
    rows: Sequence[Row | Thing],
    columns: Sequence[Column],
    room: int | None = None,
    asked: Collection[Column] = (),
    coloured: bool = False,
) -> str:
    """Lines of a table, the first with the headers.

    ``room``: the terminal's columns, where lines have to fit; then long texts are cut, and less important columns
    that nobody has ``asked`` for are left out, which the last line says.
    """
    shown = [
        column for column in columns if column in asked or not column.if_any or any(column.of(row) for row in rows)
    ]
    texts = {
        column.name: [column.header, *(readable(cell(column, row), _LONGEST_CELL) for row in rows)]
        for column in shown
    }
    widths = {name: max(map(width, of)) for name, of in texts.items()}
    left_out: list[str] = []
    if room is not None:
        shown, left_out = _fitting(shown, asked, widths, room)
        _shrink(shown, widths, room)
    lines = []
    for number in range(len(rows) + 1):
        cells = [fill(texts[column.name][number], widths[column.name], column.is_number) for column in shown]
        line = _GAP.join(cells).rstrip()
        line = line if room is None else cut(line, room)
        lines.append(_painted(line, rows[number - 1], cells, shown) if coloured and number else line)
    if left_out:
        lines.append(cut(f"(--wide has more: {', '.join(left_out)})", room or 0))
    return "\n".join(lines)


def _fitting(
    columns: Sequence[Column], asked: Collection[Column], widths: dict[str, int], room: int
) -> tuple[list[Column], list[str]]:
    """Leave out what is least important until the rest fits, cut as far as may be."""
    kept, left_out = list(columns), []
    for least in sorted({column.kept for column in columns} - {ALWAYS}):
        if _total([_least(column, widths) for column in kept]) <= room:
            break
        going = [column for column in kept if column.kept == least and column not in asked]
        left_out += [column.name for column in going]
        kept = [column for column in kept if column not in going]
    return kept, left_out


def _shrink(columns: Sequence[Column], widths: dict[str, int], room: int) -> None:
    """Take what is too much from the widest columns that can be cut."""
    for _ in range(max(0, _total([widths[column.name] for column in columns]) - room)):
        wider = [column for column in columns if widths[column.name] > _least(column, widths)]
        if not wider:
            return
        widths[max(wider, key=lambda column: widths[column.name]).name] -= 1


def _least(column: Column, widths: dict[str, int]) -> int:
    return widths[column.name] if column.least is None else min(column.least, widths[column.name])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _painted(line: str, row: Row | Thing, cells: Cells, columns: Sequence[Column]) -> str:
    """The line with its status in colour, if that is still in it."""
    colour = _COLOURS.get(row.status or "")
    before = ""
    for column, text in zip(columns, cells):
        if column.name == "status" and colour and line.startswith(before + text.rstrip()):
            status = text.rstrip()
            return f"{before}{colour}{status}{_RESET}{line[len(before) + len(status) :]}"
        before += text + _GAP
    return line
