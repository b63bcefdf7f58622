"""Reading the domains: statistics and descriptions in a few lanes, without half-read values.

A domain may stop, restart, vanish or hang while it is read. Its reading then keeps only what is surely its
own: a closing survey drops what was read across a change, and a hung one is named with what libvirt knows
without it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import libvirt

from kvmwatch.model import states
from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Unread
from kvmwatch.reading import bulk, control
from kvmwatch.reading.bulk import Fields, Listed
from kvmwatch.reading.connection import UNSUPPORTED, LibvirtDomain, Run, is_local, one_line, run_of, uuid_of
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.descriptions import Description, Descriptions
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.listing import Listing
from kvmwatch.reading.records import Reading
from kvmwatch.reading.statistics import STATISTICS, Statistics, cannot_answer

if TYPE_CHECKING:
    from kvmwatch.reading.kept import Kept

T = TypeVar("T")

_SKIPPED = Group.MEMORY | Group.DISK  # what NOWAIT leaves out
_DESCRIPTIONS = Group.DEFINITION | Group.POLICY
_RUNNING = (states.RUNNING, states.BLOCKED)
_BESIDE = 2  # calls at once where no QEMU is asked: Python works while libvirt does, and the other way round
_SHARE = 0.8  # of the time that is left may go into asking the QEMUs
_RETRIES = 8  # for domains whose QEMU another client was asking just then
_RETRY_PAUSES = 0.9  # seconds, all together
_PAUSED_IOERROR = 5  # virDomainPausedReason
_OF_DEVICES = ("block.", "net.")


class Readings(Record):
    """UUID to what was read, and UUID to the seconds for which a domain has not answered.

    ``wishes`` has the UUIDs of those that have told what their owners want of them.
    """

    by_uuid: dict[str, Reading]
    stuck: dict[str, float]
    wishes: frozenset[str] = frozenset()


class DomainReader:
    """Reads some groups of some domains of one hypervisor, before a deadline."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        groups: Group,
        deadline: Deadline,
        listing: Listing,
        kept: Kept | None = None,
    ) -> None:
        """Take what to read, but what is kept; nothing is asked yet."""
        self._hypervisor = hypervisor
        self._groups = groups
        self._deadline = deadline
        self._listing = listing
        self._kept = kept
        self._descriptions = Descriptions(hypervisor, groups, deadline)
        self._statistics = Statistics(hypervisor, groups, kept)
        self._wishes: set[str] = set()

    def read(self, surveyed: Listed) -> Readings:
        """Read the domains. Raises KvmwatchError (DeadlineExceeded) and libvirtError."""
        readings = {uuid_of(domain): _reading(domain, fields) for domain, fields in surveyed}
        if not self._groups & (Group.SHUT_OFF | Group.DEFINED):
            surveyed = [(domain, fields) for domain, fields in surveyed if states.is_active(fields["state.state"])]
        asks_qemu = self._statistics.asks_qemu(surveyed)
        asked: Started[dict[str, float]] | None = None
        untold: control.Untold = {}
        # No QEMU is asked anything else, so the two rounds of questions can go at once. A domain that does
        # not run is judged by its state, so whether its QEMU answers is not worth a call.
        running = [domain for domain, fields in surveyed if fields["state.state"] in _RUNNING]
        if Group.CONTROL in self._groups and not asks_qemu:
            asked = Started(lambda: control.occupied(running, self._deadline, untold))
        stuck: dict[str, float] = {}
        if surveyed and (asks_qemu or self._descriptions.wait):
            stuck = self._read_in_lanes(surveyed, readings)
        elif surveyed and self._groups & (STATISTICS | _DESCRIPTIONS):
            parts = [surveyed[number::_BESIDE] for number in range(min(_BESIDE, len(surveyed)))]
            calls = [(part, Started(partial(self._read_chunk, part))) for part in parts]
            try:
                for part, call in calls:
                    self._take(self._soon(call), part, readings)
            except DeadlineExceeded:  # somebody holds one of them since they were listed
                self._hypervisor.renew()
                stuck = self._read_in_lanes(surveyed, readings)
        if Group.CONTROL in self._groups and asks_qemu:
            active = [uuid for uuid, reading in readings.items() if _is_active(reading) and uuid not in stuck]
            stuck |= self._hung((uuid for uuid in active if not bulk.answered(readings[uuid].fields)), untold)
        if asked:
            try:
                hung = self._soon(asked)
                stuck |= hung
            except DeadlineExceeded:
                stuck |= self._hung((uuid_of(domain) for domain in running), untold)
        self._statistics.complete(surveyed, stuck, readings)
        for uuid, why in dict(untold).items():
            if uuid in readings:
                told = Unread(Group.CONTROL, "whether its QEMU answers", why)
                readings[uuid] = readings[uuid]._replace(unread=(*readings[uuid].unread, told))
        return Readings(readings, stuck, frozenset(self._wishes))

    def _soon(self, started: Started[T]) -> T:
        """Wait for calls that take long only when somebody holds a domain, or the way to libvirt is long."""
        if not is_local(self._hypervisor.uri):
            return self._hypervisor.wait(started)
        return started.wait(Deadline(control.patience(self._deadline), spare=0))

    def _read_in_lanes(self, surveyed: Listed, readings: dict[str, Reading]) -> dict[str, float]:
        from kvmwatch.reading.lanes import each_chunk  # noqa: PLC0415 - not for commands that wait for no QEMU

        listed = {uuid_of(domain): (domain, fields) for domain, fields in surveyed}
        began = time.monotonic()
        # what does not answer by then is named, and there is time left for what did
        deadline = self._deadline.share(_SHARE)
        stuck: dict[str, float] = {}
        left = set(listed)
        for attempt in range(_RETRIES):
            if attempt:
                deadline.sleep(_RETRY_PAUSES * 2**attempt / 2**_RETRIES)
            results, unanswered = each_chunk(
                self._hypervisor.crew,
                sorted(left),
                lambda domains, waiting: self._read_chunk(
                    [(domain, listed[uuid_of(domain)][1]) for domain in domains], waiting
                ),
                self._hung,
                deadline,
                control.patience(deadline),
                listed=not attempt and self._listing.is_quicker_than(len(left)),
            )
            stuck.update(unanswered.stuck)
            unread = unanswered.unread - stuck.keys()
            asked = self._groups & (STATISTICS | _DESCRIPTIONS)
            asked |= Group.POLICY if asked & _DESCRIPTIONS else Group.NONE  # which the XML has, too
            why = f"not read within {self._deadline.seconds:g} s: give a longer -t"
            for uuid in unread:
                readings[uuid] = _untold(readings[uuid], asked, why)
            self._take(results, [listed[uuid] for uuid in left - stuck.keys() - unread], readings)
            left = {reading.uuid for reading in results if self._was_skipped(reading)} - stuck.keys()
            if left:
                stuck.update(self._hung(left))
                left -= stuck.keys()
            if not left:
                break
        for uuid in left & readings.keys():
            reading, seconds = readings[uuid], time.monotonic() - began
            why = f"somebody else's question to its QEMU was under way for {seconds:.1g} s"
            readings[uuid] = _untold(reading, self._groups & _SKIPPED, why)
        return self._descriptions.missing | stuck | self._settle(readings)

    def _take(self, results: list[Reading], asked: Listed, readings: dict[str, Reading]) -> None:
        """Put what was read into the readings; what was asked and gave none is gone meanwhile."""
        found = {reading.uuid: reading for reading in results}
        readings.update(found)
        if self._groups & _DESCRIPTIONS:
            denied = {one.uuid for one in results for part in one.unread if part.group is Group.POLICY}
            self._wishes |= found.keys() - denied
        for domain, _ in asked:
            if uuid_of(domain) not in found:
                del readings[uuid_of(domain)]

    def _was_skipped(self, reading: Reading) -> bool:
        if self._hypervisor.provider is not bulk or reading.unread or cannot_answer(reading.fields):
            return False
        return _is_active(reading) and bulk.skipped(reading.fields, self._groups)

    def _hung(self, uuids: Iterable[str], untold: control.Untold | None = None) -> dict[str, float]:
        return control.hung(self._hypervisor, tuple(uuids), self._deadline, untold)

    def _read_chunk(self, listed: Listed, waiting: Collection[str] = ()) -> list[Reading]:
        asked = time.monotonic()
        runs = {uuid_of(domain): run_of(domain) for domain, _ in listed}
        descriptions = self._descriptions.read(listed, waiting, self._kept)
        began = time.monotonic()
        listed = [(domain, fields) for domain, fields in listed if uuid_of(domain) in descriptions]
        if self._groups & STATISTICS:
            before = {uuid_of(domain): fields for domain, fields in listed}
            measured = [(domain, fields) for domain, fields in listed if self._is_measured(fields)]
            listed = [(domain, fields) for domain, fields in listed if not self._is_measured(fields)]
            statistics = self._statistics.read(measured, descriptions)
            listed += [(domain, before[uuid_of(domain)] | fields) for domain, fields in statistics]
        # the moment of a chunk's values: in the middle of its call
        moment = (began + time.monotonic()) / 2
        if self._kept:
            other = [one for one in listed if self._is_another(one, runs, descriptions, self._kept)]
            descriptions |= self._descriptions.read(other, waiting) if other else {}
            for domain, fields in listed:
                if run_of(domain) == runs[uuid_of(domain)]:
                    self._kept.keep(run_of(domain), fields, descriptions[uuid_of(domain)], asked)
        return [
            self._with_description(_reading(domain, fields, moment), domain, descriptions[uuid_of(domain)])
            for domain, fields in listed
        ]

    @staticmethod
    def _is_another(
        one: tuple[LibvirtDomain, Fields],
        runs: dict[str, Run],
        descriptions: dict[str, Description],
        kept: Kept,
    ) -> bool:
        """Whether the statistics are of another run than the description, or of other parts than it, kept, has."""
        domain, fields = one
        run, description = runs[uuid_of(domain)], descriptions[uuid_of(domain)]
        was_kept = kept.description(run) is description
        return run_of(domain) != run or (was_kept and not kept.is_of(run, fields))

    def _is_measured(self, fields: Fields) -> bool:
        return Group.SHUT_OFF in self._groups or states.is_active(fields["state.state"])

    def _with_description(self, reading: Reading, domain: LibvirtDomain, description: Description) -> Reading:
        reading, fields = reading._replace(**description._asdict()), reading.fields
        if Group.DEFINITION in self._groups and not description.definition:
            # devices are known by what the XML says of them
            kept = {name: value for name, value in fields.items() if not name.startswith(_OF_DEVICES)}
            return reading._replace(fields=kept)
        if Group.DISK in self._groups:
            errors, why = _disk_errors(domain, fields)
            unread = () if why is None else (Unread(Group.DISK, "disk errors", why),)
            return reading._replace(disk_errors=errors, unread=(*reading.unread, *unread))
        return reading

    def _settle(self, readings: dict[str, Reading]) -> dict[str, float]:
        """Keep of each domain only what belongs to the run that it is in at the end.

        Gives the seconds for which somebody has held one, by UUID: what run it is in cannot be told.
        """
        now = time.monotonic()
        closing = self._listing.again()
        last = {uuid_of(domain): _reading(domain, fields, now) for domain, fields in closing.listed}
        for uuid, reading in list(readings.items()):
            if uuid in closing.held:
                continue
            if uuid not in last:
                del readings[uuid]
            elif last[uuid].id != reading.id or _is_active(last[uuid]) != _is_active(reading):
                readings[uuid] = last[uuid]._replace(
                    definition=reading.definition, policy=reading.policy, unread=reading.unread
                )
        return {uuid: seconds for uuid, (_, seconds) in closing.held.items() if uuid in readings}


