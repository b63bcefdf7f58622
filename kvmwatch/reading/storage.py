"""Storage pools. Their storage may hang (a dead NFS server), so each is asked in a thread of its own."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import wait
from functools import partial
from typing import Any
from xml.etree import ElementTree

import libvirt

from kvmwatch.model import states
from kvmwatch.model.metrics import PoolStats
from kvmwatch.model.snapshot import Pool
from kvmwatch.reading.connection import Connection, is_local
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor

_ON_A_FILESYSTEM = ("dir", "fs", "netfs")
_LANES = 2  # one pool that hangs does not hold up the others
_PATIENCE = 0.5  # share of the remaining time that all pools together may take


def read(hypervisor: Hypervisor, deadline: Deadline) -> tuple[Pool, ...]:
    """Read all pools, sorted by name; one whose storage hangs has ``answered`` False."""
    pools = {pool.uuid: pool for pool in _listed(hypervisor.connection)}
    crew = hypervisor.crew(_LANES)
    local = is_local(hypervisor.uri)
    asked = {crew.submit(partial(_read_one, pool=pool, local=local)): uuid for uuid, pool in pools.items()}
    done, _ = wait(asked, deadline.remaining() * _PATIENCE)
    for future in done:
        answer = future.result()
        if answer is None:
            del pools[asked[future]]  # undefined meanwhile
        else:
            pools[asked[future]] = answer
    return tuple(sorted(pools.values(), key=lambda pool: pool.name))


def _listed(connection: Connection) -> list[Pool]:
    everything, active, autostart, persistent = (
        {pool.UUIDString(): pool for pool in connection.listAllStoragePools(flag)}
        for flag in (
            0,
            libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE,
            libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART,
            libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT,
        )
    )
    return [
        Pool(
            uuid,
            pool.name(),
            kind="",
            state=states.POOL_RUNNING if uuid in active else states.POOL_INACTIVE,
            active=uuid in active,
            autostart=uuid in autostart,
            persistent=uuid in persistent,
            answered=uuid not in active,
        )
        for uuid, pool in everything.items()
    ]


def _read_one(connection: Connection, pool: Pool, local: bool) -> Pool | None:
    try:
        handle = connection.storagePoolLookupByUUIDString(pool.uuid)
        root = ElementTree.fromstring(handle.XMLDesc(0))
        state, capacity, allocation, available = handle.info()
        volumes = _volumes(handle) if pool.active else []
    except libvirt.libvirtError as error:
        # gone meanwhile; or an active one without an answer
        return None if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL else pool
    except ElementTree.ParseError:
        return pool
    pool = pool._replace(kind=root.get("type") or "", state=state, answered=True)
    if not pool.active:
        return pool
    stats = PoolStats(capacity, allocation, available, sum(info[1] for info in volumes), len(volumes))
    path = root.findtext("target/path")
    if local and path and pool.kind in _ON_A_FILESYSTEM:
        stats = _of_filesystem(stats, path)
    return pool._replace(stats=stats)


def _volumes(pool: Any) -> list[tuple[int, int, int]]:
    """Kind, capacity and allocation in bytes of each volume that can be asked."""
    found = []
    for volume in pool.listAllVolumes(0):
        with contextlib.suppress(libvirt.libvirtError):  # its file was removed, and the pool not refreshed since
            found.append(volume.info())
    return found


def _of_filesystem(stats: PoolStats, path: str) -> PoolStats:
    """Replace libvirt's figures by the file system's own.

    libvirt's are those of the pool's last refresh, and its "available" counts the blocks that are reserved
    for root (f_bfree instead of f_bavail).
    """
    try:
        fs = os.statvfs(path)
    except OSError:
        return stats  # not readable for this user
    return stats._replace(
        capacity=fs.f_blocks * fs.f_frsize,
        used=(fs.f_blocks - fs.f_bfree) * fs.f_frsize,
        available=fs.f_bavail * fs.f_frsize,
    )
