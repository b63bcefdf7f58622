"""A table for people: as wide as its texts, or as the terminal is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from typing import NamedTuple

from kvmwatch.model.text import readable
from kvmwatch_terminal.columns import HELD, TIGHT, Column, cell
from kvmwatch_terminal.rows import CRITICAL, UNKNOWN, WARNING, Line
from kvmwatch_terminal.width import cut, fill, width, wrapped

GAP = "  "
_LONGEST_CELL = 2000  # characters; what is longer nobody reads
_NARROWEST = 2  # columns of a text that goes on in the next line: a wide character
_RESET = "\x1b[0m"
_COLOURS = {CRITICAL: "\x1b[31m", WARNING: "\x1b[33m", UNKNOWN: "\x1b[35m"}

Cells = list[str]


class Layout(NamedTuple):
    """The columns that fit, how wide each is, and the names of the others, the most important first."""

    columns: list[Column]
    widths: dict[str, int]
    left_out: list[str]

    def cells(self, texts: Sequence[str]) -> Cells:
        """Texts, one for each column, as wide as these are."""
        return [
            fill(text, self.widths[column.name], column.is_number) for column, text in zip(self.columns, texts)
        ]


def table(
    rows: Sequence[Line],
    columns: Sequence[Column],
    room: int | None = None,
    asked: Collection[Column] = (),
    coloured: bool = False,
    everything: str = "--wide",
) -> str:
    """Lines of a table, the first with the headers.

    ``room``: the terminal's columns, where lines have to fit; then long texts are cut, and less important columns
    are left out, those that somebody has ``asked`` for last. The last line says which, with the option that has
    ``everything``.
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


def stacked(rows: Sequence[Line], columns: Sequence[Column], room: int, coloured: bool = False) -> list[str]:
    """Lines of as few tables below each other as have all of these columns in so many of the terminal's.

    Each begins with the first column. Texts that are too long go on in the next line: nothing is left out or cut.
    """
    texts = {column.name: cell_texts(rows, column) for column in columns}
    lines = []
    for part in _parts(columns, texts, room):
        shown = [column if column.is_number else column._replace(least=_NARROWEST) for column in part]
        widths = _widths(shown, texts)
        _shrink(widths, {column.name: _least(column, widths) for column in shown}, room)
        layout = Layout(shown, widths, [])
        heads = [column.header for column in shown]
        for row, line_of in ((None, heads), *zip(rows, zip(*(texts[column.name] for column in shown)))):
            whole = [
                [text] if column.is_number else wrapped(text, widths[column.name])
                for column, text in zip(shown, line_of)
            ]
            for each in zip_longest(*whole, fillvalue=""):
                cells = layout.cells(each)
                line = cut(_joined(cells), room)
                lines.append(_painted(line, row, cells, shown) if coloured and row else line)
    return lines


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


def present(rows: Sequence[Line], columns: Sequence[Column], asked: Collection[Column] = ()) -> list[Column]:
    """The columns without those that are shown only where there is a value, and there is none."""
    return [column for column in columns if column in asked or not column.if_any or any(map(column.of, rows))]


def cell_texts(rows: Sequence[Line], column: Column) -> list[str]:
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
    widths = _widths(columns, texts, least or {})
    if room is None:
        return Layout([*columns], widths, [])
    to_least = {column.name: _least(column, widths) for column in columns}
    to_tight = {
        column.name: _least(column, widths, TIGHT if column in asked else column.tight) for column in columns
    }
    usual = [column for column in columns[1:] if column not in asked]
    alike = [[c for c in usual if c.kept == kept] for kept in sorted({column.kept for column in usual})]
    kept, left_out = _fitting(columns, [each for each in alike if each[0].kept < HELD], to_least, room)
    if _total([to_least[column.name] for column in kept]) <= room:
        to_tight = to_least
    one_by_one = [[column] for each in alike if each[0].kept >= HELD for column in reversed(each)]
    one_by_one += [[column] for column in reversed(columns[1:]) if column in asked]
    kept, more = _fitting(kept, one_by_one, to_tight, room)
    widths = {column.name: widths[column.name] for column in kept}
    _shrink(widths, to_tight, room)
    return Layout(kept, widths, [column.name for column in reversed([*left_out, *more])])


def _widths(
    columns: Sequence[Column], texts: Mapping[str, Sequence[str]], least: Mapping[str, int] = MappingProxyType({})
) -> dict[str, int]:
    """The widths that the columns have where there is room."""
    return {
        column.name: max(least.get(column.name, 0), *map(width, (column.header, *texts[column.name])))
        for column in columns
    }


def _fitting(
    columns: Sequence[Column], going: Iterable[Sequence[Column]], widths: Mapping[str, int], room: int
) -> tuple[list[Column], list[Column]]:
    """Leave out one after the other of what may go until the rest fits, and tell what that was."""
    kept, left_out = list(columns), list[Column]()
    for each in going:
        if _total([widths[column.name] for column in kept]) <= room:
            break
        left_out += each[::-1]
        kept = [column for column in kept if column not in each]
    return kept, left_out


def _shrink(widths: dict[str, int], least: Mapping[str, int], room: int) -> None:
    """Take what is too much from the widest columns that can be cut."""
    for _ in range(max(0, _total([*widths.values()]) - room)):
        wider = [name for name in widths if widths[name] > least[name]]
        if not wider:
            return
        widths[max(wider, key=lambda name: widths[name])] -= 1


def _least(column: Column, widths: Mapping[str, int], most: int | None = None) -> int:
    """The width to which a column can be cut; a text to ``most``, if that is less."""
    if column.least is None:
        return widths[column.name]
    return min(widths[column.name], column.least, column.least if most is None else most)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _painted(line: str, row: Line, cells: Cells, columns: Sequence[Column]) -> str:
    """The line with its status in colour, if that is still in it."""
    colour = _COLOURS.get(row.status or "")
    before = ""
    for column, text in zip(columns, cells):
        if column.name == "status" and colour and line.startswith(before + text.rstrip()):
            status = text.rstrip()
            return f"{before}{colour}{status}{_RESET}{line[len(before) + len(status) :]}"
        before += text + GAP
    return line
