"""Reading a hypervisor: one snapshot with the groups that a command needs, all under its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import libvirt

from kvmwatch.model import states
from kvmwatch.model.doing import doing
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import Value
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Host, Snapshot, Unread
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading import control
from kvmwatch.reading.connection import explained, one_line, uuid_of
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.known import Known, Roster, Waits

if TYPE_CHECKING:
    from kvmwatch.reading.bulk import Fields
    from kvmwatch.reading.connection import LibvirtDomain
    from kvmwatch.reading.kept import Kept
    from kvmwatch.reading.listing import Listing, Survey
    from kvmwatch.reading.parts import Parts

__all__ = ["Known", "Reader", "Roster", "Waits"]

T = TypeVar("T")

_OF_PARTS = Group.HOST | Group.POOLS | Group.NETWORKS
_OF_PROCESSES = Group.THREADS | Group.PSS
_OF_LINKS = Group.INTERFACE | Group.NETWORKS
#: groups to the modules of this folder that read them, but those that need more than libvirt
_READERS = {
    ~Group.NONE: ("domains", "records"),
    Group.CPU: ("cpu_times",),
    Group.MEMORY | Group.DISK: ("lanes",),
    Group.DEFINITION: ("domain_xml",),
    Group.STARTED: ("starts",),
    Group.POOLS: ("storage",),
    Group.NETWORKS: ("networks",),
    _OF_LINKS: ("ways",),
}
_LONGEST_HOST = 253  # characters of a name in the DNS
_SIZE = "vCPUs and memory"
_SHARE = 0.8  # of the time that is left may go into waiting for what is not about the domains


class Reader:
    """Reads snapshots of one hypervisor. Every method raises KvmwatchError with one line for the user."""

    def __init__(
        self,
        uri: str,
        groups: Group,
        selection: Selection,
        deadline: Deadline,
        roster: Roster | None = None,
        goes_on: bool = False,
    ) -> None:
        """Begin to connect. ``roster`` keeps the list of domains, for when libvirt's own does not answer.

        ``goes_on``: this process reads again and again, and is not told each time what seldom changes.
        """
        self.groups = groups
        self._selection = selection
        self._deadline = deadline
        self._hypervisor = Hypervisor(uri, deadline)
        self._roster = roster
        self._kept: Kept | None = None
        if goes_on:
            from kvmwatch.reading.kept import kept  # noqa: PLC0415 - not for commands that read once

            self._kept = kept(uri)
        self._titles_wait = False
        self._began = time.monotonic()  # of the last whole reading

    def read(self) -> Snapshot:
        """Read all groups once."""
        return self._explaining(self._read)

    def read_again(self, before: Snapshot, uuids: Collection[str]) -> Snapshot:
        """Give a snapshot with these of its domains as they are now, or with everything (an empty UUID)."""
        self._kept = None  # what stood still for a second tells nothing of a rate
        if "" in uuids:
            return self.read()
        return self._explaining(lambda: self._read_again(before, uuids))

    def with_hostname(self, before: Snapshot) -> Snapshot:
        """Give a snapshot the name of its hypervisor, or the reason why that is not known.

        libvirtd may look it up in the DNS each time, so it is not asked as a rule.
        """
        try:
            with doing("asking libvirt for the name of the host"):
                name = Started(lambda: self._hypervisor.another().getHostname()).wait(self._a_moment())
        except DeadlineExceeded:
            why = "libvirt did not give it in time; does the name server of the hypervisor answer?"
        except (KvmwatchError, libvirt.libvirtError, ValueError) as error:  # ValueError: text that is no UTF-8
            why = one_line(error)
        else:
            return before._replace(hostname=readable(name, _LONGEST_HOST))
        return before._replace(unread=(*before.unread, Unread(Group.HOSTNAME, "host name", why)))

    def titles(self, uuids: Collection[str]) -> dict[str, str]:
        """UUID to the name that people know, of a few domains whose XML was not read.

        What is not told in a moment is left out, and nobody is asked again: a verdict must not wait for it.
        """
        if not uuids or Group.DEFINITION in self.groups or self._titles_wait:
            return {}
        from kvmwatch.reading import titles  # noqa: PLC0415 - only for domains in trouble

        try:
            with doing("asking libvirt for the titles of VMs"):
                connection = self._hypervisor.connection
                return Started(lambda: titles.read(connection, uuids)).wait(self._a_moment())
        except DeadlineExceeded:
            self._titles_wait = True
            return {}

    def _a_moment(self) -> Deadline:
        """For what is asked after all else was read, and must not cost that."""
        return Deadline(min(control.patience(self._deadline), self._deadline.remaining() / 2), spare=0)

    def again_takes(self, before: Snapshot) -> float:
        """The seconds that another reading will take, which does not wait again for what hung in the last one."""
        took = time.monotonic() - self._began
        if any(domain.not_responding for domain in before.domains) or not before.has(Group.NONE):
            took -= control.patience(self._deadline)
        return max(0.1, took)

    def _explaining(self, read: Callable[[], T]) -> T:
        try:
            with doing("asking libvirt"):
                return read()
        except libvirt.libvirtError as error:
            raise explained(error, self._hypervisor.uri) from error

    def _read(self) -> Snapshot:
        hypervisor = self._hypervisor
        listing = self._listing()
        self._get_ready()
        hypervisor.connect()
        self._began = started = time.monotonic()
        if self._kept:
            self._kept.forget()
        now = time.time()
        survey = listing.read()
        selected = self._selected(survey)
        latency = hypervisor.connected_in + time.monotonic() - started
        # the host, pools and networks are read while libvirtd asks the QEMUs
        parts = self._start_parts()
        snapshot = Snapshot(
            without_password(hypervisor.uri),
            now,
            latency,
            domains=self._domains(selected, listing, now),
            unread=survey.unread,
            uuids=survey.uuids,
        )
        if Group.PROCESSES in self.groups:
            from kvmwatch.reading import processes  # noqa: PLC0415 - brings psutil, which few commands need

            # who asks for a few domains is not told of what is none
            wanted = not self._selection.include
            snapshot = processes.with_processes(hypervisor, snapshot, survey, listing.again, wanted)
            if self.groups & _OF_PROCESSES:
                from kvmwatch.reading import process_details  # noqa: PLC0415 - few commands ask for them

                snapshot = process_details.with_details(snapshot, self.groups, self._deadline)
        elif Group.STRAYS in self.groups and not self._selection.include:
            from kvmwatch.reading import strays  # noqa: PLC0415 - few commands ask for them

            snapshot = strays.with_strays(snapshot, survey)
        if parts:
            host, pools, networks, unread = parts.wait()
            if host:
                others = self._others(survey, selected, listing, now) if Group.SIZE in self.groups else ()
                host = with_assigned(host, (*snapshot.domains, *others), latency)
            snapshot = snapshot._replace(
                host=host, pools=pools, networks=networks, unread=(*snapshot.unread, *unread)
            )
        return self._with_network(snapshot, listing)

    def _get_ready(self) -> None:
        """Import what this reading will need, while libvirt makes the connection."""
        for groups, modules in _READERS.items():
            for module in modules if self.groups & groups else ():
                import_module(f"kvmwatch.reading.{module}")

    def _read_again(self, before: Snapshot, uuids: Collection[str]) -> Snapshot:
        listing = self._listing()
        again = {domain.uuid: domain for domain in self._read_domains(uuids, listing)}
        kept = (domain for domain in before.domains if domain.uuid in again or domain.uuid not in uuids)
        snapshot = before._replace(domains=tuple(again.get(domain.uuid, domain) for domain in kept))
        return self._with_network(snapshot, listing)

    def _with_network(self, snapshot: Snapshot, listing: Listing) -> Snapshot:
        """The ways of the domains' interfaces, and what follows of these and the networks together."""
        if not self.groups & (_OF_LINKS | Group.ADDRESSES | Group.UPLINKS | Group.BRIDGES):
            return snapshot
        from kvmwatch.reading.links import Links  # noqa: PLC0415 - few commands ask for them

        links = Links()  # each is read once for all of these
        if self.groups & _OF_LINKS:
            from kvmwatch.reading import ways  # noqa: PLC0415

            snapshot = ways.with_ways(self._hypervisor, snapshot, listing.again, self._deadline, links)
        if Group.ADDRESSES in self.groups:
            from kvmwatch.reading import addresses  # noqa: PLC0415

            snapshot = addresses.with_addresses(snapshot)
        if Group.UPLINKS in self.groups:
            from kvmwatch.reading import uplinks  # noqa: PLC0415

            snapshot = uplinks.with_uplinks(snapshot, links)
        if Group.BRIDGES in self.groups:
            from kvmwatch.reading import bridges  # noqa: PLC0415

            snapshot = bridges.with_bridges(snapshot, links)
        return snapshot

    def _listing(self) -> Listing:
        from kvmwatch.reading.listing import Listing  # noqa: PLC0415

        return Listing(self._hypervisor, self.groups, self._deadline, self._roster)

    def _read_domains(self, uuids: Collection[str], listing: Listing) -> tuple[Domain, ...]:
        survey = listing.read()
        wanted = survey._replace(
            listed=[(domain, fields) for domain, fields in survey.listed if uuid_of(domain) in uuids],
            held={uuid: held for uuid, held in survey.held.items() if uuid in uuids},
        )
        return self._domains(wanted, listing, time.time())

    def _start_parts(self) -> Parts | None:
        if not self.groups & _OF_PARTS:
            return None
        from kvmwatch.reading.parts import Parts  # noqa: PLC0415 - few commands ask for them

        return Parts(self._hypervisor, self.groups, self._deadline.share(_SHARE))

    def _selected(self, survey: Survey) -> Survey:
        """What of it -d and -x select."""
        if not self._selection:
            return survey
        uuids = survey.uuids  # once: it asks each domain

        def matches(name: str, uuid: str) -> bool:
            return self._selection.matches(name, uuid, uuids)

        return survey._replace(
            listed=[(d, fields) for d, fields in survey.listed if matches(d.name(), uuid_of(d))],
            held={uuid: (name, s) for uuid, (name, s) in survey.held.items() if matches(name, uuid)},
        )

    def _others(self, survey: Survey, selected: Survey, listing: Listing, now: float) -> tuple[Domain, ...]:
        """What the selection leaves out, by size: the host has promised to all of them."""
        from kvmwatch.reading import records  # noqa: PLC0415
        from kvmwatch.reading.domains import DomainReader  # noqa: PLC0415

        uuids = {uuid_of(domain) for domain, _fields in selected.listed}
        listed = [(domain, fields) for domain, fields in survey.listed if uuid_of(domain) not in uuids]
        held = [_held(uuid, *one) for uuid, one in survey.held.items() if uuid not in selected.held]
        if not listed:
            return tuple(held)
        try:
            readings, *_ = DomainReader(self._hypervisor, Group.SIZE, self._deadline, listing).read(listed)
        except (KvmwatchError, libvirt.libvirtError) as error:  # what was asked for is there all the same
            return (*held, *(_unsized(domain, fields, str(error)) for domain, fields in listed))
        return (*held, *(records.domain(reading, now) for reading in readings.values()))

    def _domains(self, survey: Survey, listing: Listing, now: float) -> tuple[Domain, ...]:
        from kvmwatch.reading import records  # noqa: PLC0415
        from kvmwatch.reading.domains import DomainReader  # noqa: PLC0415

        reader = DomainReader(self._hypervisor, self.groups, self._deadline, listing, self._kept)
        readings, stuck, wishes = reader.read(survey.listed)
        read = [_held(uuid, name, seconds) for uuid, (name, seconds) in survey.held.items()]
        for reading in readings.values():
            flags: dict[str, Any] = {name: reading.uuid in uuids for name, uuids in survey.flags.items()}
            domain = records.domain(reading, now)
            unread = (*domain.unread, *survey.unlisted)
            read.append(domain._replace(not_responding=stuck.get(reading.uuid), unread=unread, **flags))
        domains = tuple(sorted(read, key=lambda domain: domain.name))
        if self.groups & (Group.POLICY | Group.DEFINITION):
            domains = _with_wishes(domains, wishes, listing)
        if self.groups & (Group.SNAPSHOTS | Group.CHECKPOINTS):
            from kvmwatch.reading import domain_snapshots  # noqa: PLC0415 - few commands ask for them

            domains = domain_snapshots.with_snapshots(self._hypervisor, domains, self._deadline)
            domains = domain_snapshots.with_checkpoints(self._hypervisor, domains, self._deadline)
        if Group.STARTED in self.groups:
            from kvmwatch.reading import starts  # noqa: PLC0415 - few commands ask for them

            domains = starts.with_starts(domains, self._hypervisor.uri)
        if Group.JOB in self.groups:
            from kvmwatch.reading import jobs  # noqa: PLC0415 - few commands ask for them

            domains = jobs.with_jobs(self._hypervisor, domains, self._deadline)
        if Group.FILESYSTEM in self.groups:
            from kvmwatch.reading import guest_agent  # noqa: PLC0415 - only on request

            domains = guest_agent.with_filesystems(self._hypervisor, domains, self._deadline)
        return domains


