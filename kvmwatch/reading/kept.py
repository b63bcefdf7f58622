"""What a process that reads again and again need not ask each time: XML, and what guests report of their memory.

People change a definition, and libvirt gives it as text of 10 KB. A guest reports its memory every 10 s, as a
rule, and to be asked for it costs a QEMU as much as its disks do. So the former is kept for half a minute, as long
as the statistics name the same parts, and the latter until a new one is due.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Optional

from kvmwatch.model.record import Record
from kvmwatch.reading.bulk import Fields
from kvmwatch.reading.connection import LibvirtDomain, uuid_of

if TYPE_CHECKING:
    from kvmwatch.reading.descriptions import Description

_DEFINITION = 30.0  # seconds for which a definition is good
_REPORT = 8.5  # seconds for which a report is at most, where no new one is due
_OF_MEMORY = "balloon."
_PARTS = (".name", "vcpu.current")

Run = tuple[str, int]  # UUID, and number of the domain's run (virDomainGetID)


class _Definition(Record):
    time: float
    description: Description
    parts: dict[str, object]  # names of disks and interfaces, and how many vCPUs


class _Report(Record):
    time: float
    fields: Fields


class Kept:
    """What is kept of one hypervisor. Its methods are called from several threads."""

    def __init__(self) -> None:
        self._definitions: dict[Run, _Definition] = {}
        self._reports: dict[Run, _Report] = {}

    def forget(self) -> None:
        """Let go of what is good no more: most of it is of domains that have ended."""
        now = time.monotonic()
        # lists, for a thread that was left behind may put something in meanwhile
        self._definitions = {run: of for run, of in list(self._definitions.items()) if now - of.time < _DEFINITION}
        self._reports = {run: of for run, of in list(self._reports.items()) if now - of.time < _REPORT}

    def description(self, domain: LibvirtDomain) -> Optional[Description]:
        """That of this run of a domain, as it was a moment ago; None: to be asked for."""
        known = self._definitions.get(_run(domain))
        return known.description if known else None

    def report(self, domain: LibvirtDomain, period: int) -> Optional[Fields]:
        """The ``balloon.*`` of this run; None: to be asked for. ``period``: seconds from report to report."""
        known = self._reports.get(_run(domain))
        if not known or time.monotonic() - known.time > _REPORT:
            return None
        updated = known.fields.get(f"{_OF_MEMORY}last-update")
        due = updated and period and updated + period <= time.time()
        return None if due else known.fields

    def changed(self, domain: LibvirtDomain, fields: Fields) -> bool:
        """Whether the statistics name other parts than when the kept definition was read."""
        known = self._definitions.get(_run(domain))
        return known is not None and known.parts != _parts(fields)

    def keep(self, read: Iterable[tuple[LibvirtDomain, Fields, Description]]) -> None:
        """Take in what was just read, unless it was kept before."""
        now = time.monotonic()
        for domain, fields, description in read:
            run = _run(domain)
            if description.definition and not description.unread and run not in self._definitions:
                self._definitions[run] = _Definition(now, description, _parts(fields))
            if f"{_OF_MEMORY}rss" in fields:  # told by its QEMU
                report = {name: value for name, value in fields.items() if name.startswith(_OF_MEMORY)}
                self._reports[run] = _Report(now, report)

    def drop(self, domain: LibvirtDomain) -> None:
        """Have its definition asked for."""
        self._definitions.pop(_run(domain), None)


@cache
def kept(uri: str) -> Kept:
    """What this process keeps of a hypervisor."""
    return Kept()


def _run(domain: LibvirtDomain) -> Run:
    return uuid_of(domain), domain.ID()


def _parts(fields: Fields) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name.endswith(_PARTS)}
