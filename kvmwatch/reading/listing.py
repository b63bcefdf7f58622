"""The domains there are, with their states; also while libvirt's own list waits for one of them.

The list takes every domain's lock in turn, so it waits as long as one is held (see :mod:`kvmwatch.reading.walk`).
Then those that were there in the last run, and those whose QEMU is seen on this machine, are asked by their UUIDs,
and who does not answer is the one that holds the list up. Each list that waits keeps one of libvirtd's 20 workers,
so while it is known to wait it is asked for again only when that has lasted half as long again, or when a QEMU of
one that holds it up came or went.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import libvirt

from kvmwatch.model import states
from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Unread
from kvmwatch.reading import control
from kvmwatch.reading.bulk import WHY, Fields, Listed
from kvmwatch.reading.connection import (
    UNSUPPORTED,
    Connection,
    LibvirtDomain,
    is_local,
    looked_up,
    of_it_alone,
    one_line,
    uri_scheme,
    uuid_of,
)
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.known import Known, Roster, Waits

_LOOKUP = 4  # domains of a list that cost as much as one lookup, in all lanes together
_ASKED_AGAIN_AFTER = 5.0  # seconds, at least
_SHARE = 0.15  # of the time that is left for a list that waits although every domain answers


class Flag(Record):
    """What the list can filter by: a field of the record, the filter, and the call that asks one domain."""

    group: Group
    name: str
    filter: int
    ask: Callable[[LibvirtDomain], bool]


FLAGS = (
    Flag(Group.AUTOSTART, "autostart", libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART,
         lambda domain: domain.autostart()),
    Flag(Group.LISTS, "persistent", libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT,
         lambda domain: domain.isPersistent()),
    Flag(Group.LISTS, "managed_save", libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
         lambda domain: domain.hasManagedSaveImage()),
    Flag(Group.SNAPSHOTS, "has_snapshots", libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT,
         lambda domain: domain.snapshotNum() > 0),
    Flag(Group.CHECKPOINTS, "has_checkpoints", libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT,
         lambda domain: bool(domain.listAllCheckpoints())),
)  # fmt: skip


class Survey(Record):
    """All domains: ``listed`` has their ``state.state`` and ``state.reason``, ``flags`` the UUIDs by flag.

    ``held`` has those that hold the list up, by UUID their name and the seconds; they are in nothing else.
    """

    listed: Listed
    flags: dict[str, set[str]]
    held: Mapping[str, tuple[str, float]] = MappingProxyType({})
    unread: tuple[Unread, ...] = ()  # of the whole list
    unlisted: tuple[Unread, ...] = ()  # flags that libvirt does not tell, of any domain

    @property
    def uuids(self) -> frozenset[str]:
        """Of all domains."""
        return frozenset([*self.held, *(uuid_of(domain) for domain, _ in self.listed)])


class Listing:
    """The list of one hypervisor. Its methods raise KvmwatchError, and libvirtError when the connection is lost.

    Only :meth:`read` remembers what it found.
    """

    def __init__(self, hypervisor: Hypervisor, groups: Group, deadline: Deadline, roster: Roster | None) -> None:
        """Take what to ask; nothing is asked yet."""
        self._hypervisor = hypervisor
        self._flags = tuple(flag for flag in FLAGS if flag.group in groups)
        self._deadline = deadline
        self._roster = None if uri_scheme(hypervisor.uri) == "test" else roster  # in this process nobody waits
        self._last: Survey | None = None
        self._known = Known({})  # what the roster has

    def read(self) -> Survey:
        """List the domains."""
        self._known = known = self._roster.load() if self._roster else Known({})
        waits, begun = known.waits, time.time()
        held_since = waits.held if waits else {}
        seen = self._seen() if waits else {}
        list_: Started[Survey] | None = None
        if not waits or self._due(waits, seen):
            list_ = Started(self._list)
            try:
                return self._remembered(list_.wait(Deadline(control.patience(self._deadline), spare=0)))
            except DeadlineExceeded:
                seen = self._seen()
        assumed = () if list_ else held_since
        survey = self._asked_one_by_one(seen | known.names, assumed, held_since, begun)
        if list_ and not survey.held:  # nobody is in its way: a daemon that is slow, or one that is not known
            with contextlib.suppress(DeadlineExceeded):
                return self._remembered(list_.wait(self._deadline.share(_SHARE)))
        if not survey.held:
            why = "libvirt's list does not answer; these are the VMs of the last run, and there may be others"
            survey = survey._replace(unread=(Unread(Group.NONE, "list of VMs", why),))
        held = {uuid: held_since.get(uuid, begun) for uuid in survey.held}
        asked = time.time() if list_ or not waits else waits.asked
        since = waits.since if waits else begun
        return self._remembered(survey, Waits(since, asked, held, frozenset(held.keys() & seen.keys())))

    def is_quicker_than(self, lookups: int) -> bool:
        """Whether a list of all in each lane takes less than so many lookups, and nobody holds it up."""
        last = self._last
        return last is not None and not last.held and not last.unread and len(last.listed) <= _LOOKUP * lookups

    def again(self) -> Survey:
        """List them once more, with their states only, in the same run."""
        last = self._last
        if last and not last.held and not last.unread:
            list_ = Started(lambda: Survey(_listed(self._hypervisor.connection), {}))
            with contextlib.suppress(DeadlineExceeded):
                return list_.wait(Deadline(control.patience(self._deadline), spare=0))
        names, held = _names(last) if last else {}, last.held if last else {}
        now = time.time()
        return self._asked_one_by_one(
            names, held, {uuid: now - seconds for uuid, (_, seconds) in held.items()}, now
        )

    def _list(self) -> Survey:
        connection = self._hypervisor.connection
        flags = {flag.name: _flagged(connection, flag) for flag in self._flags}
        return Survey(
            _listed(connection),
            {name: uuids for name, uuids in flags.items() if isinstance(uuids, set)},
            unlisted=tuple(why for why in flags.values() if isinstance(why, Unread)),
        )

    def _due(self, waits: Waits, seen: dict[str, str]) -> bool:
        pause = max(_ASKED_AGAIN_AFTER, (waits.asked - waits.since) / 2)
        return not 0 <= time.time() - waits.asked < pause or waits.running != waits.held.keys() & seen.keys()

    def _seen(self) -> dict[str, str]:
        if not is_local(self._hypervisor.uri):
            return {}
        from kvmwatch.reading import processes  # noqa: PLC0415 - brings psutil

        return processes.names()

    def _asked_one_by_one(
        self, names: dict[str, str], assumed: Iterable[str], since: Mapping[str, float], begun: float
    ) -> Survey:
        """Ask each by its UUID but those that are assumed to be held.

        ``since``: when that began, of those of which it is known (Unix time); of others with this run, ``begun``.
        """
        from kvmwatch.reading.walk import walk  # noqa: PLC0415 - as a rule the list answers

        held = dict.fromkeys(assumed, 0.0)
        flags = self._flags

        def questioner() -> Callable[[str], tuple[Fields, tuple[str, ...]] | None]:
            connection = self._hypervisor.another()
            return lambda uuid: _asked(connection, uuid, flags)

        patience = control.patience(self._deadline) / 2
        walked = walk(names.keys() - held.keys(), questioner, self._deadline, patience)
        held |= walked.held
        if not walked.answers and (walked.unasked or len(held) != 1):
            raise self._hypervisor.no_answer()  # it is not one domain's fault
        self._hypervisor.renew()
        connection = self._hypervisor.connection
        domains = self._hypervisor.call(lambda: looked_up(connection, walked.answers))
        now = time.time()
        return Survey(
            [(domain, walked.answers[uuid_of(domain)][0]) for domain in domains],
            {
                flag.name: {uuid for uuid, (_, set_) in walked.answers.items() if flag.name in set_}
                for flag in flags
            },
            {
                uuid: (names.get(uuid, uuid), max(now - since.get(uuid, begun), seconds))
                for uuid, seconds in held.items()
            },
        )

    @property
    def ignored(self) -> frozenset[str]:
        """UUIDs of those whose owners wanted them left alone when that was last read."""
        return self._known.ignored

    def remember_ignored(self, told: frozenset[str], ignored: Iterable[str]) -> None:
        """Have the next run know which of those that told are ignored; of others it knows what this one did."""
        ignored = self.ignored - told | told.intersection(ignored)
        if self._roster and ignored != self.ignored:
            self._known = self._known._replace(ignored=ignored)
            self._roster.save(self._known)

    def _remembered(self, survey: Survey, waits: Waits | None = None) -> Survey:
        self._last = survey
        if self._roster:
            names = _names(survey)
            self._known = Known(names, waits, self.ignored & names.keys())
            self._roster.save(self._known)
        return survey


def _names(survey: Survey) -> dict[str, str]:
    names = {uuid_of(domain): domain.name() for domain, _ in survey.listed}
    return names | {uuid: name for uuid, (name, _) in survey.held.items()}


def _listed(connection: Connection) -> Listed:
    """All domains with ``state.state`` and ``state.reason``, in one call that asks no QEMU where there is one."""
    try:
        listed: Listed = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
    except libvirt.libvirtError:
        if not connection.isAlive():
            raise
        # ESX, VirtualBox, the test driver of old libvirts; or a domain spoils it for all
        from kvmwatch.reading import classic  # noqa: PLC0415

        return classic.read(connection.listAllDomains(), Group.NONE)
    return listed


def _flagged(connection: Connection, flag: Flag) -> set[str] | Unread | None:
    """The UUIDs of those that have it, or why that cannot be told; None: the driver does not know such a thing."""
    try:
        return {uuid_of(domain) for domain in connection.listAllDomains(flag.filter)}
    except libvirt.libvirtError as error:
        if not connection.isAlive():
            raise
        if error.get_error_code() in UNSUPPORTED:
            return None
        return Unread(flag.group, flag.name.replace("_", " "), one_line(error))


def _asked(connection: Connection, uuid: str, flags: tuple[Flag, ...]) -> tuple[Fields, tuple[str, ...]] | None:
    try:
        domain = connection.lookupByUUIDString(uuid)
        try:
            state, reason = domain.state()
            fields: Fields = {"state.state": state, "state.reason": reason}
            return fields, tuple(flag.name for flag in flags if flag.ask(domain))
        except libvirt.libvirtError as error:
            why = of_it_alone(error, domain)
            return {"state.state": states.NOSTATE, "state.reason": 0, "state." + WHY: why}, ()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
