"""What a hypervisor has besides domains: the host, storage pools, networks.

Each is read in a thread of its own while the domains are read, with a connection of its own where that is
cheap. With libvirt's modular daemons each is another daemon's, which may be missing or hang while that of the
domains is well: a part that could not be read is told as such, and nothing else waits or fails for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import libvirt

from kvmwatch.connection import explained, uri_scheme
from kvmwatch.deadline import Deadline, Started
from kvmwatch.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.groups import Group
from kvmwatch.hypervisor import Hypervisor
from kvmwatch.snapshot import Host, Network, Pool, Unread

#: what libvirt answers when the driver for a part is not installed
_NO_DRIVER = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_CONNECT)


class Read(NamedTuple):
    """What was read of the parts."""

    host: Host | None = None
    pools: tuple[Pool, ...] = ()
    networks: tuple[Network, ...] = ()
    unread: tuple[Unread, ...] = ()


class _Part(NamedTuple):
    group: Group
    field: str  # of Read
    what: str
    command: str  # of virsh, that shows the same
    daemon: str  # the modular one that has it
    package: str  # with the driver
    read: Callable[[Hypervisor, Deadline], Any]


def _hosts(hypervisor: Hypervisor, _deadline: Deadline) -> Host:
    from kvmwatch import hosts  # noqa: PLC0415 - brings psutil, which few commands need

    return hosts.read(hypervisor)


def _pools(hypervisor: Hypervisor, deadline: Deadline) -> tuple[Pool, ...]:
    from kvmwatch import storage  # noqa: PLC0415 - brings ElementTree

    return storage.read(hypervisor, deadline)


def _networks(hypervisor: Hypervisor, _deadline: Deadline) -> tuple[Network, ...]:
    from kvmwatch import networks  # noqa: PLC0415 - only Zabbix asks for them

    return networks.read(hypervisor.connection)


_PARTS = (
    _Part(
        group=Group.HOST,
        field="host",
        what="host figures",
        command="nodeinfo",
        daemon="virtqemud",
        package="libvirt-daemon-driver-qemu",
        read=_hosts,
    ),
    _Part(
        group=Group.POOLS,
        field="pools",
        what="storage pools",
        command="pool-list --all",
        daemon="virtstoraged",
        package="libvirt-daemon-driver-storage",
        read=_pools,
    ),
    _Part(
        group=Group.NETWORKS,
        field="networks",
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
        self._started = [(part, self._start(part)) for part in _PARTS if part.group in groups]

    def wait(self) -> Read:
        """What was read in time, and why the rest was not."""
        read, unread = {}, []
        for part, started in self._started:
            try:
                read[part.field] = started.wait(self._deadline)
            except (libvirt.libvirtError, KvmwatchError) as error:
                if why := self._why(part, error):
                    unread.append(Unread(part.group, part.what, why))
        return Read(**read, unread=tuple(unread))

    def _start(self, part: _Part) -> Started[Any]:
        return Started(lambda: part.read(self._hypervisor.beside(), self._deadline))

    def _why(self, part: _Part, error: Exception) -> str:
        """Why a part was not read; empty where there is no such thing."""
        uri = self._hypervisor.uri
        if isinstance(error, DeadlineExceeded):
            return (
                f"{uri}: no answer within {self._deadline.seconds:g} s; look with 'virsh {part.command}', then "
                f"restart {part.daemon} (or libvirtd)"
            )
        if not isinstance(error, libvirt.libvirtError):
            return str(error)
        if error.get_error_code() not in _NO_DRIVER:
            return str(explained(error, uri))
        if uri_scheme(uri) != "qemu":
            return ""
        return f"{uri}: this libvirt has no driver for them; install {part.package}"
