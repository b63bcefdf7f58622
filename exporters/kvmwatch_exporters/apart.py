"""Readings for what runs for long: each in a process of its own, which can hang and leak without harm to us."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from check_kvm.frame.check_options import site_config

from kvmwatch.command import apart
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import timings
from kvmwatch.reading.deadline import Deadline
from kvmwatch_exporters.complaints import Complaints
from kvmwatch_exporters.reading import Reading

T = TypeVar("T")

apart.warm("kvmwatch_exporters.warm")


def stay(options: argparse.Namespace) -> None:
    """Make this process one that runs for long, and its first reading one that has all its time.

    Raises UsageError when no reading could ever use its options.
    """
    Selection.parse(options.domain, options.exclude)
    site_config(options.config)
    apart.stay()
    apart.bear(options.timeout)


def read(options: argparse.Namespace, make: Callable[[Reading], T], complaints: Complaints, seconds: float) -> T:
    """Give what ``make`` (a function of a module) makes of a reading, within so many seconds.

    Each -d that selects nothing is complained of. Raises KvmwatchError when it could not be read in time.
    """
    made, unmatched, took = apart.run(partial(_made, _plain(options), make), seconds)
    complaints.unmatched(options.domain, unmatched)
    if options.verbose >= 3:
        complaints.mention(took)
    return made


def _plain(options: argparse.Namespace) -> argparse.Namespace:
    """The options that a reading needs."""
    names = ("uri", "domain", "exclude", "config", "state_dir", "reader", "check")
    return argparse.Namespace(**{name: getattr(options, name) for name in names})


def _made(
    options: argparse.Namespace, make: Callable[[Reading], T], deadline: Deadline
) -> tuple[T, tuple[str, ...], str]:
    from kvmwatch_exporters import reading  # noqa: PLC0415 - who waits for it does without

    done = reading.read(options, deadline)
    return make(done), done.unmatched, timings(done.snapshot)
