"""Time limits for calls that may never return.

A libvirt call can block for ever (a stopped daemon, a hung QEMU) and no Python signal handler runs
meanwhile. So every call is made in a worker thread that the main thread stops waiting for; a command ends
without waiting for threads that are still inside such a call (:mod:`kvmwatch.command.watchdog`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar

from kvmwatch.model.errors import DeadlineExceeded

T = TypeVar("T")

_STAT = "/proc/self/stat"
LONGEST_SECONDS = 86400.0  # timers take no infinite ones
#: seconds that a start may take; a process that is older was another program before (a shell that slept, say)
_STARTING = 3.0


def begun() -> float:
    """When this process began, by time.monotonic(): whoever waits for a command, counts from there.

    Source: starttime of /proc/self/stat. It is the first time that this is asked where that is longer ago than a
    start takes, or not to be seen (a chroot without /proc).
    """
    return _begun(os.getpid())


@lru_cache(maxsize=1)
def _begun(_process: int) -> float:
    try:
        with open(_STAT, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return time.monotonic()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - (age if 0 < age < _STARTING else 0.0)


class Deadline:
    """The moment by which a command must have its data, counted from its own creation, or from ``since``.

    ``seconds`` is what the user allowed (``-t``); a tenth of it, half a second at most, is kept back for
    judging and printing what was read by then (or ``spare`` seconds). Where ``seconds`` are only what is left of
    that, it is ``allowed``, of which messages tell.
    """

    def __init__(
        self, seconds: float, spare: float | None = None, since: float | None = None, allowed: float | None = None
    ) -> None:
        self.seconds = seconds if allowed is None else allowed
        since = time.monotonic() if since is None else since
        self._end = since + min(seconds, LONGEST_SECONDS) - (min(0.5, seconds / 10) if spare is None else spare)

    @classmethod
    def of_command(cls, seconds: float) -> Deadline:
        """Give that of ``-t``: on a machine so busy that Python starts for a second, this second counts."""
        return cls(seconds, since=begun())

    def remaining(self) -> float:
        """Seconds left, 0 when over."""
        return max(0.0, self._end - time.monotonic())

    def share(self, part: float) -> Deadline:
        """Give a deadline that ends when this part of the time that is left is over."""
        shared = Deadline(self.seconds)
        shared._end = time.monotonic() + self.remaining() * part
        return shared

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline."""
        time.sleep(min(seconds, self.remaining()))


class Awake:
    """Counts the seconds for which this process could look around.

    A machine that stood still for a while (suspended, itself a paused VM, without any CPU) is no domain that does
    not answer; so of what passes between two looks no more counts than they may be apart.
    """

    def __init__(self, most: float) -> None:
        """``most`` is the number of seconds that count between two looks."""
        self.seconds = 0.0
        self._most = most
        self._looked = time.monotonic()

    def look(self) -> float:
        """Count what has passed since the last look, and give all that has counted."""
        now = time.monotonic()
        self.seconds += min(now - self._looked, self._most)
        self._looked = now
        return self.seconds


class Started(Generic[T]):
    """A call that runs in a thread of its own, which is left behind when the call hangs."""

    def __init__(self, function: Callable[[], T]) -> None:
        """Start the call."""
        self._function = function
        self._outcome: list[tuple[bool, Any]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, deadline: Deadline) -> T:
        """Give what the call returns. Raises DeadlineExceeded, or whatever the call raises."""
        self._thread.join(deadline.remaining())
        if not self._outcome:
            raise DeadlineExceeded(f"no answer within {deadline.seconds:g} s")
        succeeded, value = self._outcome[0]
        if not succeeded:
            raise value
        answer: T = value
        return answer

    def _run(self) -> None:
        try:
            self._outcome.append((True, self._function()))
        except Exception as error:
            self._outcome.append((False, error))
