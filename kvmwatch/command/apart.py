"""Work that can hang or leak, in a process of its own: for commands that run for long."""

from __future__ import annotations

import _thread
import contextlib
import gc
import importlib
import math
import multiprocessing
import os
import pickle
import pkgutil
import signal
import socket
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from kvmwatch.command import watchdog
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError, what_ended
from kvmwatch.reading.deadline import Deadline, Started

T = TypeVar("T")

_SPARE = 0.3  # seconds that are kept back of the time for the way back from there
_TAKING = 2  # seconds that it has to take what it is to do
_ENDING = 0.1  # seconds that threads have to end when all is done
_LOOK = 0.002  # seconds between two looks at them
_MOST = 100  # pieces of work for one process, whose memory may grow by what none of us can see

#: a process that has imported all, and never read anything, gives birth to them
_BORN = multiprocessing.get_context("forkserver")

# it is started as "python -c", which would import what lies in the current folder, for root as well
os.environ["PYTHONSAFEPATH"] = "1"


def stay() -> None:
    """Make this process one that runs for long: each turn of its loop is to call ``watchdog.renew``."""
    gc.enable()  # which check_kvm switches off, for commands that end at once
    watchdog.limit(math.inf)  # which is a day there


def warm(module: str) -> None:
    """Have this module imported, once, before the first process is born: it imports what their work needs."""
    _BORN.set_forkserver_preload([module])


def import_all(*packages: ModuleType, but: str = "") -> None:
    """For such a module, which is called ``but``: import all of these packages, whatever a reading will meet."""
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name != but:
                importlib.import_module(module.name)
    gc.freeze()


def bear(seconds: float) -> None:
    """Have a process born before there is work, whose time its birth would take; wait for so long at most."""
    with contextlib.suppress(KvmwatchError):  # which the work will meet as well
        _idle.append(_waiting(Deadline(seconds, spare=0)))


def run(work: Callable[[Deadline], T], seconds: float) -> T:
    """Give what ``work`` (what pickle takes: a function of a module) makes of the time that it has.

    What is done next is done by the same process, unless anything was left behind in it. Raises KvmwatchError when
    the work raises one; DeadlineExceeded, which is one, when it is not done in time.
    """
    deadline = Deadline(seconds, spare=0)
    worker = _waiting(deadline)
    try:
        told = worker.told(work, deadline)
    except BaseException:
        worker.end()
        raise
    if told.over and worker.done < _MOST:
        _idle.append(worker)
    else:
        worker.end()
    error, answer = pickle.loads(told.pickled)
    if error:
        raise error(answer)
    made: T = answer
    return made


class _Told(NamedTuple):
    pickled: bytes  # the class of an error, or None; its text, or the answer
    over: bool  # whether all that was begun there is done


class _Worker:
    """A process that does one thing after the other."""

    def __init__(self) -> None:
        self.done = 0  # pieces of work
        self._end, end = _BORN.Pipe()
        with socket.socket(fileno=os.dup(self._end.fileno())) as ours:  # one that stands still takes nothing
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _TAKING, 0))
        self._process = _BORN.Process(target=_work, args=(end,), daemon=True)
        with end:
            try:
                self._process.start()
            except (EOFError, OSError):
                self.end()
                raise _ended() from None

    def told(self, work: Callable[[Deadline], Any], deadline: Deadline) -> _Told:
        self.done += 1
        left = max(0.1, deadline.remaining() - _SPARE)
        try:
            self._end.send((work, Deadline(left, allowed=deadline.seconds)))  # both see the same clock
            if not self._end.poll(deadline.remaining()):
                raise DeadlineExceeded(f"no answer within {deadline.seconds:g} s")
            told: _Told = self._end.recv()
        except BlockingIOError:
            raise DeadlineExceeded(f"no answer within {deadline.seconds:g} s") from None
        except (EOFError, OSError):
            raise _ended() from None
        return told

    @property
    def waits(self) -> bool:
        """Whether it is still there, and waits for more to do."""
        return not self._end.poll()  # there would be its end

    def end(self) -> None:
        """End it with its session: with the ssh that libvirt has started there."""
        self._end.close()
        if self._process.pid:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()


#: the process that waits for more to do
_idle: list[_Worker] = []
#: one whose birth took too long for who wanted it: imports of seconds, on a busy machine
_unborn: list[Started[_Worker]] = []


def _waiting(deadline: Deadline) -> _Worker:
    while _idle:
        worker = _idle.pop()
        if worker.waits:
            return worker
        worker.end()
    try:
        birth = _unborn.pop() if _unborn else Started(_Worker)
    except RuntimeError:  # no thread is to be had
        raise _ended() from None
    try:
        return birth.wait(deadline)
    except DeadlineExceeded:
        _unborn.append(birth)
        raise DeadlineExceeded(
            f"the process that reads was not started within {deadline.seconds:g} s; is the machine very busy?"
        ) from None


def _ended() -> KvmwatchError:
    return KvmwatchError("the process that reads the hypervisor has ended; is there enough memory?")


def _work(end: Connection) -> None:
    with contextlib.suppress(OSError):
        os.setsid()  # a terminal's Ctrl-C is for who owns it, and ssh is to ask nobody for a password there
    with contextlib.suppress(EOFError, OSError):  # nobody waits for it any more
        while True:
            work, deadline = end.recv()
            pickled = bytes(ForkingPickler.dumps(_outcome(work, deadline)))
            del work
            gc.collect()  # may close connections, which may hang: so before it is told that all is done
            end.send(_Told(pickled, _is_over()))
    os._exit(0)  # without waiting for what hangs


def _outcome(work: Callable[[Deadline], Any], deadline: Deadline) -> tuple[type[KvmwatchError] | None, Any]:
    try:
        return None, work(deadline)
    except DeadlineExceeded as error:
        return DeadlineExceeded, str(error)
    except Exception as error:
        return KvmwatchError, what_ended(error)


def _is_over() -> bool:
    """Whether no thread is left that waits for libvirt; those that are just ending are waited for."""
    until = time.monotonic() + _ENDING
    while _thread._count() and time.monotonic() < until:  # threading does not know those that close connections
        time.sleep(_LOOK)
    return not _thread._count()