def _reading(domain: LibvirtDomain, fields: Fields, moment: float = 0.0) -> Reading:
    number = domain.ID()
    return Reading(
        uuid_of(domain),
        domain.name(),
        number if number >= 0 else None,
        moment or time.monotonic(),
        fields,
    )


def _untold(reading: Reading, groups: Group, why: str) -> Reading:
    """A reading that lacks each of these groups for this reason."""
    told = (Unread(group, "", why) for group in Group if group and group in groups)
    return reading._replace(unread=(*reading.unread, *told))


def _is_active(reading: Reading | None) -> bool:
    return reading is not None and states.is_active(reading.fields.get("state.state"))


def _disk_errors(domain: LibvirtDomain, fields: Fields) -> tuple[dict[str, int] | None, str | None]:
    """Disk to its error, or why that is not known. Raises libvirtError when the connection is lost."""
    # QEMU keeps a disk's error only as long as it holds the domain paused, so only then is it asked; and
    # not when it was skipped: this call has no NOWAIT and would wait for a busy QEMU.
    paused = (fields.get("state.state"), fields.get("state.reason")) == (states.PAUSED, _PAUSED_IOERROR)
    if not paused:
        return {}, None
    if bulk.skipped(fields, Group.DISK):
        return None, None
    try:
        return domain.diskErrors(), None
    except libvirt.libvirtError as error:
        if not domain.connect().isAlive():
            raise
        return None, None if error.get_error_code() in UNSUPPORTED else one_line(error)