def _held(uuid: str, name: str, seconds: float) -> Domain:
    """A domain that somebody holds: that it is there is all that is known."""
    return Domain(uuid, name, None, states.NOSTATE, 0, time.monotonic(), not_responding=seconds)


def _with_wishes(domains: tuple[Domain, ...], told: frozenset[str], listing: Listing) -> tuple[Domain, ...]:
    """The domains; those that have not told just now are left alone as their owners wanted when last read."""
    listing.remember_ignored(told, (domain.uuid for domain in domains if domain.policy.ignore))
    untold = listing.ignored - told
    if not untold:
        return domains
    return tuple(
        domain._replace(policy=domain.policy._replace(ignore=True)) if domain.uuid in untold else domain
        for domain in domains
    )


def _unsized(domain: LibvirtDomain, fields: Fields, why: str) -> Domain:
    """A domain of which no more is known than its state."""
    unread = (Unread(Group.SIZE, _SIZE, why),)
    state, reason = fields["state.state"], fields["state.reason"]
    return Domain(uuid_of(domain), domain.name(), None, state, reason, time.monotonic(), unread=unread)


def with_assigned(host: Host, domains: tuple[Domain, ...], latency: float) -> Host:
    """Add what the active domains were promised, and libvirt's latency in seconds.

    There is no sum where one of them is not known, and who does not tell is said.
    """
    active = [domain for domain in domains if domain.active]
    unread = tuple(
        part._replace(what=f"{part.what or _SIZE} of {domain.name}")
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
