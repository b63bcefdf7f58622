"""Readings for what runs for long: each in a process of its own, which can hang and leak without harm to us."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from kvmwatch.command import apart
from kvmwatch.reading.deadline import Deadline
from kvmwatch_exporters.reading import Reading

T = TypeVar("T")

apart.warm("kvmwatch_exporters.warm")


def read(options: argparse.Namespace, make: Callable[[Reading], T], seconds: float) -> T:
    """Give what ``make`` (a function of a module) makes of a reading, within so many seconds.

    Raises KvmwatchError when it could not be read in time.
    """
    return apart.run(partial(_made, _plain(options), make), seconds)


def _plain(options: argparse.Namespace) -> argparse.Namespace:
    """The options that a reading needs."""
    names = ("uri", "domain", "exclude", "config", "state_dir", "reader", "check")
    return argparse.Namespace(**{name: getattr(options, name) for name in names})


def _made(options: argparse.Namespace, make: Callable[[Reading], T], seconds: float) -> T:
    from kvmwatch_exporters import reading  # noqa: PLC0415 - who waits for it does without

    return make(reading.read(options, Deadline(seconds)))
