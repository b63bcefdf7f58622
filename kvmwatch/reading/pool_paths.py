"""The directory of a storage pool, where it is on this machine: whether it is what the pool needs, and how full.

libvirt goes on calling a pool running whose directory is gone or whose file system was unmounted, and the path
then shows another file system. And what this process sees at a path need not be what libvirt's daemon sees there.
"""

from __future__ import annotations

import errno
import os
from functools import cached_property
from typing import Optional

from kvmwatch.model import pool_kinds, users
from kvmwatch.model.errors import DENIED, SHORT
from kvmwatch.model.groups import Group
from kvmwatch.model.pool_kinds import Kind
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Unread
from kvmwatch.reading import daemons, mounts
from kvmwatch.reading.mounts import Mount, Mounts

#: which has the pools: where the modular daemons run, libvirtd does not
_DAEMONS = ("virtstoraged", "libvirtd")


class AtPath(Record):
    """What was found at a pool's path: figures, or what is wrong, or why it is not known.

    A file system that is there and of no use has both figures and a fault.
    """

    figures: Optional[os.statvfs_result] = None
    fault: Optional[str] = None
    dated: Optional[str] = None  # why libvirt's figures have to do
    unread: Optional[Unread] = None
    compared: bool = False  # whether libvirt's daemon is known to see the same file system there


class Views:
    """The mounts as this process and as libvirt's daemon see them; read when they are first asked for.

    One for each reading: what is mounted changes.
    """

    def __init__(self, daemon: int | None) -> None:
        """``daemon`` is the PID of the one that has the pools, None where it cannot be seen from here."""
        self._daemon = daemon

    @cached_property
    def ours(self) -> Mounts:
        """What this process sees. Raises OSError."""
        return mounts.table()

    @cached_property
    def theirs(self) -> Mounts | None:
        """What the daemon sees, which any user may read; None where /proc hides it (hidepid)."""
        if self._daemon is None:
            return None
        try:
            return mounts.table(self._daemon)
        except OSError:
            return None

    def differ(self, path: str) -> bool:
        """Whether the daemon is known to see another file system at this path than this process does."""
        theirs = self.theirs
        return theirs is not None and mounts.place(theirs, path) != mounts.place(self.ours, path)


def daemon(run: str, session: bool = False) -> int | None:
    """The PID of the daemon that has the pools, by its PID file below *run* (/run, or a user's own)."""
    return daemons.first(_DAEMONS, f"{run}/libvirt" if session else run)


def examine(path: str, kind: Kind, views: Views) -> AtPath:
    """Look at the path of an active pool of this kind. May hang with its storage."""
    try:
        where, figures, fault = _look(path, kind, views)
    except OSError as error:
        if error.errno in DENIED:  # it is not the storage that is broken
            return AtPath(dated=f"{path} cannot be looked into by user {users.name()}")
        if error.errno in SHORT:
            return AtPath(unread=Unread(Group.POOLS, path, str(error.strerror)))
        where, figures, fault = _text(os.path.realpath(_bytes(path))), None, _fault(path, kind, error)
    if views.differ(where):
        return AtPath(unread=elsewhere(path))
    return AtPath(figures, fault, compared=views.theirs is not None)


def elsewhere(path: str) -> Unread:
    """What is said of a path that libvirt sees otherwise than this process."""
    return Unread(
        Group.POOLS,
        f"what libvirt has at {path}",
        "this process sees another file system there; run it in libvirt's mount namespace "
        "(systemd: without PrivateTmp, ProtectHome or a container)",
    )


def _look(path: str, kind: Kind, views: Views) -> tuple[str, os.statvfs_result | None, str | None]:
    """The path without symlinks, the figures of its file system, and what is wrong. Raises OSError."""
    # opened once, so that all of it is about the same directory; no right to read that is needed
    handle = os.open(_bytes(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        where = _text(os.readlink(b"/proc/self/fd/%d" % handle))
        mount = _mount(handle, views)
        # its place is that of a mount also where one was bound, which shares its device
        if kind.path == pool_kinds.MOUNT and not (mount and mount.point == where and mount.kind != "autofs"):
            return where, None, f"nothing is mounted at {path}"
        os.fstat(handle)  # XFS that has shut down goes on telling its size, and fails here
        return where, os.statvfs(handle), _stopped(path, mount) if mount else None
    finally:
        os.close(handle)


def _stopped(path: str, mount: Mount) -> str | None:
    if mount.stopped:
        return f"the file system of {path} takes no writes since an error: see dmesg on the hypervisor"
    if mount.kind != "zfs":
        return None
    from kvmwatch.reading import zpools  # noqa: PLC0415 - few hypervisors have ZFS

    return zpools.fault(mount.source)


def _mount(handle: int, views: Views) -> Mount | None:
    """What an open directory is in; None: that was mounted since they were read."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as lines:
        mount_id = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    return next((mount for mount in views.ours if mount.id == mount_id), None)


def _fault(path: str, kind: Kind, error: OSError) -> str:
    if error.errno == errno.ENOENT and os.path.islink(_bytes(path)):
        what = f"its directory {path} is a symlink to nothing"
    elif error.errno == errno.ENOENT:
        what = f"its directory {path} is gone"
    elif error.errno == errno.ENOTDIR:
        what = f"its directory {path} is no directory"
    else:  # a stale NFS handle, an I/O error, a FUSE program that ended: mounted, and of no use
        return f"its directory {path} does not work: {error.strerror}"
    return f"nothing is mounted at {path}: {what}" if kind.path == pool_kinds.MOUNT else what


def _bytes(path: str) -> bytes:
    """A path as libvirt has it, in UTF-8: by a locale that has another encoding it would be gone."""
    return path.encode("utf-8", "surrogateescape")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
