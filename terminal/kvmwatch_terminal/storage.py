"""``kvmwatch list --on``: which VMs have a disk in a pool, below a path, or on a device of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Disk, Domain, Pool, Snapshot
from kvmwatch_terminal.devices import Devices, is_below
from kvmwatch_terminal.filters import Filter

#: what has to be read for it; the pools tell where a disk is of which the XML has only the volume
NEEDS = Group.DEFINED | Group.DEFINITION | Group.POOLS

#: where pools of LUNs have their volumes, beside all others
_EVERYBODYS = ("/dev", "/dev/mapper", "/dev/disk")
#: the types of pools that QEMU reaches by itself, by "NAME OF THE POOL THERE/IMAGE"
_OF_NETWORK = ("rbd", "gluster")


class Place(NamedTuple):
    """What is looked for; a disk is there by any of these."""

    pools: frozenset[str] = frozenset()  # which a disk can name
    paths: tuple[str, ...] = ()  # of folders, files, images of a network
    devices: frozenset[str] = frozenset()  # the kernel's names of block devices
    note: str | None = None  # what cannot be told


def chosen(what: str, snapshot: Snapshot, devices: Devices | None) -> tuple[Filter, str | None]:
    """The filter for a pool or a path, and what is to be said of it; ``devices``: None of another machine.

    Raises KvmwatchError when there is no such pool and no such image.
    """
    place = _place(what, snapshot, devices)
    folders = {pool.name: pool.path for pool in snapshot.pools if pool.kind}

    def holds(domain: Domain) -> bool | None:
        if any(_is_on(disk, place, folders, devices) for disk in domain.disks):
            return True
        return None if _has_more(domain, folders) else False

    return Filter("on", (), "", holds), place.note


def images(disk: Disk) -> Iterator[str]:
    """The paths of a disk's image and of those below it, the nearest first."""
    return (path for path in (disk.path, *disk.backing) if path)


def _place(what: str, snapshot: Snapshot, devices: Devices | None) -> Place:
    if what.startswith("/"):
        path = "/" + os.path.normpath(what).lstrip("/")
        return Place(paths=(path,), devices=devices.named(path) if devices else frozenset())
    pool = next((pool for pool in snapshot.pools if what in (pool.name, pool.uuid)), None)
    if pool:
        return _of_pool(pool, devices)
    mounted = devices.mounted_from(what) if devices else []
    of_network = (path for domain in snapshot.domains for disk in domain.disks for path in images(disk))
    if mounted or (what and any(is_below(path, what) for path in of_network)):
        return Place(paths=(what, *mounted))
    if not snapshot.has(Group.POOLS):
        raise KvmwatchError(f"whether there is a pool {what} is not known: {_why(snapshot)}")
    there = ", ".join(pool.name for pool in snapshot.pools)
    raise KvmwatchError(f"no storage pool {what} here; there {_are(there)}, and a path begins with /")


def _are(there: str) -> str:
    return f"are {there}" if there else "is none"


def _why(snapshot: Snapshot) -> str:
    return "; ".join(part.text for part in snapshot.unread if part.group is Group.POOLS)


def _of_pool(pool: Pool, devices: Devices | None) -> Place:
    pools = frozenset((pool.name,))
    if not pool.kind:
        why = "; ".join(part.text for part in pool.unread) or "libvirt gave no answer in time"
        raise KvmwatchError(f"where pool {pool.name} is could not be read: {why}")
    if pool.kind in _OF_NETWORK and pool.source:
        return Place(pools, (pool.source,))
    if pool.path and not _is_everybodys(pool.path):
        return Place(pools, (pool.path,), devices.named(pool.path) if devices else frozenset())
    note = f"pool {pool.name} has no folder of its own: only disks that name it are found; else name the device"
    return Place(pools, note=note)


def _is_everybodys(path: str) -> bool:
    return path in _EVERYBODYS or is_below(path, "/dev/disk")


def _is_on(disk: Disk, place: Place, folders: dict[str, str | None], devices: Devices | None) -> bool:
    if disk.pool in place.pools:
        return True
    for image in images(disk):
        folder = folders.get(disk.pool or "")
        path = image if image.startswith("/") or not folder else f"{folder}/{image}"
        if any(is_below(path, each) for each in place.paths):
            return True
        if devices and place.devices and path.startswith("/") and place.devices & devices.below(path):
            return True
    return False


def _has_more(domain: Domain, folders: dict[str, str | None]) -> bool:
    """Whether it may have disks, or a disk may be somewhere, of which nobody knows."""
    if domain.held or any(part.group in Group.DEFINITION for part in domain.unread):
        return True
    named = (disk.pool for disk in domain.disks if disk.pool and not (disk.path or "").startswith("/"))
    return any(pool not in folders for pool in named)
