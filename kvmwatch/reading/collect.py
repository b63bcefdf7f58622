"""Reading a hypervisor: one snapshot with the groups that a command needs, all under its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, TypeVar, Union

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import Value
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Host, Process, Snapshot, Unread
from kvmwatch.reading import domains, records
from kvmwatch.reading.bulk import Listed
from kvmwatch.reading.connection import UNSUPPORTED, Connection, LibvirtDomain, explained
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.domains import DomainReader
from kvmwatch.reading.hypervisor import Hypervisor

if TYPE_CHECKING:
    from kvmwatch.reading.parts import Parts

T = TypeVar("T")

_OF_PARTS = Group.HOST | Group.POOLS | Group.NETWORKS
_SHARE = 0.8  # of the time that is left may go into waiting for what is not about the domains
_LISTS = (
    (Group.AUTOSTART, "autostart", libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART),
    (Group.LISTS, "persistent", libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT),
    (Group.LISTS, "managed_save", libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE),
    (Group.SNAPSHOTS, "has_snapshots", libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT),
)


#: what a list is of, to the UUIDs of the domains in it, or why there is no list
Lists = dict[str, Union[set[str], Unread]]


class Reader:
    """Reads snapshots of one hypervisor. Every method raises KvmwatchError with one line for the user."""

    def __init__(self, uri: str, groups: Group, selection: Selection, deadline: Deadline) -> None:
        """Connect."""
        self.groups = groups
        self._selection = selection
        self._deadline = deadline
        self._hypervisor = Hypervisor(uri, deadline)

    def read(self) -> Snapshot:
        """Read all groups once."""
        return self._explaining(self._read)

    def read_again(self, before: Snapshot, uuids: Collection[str]) -> Snapshot:
        """Give a snapshot with these of its domains as they are now, or with everything (an empty UUID)."""
        if "" in uuids:
            return self.read()
        again = {domain.uuid: domain for domain in self._explaining(lambda: self._read_domains(uuids))}
        kept = (domain for domain in before.domains if domain.uuid in again or domain.uuid not in uuids)
        return before._replace(domains=tuple(again.get(domain.uuid, domain) for domain in kept))

    def _explaining(self, read: Callable[[], T]) -> T:
        try:
            return read()
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
        processes = self._processes(surveyed) if Group.PROCESSES in self.groups else ()
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

    def _read_domains(self, uuids: Collection[str]) -> tuple[Domain, ...]:
        surveyed, lists = self._hypervisor.call(self._survey)
        wanted = [(domain, fields) for domain, fields in surveyed if domain.UUIDString() in uuids]
        return self._domains(wanted, lists, time.time())

    def _start_parts(self) -> Parts | None:
        if not self.groups & _OF_PARTS:
            return None
        from kvmwatch.reading.parts import Parts  # noqa: PLC0415 - few commands ask for them

        return Parts(self._hypervisor, self.groups, self._deadline.share(_SHARE))

    def _survey(self) -> tuple[Listed, Lists]:
        connection = self._hypervisor.connection
        lists = {
            name: _listed(connection, group, name, flag) for group, name, flag in _LISTS if group in self.groups
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

    def _domains(self, surveyed: Listed, lists: Lists, now: float) -> tuple[Domain, ...]:
        readings, stuck = DomainReader(self._hypervisor, self.groups, self._deadline).read(surveyed)
        read = []
        for reading in sorted(readings.values(), key=lambda reading: reading.name):
            listed = {name: reading.uuid in uuids for name, uuids in lists.items() if isinstance(uuids, set)}
            unlisted = tuple(why for why in lists.values() if isinstance(why, Unread))
            domain = records.domain(reading, now)
            domain = domain._replace(
                unread=(*domain.unread, *unlisted),
                not_responding=stuck.get(reading.uuid),
                autostart=listed.get("autostart"),
                persistent=listed.get("persistent"),
                managed_save=listed.get("managed_save"),
                has_snapshots=listed.get("has_snapshots"),
            )
            read.append(domain)
        made = tuple(read)
        if Group.SNAPSHOTS in self.groups:
            from kvmwatch.reading import domain_snapshots  # noqa: PLC0415 - few commands ask for them

            made = domain_snapshots.with_snapshots(self._hypervisor, made)
        if Group.FILESYSTEM in self.groups:
            from kvmwatch.reading import guest_agent  # noqa: PLC0415 - only on request

            made = guest_agent.with_filesystems(self._hypervisor, made, self._deadline)
        return made


def with_assigned(host: Host, domains: tuple[Domain, ...], latency: float) -> Host:
    """Add what the active domains were promised, and libvirt's latency in seconds.

    There is no sum where one of them is not known, and who does not tell is said.
    """
    active = [domain for domain in domains if domain.active]
    unread = tuple(
        part._replace(what=f"{part.what} of {domain.name}")
        for domain in active
        for part in domain.unread
        if part.group is Group.SIZE
    )
    return host._replace(
        stats=host.stats._replace(
            vcpus_assigned=_sum(domain.stats.vcpu_count for domain in active),
            memory_assigned=_sum(domain.stats.memory_maximum for domain in active),
            latency=latency,
        ),
        unread=(*host.unread, *unread),
    )


def _sum(values: Iterable[Value]) -> Value:
    total: Value = 0
    for value in values:
        if value is None or total is None:
            return None
        total += value
    return total


def _listed(connection: Connection, group: Group, name: str, flag: int) -> set[str] | Unread:
    try:
        return {domain.UUIDString() for domain in connection.listAllDomains(flag)}
    except libvirt.libvirtError as error:
        if not connection.isAlive():
            raise
        unsupported = error.get_error_code() in UNSUPPORTED
        return Unread(group, name.replace("_", " "), " ".join(str(error).split()), absent=unsupported)
