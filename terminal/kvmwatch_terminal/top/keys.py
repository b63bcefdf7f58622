"""The keys of ``kvmwatch top``: a table of what each does to the state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kvmwatch_terminal.rows import Line
from kvmwatch_terminal.top import model, views
from kvmwatch_terminal.top.model import DELAY, FILTER, SEARCH, Order, State
from kvmwatch_terminal.top.taking import Taken
from kvmwatch_terminal.top.views import BASES, REQUESTS, VIEWS

SHORTEST, LONGEST = 1.0, 86400.0  # seconds between readings
_ENTER = ("\n", "\r", "KEY_ENTER")
_BACK = ("KEY_BACKSPACE", "\x7f", "\b")
ESCAPE = "\x1b"


class Sight:
    """What there is to be seen."""

    def __init__(self, taken: Taken | None, height: int, columns: tuple[str, ...] = ()) -> None:
        """``height``: lines of the table or the page on the screen; ``columns``: those that fit, from the left."""
        self.taken = taken
        self.height = height
        self.columns = columns
        self._lines: tuple[object, list[Line]] = (None, [])

    def lines(self, state: State) -> list[Line]:
        """All of the table. They are put in order once, not for each key that only moves in them."""
        if self.taken and self._lines[0] != state.shows:
            self._lines = state.shows, model.lines(state, self.taken)
        return self._lines[1]


Does = Callable[[State, Sight], State]


class Key(NamedTuple):
    """Keys that do the same; ``names`` as curses has them."""

    names: tuple[str, ...]
    shown: str
    help: str
    does: Does


def _view(name: str) -> Does:
    return lambda state, _: state._replace(view=name, at=0, top=0, on=())


def _next_view(state: State, sight: Sight) -> State:
    names = [view.name for view in VIEWS]
    return _view(names[(names.index(state.view) + 1) % len(names)])(state, sight)


def _by(*names: str) -> Does:
    """Sort by the first of these columns that the view has."""

    def does(state: State, sight: Sight) -> State:
        there = [column.name for column in model.columns(state, sight.taken)]
        name = next((name for name in names if name in there), None)
        if not name:
            return state._replace(message=f"this view has no column {' or '.join(names)}")
        return state.sorted_by(Order(name))

    return does


def _beside(step: int) -> Does:
    """Sort by the column to the left or right, of those on the screen."""

    def does(state: State, sight: Sight) -> State:
        names = sight.columns or tuple(column.name for column in state.table.columns)
        at = names.index(state.order.column) + step if state.order.column in names else 0
        return state.sorted_by(Order(names[at % len(names)]))

    return does


def _inverted(state: State, _: Sight) -> State:
    return state.sorted_by(state.order._replace(reverse=not state.order.reverse))


def _moved(step: Callable[[Sight], float]) -> Does:
    def does(state: State, sight: Sight) -> State:
        last = max(0, len(sight.lines(state)) - 1)
        at = int(max(0, min(last, state.at + step(sight))))
        return model.settled(state._replace(at=at, on=()), sight.lines(state), sight.height)

    return does


def _asks(prompt: str) -> Does:
    return lambda state, _: state._replace(prompt=prompt, typed="")


def _next_found(state: State, sight: Sight) -> State:
    return _sought(state, sight, state.at + 1) if state.search else state


def _sought(state: State, sight: Sight, after: int) -> State:
    at = model.found(state, sight.taken, sight.lines(state), after) if sight.taken else None
    if at is None:
        return state._replace(message=f"no line has {state.search!r}")
    return model.settled(state._replace(at=at, on=()), sight.lines(state), sight.height)


def _tagged(state: State, sight: Sight) -> State:
    uuid = _vm(state, sight)
    if not uuid:
        return state
    tagged = state.tagged ^ {uuid}
    # it goes to those on top, so what was below it stays below
    return state._replace(tagged=tagged, at=state.at + (uuid in tagged and not state.follows))


def _selected(state: State, sight: Sight) -> Line | None:
    there = sight.lines(state)
    return there[state.at] if state.at < len(there) else None


def _vm(state: State, sight: Sight) -> str | None:
    """The UUID of the VM of the selected line."""
    line = _selected(state, sight)
    return views.uuid(line) if line else None


def _opened(state: State, sight: Sight) -> State:
    line = _selected(state, sight)
    uuid = views.uuid(line) if line else None
    if not line or not uuid:
        return state._replace(message="this line is of no VM")
    return state._replace(vm=uuid, called=views.label(line), scroll=0)


def _next_base(state: State, _: Sight) -> State:
    base = BASES[(BASES.index(state.base) + 1) % len(BASES)]
    return state._replace(base=base, message=f"CPU use is in % of {base}")


def _switched(field: str) -> Does:
    def does(state: State, _: Sight) -> State:
        changed: Any = {field: not getattr(state, field)}
        return state._replace(**changed)

    return does


def _requests(state: State, _: Sight) -> State:
    """Requests in the place of bytes, or the other way round; what was sorted by the ones is by the others."""
    other = {**REQUESTS, **{requests: of for of, requests in REQUESTS.items()}}
    orders = dict(state.orders)
    for view in VIEWS:
        order = orders[view.name]
        column = other.get(order.column)
        if any(each.name == column for each in view.columns):
            orders[view.name] = Order(column or "", order.reverse)
    return state._replace(requests=not state.requests, orders=orders)


def _cleared(state: State, _: Sight) -> State:
    return state._replace(filter="", search="", message="")


_ENDED = Key(("q", "KEY_F(10)"), "q", "end", lambda state, _: state._replace(ended=True))
#: of the table
KEYS = (
    *(
        Key((str(number),), str(number), f"show the {view.title}", _view(view.name))
        for number, view in enumerate(VIEWS)
    ),
    Key(("\t",), "Tab", "show the next of these", _next_view),
    Key(("KEY_UP",), "Up", "select the line above", _moved(lambda _: -1)),
    Key(("KEY_DOWN",), "Down", "select the line below", _moved(lambda _: 1)),
    Key(("KEY_PPAGE",), "Page up", "a screen up", _moved(lambda sight: -sight.height)),
    Key(("KEY_NPAGE",), "Page down", "a screen down", _moved(lambda sight: sight.height)),
    Key(("KEY_HOME",), "Home", "select the first line", _moved(lambda _: -math.inf)),
    Key(("KEY_END",), "End", "select the last line", _moved(lambda _: math.inf)),
    Key(_ENTER, "Enter", "show all that is known of the VM, as kvmwatch show does", _opened),
    Key(("P",), "P", "sort by CPU use", _by("cpu")),
    Key(("M",), "M", "sort by memory of the host that it takes", _by("rss", "memory", "used")),
    Key(("T",), "T", "sort by CPU time", _by("cpu_time")),
    Key(("N",), "N", "sort by number: of the VM's run, the vCPU, the process", _by("id", "number", "pid", "name")),
    Key(("<",), "<", "sort by the column to the left", _beside(-1)),
    Key((">",), ">", "sort by the column to the right", _beside(1)),
    Key(("I",), "I", "sort the other way round", _inverted),
    Key(("/",), "/", "search; n goes on", _asks(SEARCH)),
    Key(("n",), "n", "search on", _next_found),
    Key(("\\",), "\\", "show only lines that have a text; an empty one: all", _asks(FILTER)),
    Key((ESCAPE,), "Esc", "neither search nor show only some", _cleared),
    Key(("o",), "o", "show only lines that do something", _switched("active")),
    Key(("a",), "a", "rates are means since the start, or of the last interval", _switched("averaged")),
    Key(("c",), "c", "CPU use in % of the VM's vCPUs, of one CPU, of the host's CPUs", _next_base),
    Key(("B",), "B", "requests and packets, or bytes and bits", _requests),
    Key((" ",), "Space", "tag the VM: its lines come first, in every view", _tagged),
    Key(("U",), "U", "untag all", lambda state, _: state._replace(tagged=frozenset())),
    Key(("F",), "F", "follow the selected line wherever it goes, or stay at its place", _switched("follows")),
    Key(("Z",), "Z", "pause: read no more, or again", _switched("paused")),
    Key(("d", "s"), "d, s", "change the time between readings", _asks(DELAY)),
    Key(("?", "h", "KEY_F(1)"), "?", "help", lambda state, _: state._replace(help=True, scroll=0)),
    _ENDED,
)


def _scrolled(step: Callable[[Sight], float]) -> Does:
    # how far it can be scrolled, who draws it knows
    return lambda state, sight: state._replace(scroll=int(max(0, min(1e6, state.scroll + step(sight)))))


def _closed(state: State, _: Sight) -> State:
    return state._replace(vm=None, help=False, scroll=0)


#: of a page
PAGE_KEYS = (
    Key(("KEY_UP",), "Up", "a line up", _scrolled(lambda _: -1)),
    Key(("KEY_DOWN",), "Down", "a line down", _scrolled(lambda _: 1)),
    Key(("KEY_PPAGE",), "Page up", "a screen up", _scrolled(lambda sight: -sight.height)),
    Key(("KEY_NPAGE", " "), "Page down", "a screen down", _scrolled(lambda sight: sight.height)),
    Key(("KEY_HOME",), "Home", "to the top", _scrolled(lambda _: -math.inf)),
    Key(("KEY_END",), "End", "to the end", _scrolled(lambda _: math.inf)),
    Key((ESCAPE, "q", *_ENTER, "KEY_LEFT"), "q, Esc, Enter", "back", _closed),
)


def pressed(state: State, key: str, sight: Sight) -> State:
    """What a key makes of the state; one that has no meaning changes nothing."""
    state = state._replace(message="")
    if state.prompt:
        return _typed(state, key, sight)
    does = _meaning(PAGE_KEYS if state.vm or state.help else KEYS, key)
    return does(state, sight) if does else state


def _meaning(keys: Iterable[Key], name: str) -> Does | None:
    return next((key.does for key in keys if name in key.names), None)


def _typed(state: State, key: str, sight: Sight) -> State:
    if key in _ENTER:
        return _answered(state, sight)
    if key == ESCAPE:
        return state._replace(prompt="", typed="")
    if key in _BACK:
        state = state._replace(typed=state.typed[:-1])
    elif len(key) == 1 and key.isprintable():
        state = state._replace(typed=state.typed + key)
    if state.prompt == SEARCH and state.typed:
        return _sought(state._replace(search=state.typed), sight, state.at)
    return state


def _answered(state: State, sight: Sight) -> State:
    done = state._replace(prompt="", typed="")
    if state.prompt == FILTER:
        return done._replace(filter=state.typed, at=0, top=0, on=())
    if state.prompt == SEARCH:
        return _sought(done._replace(search=state.typed), sight, state.at) if state.typed else done
    try:
        return done._replace(delay=delay(state.typed))
    except ValueError as error:
        return done._replace(message=str(error))


def delay(text: str) -> float:
    """Read the time between readings, in seconds. Raises ValueError."""
    try:
        seconds = float(text.replace(",", "."))
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"the time between readings is {SHORTEST:g} s at least, and a day at most")
    return seconds
