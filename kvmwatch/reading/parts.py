"""What a hypervisor has besides domains: the host, storage pools, networks.

Each is read in a thread of its own while the domains are read, with a connection of its own where that is
cheap. With libvirt's modular daemons each is another daemon's, which may be missing or hang while that of the
domains is well: a part that could not be read is told as such, and nothing else waits or fails for it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import libvirt

from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Host, Network, Pool, Unread
from kvmwatch.model.text import without_password
from kvmwatch.reading.connection import explained, is_ssh, uri_scheme
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.hypervisor import Hypervisor

#: what libvirt answers when the driver for a part is not installed
_NO_DRIVER = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_CONNECT)


class Read(Record):
    """What was read of the parts."""

    host: Host | None = None
    pools: tuple[Pool, ...] = ()
    networks: tuple[Network, ...] = ()
    unread: tuple[Unread, ...] = ()


class _Part(Record):
    group: Group
    field: str  # of Read
    what: str
    command: str  # of virsh, that shows the same
    driver: str  # libvirt's name for what has it, as a URI's
    daemon: str  # the modular one with that driver
    package: str  # with the driver
    read: Callable[[Hypervisor, Deadline], Any]


def _hosts(hypervisor: Hypervisor, _deadline: Deadline) -> Host:
    from kvmwatch.reading import hosts  # noqa: PLC0415 - few commands ask for it

    return hosts.read(hypervisor)


def _pools(hypervisor: Hypervisor, deadline: Deadline) -> tuple[Pool, ...]:
    from kvmwatch.reading import storage  # noqa: PLC0415 - brings ElementTree

    return storage.read(hypervisor, deadline)


def _networks(hypervisor: Hypervisor, deadline: Deadline) -> tuple[Network, ...]:
    from kvmwatch.reading import networks  # noqa: PLC0415 - few commands ask for them

    return networks.read(hypervisor, deadline)


_PARTS = (
    _Part(
        group=Group.HOST,
        field="host",
        driver="qemu",
        what="host figures",
        command="nodeinfo",
        daemon="virtqemud",
        package="libvirt-daemon-driver-qemu",
        read=_hosts,
    ),
    _Part(
        group=Group.POOLS,
        field="pools",
        driver="storage",
        what="storage pools",
        command="pool-list --all",
        daemon="virtstoraged",
        package="libvirt-daemon-driver-storage",
        read=_pools,
    ),
    _Part(
        group=Group.NETWORKS,
        field="networks",
        driver="network",
        what="virtual networks",
        command="net-list --all",
        daemon="virtnetworkd",
        package="libvirt-daemon-driver-network",
        read=_networks,
    ),
)


class Parts:
    """The parts that are among some groups, being read."""

    def __init__(self, hypervisor: Hypervisor, groups: Group, deadline: Deadline) -> None:
        """Start reading."""
        self._hypervisor = hypervisor
        self._deadline = deadline
        self._lock = threading.Lock()
        self._shared: Hypervisor | None = None
        self._started = [(part, self._start(part)) for part in _PARTS if part.group in groups]

    def wait(self) -> Read:
        """What was read in time, and why the rest was not."""
        read, unread = {}, []
        for part, started in self._started:
            try:
                read[part.field] = started.wait(self._deadline)
            except (libvirt.libvirtError, KvmwatchError, OSError, ValueError) as error:  # ValueError: no UTF-8
                unread.append(self._unread(part, error))
        return Read(**read, unread=tuple(unread))

    def _start(self, part: _Part) -> Started[Any]:
        return Started(lambda: part.read(self._connected(part.driver), self._deadline))

    def _connected(self, driver: str) -> Hypervisor:
        uri = driver_uri(self._hypervisor.uri, driver)
        if not is_ssh(uri):
            return self._hypervisor.beside(uri)
        with self._lock:  # one session for all parts
            self._shared = self._shared or self._hypervisor.beside(uri)
            return self._shared

    def _unread(self, part: _Part, error: Exception) -> Unread:
        uri, text = self._hypervisor.uri, str(error)
        absent = False
        if isinstance(error, DeadlineExceeded):
            text = f"{text}; look with 'virsh {part.command}', then restart {part.daemon} (or libvirtd)"
        elif "/libvirt-sock" in text and self._hypervisor.connection.isAlive():
            # where its own socket is not there either, libvirt tries that of libvirtd
            text = f"{part.daemon} is not running: {text}; start it: systemctl start {part.daemon}.socket"
        elif isinstance(error, libvirt.libvirtError):
            if error.get_error_code() not in _NO_DRIVER:
                return Unread(part.group, part.what, str(explained(error, uri)))
            absent = uri_scheme(uri) != "qemu"
            install = "" if absent else f"; install {part.package}"
            text = f"this libvirt has no driver for them{install}"
        return Unread(part.group, part.what, without_password(f"{uri}: {text}"), absent)


def driver_uri(uri: str, driver: str) -> str:
    """The URI at which a driver answers itself: storage:///system for qemu:///system, where it is on this machine.

    A daemon that hangs would take one of the 20 workers of the QEMU driver's daemon with every question that goes
    through that one, until it does not answer any more either.
    """
    return re.sub(r"^qemu(?=:///(system|session)$)", driver, uri)
