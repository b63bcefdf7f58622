"""One reading for ``kvmwatch top``: a snapshot with rates, and what the checks say; or the page of one VM."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from check_kvm.frame.check_options import site_config
from check_kvm.frame.judging import all_checks, of_domains
from check_kvm.frame.plugin import Check

from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample, Samples, with_rates
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot, Unread
from kvmwatch.reading.connection import is_local
from kvmwatch.reading.deadline import Deadline
from kvmwatch_terminal import reading, show
from kvmwatch_terminal.columns import COLUMNS, TABLE
from kvmwatch_terminal.rows import Problem, Row, Said
from kvmwatch_terminal.sections import Shown
from kvmwatch_terminal.verdicts import hypervisor_problems, judged

#: what the header and the VMs' columns show
_ALWAYS = reduce(or_, (column.needs for column in COLUMNS if column.shown == TABLE)) | Group.HOST | Group.SIZE

_FORGOTTEN = 3600.0  # seconds after which counters are of no use

_GOOD_FOR = 30.0  # seconds for which what the checks say of the hypervisor is new enough

_OF_PROCESSES = Group.PROCESSES | Group.THREADS | Group.PSS
_ELSEWHERE = "processes can be seen only on the hypervisor itself: run it there"

#: names of the options that a reading needs
OPTIONS = ("uri", "domain", "exclude", "config", "state_dir")


class Asked(NamedTuple):
    """What a reading is to give."""

    groups: Group = Group.NONE  # of the view, beside what is always shown
    hypervisor: bool = True  # what the checks of the hypervisor say: pools, networks, the host
    vm: str | None = None  # the UUID of the VM whose page is to be given instead
    called: str = ""  # what that VM is called, for when it is gone


class Page(NamedTuple):
    """The page of a VM: what ``kvmwatch show`` would print."""

    shown: Shown
    verdicts: list[Said]


class Taken(NamedTuple):
    """What a reading gave."""

    asked: Asked
    snapshot: Snapshot
    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()  # of the hypervisor
    page: Page | None = None
    unmatched: tuple[str, ...] = ()  # what is said of each --domain that selects nothing


class Remembered:
    """Counters that this process remembers (:class:`~check_kvm.frame.sampling.Counters`), for the next reading."""

    def __init__(self, samples: Mapping[str, Sample]) -> None:
        self.samples: Samples = dict(samples)

    def load(self) -> Samples:
        """Give them."""
        return self.samples

    def save(self, samples: Samples) -> None:
        """Take new ones in, beside those of what was not read this time and may be read again."""
        # a process's threads are read all at once, and who is not among them has ended: QEMU's come and go
        processes = {_process(key) for key in samples if _is_of_thread(key)}
        oldest = time.monotonic() - _FORGOTTEN
        kept = {
            key: sample
            for key, sample in self.samples.items()
            if sample.time > oldest and not (_is_of_thread(key) and _process(key) in processes)
        }
        self.samples = {**kept, **samples}


def _is_of_thread(key: str) -> bool:
    return key.startswith("process/") and key.count("/") > 1


def _process(key: str) -> str:
    return key.rpartition("/")[0]


class OfHypervisor:
    """What the checks say of the hypervisor: asked now and then where something else is looked at, and kept."""

    def __init__(self) -> None:
        self._said: tuple[Problem, ...] = ()
        self._said_at = -math.inf

    def asked(self, asked: Asked, now: float) -> Asked:
        """What a reading that begins now is asked."""
        return asked._replace(hypervisor=True) if now - self._said_at > _GOOD_FOR else asked

    def told(self, taken: Taken, begun: float) -> Taken:
        """A reading with what is said of it, now or before."""
        if taken.asked.hypervisor and not taken.page:
            self._said, self._said_at = taken.problems, begun
        return taken._replace(problems=self._said)


def take(options: argparse.Namespace, asked: Asked, samples: Samples, deadline: Deadline) -> tuple[Taken, Samples]:
    """Read by then; give that, and the counters for the next time. Raises KvmwatchError."""
    given = argparse.Namespace(**vars(options), vm=asked.vm)
    counters = Remembered(samples)
    goes_on = reading.GoesOn(counters, deadline)
    taken = _page(given, asked, goes_on) if asked.vm else _all(given, asked, goes_on)
    return taken, counters.samples


def averaged(taken: Taken, first: Samples) -> Taken:
    """The same with rates since these first counters, which are means over all the time since then."""
    snapshot = with_rates(taken.snapshot, first, longest=math.inf)
    rows = (row._replace(domain=domain) for row, domain in zip(taken.rows, snapshot.domains))
    return taken._replace(snapshot=snapshot, rows=tuple(rows))


def _page(options: argparse.Namespace, asked: Asked, goes_on: reading.GoesOn) -> Taken:
    shown, verdicts = show.read(options, goes_on, asked.called)
    return Taken(asked, shown.snapshot, page=Page(shown, verdicts))


def _all(options: argparse.Namespace, asked: Asked, goes_on: reading.GoesOn) -> Taken:
    config = site_config(options.config)
    selection = Selection.parse(options.domain, options.exclude)
    of_vms, of_hypervisor = _checks()
    checks = (*of_vms, *(of_hypervisor if asked.hypervisor else ()))
    unseen = Group.NONE if is_local(options.uri) else asked.groups & _OF_PROCESSES
    groups = (asked.groups | _ALWAYS) & ~unseen
    before = reading.read(options, "kvm_top", groups, checks, selection, config, goes_on=goes_on)
    snapshot = config.applied(before)
    if unseen:
        snapshot = snapshot._replace(unread=(*snapshot.unread, Unread(unseen, "", _ELSEWHERE, absent=True)))
    problems = hypervisor_problems(snapshot, of_hypervisor, config) if asked.hypervisor else ()
    rows = tuple(judged(snapshot, of_vms, config))
    unmatched = tuple(reading.unmatched(selection, snapshot, "--domain"))  # -d is the delay here
    return Taken(asked, snapshot, rows, tuple(problems), unmatched=unmatched)


def _checks() -> tuple[Sequence[Check], Sequence[Check]]:
    """Those of VMs, by which kvmwatch list judges, and those of the hypervisor."""
    return of_domains(), [check for check in all_checks() if check.by_default and not check.of_each_domain]
