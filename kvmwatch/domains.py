"""Reading the domains: statistics and descriptions in a few lanes, without half-read values.

A domain may stop, restart, vanish or hang while it is read. Its reading then keeps only what is surely its
own: a closing survey drops what was read across a change, and a hung one is named with what libvirt knows
without it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import libvirt

from kvmwatch import bulk, control, states
from kvmwatch.bulk import Fields
from kvmwatch.connection import Connection, LibvirtDomain
from kvmwatch.deadline import Deadline, Started
from kvmwatch.groups import Group
from kvmwatch.hypervisor import Hypervisor
from kvmwatch.policy import NAMESPACE, Policy
from kvmwatch.policy import parse as parse_policy
from kvmwatch.records import Reading

if TYPE_CHECKING:
    from kvmwatch.definition import Definition

_ASKS_QEMU = Group.CPU | Group.MEMORY | Group.DISK
_STATISTICS = _ASKS_QEMU | Group.INTERFACE | Group.SIZE
_DESCRIPTIONS = Group.DEFINITION | Group.POLICY
_MAY_WAIT = _ASKS_QEMU | Group.DEFINITION  # the XML for whoever holds the domain, since libvirt 11.0
_RUNNING = (states.RUNNING, states.BLOCKED)
_SHARE = 0.8  # of the time that is left may go into asking the QEMUs
_RETRIES = 8  # for domains whose QEMU another client was asking just then
_RETRY_PAUSE = 0.05  # seconds, then twice as long each time: in all longer than a hung one needs to be known
_PAUSED_IOERROR = 5  # virDomainPausedReason
_OF_DEVICES = ("block.", "net.")

Listed = list[tuple[LibvirtDomain, Fields]]
Description = tuple["Definition | None", Policy]  # of the XML if it was asked for; else the policy alone


class Readings(NamedTuple):
    """UUID to what was read, and UUID to the seconds for which a domain has not answered."""

    by_uuid: dict[str, Reading]
    stuck: dict[str, float]


def survey(connection: Connection) -> Listed:
    """All domains with ``state.state`` and ``state.reason``, in one call that asks no QEMU where there is one."""
    try:
        listed: Listed = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        from kvmwatch import classic  # noqa: PLC0415 - ESX, VirtualBox, the test driver of old libvirts

        return classic.read(connection.listAllDomains(), Group.NONE)
    return listed


class DomainReader:
    """Reads some groups of some domains of one hypervisor, before a deadline."""

    def __init__(self, hypervisor: Hypervisor, groups: Group, deadline: Deadline) -> None:
        """Take what to read; nothing is asked yet."""
        self._hypervisor = hypervisor
        self._groups = groups
        self._deadline = deadline
        self._held: dict[str, float] = {}  # UUID to seconds of those that make libvirt wait
        self._described: dict[str, Description] = {}

    def read(self, surveyed: Listed) -> Readings:
        """Read the domains. Raises KvmwatchError (DeadlineExceeded) and libvirtError."""
        readings = {domain.UUIDString(): _reading(domain, fields) for domain, fields in surveyed}
        if Group.SHUT_OFF not in self._groups:
            surveyed = [(domain, fields) for domain, fields in surveyed if states.is_active(fields["state.state"])]
        if surveyed and self._groups & _MAY_WAIT:
            stuck = self._read_in_lanes(surveyed, readings)
            if self._groups & _ASKS_QEMU and Group.CONTROL in self._groups:
                active = [domain for domain, _ in surveyed if _is_active(readings.get(domain.UUIDString()))]
                silent = [domain for domain in active if not bulk.answered(readings[domain.UUIDString()].fields)]
                stuck.update(self._ask_control(silent))
            return Readings(readings, stuck)
        # Nobody waits for a QEMU here, so the two rounds of questions can go at once. A domain that does not run
        # is judged by its state, so whether its QEMU answers is not worth a call.
        running = [domain for domain, fields in surveyed if fields["state.state"] in _RUNNING]
        asked = Started(lambda: control.hung(running, self._deadline)) if Group.CONTROL in self._groups else None
        if surveyed and self._groups & (_STATISTICS | _DESCRIPTIONS):
            self._take(self._hypervisor.call(lambda: self._read_chunk(surveyed)), surveyed, readings)
        return Readings(readings, self._hypervisor.wait(asked) if asked else {})

    def _read_in_lanes(self, surveyed: Listed, readings: dict[str, Reading]) -> dict[str, float]:
        from kvmwatch.lanes import each_chunk  # noqa: PLC0415 - not for commands that wait for no QEMU

        listed = {domain.UUIDString(): (domain, fields) for domain, fields in surveyed}
        # what does not answer by then is named, and there is time left for what did
        deadline = self._deadline.share(_SHARE)
        stuck: dict[str, float] = {}
        left = set(listed)
        for attempt in range(_RETRIES):
            if attempt:
                deadline.sleep(_RETRY_PAUSE * 2 ** (attempt - 1))
            results, outcome = each_chunk(
                self._hypervisor.crew,
                sorted(left),
                lambda domains: self._read_chunk([(domain, listed[domain.UUIDString()][1]) for domain in domains]),
                lambda uuids: self._ask_control([listed[uuid][0] for uuid in uuids]),
                deadline,
            )
            stuck.update(outcome.stuck)
            stuck.update(dict.fromkeys(outcome.unread - stuck.keys(), self._deadline.seconds))
            self._take(results, [listed[uuid] for uuid in left - stuck.keys()], readings)
            left = {reading.uuid for reading in results if self._was_skipped(reading)} - stuck.keys()
            if left:
                stuck.update(self._ask_control([listed[uuid][0] for uuid in left]))
                left -= stuck.keys()
            if not left:
                break
        self._settle(readings)
        # those of whose devices nothing is known
        stuck.update({uuid: waited for uuid, waited in dict(self._held).items() if uuid not in self._described})
        return stuck

    def _take(self, results: list[Reading], asked: Listed, readings: dict[str, Reading]) -> None:
        """Put what was read into the readings; what was asked and gave none is gone meanwhile."""
        found = {reading.uuid: reading for reading in results}
        readings.update(found)
        for domain, _ in asked:
            if domain.UUIDString() not in found:
                del readings[domain.UUIDString()]

    def _was_skipped(self, reading: Reading) -> bool:
        bulky = self._hypervisor.provider is bulk
        return bulky and _is_active(reading) and bulk.skipped(reading.fields, self._groups)

    def _ask_control(self, domains: list[LibvirtDomain]) -> dict[str, float]:
        held = self._hypervisor.call(lambda: control.held(domains, self._deadline))
        self._held |= held
        return held

    def _read_chunk(self, listed: Listed) -> list[Reading]:
        if Group.DEFINITION in self._groups:
            # else each of our runs would leave a call waiting in libvirtd, which has 20 workers
            active = [domain for domain, fields in listed if states.is_active(fields["state.state"])]
            self._held |= control.held(active, self._deadline)
        described = {}
        for domain, _ in listed:
            try:
                described[domain.UUIDString()] = self._description(domain)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                # else gone meanwhile
        began = time.monotonic()
        listed = [(domain, fields) for domain, fields in listed if domain.UUIDString() in described]
        if self._groups & _STATISTICS:
            listed = self._statistics([domain for domain, _ in listed], described)
        # the moment of a chunk's values: in the middle of its call
        moment = (began + time.monotonic()) / 2
        readings = []
        for domain, told in listed:
            definition, policy = described[domain.UUIDString()]
            fields = told
            if Group.DEFINITION in self._groups and definition is None:
                # devices are known by what the XML says of them
                fields = {name: value for name, value in told.items() if not name.startswith(_OF_DEVICES)}
            reading = _reading(domain, fields, moment)._replace(definition=definition, policy=policy)
            if Group.DISK in self._groups:
                reading = reading._replace(disk_errors=_disk_errors(domain, fields))
            readings.append(reading)
        return readings

    def _description(self, domain: LibvirtDomain) -> Description:
        uuid = domain.UUIDString()
        if uuid not in self._held:
            self._described[uuid] = self._asked_description(domain)
        elif uuid not in self._described:  # its XML waits, its metadata do not
            return None, _policy(domain)
        return self._described[uuid]

    def _asked_description(self, domain: LibvirtDomain) -> Description:
        if Group.DEFINITION in self._groups:
            from kvmwatch import definition  # noqa: PLC0415 - brings ElementTree, which not all need

            return definition.parse(domain.XMLDesc(0)), Policy()
        return None, _policy(domain) if Group.POLICY in self._groups else Policy()

    def _statistics(self, domains: list[LibvirtDomain], described: dict[str, Description]) -> Listed:
        """Ask for the groups; a QEMU without disks is not asked for disks, which it answers slowly, too."""
        read: Listed = []
        diskless = [d for d in domains if (found := described[d.UUIDString()][0]) and not found.disks]
        for some, groups in (
            ([domain for domain in domains if domain not in diskless], self._groups),
            (diskless, self._groups & ~Group.DISK),
        ):
            if some:
                read += self._hypervisor.provider.read(some, groups)
        return read

    def _settle(self, readings: dict[str, Reading]) -> None:
        """Keep of each domain only what belongs to the run that it is in at the end."""
        now = time.monotonic()
        closing = self._hypervisor.call(lambda: survey(self._hypervisor.connection))
        last = {domain.UUIDString(): _reading(domain, fields, now) for domain, fields in closing}
        for uuid, reading in list(readings.items()):
            if uuid not in last:
                del readings[uuid]
            elif last[uuid].id != reading.id or _is_active(last[uuid]) != _is_active(reading):
                readings[uuid] = last[uuid]._replace(definition=reading.definition, policy=reading.policy)


def _reading(domain: LibvirtDomain, fields: Fields, moment: float = 0.0) -> Reading:
    number = domain.ID()
    return Reading(
        domain.UUIDString(),
        domain.name(),
        number if number >= 0 else None,
        moment or time.monotonic(),
        fields,
    )


def _is_active(reading: Reading | None) -> bool:
    return reading is not None and states.is_active(reading.fields.get("state.state"))


def _policy(domain: LibvirtDomain) -> Policy:
    try:
        return parse_policy(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
            return Policy()
        raise


def _disk_errors(domain: LibvirtDomain, fields: Fields) -> dict[str, int]:
    # QEMU keeps a disk's error only as long as it holds the domain paused, so only then is it asked; and
    # not when it was skipped: this call has no NOWAIT and would wait for a busy QEMU.
    paused = (fields.get("state.state"), fields.get("state.reason")) == (states.PAUSED, _PAUSED_IOERROR)
    if not paused or bulk.skipped(fields, Group.DISK):
        return {}
    try:
        errors: dict[str, int] = domain.diskErrors()
    except libvirt.libvirtError:
        return {}
    return errors
