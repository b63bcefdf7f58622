"""``kvmwatch top -b``: the same readings as text, CSV or JSON, one after the other, for scripts and files."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from kvmwatch.command import watchdog
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.rates import MIN_SECONDS
from kvmwatch.model.snapshot import texts, timings
from kvmwatch_terminal import formats, reading
from kvmwatch_terminal.columns import Column
from kvmwatch_terminal.rows import Line, Row
from kvmwatch_terminal.table import table
from kvmwatch_terminal.top import header, model, views
from kvmwatch_terminal.top.feed import NOTHING, News, Take
from kvmwatch_terminal.top.model import State
from kvmwatch_terminal.top.taking import OfHypervisor, Taken
from kvmwatch_terminal.width import cut

#: beside the columns of the view, for programs
_BESIDE = (
    Column("time", "TIME", "unixtime", "Unix time of the reading", lambda line: line.now),
    Column("uuid", "UUID", None, "the UUID of the VM", views.uuid),
)

Format = Callable[[State, Taken, bool], str]


def run(take: Take, state: State, number: int | None, make: Format, timed: bool = False) -> int:
    """Print so many readings, or until nobody reads any more; give the exit code. ``timed``: say what each took.

    Raises KvmwatchError when the first could not be had; of others that is said on stderr.
    """
    samples = NOTHING
    asked, of_hypervisor = state.asked, OfHypervisor() if make is as_text else None  # which is in the header
    shown, code = 0, 0
    said: list[str] = []  # with the reading before
    while True:
        watchdog.renew()
        begun = time.monotonic()
        try:
            taken, samples = take(of_hypervisor.asked(asked, begun) if of_hypervisor else asked, samples)
            code = 0
        except KvmwatchError as error:
            if not shown:
                raise
            reading.say(str(error))
            code = watchdog.UNKNOWN
        else:
            taken = of_hypervisor.told(taken, begun) if of_hypervisor else taken
            if timed:
                reading.say(timings(taken.snapshot))
            told = [] if make is as_text else header.unread(state, taken)  # that has it in its header
            for text in told:
                if text not in said:
                    reading.say(text)
            said = told
            page = make(state, taken, not shown)
            if page and not _told(page):  # of a view without lines CSV has none
                return 0
        shown += 1
        if number is not None and shown >= number:
            return code
        # after one that took long, too, the next has rates of its own
        time.sleep(max(MIN_SECONDS, begun + state.delay - time.monotonic()))


def _told(text: str) -> bool:
    """Print it, and tell whether somebody still reads. Raises KvmwatchError when it cannot be written."""
    try:
        if not sys.stdout:  # closed: print would write nothing, again and again
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        print(text, flush=True)
    except OSError as error:
        sys.stdout = None  # or what it has kept is tried again
        if isinstance(error, BrokenPipeError):
            return False
        raise KvmwatchError(f"the output could not be written: {error.strerror}") from None
    return True


def as_text(state: State, taken: Taken, first: bool) -> str:
    """The header and the table; as wide as the terminal, where there is one."""
    room = reading.room()
    above = ["".join(span.text for span in line) for line in header.lines(state, News(taken))]
    above = above if room is None else [cut(line, room) for line in above]
    columns = model.columns(state, taken)
    sorted_by = [column for column in columns if column.name == state.order.column]
    body = table(model.lines(state, taken), columns, room, sorted_by, reading.coloured(), everything="--csv")
    return "\n".join([*([] if first else [""]), *above, "", body])


def as_csv(state: State, taken: Taken, first: bool) -> str:
    """A line for each line of the view, in base units; before the first the names of the columns."""
    text = formats.as_csv(model.lines(state, taken), _columns(state), reading.fit())
    return text if first else text.partition("\n")[2]


def as_json(state: State, taken: Taken, _: bool) -> str:
    """An object on a line of its own, in base units."""
    columns = _columns(state)[1:]
    document = {
        "uri": taken.snapshot.uri,
        "time": formats.rounded(taken.snapshot.time),
        "unread": texts(taken.snapshot.unread),
        state.view: [_object(line, columns) for line in model.lines(state, taken)],
    }
    return json.dumps(document)


def _columns(state: State) -> tuple[Column, ...]:
    return (*_BESIDE, *(each for each in state.table.columns if each.name != "uuid"))


def _object(line: Line, columns: tuple[Column, ...]) -> dict[str, Any]:
    document: dict[str, Any] = {column.name: formats.rounded(column.of(line)) for column in columns}
    if isinstance(line, Row):
        document["unread"] = texts(line.unread)
        document["not_responding"] = formats.rounded(line.domain.not_responding)
    return document
