"""Reading a hypervisor: one snapshot with the groups that a command needs, all under its deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import libvirt

from kvmwatch.model.doing import doing
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Host, Process, Snapshot
from kvmwatch.reading import domains, records
from kvmwatch.reading.bulk import Listed
from kvmwatch.reading.connection import LibvirtDomain, explained
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.domains import DomainReader
from kvmwatch.reading.hypervisor import Hypervisor

if TYPE_CHECKING:
    from kvmwatch.reading.parts import Parts

_OF_PARTS = Group.HOST | Group.POOLS | Group.NETWORKS
_SHARE = 0.8  # of the time that is left may go into waiting for what is not about the domains
_LISTS = (
    (Group.AUTOSTART, "autostart", libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART),
    (Group.LISTS, "persistent", libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT),
    (Group.LISTS, "managed_save", libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE),
    (Group.LISTS, "has_snapshots", libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT),
)


class Reader:
    """Reads snapshots of one hypervisor. Every method raises KvmwatchError with one line for the user."""

    def __init__(self, uri: str, groups: Group, selection: Selection, deadline: Deadline) -> None:
        """Connect."""
        self._groups = groups
        self._selection = selection
        self._deadline = deadline
        self._hypervisor = Hypervisor(uri, deadline)

    def read(self) -> Snapshot:
        """Read all groups once."""
        try:
            with doing("asking libvirt"):
                return self._read()
        except libvirt.libvirtError as error:
            raise explained(error, self._hypervisor.uri) from error

    def _read(self) -> Snapshot:
        hypervisor = self._hypervisor
        started = time.monotonic()
        now = time.time()
        surveyed, lists = hypervisor.call(self._survey)
        latency = hypervisor.connected_in + time.monotonic() - started
        # the host, pools and networks are read while libvirtd asks the QEMUs
        parts = self._start_parts()
        processes = self._processes(surveyed) if Group.PROCESSES in self._groups else ()
        selected = [(domain, fields) for domain, fields in surveyed if self._selected(domain)]
        snapshot = Snapshot(
            hypervisor.uri, now, latency, domains=self._domains(selected, lists, now), processes=processes
        )
        if not parts:
            return snapshot
        host, pools, networks, unread = parts.wait()
        if host:
            host = with_assigned(host, snapshot.domains, latency)
        return snapshot._replace(host=host, pools=pools, networks=networks, unread=unread)

    def _start_parts(self) -> Parts | None:
        if not self._groups & _OF_PARTS:
            return None
        from kvmwatch.reading.parts import Parts  # noqa: PLC0415 - few commands ask for them

        return Parts(self._hypervisor, self._groups, self._deadline.share(_SHARE))

    def _survey(self) -> tuple[Listed, dict[str, set[str]]]:
        connection = self._hypervisor.connection
        lists = {
            name: {domain.UUIDString() for domain in connection.listAllDomains(flag)}
            for group, name, flag in _LISTS
            if group in self._groups
        }
        return domains.survey(connection), lists

    def _selected(self, domain: LibvirtDomain) -> bool:
        return self._selection.matches(domain.name(), domain.UUIDString())

    def _processes(self, surveyed: Listed) -> tuple[Process, ...]:
        """Those of the selected domains and, unless only some were asked for, those that libvirt does not know."""
        from kvmwatch.reading import processes  # noqa: PLC0415 - brings psutil, which few commands need

        known = {domain.UUIDString(): self._selected(domain) for domain, _ in surveyed}
        everything = not self._selection.include
        return tuple(
            process._replace(known=process.uuid in known)
            for process in processes.read(self._hypervisor)
            if known.get(process.uuid or "", everything)
        )

    def _domains(self, surveyed: Listed, lists: dict[str, set[str]], now: float) -> tuple[Domain, ...]:
        readings, stuck = DomainReader(self._hypervisor, self._groups, self._deadline).read(surveyed)
        read = []
        for reading in sorted(readings.values(), key=lambda reading: reading.name):
            listed = {name: reading.uuid in uuids for name, uuids in lists.items()}
            domain = records.domain(reading, now)._replace(
                not_responding=stuck.get(reading.uuid),
                autostart=listed.get("autostart"),
                persistent=listed.get("persistent"),
                managed_save=listed.get("managed_save"),
                has_snapshots=listed.get("has_snapshots"),
            )
            read.append(domain)
        made = tuple(read)
        if Group.SNAPSHOTS in self._groups:
            from kvmwatch.reading import domain_snapshots  # noqa: PLC0415 - few commands ask for them

            made = domain_snapshots.with_snapshots(self._hypervisor, made)
        if Group.FILESYSTEM in self._groups:
            from kvmwatch.reading import guest_agent  # noqa: PLC0415 - only on request

            made = guest_agent.with_filesystems(self._hypervisor, made, self._deadline)
        return made


def with_assigned(host: Host, domains: tuple[Domain, ...], latency: float) -> Host:
    """Add what the active domains were promised, and libvirt's latency in seconds."""
    vcpus = [domain.stats.vcpu_count or 0 for domain in domains if domain.active]
    memory = [domain.stats.memory_maximum or 0 for domain in domains if domain.active]
    return host._replace(
        stats=host.stats._replace(vcpus_assigned=sum(vcpus), memory_assigned=sum(memory), latency=latency)
    )
