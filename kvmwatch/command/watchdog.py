"""``-t`` holds for the whole process: whatever hangs, it ends with one line and an exit code, and leaves no child.

What reads a hypervisor, sends or runs a program gives up by itself just before ``-t`` (its Deadline) and says
more. For all else there are two ways, because each alone has a gap:

* SIGALRM raises Stopped in the main thread: also within a regular expression, which lets no other thread run, and
  within a system call that signals interrupt. What was begun is cleaned up on the way.
* A thread ends the process when that did not help: the main thread is in a call that no signal interrupts (a dead
  NFS server), or nobody reads what it prints.

SIGTERM, SIGINT, SIGHUP and SIGQUIT go the same ways, so that no child outlives us then either. Nothing here can
end a call that lets neither signals nor threads run; so everything that can be large has a limit where it is read.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from kvmwatch.command import children
from kvmwatch.model import doing
from kvmwatch.model.record import Record
from kvmwatch.reading.deadline import LONGEST_SECONDS, begun

UNKNOWN = 3

# seconds after -t; together with those of children.end_all this stays below one
_INTERRUPTED = 0.2  # the main thread gets its signal
_AGAIN = 0.5  # and another one, when it has gone on in spite of it
_GIVEN_UP = 0.4  # the thread does not wait for it any longer
_CLEANING_UP = 1.0  # seconds that the main thread has for it after SIGTERM
_PRINTING = 0.2  # seconds that it has to print what it was just about to

_NAMED = 300  # characters of what it was doing
_MOST = select.PIPE_BUF  # bytes that a pipe with room takes without waiting
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Said(Record):
    """The last words of a command: whole lines, its exit code, and whether they go to stderr."""

    text: str
    code: int = UNKNOWN
    on_stderr: bool = False


class Stopped(BaseException):
    """Raised in the main thread, wherever that is, by the signal with this number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def run(work: Callable[[], Said], too_late: Callable[[str], Said], seconds: float) -> NoReturn:
    """Do the work, print what it gives and end the process.

    ``too_late`` makes the last words of a message when the time is over; it must not wait for anything. The time
    limit holds until :func:`limit` is told that of the command line.
    """
    global _watchdog  # noqa: PLW0603 - there is one process
    if sys.stdout:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    else:
        _have_nothing_in_the_place_of(1, os.O_RDONLY)
    _say_beside()
    _watchdog = _Watchdog(too_late)
    _watchdog.run(work, seconds)


def limit(seconds: float) -> None:
    """Give the work so many seconds from when the process began."""
    if _watchdog:
        _watchdog.limit(seconds)


def renew() -> None:
    """Give it the same time again: for commands whose ``-t`` is for each step."""
    if _watchdog:
        _watchdog.renew()


