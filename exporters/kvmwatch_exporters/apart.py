"""Readings for what runs for long: each in a process of its own, which can hang and leak without harm to us."""

from __future__ import annotations

import argparse
import gc
import math
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from kvmwatch.command import watchdog
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.text import without_password
from kvmwatch.reading.deadline import Deadline
from kvmwatch_exporters.reading import Reading

T = TypeVar("T")

_SPARE = 0.3  # seconds that are kept back of the time for the way back from there

#: a process that has imported all, and never read anything, gives birth to them
_BORN = multiprocessing.get_context("forkserver")
_BORN.set_forkserver_preload(["kvmwatch_exporters.warm"])


def stay() -> None:
    """Make this process one that runs for long: each turn of its loop is to call ``watchdog.renew``."""
    gc.enable()  # which check_kvm switches off, for commands that end at once
    watchdog.limit(math.inf)  # which is a day there


def read(options: argparse.Namespace, make: Callable[[Reading], T], seconds: float) -> T:
    """Give what ``make`` (a function of a module) makes of a reading, within so many seconds.

    Raises KvmwatchError when it could not be read in time.
    """
    out, end = _BORN.Pipe(duplex=False)
    with out:
        with end:
            process = _BORN.Process(target=_read, args=(_plain(options), make, max(0.1, seconds - _SPARE), end))
            process.start()
        try:
            if not out.poll(seconds):
                raise KvmwatchError(f"no answer within {seconds:g} s")
            succeeded, answer = out.recv()
        except EOFError:
            raise KvmwatchError(
                "the process that reads the hypervisor has ended; is there enough memory?"
            ) from None
        finally:
            process.kill()
    if not succeeded:
        raise KvmwatchError(answer)
    made: T = answer
    return made


def _plain(options: argparse.Namespace) -> argparse.Namespace:
    """The options that a reading needs."""
    names = ("uri", "domain", "exclude", "config", "state_dir", "reader")
    return argparse.Namespace(**{name: getattr(options, name) for name in names})


def _read(options: argparse.Namespace, make: Callable[[Reading], Any], seconds: float, end: Connection) -> None:
    from kvmwatch_exporters import reading  # noqa: PLC0415

    try:
        end.send((True, make(reading.read(options, Deadline(seconds)))))
    except KvmwatchError as error:
        end.send((False, without_password(str(error))))
    except Exception as error:
        end.send((False, f"internal error, please report it: {type(error).__name__}: {error}"))
    os._exit(0)  # without waiting for what hangs
