"""Reading the domains: statistics and descriptions in a few lanes, without half-read values.

A domain may stop, restart, vanish or hang while it is read. Its reading then keeps only what is surely its
own: a closing survey drops what was read across a change, and a hung one is named with what libvirt knows
without it.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import NamedTuple

import libvirt

from kvmwatch import bulk, lanes, policy, states
from kvmwatch.bulk import Fields
from kvmwatch.connection import Connection, LibvirtDomain
from kvmwatch.deadline import Deadline, call
from kvmwatch.groups import Group
from kvmwatch.records import Reading

_STATISTICS = Group.CPU | Group.MEMORY | Group.DISK | Group.INTERFACE | Group.SIZE
_RETRIES = 8  # for domains whose QEMU another client was asking just then
_RETRY_PAUSE = 0.05  # seconds
_PAUSED_IOERROR = 5  # virDomainPausedReason

Listed = list[tuple[LibvirtDomain, Fields]]


class Readings(NamedTuple):
    """UUID to what was read, and UUID to the seconds for which a domain has not answered."""

    by_uuid: dict[str, Reading]
    stuck: dict[str, float]


def survey(connection: Connection) -> Listed:
    """All domains with ``state.state`` and ``state.reason``, in one call that asks no QEMU."""
    listed: Listed = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
    return listed


class DomainReader:
    """Reads some groups of some domains of one connection, before a deadline."""

    def __init__(
        self, connection: Connection, uri: str, groups: Group, provider: ModuleType, deadline: Deadline
    ) -> None:
        """``provider``: :mod:`kvmwatch.bulk` or :mod:`kvmwatch.classic`."""
        self._connection = connection
        self._uri = uri
        self._groups = groups
        self._provider = provider
        self._deadline = deadline

    def read(self, surveyed: Listed) -> Readings:
        """Read the domains. Raises libvirtError when the connection fails, and DeadlineExceeded."""
        readings = {d.UUIDString(): _reading(d, fields) for d, fields in surveyed}
        stuck: dict[str, float] = {}
        if self._groups & (_STATISTICS | Group.DEFINITION | Group.POLICY) and surveyed:
            stuck = self._read_groups(surveyed, readings)
            self._settle(readings)
        if Group.CONTROL in self._groups:
            active = [d for d, _ in surveyed if _is_active(readings.get(d.UUIDString()))]
            stuck.update(self._hung(active))
        return Readings(readings, stuck)

    def _read_groups(self, surveyed: Listed, readings: dict[str, Reading]) -> dict[str, float]:
        domains = {domain.UUIDString(): domain for domain, _ in surveyed}
        stuck: dict[str, float] = {}
        left = set(domains)
        for attempt in range(_RETRIES):
            if attempt:
                self._deadline.sleep(_RETRY_PAUSE)
            asked = [domains[uuid] for uuid in left]
            results, newly_stuck, unread = lanes.each_chunk(self._uri, asked, self._read_chunk, self._deadline)
            stuck.update(newly_stuck)
            stuck.update(dict.fromkeys(unread - stuck.keys(), self._deadline.seconds))
            found = {reading.uuid: reading for reading in results}
            readings.update(found)
            for uuid in left - found.keys() - stuck.keys():
                del readings[uuid]  # gone meanwhile
            left = {uuid for uuid, reading in found.items() if self._was_skipped(reading)} - stuck.keys()
            if left:
                hung = self._hung([domains[uuid] for uuid in left])
                stuck.update(hung)
                left -= hung.keys()
            if not left or not self._deadline.remaining():
                break
        return stuck

    def _was_skipped(self, reading: Reading) -> bool:
        return _is_active(reading) and self._provider is bulk and bulk.incomplete(reading.fields, self._groups)

    def _hung(self, domains: list[LibvirtDomain]) -> dict[str, float]:
        limit = lanes.stuck_after(self._deadline)
        found = call(self._deadline, f"libvirt at {self._uri}", lambda: lanes.occupied(domains))
        return {uuid: seconds for uuid, seconds in found.items() if seconds >= limit}

    def _read_chunk(self, domains: list[LibvirtDomain]) -> list[Reading]:
        began = time.monotonic()
        if self._groups & _STATISTICS:
            listed = self._provider.read(domains, self._groups)
        else:
            listed = [(domain, None) for domain in domains]
        # the moment of a chunk's values: in the middle of its call
        moment = (began + time.monotonic()) / 2
        readings = []
        for domain, fields in listed:
            try:
                reading = self._described(domain, _reading(domain, fields or {}, moment))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue  # gone meanwhile
                raise
            readings.append(reading)
        return readings

    def _described(self, domain: LibvirtDomain, reading: Reading) -> Reading:
        if Group.DEFINITION in self._groups:
            from kvmwatch import definition  # noqa: PLC0415 - brings ElementTree, which not all need

            reading = reading._replace(definition=definition.parse(domain.XMLDesc(0)))
        elif Group.POLICY in self._groups:
            reading = reading._replace(policy=_policy(domain))
        if Group.DISK in self._groups:
            reading = reading._replace(disk_errors=_disk_errors(domain, reading.fields))
        return reading

    def _settle(self, readings: dict[str, Reading]) -> None:
        """Keep of each domain only what belongs to the run that it is in at the end."""
        now = time.monotonic()
        closing = call(self._deadline, f"libvirt at {self._uri}", lambda: survey(self._connection))
        last = {domain.UUIDString(): _reading(domain, fields, now) for domain, fields in closing}
        for uuid, reading in list(readings.items()):
            if uuid not in last:
                del readings[uuid]
            elif "state.state" not in reading.fields:  # nothing but descriptions was asked for
                readings[uuid] = reading._replace(id=last[uuid].id, fields=last[uuid].fields)
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


def _policy(domain: LibvirtDomain) -> policy.Policy:
    try:
        return policy.parse(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, policy.NAMESPACE, 0))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
            return policy.Policy()
        raise


def _disk_errors(domain: LibvirtDomain, fields: Fields) -> dict[str, int]:
    # QEMU keeps a disk's error only as long as it holds the domain paused, so only then is it asked; and
    # not when it was skipped: this call has no NOWAIT and would wait for a busy QEMU.
    paused = (fields.get("state.state"), fields.get("state.reason")) == (states.PAUSED, _PAUSED_IOERROR)
    if not paused or bulk.incomplete(fields, Group.DISK):
        return {}
    try:
        errors: dict[str, int] = domain.diskErrors()
    except libvirt.libvirtError:
        return {}
    return errors
