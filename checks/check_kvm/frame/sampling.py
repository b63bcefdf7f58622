"""Rates since the last run, or where there was none since a moment ago; and what else of that run is needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional, Protocol

from kvmwatch.command.history import History
from kvmwatch.model import lasting, rates, remembered, reported
from kvmwatch.model.lasting import unkept
from kvmwatch.model.rates import Samples, lacking, with_rates
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

if TYPE_CHECKING:
    import argparse

_SAMPLING = 1.0  # seconds between the two samples of a first run


class Counters(Protocol):
    """Where the counters of the last reading are kept for the next one: a History, or what a process remembers."""

    def load(self) -> Samples:
        """Give those of the last reading; empty where there was none."""

    def save(self, samples: Samples) -> Optional[str]:
        """Keep them, or tell why they could not be kept and what to do."""


def rated(
    reader: Reader,
    snapshot: Snapshot,
    command: str,
    options: argparse.Namespace,
    selection: Selection,
    deadline: Deadline,
    *readers: str,
    oldest: float = math.inf,
    waits: Callable[[], None] = lambda: None,
) -> Snapshot:
    """Give the snapshot rates since the last run of this command line; what lacks one is read a second time.

    Passing states are given the time since which they last, and domains that do not tell them the disks and
    interfaces that they had. ``readers``: for whom it is run, where several run the same command line: they keep
    counters apart, or each would find those that another has taken a moment ago, too young for a rate. Counters
    that are older than ``oldest`` seconds give none. ``waits`` is called before a wait for a second reading.
    """
    history = History(options.state_dir, command, options.uri, selection, *readers)
    return rated_by(reader, snapshot, history, deadline, oldest, waits)


def rated_by(
    reader: Reader,
    snapshot: Snapshot,
    counters: Counters,
    deadline: Deadline,
    oldest: float = math.inf,
    waits: Callable[[], None] = lambda: None,
) -> Snapshot:
    """The same by these counters, which are replaced."""
    previous = counters.load()
    snapshot = _remembering(snapshot, previous)
    counted = _counted(snapshot, previous)
    recent = {key: sample for key, sample in previous.items() if time.monotonic() - sample.time <= oldest}
    if not counted:
        if previous:  # else what passed meanwhile would be taken for what comes back
            counters.save(remembered.samples(snapshot))
        return snapshot  # nothing has a rate here, so nothing is worth waiting for
    first = with_rates(snapshot, recent)
    without = lacking(first, reader.groups)
    if without and deadline.remaining() > _SAMPLING + 2 * reader.again_takes(snapshot):
        waits()
        deadline.sleep(_SAMPLING)
        snapshot = rates.steady(_remembering(reader.read_again(snapshot, without), previous), counted)
        problem = counters.save(_counted(snapshot, previous) | remembered.samples(snapshot))
        return unkept(with_rates(snapshot, recent, counted), problem)._replace(note=problem)
    problem = counters.save(counted | remembered.samples(snapshot))
    if not without or with_rates(snapshot) != first:
        return unkept(first, problem)._replace(note=problem)
    return unkept(first, problem)._replace(
        unrated=f"no rates: -t {deadline.seconds:g} leaves no time for a second reading; "
        + (f"{problem}, or give a longer -t" if problem else "the next run will have them")
    )


def _remembering(snapshot: Snapshot, previous: Samples) -> Snapshot:
    """The snapshot with what only the last run tells: since when states last, and parts that are not told now."""
    return rates.steady(remembered.with_parts(lasting.with_since(snapshot, previous), previous), previous)


def _counted(snapshot: Snapshot, previous: Samples) -> Samples:
    """What the next run compares with."""
    return rates.samples(snapshot) | reported.samples(snapshot, previous) | lasting.samples(snapshot, previous)
