"""Figures of domains, of libvirt: a QEMU is asked for nothing that it has not, cannot tell yet, or others tell."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from kvmwatch.model import measured, states
from kvmwatch.model.groups import Group
from kvmwatch.reading import bulk
from kvmwatch.reading.bulk import Fields, Listed
from kvmwatch.reading.connection import LibvirtDomain, is_local, run_of, uuid_of
from kvmwatch.reading.descriptions import Description
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.records import Reading

if TYPE_CHECKING:
    from kvmwatch.reading.cpu_times import CpuTimes
    from kvmwatch.reading.domain_xml import Definition
    from kvmwatch.reading.kept import Kept

_ASKS_QEMU = Group.CPU | Group.MEMORY | Group.DISK
STATISTICS = _ASKS_QEMU | Group.INTERFACE | Group.SIZE
#: paused while it migrates or starts: a QEMU that is just being filled, which libvirt 11 waits for all the same
_CANNOT_ANSWER = ((states.PAUSED, 2), (states.PAUSED, 11))
#: what of a report libvirt knows without the QEMU
_OF_LIBVIRT = ("balloon.maximum", "balloon.current")
_PREFIXES = tuple(bulk.PREFIXES.values())


class Statistics:
    """Reads these groups of the domains of one hypervisor. Its methods are called from several threads."""

    def __init__(self, hypervisor: Hypervisor, groups: Group, kept: Kept | None = None) -> None:
        """Take what to read, but what is kept."""
        self._hypervisor = hypervisor
        self._groups = groups
        self._kept = kept
        #: what is kept of those that were not asked for it, and of which run, by UUID
        self._reports: dict[str, tuple[int, Fields]] = {}
        self._cpu_times = _cpu_times(hypervisor.uri) if Group.CPU in groups else None

    def asks_qemu(self, surveyed: Listed) -> bool:
        """Whether any QEMU will be asked, as far as can be told."""
        asked = self._groups & _ASKS_QEMU
        if self._cpu_times is None or asked != Group.CPU:
            return bool(asked)
        active = (domain for domain, fields in surveyed if states.is_active(fields["state.state"]))
        first = next(active, None)  # as a rule the kernel tells of all of them or of none
        return first is not None and self._cpu_times.of(first.name(), first.ID()) is None

    def read(self, listed: Listed, descriptions: dict[str, Description]) -> Listed:
        """Ask for them; what is kept is told by :meth:`complete`. Raises libvirtError."""
        by_groups: dict[Group, list[LibvirtDomain]] = {}
        times: dict[str, Fields] = {}
        for domain, fields in listed:
            groups, definition = self._groups, descriptions[uuid_of(domain)].definition
            if definition and all(map(measured.past_qemu, definition.disks)):
                groups &= ~Group.DISK  # of which no counter would show that it answered
            if told := self._told_by_the_kernel(domain, definition):
                groups &= ~Group.CPU
                times[uuid_of(domain)] = told
            if cannot_answer(fields):
                groups &= ~_ASKS_QEMU
            self._reports.pop(uuid_of(domain), None)  # of an attempt before
            if report := self._report(domain, groups, definition):
                groups &= ~(Group.MEMORY | Group.SIZE)
                self._reports[uuid_of(domain)] = domain.ID(), report
            by_groups.setdefault(groups, []).append(domain)
        return [
            (domain, fields | times.get(uuid_of(domain), {}))
            for groups, some in by_groups.items()
            for domain, fields in self._hypervisor.provider.read(some, groups)
        ]

    def complete(self, surveyed: Listed, stuck: Collection[str], readings: dict[str, Reading]) -> None:
        """Tell what is kept of QEMUs that have answered, and of the others whether they work or stand still."""
        for uuid, (number, report) in self._reports.items():
            reading = readings.get(uuid)
            if not reading or reading.id != number:  # that was another run
                continue
            refused = [why for prefix in _PREFIXES if (why := reading.fields.get(prefix + bulk.WHY))]
            answered = uuid not in stuck and bulk.answered(reading.fields)
            told = report if answered else {name: report[name] for name in _OF_LIBVIRT if name in report}
            unread = {bulk.PREFIXES[Group.MEMORY] + bulk.WHY: refused[0]} if refused else {}
            readings[uuid] = reading._replace(fields=told | unread | reading.fields)
        if self._cpu_times is None:
            return
        for domain, _ in surveyed:
            reading = readings.get(uuid_of(domain)) if uuid_of(domain) in stuck else None
            if reading and reading.id == domain.ID() and "cpu.time" not in reading.fields:
                now, told = time.monotonic(), self._cpu_times.of(domain.name(), domain.ID()) or {}
                readings[reading.uuid] = reading._replace(fields=reading.fields | told, time=now)

    def _told_by_the_kernel(self, domain: LibvirtDomain, definition: Definition | None) -> Fields | None:
        """The CPU times; None where libvirt has to be asked for them, or nobody wants them."""
        unknown = Group.DEFINITION in self._groups and not definition  # how many vCPUs it can be given
        told = None if self._cpu_times is None or unknown else self._cpu_times.of(domain.name(), domain.ID())
        return told | {"vcpu.maximum": definition.vcpu_maximum} if told and definition else told

    def _report(self, domain: LibvirtDomain, groups: Group, definition: Definition | None) -> Fields | None:
        """What its guest told of its memory, where that is kept and its QEMU is asked for its disks as well."""
        # without the CPU nobody else would tell how many vCPUs it has
        needed = Group.MEMORY in groups and Group.DISK in groups and Group.CPU in self._groups
        if not self._kept or not definition or not needed or self._hypervisor.provider is not bulk:
            return None
        return self._kept.report(run_of(domain), definition.balloon_period)


def cannot_answer(fields: Fields) -> bool:
    """Whether its QEMU is just being filled."""
    return (fields.get("state.state"), fields.get("state.reason")) in _CANNOT_ANSWER


def _cpu_times(uri: str) -> CpuTimes | None:
    if not is_local(uri):
        return None
    from kvmwatch.reading.cpu_times import CpuTimes  # noqa: PLC0415 - not all need it

    return CpuTimes(uri)
