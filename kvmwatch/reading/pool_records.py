"""From what is known of a storage pool to its record."""

from __future__ import annotations

import os

from kvmwatch.model import pool_kinds
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import PoolStats
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Pool, Unread, Unreads
from kvmwatch.reading import pool_paths, thin_pools
from kvmwatch.reading.pool_paths import AtPath
from kvmwatch.reading.pool_questions import Described, Volumes


class Local(Record):
    """What this machine itself can tell of a pool."""

    at_path: AtPath = AtPath()
    thin: thin_pools.Use = thin_pools.Use()
    unread: Unreads = ()


class Progress:
    """What is known of one pool so far."""

    def __init__(self, listed: Pool) -> None:
        self.described: Described | None = None
        self.listed = listed
        self.local: Local | None = None
        self.volumes: Volumes | None = None
        self.failure: str = ""  # what ended a step that nothing in it expected


def record(progress: Progress, of_files: bool) -> Pool | None:
    """The record of all that is known of a pool; None when it is gone. ``of_files``: its volumes are real ones."""
    described, local = progress.described, progress.local
    pool = described.pool if described else progress.listed
    if progress.failure and pool:
        return _with(
            pool._replace(stats=PoolStats()), Unread(Group.POOLS, "", f"could not be read: {progress.failure}")
        )
    if not pool or not pool.active:
        return pool
    if not described or not local:
        return pool._replace(answered=False, stats=PoolStats())
    at_path = _judged(described, local.at_path, progress.volumes, of_files)
    pool = _with(pool, *local.unread, *([at_path.unread] if at_path.unread else []))
    if at_path.fault and not at_path.figures:
        return pool._replace(stats=PoolStats(), fault=at_path.fault)
    stats, unread = _stats(pool, local, at_path, progress.volumes)
    fault = at_path.fault or local.thin.fault
    return _with(pool, *unread)._replace(stats=stats, dated=at_path.dated, fault=fault)


def _judged(described: Described, at_path: AtPath, volumes: Volumes | None, of_files: bool) -> AtPath:
    """What was found at the pool's path, in the light of what libvirt says of the volumes that are there."""
    path, refreshed = described.path, described.pool.stats if described.pool else PoolStats()
    if not volumes or not of_files:
        return at_path
    if at_path.fault and not at_path.figures and not at_path.compared and volumes.there:
        return AtPath(unread=pool_paths.elsewhere(path))  # its daemon is not to be seen, but sees them
    another = at_path.figures and refreshed.capacity is not None and _size(at_path.figures) != refreshed.capacity
    if another and volumes.all_gone:
        return AtPath(
            fault=f"none of its {volumes.listed} volumes is at {path}, which is another file system "
            "than at libvirt's last refresh"
        )
    return at_path


def _stats(pool: Pool, local: Local, at_path: AtPath, volumes: Volumes | None) -> tuple[PoolStats, Unreads]:
    """The figures of a pool, and which of them could not be had."""
    stats = pool.stats._replace(thin_data=local.thin.data, thin_metadata=local.thin.metadata)
    unread: list[Unread] = []
    kind = pool_kinds.of(pool.kind)
    if at_path.figures:
        stats = _of_filesystem(stats, at_path.figures)
    elif stats.capacity == 0 and not kind.local and kind.use in (pool_kinds.FILLS, pool_kinds.SHARED):
        stats = stats._replace(capacity=None, used=None, available=None)
        unread.append(Unread(Group.POOLS, "size", "libvirt has none; see what 'virsh pool-refresh' says"))
    if not volumes:
        unread.append(Unread(Group.POOLS, "volumes", "libvirt gave no answer in time"))
    elif volumes.listed is None:
        unread.append(Unread(Group.POOLS, "volumes", volumes.why))
    else:
        stats = stats._replace(volumes=volumes.listed - volumes.gone, provisioned=volumes.capacity)
        if volumes.failed:
            unread.append(Unread(Group.POOLS, f"{volumes.failed} of {volumes.listed} volumes", volumes.why))
        if volumes.unasked:
            unread.append(
                Unread(
                    *(Group.POOLS, f"{volumes.unasked} of {volumes.listed} volumes"),
                    "there was no time to ask for so many; give a longer -t",
                )
            )
        if volumes.failed or volumes.unasked:
            stats = stats._replace(provisioned=None)  # the sum of some is no sum
    return stats, tuple(unread)


def _of_filesystem(stats: PoolStats, figures: os.statvfs_result) -> PoolStats:
    """Replace libvirt's figures by the file system's own.

    libvirt's are those of the pool's last refresh, and its "available" counts the blocks that are reserved
    for root (f_bfree instead of f_bavail).
    """
    return stats._replace(
        capacity=_size(figures),
        used=(figures.f_blocks - figures.f_bfree) * figures.f_frsize,
        available=figures.f_bavail * figures.f_frsize,
    )


def _size(figures: os.statvfs_result) -> int:
    return figures.f_blocks * figures.f_frsize


def _with(pool: Pool, *unread: Unread) -> Pool:
    return pool._replace(unread=(*pool.unread, *unread))
