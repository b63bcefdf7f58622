"""Reading a hypervisor: one snapshot with the groups that a command needs, all under its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

import libvirt

from kvmwatch import bulk, domains, records
from kvmwatch.connection import Connection, explained, open_readonly, open_readwrite
from kvmwatch.deadline import Deadline, call
from kvmwatch.domains import Listed
from kvmwatch.groups import Group
from kvmwatch.selection import Selection
from kvmwatch.snapshot import Domain, Snapshot

T = TypeVar("T")


class Reader:
    """Reads snapshots of one hypervisor over one read-only connection.

    Every method raises KvmwatchError with one line for the user; DeadlineExceeded is one.
    """

    def __init__(self, uri: str, groups: Group, selection: Selection, deadline: Deadline) -> None:
        """Connect. ``Group.FILESYSTEM`` opens a second connection that is not read-only."""
        self._uri = uri
        self._groups = groups
        self._selection = selection
        self._deadline = deadline
        started = time.monotonic()
        self._connection: Connection = self._call(lambda: open_readonly(uri))
        self._provider = self._call(lambda: _provider(self._connection))
        self._connected_in = time.monotonic() - started

    def read(self) -> Snapshot:
        """Read all groups once."""
        try:
            return self._read()
        except libvirt.libvirtError as error:
            raise explained(error, self._uri) from error

    def _read(self) -> Snapshot:
        started = time.monotonic()
        now = time.time()
        surveyed, lists = self._call(self._survey)
        latency = self._connected_in + time.monotonic() - started
        snapshot = Snapshot(self._uri, now, latency, domains=self._domains(surveyed, lists, now))
        if Group.HOST in self._groups:
            from kvmwatch import host  # noqa: PLC0415 - brings psutil, which few commands need

            read = self._call(lambda: host.read(self._connection, self._uri))
            snapshot = snapshot._replace(host=host.with_assigned(read, snapshot.domains, latency))
        if Group.POOLS in self._groups:
            from kvmwatch import storage  # noqa: PLC0415 - brings ElementTree

            pools = self._call(lambda: storage.read(self._connection, self._uri, self._deadline))
            snapshot = snapshot._replace(pools=pools)
        if Group.NETWORKS in self._groups:
            from kvmwatch import networks  # noqa: PLC0415 - only Zabbix asks for them

            snapshot = snapshot._replace(networks=self._call(lambda: networks.read(self._connection)))
        return snapshot

    def _call(self, function: Callable[[], T]) -> T:
        try:
            return call(self._deadline, f"libvirt at {self._uri}", function)
        except libvirt.libvirtError as error:
            raise explained(error, self._uri) from error

    def _survey(self) -> tuple[Listed, dict[str, set[str]]]:
        lists: dict[str, set[str]] = {}
        if Group.LISTS in self._groups:
            for name, flag in (
                ("autostart", libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART),
                ("persistent", libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT),
                ("managed_save", libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE),
                ("has_snapshots", libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT),
            ):
                lists[name] = {d.UUIDString() for d in self._connection.listAllDomains(flag)}
        selected = [
            (domain, fields)
            for domain, fields in domains.survey(self._connection)
            if self._selection.matches(domain.name(), domain.UUIDString())
        ]
        return selected, lists

    def _domains(self, surveyed: Listed, lists: dict[str, set[str]], now: float) -> tuple[Domain, ...]:
        reader = domains.DomainReader(self._connection, self._uri, self._groups, self._provider, self._deadline)
        readings, stuck = reader.read(surveyed)
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
        if Group.FILESYSTEM not in self._groups:
            return tuple(read)
        from kvmwatch import agent  # noqa: PLC0415 - only on request

        asking = self._call(lambda: open_readwrite(self._uri))
        return self._call(lambda: agent.with_filesystems(asking, self._uri, tuple(read), self._deadline))


def _provider(connection: Connection) -> ModuleType:
    if connection.getType() == "QEMU":
        return bulk
    from kvmwatch import classic  # noqa: PLC0415 - only for drivers without bulk statistics

    return classic
