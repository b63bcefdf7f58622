"""What libvirt is asked about one storage pool: its description, and its volumes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Optional
from xml.etree import ElementTree

import libvirt

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import PoolStats
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Pool, Unread
from kvmwatch.reading.connection import Connection, one_line
from kvmwatch.reading.deadline import Deadline

#: what a question about a volume or a pool is answered with when that is gone
_GONE = (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL)


class Described(Record):
    """A pool as libvirt describes it; ``pool`` is None when it was undefined meanwhile."""

    pool: Optional[Pool]
    path: str = ""
    source: str = ""  # the volume group's name, of a logical pool


class Volumes(Record):
    """Those that libvirt lists: ``there`` of them with so many bytes in all, the rest by why they do not count."""

    listed: Optional[int] = None  # None: they could not be listed
    there: int = 0
    capacity: int = 0  # bytes
    gone: int = 0  # removed, and the pool not refreshed since
    failed: int = 0
    why: str = ""  # the first failure

    @property
    def unasked(self) -> int:
        """For how many there was no time."""
        return (self.listed or 0) - self.there - self.gone - self.failed

    @property
    def all_gone(self) -> bool:
        """Whether there were some and not one is there any more."""
        return self.gone > 0 and self.gone == self.listed


def describe(connection: Connection, listed: Pool) -> Described:
    """Its type, path and libvirt's figures; each that cannot be had is in its ``unread``. Raises libvirtError."""
    unread: list[Unread] = []

    def asked(what: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (libvirt.libvirtError, ElementTree.ParseError, ValueError) as error:  # ValueError: no UTF-8
            if _code(error) == libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
            unread.append(Unread(Group.POOLS, what, one_line(error)))
            return None

    try:
        handle = connection.storagePoolLookupByUUIDString(listed.uuid)
        root = asked("XML", lambda: ElementTree.fromstring(handle.XMLDesc(0)))
        info = asked("state and figures", handle.info)
    except libvirt.libvirtError as error:
        if _code(error) == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return Described(None)
        raise
    state, *figures = info or (listed.state, None, None, None)
    path, source, kind = "", "", ""
    if root is not None:
        kind = root.get("type") or ""
        path = root.findtext("target/path") or ""
        source = root.findtext("source/name") or ""
    pool = listed._replace(
        kind=kind,
        path=path or None,
        source=source or None,
        state=state,
        active=listed.active if state == states.POOL_BUILDING else state != states.POOL_INACTIVE,
        unread=(*listed.unread, *unread),
    )
    return Described(pool._replace(stats=PoolStats(*figures)) if pool.active else pool, path, source)


def count_volumes(connection: Connection, uuid: str, until: Deadline) -> Volumes:
    """Count the volumes of a pool. libvirt looks at each one's file when it is asked for its size."""
    try:
        volumes = connection.storagePoolLookupByUUIDString(uuid).listAllVolumes(0)
    except (libvirt.libvirtError, ValueError) as error:
        return Volumes(why=one_line(error))
    there = capacity = gone = failed = 0
    why = ""
    for volume in volumes:
        if not until.remaining():
            break
        try:
            capacity += volume.info()[1]
            there += 1
        except libvirt.libvirtError as error:
            if _is_gone(error):
                gone += 1
            else:
                failed += 1
                why = why or one_line(error)
    return Volumes(len(volumes), there, capacity, gone, failed, why)


def _is_gone(error: libvirt.libvirtError) -> bool:
    # of a file that libvirt could not open, the kernel's reason is in the error's first number
    return _code(error) in _GONE or (
        _code(error) == libvirt.VIR_ERR_SYSTEM_ERROR and error.get_int1() == errno.ENOENT
    )


def _code(error: Exception) -> int | None:
    return error.get_error_code() if isinstance(error, libvirt.libvirtError) else None
