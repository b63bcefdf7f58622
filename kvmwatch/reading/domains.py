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
from kvmwatch.reading.connection import UNSUPPORTED, LibvirtDomain, is_local, one_line, uuid_of
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.descriptions import Description, Descriptions
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.listing import Listing
from kvmwatch.reading.records import Reading

if TYPE_CHECKING:
    from kvmwatch.reading.cpu_times import CpuTimes
    from kvmwatch.reading.domain_xml import Definition

T = TypeVar("T")

_ASKS_QEMU = Group.CPU | Group.MEMORY | Group.DISK
_SKIPPED = Group.MEMORY | Group.DISK  # what NOWAIT leaves out
_STATISTICS = _ASKS_QEMU | Group.INTERFACE | Group.SIZE
_DESCRIPTIONS = Group.DEFINITION | Group.POLICY
_RUNNING = (states.RUNNING, states.BLOCKED)
_BESIDE = 2  # calls at once where no QEMU is asked: Python works while libvirt does, and the other way round
_SHARE = 0.8  # of the time that is left may go into asking the QEMUs
_RETRIES = 8  # for domains whose QEMU another client was asking just then
_RETRY_PAUSES = 0.9  # seconds, all together
_PAUSED_IOERROR = 5  # virDomainPausedReason
#: paused while it migrates or starts: a QEMU that is just being filled, which libvirt 11 waits for all the same
_CANNOT_ANSWER = ((states.PAUSED, 2), (states.PAUSED, 11))
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

    def __init__(self, hypervisor: Hypervisor, groups: Group, deadline: Deadline, listing: Listing) -> None:
        """Take what to read; nothing is asked yet."""
        self._hypervisor = hypervisor
        self._groups = groups
        self._deadline = deadline
        self._listing = listing
        self._descriptions = Descriptions(hypervisor, groups, deadline)
        self._cpu_times = _cpu_times(hypervisor.uri) if Group.CPU in groups else None
        self._wishes: set[str] = set()

    def read(self, surveyed: Listed) -> Readings:
        """Read the domains. Raises KvmwatchError (DeadlineExceeded) and libvirtError."""
        readings = {uuid_of(domain): _reading(domain, fields) for domain, fields in surveyed}
        if not self._groups & (Group.SHUT_OFF | Group.DEFINED):
            surveyed = [(domain, fields) for domain, fields in surveyed if states.is_active(fields["state.state"])]
        asks_qemu = self._asks_qemu(surveyed)
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
        elif surveyed and self._groups & (_STATISTICS | _DESCRIPTIONS):
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
        self._tell_times(surveyed, stuck, readings)
        for uuid, why in dict(untold).items():
            if uuid in readings:
                told = Unread(Group.CONTROL, "whether its QEMU answers", why)
                readings[uuid] = readings[uuid]._replace(unread=(*readings[uuid].unread, told))
        return Readings(readings, stuck, frozenset(self._wishes))

    def _asks_qemu(self, surveyed: Listed) -> bool:
        asked = self._groups & _ASKS_QEMU
        if self._cpu_times is None or asked != Group.CPU:
            return bool(asked)
        active = (domain for domain, fields in surveyed if states.is_active(fields["state.state"]))
        first = next(active, None)  # as a rule the kernel tells of all of them or of none
        return first is not None and self._cpu_times.of(first.name(), first.ID()) is None

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
            asked = self._groups & (_STATISTICS | _DESCRIPTIONS)
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
        if self._hypervisor.provider is not bulk or reading.unread or _cannot_answer(reading.fields):
            return False
        return _is_active(reading) and bulk.skipped(reading.fields, self._groups)

    def _hung(self, uuids: Iterable[str], untold: control.Untold | None = None) -> dict[str, float]:
        return control.hung(self._hypervisor, tuple(uuids), self._deadline, untold)

    def _read_chunk(self, listed: Listed, waiting: Collection[str] = ()) -> list[Reading]:
        descriptions = self._descriptions.read(listed, waiting)
        began = time.monotonic()
        listed = [(domain, fields) for domain, fields in listed if uuid_of(domain) in descriptions]
        if self._groups & _STATISTICS:
            before = {uuid_of(domain): fields for domain, fields in listed}
            measured = [(domain, fields) for domain, fields in listed if self._is_measured(fields)]
            listed = [(domain, fields) for domain, fields in listed if not self._is_measured(fields)]
            statistics = self._statistics(measured, descriptions)
            listed += [(domain, before[uuid_of(domain)] | fields) for domain, fields in statistics]
        # the moment of a chunk's values: in the middle of its call
        moment = (began + time.monotonic()) / 2
        return [
            self._with_description(_reading(domain, fields, moment), domain, descriptions[uuid_of(domain)])
            for domain, fields in listed
        ]

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

    def _statistics(self, listed: Listed, descriptions: dict[str, Description]) -> Listed:
        """Ask for the groups, but a QEMU for nothing that it has not, and answers slowly, or cannot tell yet.

        Nor for what the kernel tells.
        """
        by_groups: dict[Group, list[LibvirtDomain]] = {}
        times: dict[str, Fields] = {}
        for domain, fields in listed:
            groups, definition = self._groups, descriptions[uuid_of(domain)].definition
            if definition and not definition.disks:
                groups &= ~Group.DISK
            if told := self._told_by_the_kernel(domain, definition):
                groups &= ~Group.CPU
                times[uuid_of(domain)] = told
            if _cannot_answer(fields):
                groups &= ~_ASKS_QEMU
            by_groups.setdefault(groups, []).append(domain)
        return [
            (domain, fields | times.get(uuid_of(domain), {}))
            for groups, some in by_groups.items()
            for domain, fields in self._hypervisor.provider.read(some, groups)
        ]

    def _told_by_the_kernel(self, domain: LibvirtDomain, definition: Definition | None) -> Fields | None:
        """The CPU times; None where libvirt has to be asked for them, or nobody wants them."""
        unknown = Group.DEFINITION in self._groups and not definition  # how many vCPUs it can be given
        told = None if self._cpu_times is None or unknown else self._cpu_times.of(domain.name(), domain.ID())
        return told | {"vcpu.maximum": definition.vcpu_maximum} if told and definition else told

    def _tell_times(self, surveyed: Listed, stuck: Collection[str], readings: dict[str, Reading]) -> None:
        """Tell whether a QEMU that does not answer works or stands still, where the kernel does."""
        if self._cpu_times is None:
            return
        for domain, _ in surveyed:
            reading = readings.get(uuid_of(domain)) if uuid_of(domain) in stuck else None
            if reading and reading.id == domain.ID() and "cpu.time" not in reading.fields:
                now, told = time.monotonic(), self._cpu_times.of(domain.name(), domain.ID()) or {}
                readings[reading.uuid] = reading._replace(fields=reading.fields | told, time=now)

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


def _cpu_times(uri: str) -> CpuTimes | None:
    if not is_local(uri):
        return None
    from kvmwatch.reading.cpu_times import CpuTimes  # noqa: PLC0415 - not all need it

    return CpuTimes(uri)


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


def _cannot_answer(fields: Fields) -> bool:
    return (fields.get("state.state"), fields.get("state.reason")) in _CANNOT_ANSWER


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
