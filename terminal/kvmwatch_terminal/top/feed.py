"""The readings that ``kvmwatch top`` shows: one after the other, in the background, whatever hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.model.rates import MIN_SECONDS, Samples
from kvmwatch.model.text import without_password
from kvmwatch_terminal.top.taking import Asked, OfHypervisor, Taken

#: seconds after which that a reading has not answered is said; a QEMU that hangs holds one up for two
LATE = 5.0
_SLACK = 0.1

#: gives what was read, and the counters for the next reading
Take = Callable[[Asked, Samples], tuple[Taken, Samples]]


NOTHING: Samples = {}


class News(NamedTuple):
    """What there is to be shown just now."""

    taken: Taken | None = None  # of the VMs; None: nothing yet
    page: Taken | None = None
    first: Samples = NOTHING  # the counters of each thing when it was first seen
    error: str | None = None  # why the last reading gave nothing
    refused: bool = False  # whether that is an answer
    old: float | None = None  # seconds since the first reading began that gave nothing; None: the last one did


class Feed:
    """Reads in a thread; each method returns at once."""

    def __init__(self, take: Take, asked: Asked, delay: float) -> None:
        """Start. ``delay``: seconds from the beginning of one reading to that of the next."""
        self._take = take
        self._delay = delay
        self._asked = asked
        self._paused = False
        self._changed = threading.Condition()
        self._news = News()
        self._samples: Samples = {}
        self._unanswered: float | None = None  # when the first reading began that gave nothing
        self._of_hypervisor = OfHypervisor()
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, asked: Asked, delay: float, paused: bool) -> None:
        """Say what is wanted from now on; what was not wanted before is read at once."""
        with self._changed:
            if (asked, delay, paused) != (self._asked, self._delay, self._paused):
                self._asked, self._delay, self._paused = asked, delay, paused
                self._changed.notify()

    def news(self) -> News:
        """Give what there is."""
        begun = self._unanswered
        waited = 0.0 if begun is None else time.monotonic() - begun
        news = self._news
        return news._replace(old=waited if waited > LATE or (news.error and begun is not None) else None)

    def _run(self) -> None:
        while True:
            with self._changed:
                asked = self._asked
            begun = time.monotonic()
            if self._unanswered is None:
                self._unanswered = begun
            self._read(asked, begun)
            with self._changed:
                while (seconds := self._left(asked, begun)) > 0:
                    self._changed.wait(seconds)

    def _left(self, asked: Asked, begun: float) -> float:
        """Seconds to the next reading; it is made sooner, or later, when something else is wanted meanwhile."""
        if self._paused and self._asked == asked:
            return threading.TIMEOUT_MAX
        at_once = self._asked != asked
        return begun + (MIN_SECONDS + _SLACK if at_once else self._delay) - time.monotonic()

    def _read(self, asked: Asked, begun: float) -> None:
        try:
            taken, samples = self._take(self._of_hypervisor.asked(asked, begun), self._samples)
        except Exception as error:  # whatever it is, there is a next reading
            ours = "" if isinstance(error, KvmwatchError) else f"internal error: {type(error).__name__}: "
            text = f"{ours}{without_password(str(error))}"
            self._news = self._news._replace(error=text, refused=not isinstance(error, DeadlineExceeded))
            return
        self._samples = samples
        self._unanswered = None
        if taken.page:
            self._news = self._news._replace(page=taken, error=None, refused=False)
            return
        taken = self._of_hypervisor.told(taken, begun)
        first = self._first(self._samples)
        self._news = self._news._replace(taken=taken, first=first, error=None, refused=False)

    def _first(self, samples: Samples) -> Samples:
        """The oldest counters of what is still there: a VM that was started again has new ones."""
        known = self._news.first
        return {
            key: first if (first := known.get(key)) and first.generation == sample.generation else sample
            for key, sample in samples.items()
        }
