"""A table for people: as wide as its texts, or as the terminal is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from kvmwatch.model.text import readable
from kvmwatch_terminal.columns import ALWAYS, Column, cell
from kvmwatch_terminal.rows import CRITICAL, UNKNOWN, WARNING, Row, Thing
from kvmwatch_terminal.width import cut, fill, width, wrapped

GAP = "  "
_LONGEST_CELL = 2000  # characters; what is longer nobody reads
_LEAST_TEXT = 8  # columns of a text that goes on in the next line
_RESET = "\x1b[0m"
_COLOURS = {CRITICAL: "\x1b[31m", WARNING: "\x1b[33m", UNKNOWN: "\x1b[35m"}

Cells = list[str]


class Layout(NamedTuple):
    """The columns that fit, how wide each is, and the names of those that were left out."""

    columns: list[Column]
    widths: dict[str, int]
    left_out: list[str]

    def cells(self, texts: Sequence[str]) -> Cells:
        """Texts, one for each column, as wide as these are."""
        return [
            fill(text, self.widths[column.name], column.is_number) for column, text in zip(self.columns, texts)
        ]


def table(
    rows: Sequence[Row | Thing],
    columns: Sequence[Column],
    room: int | None = None,
    asked: Collection[Column] = (),
    coloured: bool = False,
    everything: str = "--wide",
) -> str:
    """Lines of a table, the first with the headers.

    ``room``: the terminal's columns, where lines have to fit; then long texts are cut, and less important columns
    that nobody has ``asked`` for are left out, which the last line says, with the option that has ``everything``.
    """
    shown = present(rows, columns, asked)
    texts = {column.name: cell_texts(rows, column) for column in shown}
    layout = laid_out(shown, texts, room, asked)
    lines = []
    for number in range(len(rows) + 1):
        cells = layout.cells(
            [texts[column.name][number - 1] if number else column.header for column in layout.columns]
        )
        line = _joined(cells)
        line = line if room is None else cut(line, room)
        lines.append(_painted(line, rows[number - 1], cells, layout.columns) if coloured and number else line)
    if layout.left_out:
        lines.append(cut(f"({everything} has more: {', '.join(layout.left_out)})", room or 0))
    return "\n".join(lines)


def stacked(
    rows: Sequence[Row | Thing], columns: Sequence[Column], room: int, coloured: bool = False
) -> list[str]:
    """Lines of as few tables below each other as have all of these columns in so many of the terminal's.

    Each begins with the first column. Texts that are too long go on in the next line: nothing is left out or cut.
    """
    texts = {column.name: cell_texts(rows, column) for column in columns}
    lines = []
    for part in _parts(columns, texts, room):
        shown = [column if column.is_number else column._replace(least=_LEAST_TEXT) for column in part]
        layout = laid_out(shown, texts, room, shown)
        lines.append(_joined(layout.cells([column.header for column in shown])))
        for number, row in enumerate(rows):
            whole = [
                [texts[column.name][number]]
                if column.is_number
                else wrapped(texts[column.name][number], layout.widths[column.name])
                for column in shown
            ]
            for each in zip_longest(*whole, fillvalue=""):
                cells = layout.cells(each)
                line = _joined(cells)
                lines.append(_painted(line, row, cells, shown) if coloured else line)
    return [line if "\x1b" in line else cut(line, room) for line in lines]  # a colour takes no room


def _parts(columns: Sequence[Column], texts: Mapping[str, Sequence[str]], room: int) -> list[list[Column]]:
    """The columns of each of the tables; one that does not fit even beside the first alone is to be wrapped."""
    first, *others = columns
    widths = {column.name: max(map(width, (column.header, *texts[column.name]))) for column in columns}
    parts = [[first]]
    for column in others:
        taken = [widths[each.name] for each in parts[-1]]
        alone = _total([widths[first.name], widths[column.name]])
        needed = _least(column, widths) if alone > room else widths[column.name]
        if _total([*taken, needed]) > room and len(parts[-1]) > 1:
            parts.append([first])
        parts[-1].append(column)
    return parts


def _joined(cells: Cells) -> str:
    return GAP.join(cells).rstrip()


def present(
    rows: Sequence[Row | Thing], columns: Sequence[Column], asked: Collection[Column] = ()
) -> list[Column]:
    """The columns without those that are shown only where there is a value, and there is none."""
    return [column for column in columns if column in asked or not column.if_any or any(map(column.of, rows))]


def cell_texts(rows: Sequence[Row | Thing], column: Column) -> list[str]:
    """What stands in a column, a line each, fit for a terminal."""
    return [readable(cell(column, row), _LONGEST_CELL) for row in rows]


def laid_out(
    columns: Sequence[Column],
    texts: Mapping[str, Sequence[str]],
    room: int | None = None,
    asked: Collection[Column] = (),
    least: Mapping[str, int] | None = None,
) -> Layout:
    """Place the columns with these texts by name; see :func:`table`. ``least``: their widths, at least."""
    widths = {
        column.name: max((least or {}).get(column.name, 0), *map(width, (column.header, *texts[column.name])))
        for column in columns
    }
    if room is None:
        return Layout([*columns], widths, [])
    shown, left_out = _fitting(columns, asked, widths, room)
    _shrink(shown, widths, room)
    return Layout(shown, widths, left_out)


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
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _painted(line: str, row: Row | Thing, cells: Cells, columns: Sequence[Column]) -> str:
    """The line with its status in colour, if that is still in it."""
    colour = _COLOURS.get(row.status or "")
    before = ""
    for column, text in zip(columns, cells):
        if column.name == "status" and colour and line.startswith(before + text.rstrip()):
            status = text.rstrip()
            return f"{before}{colour}{status}{_RESET}{line[len(before) + len(status) :]}"
        before += text + GAP
    return line
