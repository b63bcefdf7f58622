"""Work that can hang or leak, in a process of its own: for commands that run for long."""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
import multiprocessing
import os
import pkgutil
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, TypeVar

from kvmwatch.command import watchdog
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError

T = TypeVar("T")

_SPARE = 0.3  # seconds that are kept back of the time for the way back from there

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


def run(work: Callable[[float], T], seconds: float) -> T:
    """Give what ``work`` (what pickle takes: a function of a module) makes of the seconds that it has.

    Raises KvmwatchError when that raises one; DeadlineExceeded, which is one, when it is not done in time.
    """
    out, end = _BORN.Pipe(duplex=False)
    process = _BORN.Process(target=_work, args=(work, max(0.1, seconds - _SPARE), end))
    with out:
        try:
            with end:
                process.start()
            if not out.poll(seconds):
                raise DeadlineExceeded(f"no answer within {seconds:g} s")
            error, answer = out.recv()
        except (EOFError, OSError):
            raise KvmwatchError(
                "the process that reads the hypervisor has ended; is there enough memory?"
            ) from None
        finally:
            if process.pid:
                with contextlib.suppress(OSError):  # its session: with the ssh that libvirt has started there
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
    if error:
        raise error(answer)
    made: T = answer
    return made


def _work(work: Callable[[float], Any], seconds: float, end: Connection) -> None:
    with contextlib.suppress(OSError):
        os.setsid()  # a terminal's Ctrl-C is for who owns it, and ssh is to ask nobody for a password there
    try:
        told: tuple[type[KvmwatchError] | None, Any] = None, work(seconds)
    except DeadlineExceeded as error:
        told = DeadlineExceeded, str(error)
    except KvmwatchError as error:
        told = KvmwatchError, str(error)
    except Exception as error:
        told = KvmwatchError, f"internal error, please report it: {type(error).__name__}: {error}"
    with contextlib.suppress(OSError):  # nobody waits for it any more
        end.send(told)
    os._exit(0)  # without waiting for what hangs
