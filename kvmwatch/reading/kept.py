"""What a process that reads again and again need not ask each time: XML, and what guests report of their memory.

People change a definition, and libvirt gives it as text of 10 KB. A guest reports its memory every 10 s, as a
rule, and to be asked for it costs a QEMU as much as its disks do. So the former is kept for half a minute, as long
as the statistics name the same parts, and the latter until a new one is due.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Optional, Union

from kvmwatch.model.record import Record
from kvmwatch.reading.bulk import Fields
from kvmwatch.reading.connection import Run

if TYPE_CHECKING:
    from kvmwatch.reading.descriptions import Description

_DEFINITION = 30.0  # seconds for which a definition is good
_REPORT = 8.5  # seconds for which a report is at most, where no new one is due
_OF_MEMORY = "balloon."
#: what of the statistics tells that a definition is another: names, image files, how many there are
_PARTS = (".name", ".path", ".count", "vcpu.current")


class _Definition(Record):
    time: float
    description: Description
    parts: Fields


class _Report(Record):
    time: float
    fields: Fields


class Kept:
    """What is kept of one hypervisor. Its methods are called from several threads, some of them left behind."""

    def __init__(self) -> None:
        self._definitions: dict[Run, _Definition] = {}
        self._reports: dict[Run, _Report] = {}

    def forget(self) -> None:
        """Let go of what is good no more: most of it is of domains that have ended."""
        now = time.monotonic()
        # lists, for a thread that was left behind may put something in meanwhile
        self._definitions = {run: of for run, of in list(self._definitions.items()) if now - of.time < _DEFINITION}
        self._reports = {run: of for run, of in list(self._reports.items()) if now - of.time < _REPORT}

    def description(self, run: Run) -> Optional[Description]:
        """That of this run of a domain, as it was a moment ago; None: to be asked for."""
        known = self._definitions.get(run)
        return known.description if known and time.monotonic() - known.time < _DEFINITION else None

    def report(self, run: Run, period: int) -> Optional[Fields]:
        """The ``balloon.*`` of this run; None: to be asked for. ``period``: seconds from report to report."""
        known = self._reports.get(run)
        if not known or time.monotonic() - known.time > _REPORT:
            return None
        updated = known.fields.get(f"{_OF_MEMORY}last-update")
        due = updated and period and updated + period <= time.time()
        return None if due else known.fields

    def is_of(self, run: Run, fields: Fields) -> bool:
        """Whether the definition that is kept is that of these statistics."""
        known = self._definitions.get(run)
        return known is not None and known.parts == _parts(fields)

    def keep(self, run: Run, fields: Fields, description: Description, began: float) -> None:
        """Take in what was read since ``began`` (monotonic) and is of one moment."""
        was_kept = self.description(run) is description
        if not was_kept and _is_newer(self._definitions.get(run), began) and _is_whole(run, fields, description):
            self._definitions[run] = _Definition(began, description, _parts(fields))
        # an answer shows in a disk's counters, too: next time its disks alone have to show it
        told = f"{_OF_MEMORY}rss" in fields and any(name.endswith(".rd.reqs") for name in fields)
        if told and _is_newer(self._reports.get(run), began):
            report = {name: value for name, value in fields.items() if name.startswith(_OF_MEMORY)}
            self._reports[run] = _Report(began, report)


@cache
def kept(uri: str) -> Kept:
    """What this process keeps of a hypervisor."""
    return Kept()


def _is_newer(known: Union[_Definition, _Report, None], began: float) -> bool:
    """Whether what was asked for then is: a call that was left behind may bring something older."""
    return known is None or known.time < began


def _parts(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name.endswith(_PARTS)}


def _is_whole(run: Run, fields: Fields, description: Description) -> bool:
    """Whether a definition could be read, and names what the statistics name, which are a moment younger."""
    definition = description.definition
    if not definition or description.unread:
        return False
    if run[1] < 0:  # it is shut off, and there are none
        return True
    disks = {value for name, value in fields.items() if name.startswith("block.") and name.endswith(".name")}
    return disks == {disk.name for disk in definition.disks} and fields.get("net.count") == len(
        definition.interfaces
    )
