"""What is looked at in ``kvmwatch top``, and which lines that are: no terminal, no reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kvmwatch_terminal.columns import Column, cell
from kvmwatch_terminal.order import in_order
from kvmwatch_terminal.rows import Line
from kvmwatch_terminal.top import views
from kvmwatch_terminal.top.taking import Asked, Taken
from kvmwatch_terminal.top.views import OWN, VIEWS, View

#: what is being typed, and the words before it
SEARCH, FILTER, DELAY = "search: ", "only lines with: ", "seconds between readings: "


class Order(NamedTuple):
    """By which column, and whether the other way round."""

    column: str
    reverse: bool = False


FIRST: Mapping[str, Order] = {view.name: Order(view.sort) for view in VIEWS}


class State(NamedTuple):
    """What the keys have made of it so far."""

    view: str = VIEWS[0].name
    orders: Mapping[str, Order] = FIRST
    delay: float = 3.0  # seconds
    base: str = OWN
    requests: bool = False  # instead of bytes
    active: bool = False  # only lines that do something
    averaged: bool = False  # rates since the first reading
    paused: bool = False
    search: str = ""
    filter: str = ""
    tagged: frozenset[str] = frozenset()  # UUIDs of VMs, whose lines come first
    at: int = 0  # the selected line's place
    on: tuple[str, ...] = ()  # the line itself, by views.key
    follows: bool = False  # whether that line stays selected wherever it goes; else the place
    top: int = 0  # the first line on the screen
    prompt: str = ""  # one of SEARCH, FILTER, DELAY; empty: nothing is being typed
    typed: str = ""
    vm: str | None = None  # the UUID of the VM whose page is shown
    called: str = ""  # what that VM is called
    scroll: int = 0  # lines of the page, or of the help, above the screen
    help: bool = False
    message: str = ""  # for once
    ended: bool = False

    @property
    def table(self) -> View:
        """The view that is shown."""
        return views.BY_NAME[self.view]

    @property
    def order(self) -> Order:
        """How it is sorted."""
        return self.orders[self.view]

    @property
    def shows(self) -> tuple[object, ...]:
        """What decides which lines there are, and in which order."""
        return self.view, self.order, self.base, self.requests, self.active, self.filter, self.tagged

    def sorted_by(self, order: Order) -> State:
        """Sort the view so."""
        return self._replace(orders={**self.orders, self.view: order})

    @property
    def asked(self) -> Asked:
        """What has to be read for it."""
        return Asked(self.table.needs, self.table.hypervisor, self.vm, self.called)


def columns(state: State, taken: Taken | None) -> tuple[Column, ...]:
    """The columns of the view, whether they fit or not."""
    host = taken.snapshot.host if taken else None
    return state.table.shown(state.base, state.requests, host.stats.cpus if host else None)


def lines(state: State, taken: Taken) -> list[Line]:
    """The lines of the view, as they are sorted; those of tagged VMs first."""
    shown = columns(state, taken)
    busy = [column for column in shown if column.name in state.table.busy]
    found = [
        line
        for line in state.table.of(taken)
        if (not state.active or not busy or _does_something(line, busy)) and has(line, shown, state.filter)
    ]
    by = next((column for column in shown if column.name == state.order.column), shown[0])
    ordered = in_order(found, by, state.order.reverse)
    if not state.tagged:
        return ordered
    return sorted(ordered, key=lambda line: views.uuid(line) not in state.tagged)


def has(line: Line, shown: tuple[Column, ...], text: str) -> bool:
    """Whether one of the line's texts has this in it, in large or small letters."""
    sought = text.casefold()
    return not sought or any(sought in cell(each, line).casefold() for each in shown if not each.is_number)


def found(state: State, taken: Taken, all_lines: list[Line], after: int) -> int | None:
    """The place of the next line that has what is searched for, from this place on, and then from the top."""
    shown = columns(state, taken)
    places = [*range(after, len(all_lines)), *range(min(after, len(all_lines)))]
    return next((place for place in places if has(all_lines[place], shown, state.search)), None)


def settled(state: State, all_lines: list[Line], height: int) -> State:
    """With the selected line among those that there are now, and on a screen of this height."""
    at = max(0, min(state.at, len(all_lines) - 1))
    if state.follows and state.on:
        at = next((place for place, line in enumerate(all_lines) if views.key(line) == state.on), at)
    top = max(0, min(state.top, at, len(all_lines) - height))
    top = max(top, at - height + 1)
    on = state.on
    if all_lines and not (state.follows and on):
        on = views.key(all_lines[at])
    return state._replace(at=at, top=top, on=on)


def _does_something(line: Line, busy: list[Column]) -> bool:
    """Whether a figure is above 0, or is not known though there should be one."""
    for each in busy:
        value = each.of(line)
        if cell(each, line) == "?" or (isinstance(value, (int, float)) and value > 0):
            return True
    return False
