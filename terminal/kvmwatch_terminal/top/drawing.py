"""The screen of ``kvmwatch top`` as lines of styled texts, of the state, the news and the size alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kvmwatch.model.text import readable
from kvmwatch_terminal import show
from kvmwatch_terminal.reading import LONGEST
from kvmwatch_terminal.rows import OK, Line
from kvmwatch_terminal.table import GAP, Layout, cell_texts, laid_out, present
from kvmwatch_terminal.top import header, keys, model, views
from kvmwatch_terminal.top.feed import News
from kvmwatch_terminal.top.model import State
from kvmwatch_terminal.top.painting import (
    BAR,
    BOLD,
    OLD,
    PLAIN,
    SELECTED,
    SORTED,
    Span,
    Spans,
    filled,
    fitted,
)
from kvmwatch_terminal.top.taking import Taken
from kvmwatch_terminal.top.views import VIEWS
from kvmwatch_terminal.width import fill, wrapped

_LEAST = 3  # lines that the header leaves the table, with the names of its columns

#: the widest that figures become by their unit, so that columns do not move with every reading
_WIDEST = {"B": 8, "B/s": 10, "b/s": 10, "%": 5, "s": 6, "/s": 6}


class Size(NamedTuple):
    """Of the terminal, in characters."""

    height: int
    width: int


class Drawn(NamedTuple):
    """The screen, and what has to be known of it: the state that fits it, and the columns that do."""

    lines: list[Spans]
    state: State
    height: int  # lines of the table or the page
    columns: tuple[str, ...] = ()


def drawn(state: State, news: News, size: Size) -> Drawn:
    """Draw the screen."""
    if state.help:
        text = [piece for line in _help() for piece in wrapped(line, max(2, size.width))]
        return _page(state, "kvmwatch top: keys", text, size)
    if state.vm:
        return _page(state, *_of_vm(state, news, size), size)
    return _table(state, news, size)


def _table(state: State, news: News, size: Size) -> Drawn:
    above = header.lines(state, news)
    above = above[max(0, len(above) - max(0, size.height - _LEAST - 1)) :]
    height = max(1, size.height - len(above) - 2)
    taken = news.taken
    all_lines = model.lines(state, taken) if taken else []
    state = model.settled(state, all_lines, height)
    shown = all_lines[state.top : state.top + height]
    columns = present(all_lines, model.columns(state, taken))
    texts = {column.name: cell_texts(shown, column) for column in columns}
    widest = {column.name: _WIDEST.get(column.unit or "", 0) for column in columns if column.text is None}
    sorted_by = [column for column in columns if column.name == state.order.column]
    layout = laid_out(columns, texts, size.width, sorted_by, least=widest)
    screen = [*above, _heads(state, layout, size.width)]
    for number, line in enumerate(shown):
        cells = layout.cells([texts[column.name][number] for column in layout.columns])
        selected = state.top + number == state.at
        screen.append(_line(state, line, cells, layout, size.width, selected, news.old is not None))
    if taken and not shown:
        screen.append([Span(_why_none(state, taken), OLD)])
    screen += [[] for _ in range(size.height - 1 - len(screen))]
    screen = [*screen[: size.height - 1], _foot(state, size.width)]
    lines = [fitted(line, size.width) for line in screen]
    return Drawn(lines, state, height, tuple(column.name for column in layout.columns))


def _why_none(state: State, taken: Taken) -> str:
    asked = taken.asked
    if state.table.needs & ~asked.groups or (state.table.hypervisor and not asked.hypervisor):
        return "reading ..."
    return "none of them" if state.active or state.filter else "none here"


def _heads(state: State, layout: Layout, width: int) -> Spans:
    spans: Spans = []
    for column, text in zip(layout.columns, layout.cells([column.header for column in layout.columns])):
        spans.append(Span(text, SORTED if column.name == state.order.column else BAR))
        spans.append(Span(GAP, BAR))
    return filled(fitted(spans, width), width, BAR)


def _line(
    state: State, line: Line, cells: Sequence[str], layout: Layout, width: int, selected: bool, old: bool
) -> Spans:
    if selected:
        return filled(fitted([Span(GAP.join(cells), SELECTED)], width), width, SELECTED)
    tagged = views.uuid(line) in state.tagged
    style = OLD if old else BOLD if tagged else PLAIN
    spans: Spans = []
    for column, text in zip(layout.columns, cells):
        bad = column.name == "status" and line.status not in (None, OK)
        spans.append(Span(text, line.status or style if bad else style))
        spans.append(Span(GAP, style))
    return spans


def _foot(state: State, width: int) -> Spans:
    """What is being typed, what there is to say, or the views."""
    if state.prompt:
        return [Span(state.prompt, BOLD), Span(state.typed), Span(" ", SELECTED)]
    if state.message:
        return [Span(state.message, BOLD)]
    spans = [Span(" ? help  q end  Enter show  ", BAR)]  # first, for those who are here for the first time
    for number, view in enumerate(VIEWS):
        style = SORTED if view.name == state.view else BAR
        spans += [Span(f" {number} {view.title} ", style)]
    return filled(fitted(spans, width), width, BAR)


def _page(state: State, title: str, text: Sequence[str], size: Size) -> Drawn:
    height = max(1, size.height - 1)
    scroll = max(0, min(state.scroll, len(text) - height))
    head = filled(fitted([Span(f"{title}   (q: back)", BAR)], size.width), size.width, BAR)
    screen = [head, *([Span(line)] for line in text[scroll : scroll + height])]
    screen += [[] for _ in range(size.height - len(screen))]
    lines = [fitted(line, size.width) for line in screen[: size.height]]
    return Drawn(lines, state._replace(scroll=scroll), height)


def _of_vm(state: State, news: News, size: Size) -> tuple[str, list[str]]:
    """The title and the text of the page of a VM; what hinders is its title."""
    page = news.page.page if news.page else None
    late = header.hindrance(news)
    if not page or page.shown.domain.uuid != state.vm:
        return late or "reading ...", []
    text = show.in_words(page.shown, page.verdicts, size.width)
    return late or readable(page.shown.domain.label, LONGEST), text.split("\n")


def _help() -> list[str]:
    lines = ["In the table", "", *_table_of(keys.KEYS), "", "In a page", "", *_table_of(keys.PAGE_KEYS)]
    return [
        *lines,
        "",
        "- is what a VM does not have; ? is what it should have and could not be had. Neither is ever 0.",
        "CPU and steal are % of the VM's vCPUs; c changes that for CPU.",
    ]


def _table_of(of: Sequence[keys.Key]) -> list[str]:
    widest = max(len(key.shown) for key in of)
    return [f"  {fill(key.shown, widest)}  {key.help}" for key in of]
