"""Whose turn it is to be sent, where the time does not suffice for all.

The services of the hypervisor come first in every run, because they say what is wrong with the others; those of
the VMs go on from where the last run had to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from kvmwatch.command import state_files
from nagios_kvm.judging import Result
from nagios_kvm.names import ServiceName

_KIND = "kvm_turns"


class Turns:
    """Iterates over results, for several threads at once, and remembers how far they have come."""

    def __init__(self, directory: str | None, target: Sequence[object], results: Sequence[Result]) -> None:
        """``target``: what is fed, each with turns of its own; ``directory`` None: see ``state_files.directory``.

        The results of VMs are in the order of their names.
        """
        self._path = state_files.path(state_files.directory(directory), _KIND, *target)
        self._stored = state_files.read(self._path)
        first = [result for result in results if not _domain(result.name)]
        others = [result for result in results if _domain(result.name)]
        start = _start(others, self._stored or "")
        self._queue = [*first, *others[start:], *others[:start]]
        self._began = others[start].name if self._stored and others else None
        self._left = iter(self._queue)
        self._back: list[Result] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many there are in all."""
        return len(self._queue)

    def __iter__(self) -> Iterator[Result]:
        """Itself: whoever iterates takes from the same results."""
        return self

    def __next__(self) -> Result:
        """Give the next one."""
        with self._lock:
            return next(self._left)

    def give_back(self, results: Iterable[Result]) -> None:
        """Say of some that were taken that nobody knows whether they have arrived: they had no turn."""
        with self._lock:
            self._back += results

    def keep(self) -> str | None:
        """Have the next run begin with the first that had no turn. Gives its service, None when all had one.

        Where this run began with it already, it gives way to the others: it may be what the receiver dies of.
        """
        back = next((result.name for result in self._queue if result in self._back and _domain(result.name)), None)
        left = next((result.name for result in self if _domain(result.name)), None)
        if back and back != self._began:
            left = back
        if (left or "") != (self._stored or ""):
            # what cannot be kept is said by the counters, which are kept there, too
            state_files.replace(self._path, left or "")
        return left


def _start(results: Sequence[Result], stored: str) -> int:
    """The place of a service, or where it is gone of the next VM's first."""
    gone = _domain(stored)
    for place, result in enumerate(results):
        if result.name == stored or (gone and _domain(result.name) > gone):
            return place
    return 0


def _domain(service: str) -> str:
    """What a service is sorted by: its VM, or the VM's own host; empty for those of the hypervisor."""
    host, own, _ = service.partition("!")
    if own:
        return host
    try:
        return ServiceName.parse(service).domain or ""
    except ValueError:  # nothing is stored, or it is damaged
        return ""