class _Watchdog:
    def __init__(self, too_late: Callable[[str], Said]) -> None:
        self._too_late = too_late
        self._last_word = threading.Lock()  # whoever has it prints; the other one must not
        self._code: int | None = None  # when all is printed
        self._ending: int | None = None  # the signal that asked for it
        self._over = False  # the main thread has nothing more to do than to print
        self._seconds = self._end = 0.0
        self._told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)

    def _begin(self, seconds: float) -> None:
        signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        sys.unraisablehook = _unless_stopped
        for number in (signal.SIGALRM, *_ENDING):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGALRM:
                signal.signal(number, self._interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        self._until(time.monotonic(), min(seconds, LONGEST_SECONDS))
        with contextlib.suppress(RuntimeError):  # no thread is to be had: what needs one will tell
            threading.Thread(target=self._watch, daemon=True).start()

    def limit(self, seconds: float) -> None:
        self._until(begun(), min(seconds, LONGEST_SECONDS))

    def renew(self) -> None:
        self._until(time.monotonic(), self._seconds)

    def _until(self, since: float, seconds: float) -> None:
        # in this order: who is interrupted in between by what was before has its time given anew
        self._end = end = since + seconds
        self._seconds = seconds
        # again and again: what is raised within a callback or a destructor is lost, and a regular expression that
        # begins after that lets no other thread run
        signal.setitimer(signal.ITIMER_REAL, max(0.0, end - time.monotonic()) + _INTERRUPTED, _AGAIN)
        with contextlib.suppress(BlockingIOError):  # then the thread is awake
            os.write(self._tell, bytes(1))

    def run(self, work: Callable[[], Said], seconds: float) -> NoReturn:
        try:
            self._begin(seconds)  # from here on signals raise Stopped
            said = work()
            self._over = True
            mine = self._last_word.acquire(blocking=False)
        except Stopped as stopped:
            self._over = True
            if stopped.number != signal.SIGALRM:
                children.end_all()
                signal.signal(stopped.number, signal.SIG_DFL)
                os.kill(os.getpid(), stopped.number)
            said = self._too_late(str(stopped))
            mine = self._last_word.acquire(blocking=False)
        while not mine:
            time.sleep(1)  # the thread is ending the process
        code = said.code
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):  # none where it is closed
                stream.flush()
            _print(said)
        except OSError as error:  # nobody has got it
            code = UNKNOWN
            if error.errno != errno.EPIPE and not said.on_stderr:  # a reader that is gone does not want to know
                what = f"{os.path.basename(sys.argv[0])}: cannot write what there is to say: {error.strerror}\n"
                with contextlib.suppress(OSError):
                    os.write(2, what.encode(errors="backslashreplace"))
        self._code = code
        children.end_all()
        os._exit(code)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if number in _ENDING:
            self._ending = number
            signal.setitimer(signal.ITIMER_REAL, _CLEANING_UP, _AGAIN)
        elif not self._ending and time.monotonic() < self._end:
            return  # the time was given anew just when it was over
        if not self._over:
            raise Stopped(self._ending or number, self._message(self._seconds))

    def _message(self, seconds: float) -> str:
        what = doing.now() or ""
        what = what if len(what) <= _NAMED else what[:_NAMED] + "..."
        return f"not done within {seconds:g} s" + (f", stopped while {what}" if what else "")

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        while True:
            # both are of one limit, or of the last but one and this, which the main thread gives just now
            seconds, left = self._seconds, self._end + _GIVEN_UP - time.monotonic()
            if left <= 0:
                break
            if not poll.poll(left * 1000):
                continue
            for number in os.read(self._told, 512):
                if number in _ENDING:
                    time.sleep(_CLEANING_UP)
                    children.end_all()
                    os._exit(128 + number)
        try:
            if self._last_word.acquire(blocking=False):
                said = self._too_late(self._message(seconds))
                # in a thread, because a file on a dead NFS server takes nothing and does not say so
                printing = threading.Thread(target=self._print_if_it_is_read, args=(said,), daemon=True)
                printing.start()
                printing.join(_PRINTING / 2)
            else:
                time.sleep(_PRINTING)
            children.end_all()
        finally:
            os._exit(UNKNOWN if self._code is None else self._code)

    def _print_if_it_is_read(self, said: Said) -> None:
        """Print past Python's buffers, whose locks the main thread may hold, and only where that does not wait."""
        poll = select.poll()
        poll.register(_file(said), select.POLLOUT)
        if poll.poll(0):
            with contextlib.suppress(OSError):
                os.write(_file(said), _encoded(said)[:_MOST])
                self._code = said.code  # else nobody has got it


def _have_nothing_in_the_place_of(number: int, access: int) -> None:
    """Have no file or socket that is opened from now on get this number: it would be written to as stdout was."""
    null = os.open(os.devnull, access)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def _say_beside() -> None:
    """Make stderr what can be said to whether it is open or not, and lose what it does not take.

    What is closed is None in Python, and print takes that for stdout: a note was a line of the CSV or JSON. One
    that could not be written ended the command, with all that it had to tell.
    """
    if not sys.stderr:
        _have_nothing_in_the_place_of(2, os.O_WRONLY)  # which children may write to
    file = io.BufferedWriter(_Losing(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(file, "utf-8", "backslashreplace", line_buffering=True)


class _Losing(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def _unless_stopped(unraisable: sys.UnraisableHookArgs) -> None:
    """Say nothing of a Stopped that was lost, for there comes another one."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)


def _print(said: Said) -> None:
    """Print all of it: with PYTHONUNBUFFERED, sys.stdout takes a write that a signal has cut short for whole."""
    left = memoryview(_encoded(said))
    while left:
        left = left[os.write(_file(said), left) :]


def _encoded(said: Said) -> bytes:
    return said.text.encode(errors="backslashreplace")


def _file(said: Said) -> int:
    return 2 if said.on_stderr else 1


_watchdog: _Watchdog | None = None
