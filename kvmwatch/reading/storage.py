"""Storage pools: each by itself, so that one that hangs or cannot be read takes nothing from the others.

A pool is read in steps, which those of the others go on beside: libvirt's description and figures; what is at its
path, where that is on this machine; its volumes. libvirt is not asked for volumes before the path has answered: a
question that touches dead storage holds the pool in libvirtd, and then every client's list of pools waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import libvirt

from kvmwatch.model import pool_kinds, states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Pool, Unread
from kvmwatch.reading import pool_paths, thin_pools
from kvmwatch.reading.connection import Connection, is_local, is_of_session, is_ssh, one_line, uri_scheme
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.lanes import PATIENCE, Crew
from kvmwatch.reading.pool_paths import AtPath, Views
from kvmwatch.reading.pool_questions import Described, Volumes, count_volumes, describe
from kvmwatch.reading.pool_records import Local, Progress, record

_LANES = 2  # libvirt answers for a pool from memory; what may hang is given new lanes, twice as many
_SHARE = 0.5  # of the remaining time that all pools together may take
_SHARE_OF_VOLUMES = 0.9  # of that: by then a pool with too many of them has to stop
_SHARE_OF_LVS = 0.8  # of what then remains

_Ask = Callable[[Connection], Any]
_Next = Callable[[Progress, Any], None]


def read(hypervisor: Hypervisor, deadline: Deadline) -> tuple[Pool, ...]:
    """Read all pools, sorted by name; one whose storage hangs has ``answered`` False.

    Raises libvirtError when they cannot be listed.
    """
    known = [Progress(pool) for pool in _listed(hypervisor.connection)]
    _Reading(hypervisor, deadline.share(_SHARE), known).run()
    of_files = uri_scheme(hypervisor.uri) != "test"
    pools = (record(progress, of_files) for progress in known)
    return tuple(sorted((pool for pool in pools if pool), key=lambda pool: pool.name))


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
        )
        for uuid, pool in everything.items()
    ]


class _Reading:
    """The steps of all pools under one deadline: as soon as one is done, that pool's next one begins."""

    def __init__(self, hypervisor: Hypervisor, deadline: Deadline, known: list[Progress]) -> None:
        self._hypervisor = hypervisor
        self._deadline = deadline
        self._known = known
        self._lanes, self._patience = _LANES, PATIENCE
        # a connection costs as much as four questions, and the one that listed them has nothing else to do;
        # by ssh it is that of the other parts, too
        alone = not is_ssh(hypervisor.uri)
        self._crew = Crew(lambda: hypervisor.connection, lanes=1) if alone else hypervisor.crew(_LANES)
        self._pending: dict[Future[Any], tuple[Progress, _Next]] = {}
        self._asked: dict[Future[Any], _Ask] = {}  # those of them that are libvirt's
        self._threads: ThreadPoolExecutor | None = None
        self._views: Views | None = None
        if is_local(hypervisor.uri) and known:
            # a thread for each: a path that hangs holds up no other
            self._threads = ThreadPoolExecutor(len(known))
            self._views = Views(_daemon(hypervisor.uri))
        self._until = deadline.share(_SHARE_OF_VOLUMES)

    def run(self) -> None:
        """Go through the steps until all are done or the time is over."""
        for progress in self._known:
            self._ask(progress, partial(describe, listed=progress.listed), self._described)
        while self._pending and self._deadline.remaining():
            done, _ = wait(self._pending, min(self._patience, self._deadline.remaining()), FIRST_COMPLETED)
            for future in done:
                self._go_on(future)
            if not done and not is_ssh(self._hypervisor.uri):  # where each lane costs a session
                self._ask_others_elsewhere()

    def _go_on(self, future: Future[Any]) -> None:
        progress, then = self._pending.pop(future)
        self._asked.pop(future, None)
        try:
            then(progress, future.result())
        except (libvirt.libvirtError, KvmwatchError, OSError, ValueError) as error:  # ValueError: no UTF-8
            progress.failure = one_line(error)

    def _ask(self, progress: Progress, work: _Ask, then: _Next) -> None:
        future = self._crew.submit(work)
        self._pending[future], self._asked[future] = (progress, then), work

    def _ask_others_elsewhere(self) -> None:
        """Give what has not begun to new lanes: all there are hang, or have a pool with very many volumes."""
        held = [(future, work) for future, work in self._asked.items() if future.cancel()]
        if held:
            # twice as many after twice the time, so that a slow libvirt does not get ever more connections
            self._lanes, self._patience = self._lanes * 2, self._patience * 2
            self._crew = self._hypervisor.crew(self._lanes)
        for future, work in held:
            del self._asked[future]
            progress, then = self._pending.pop(future)
            self._ask(progress, work, then)

    def _described(self, progress: Progress, described: Described) -> None:
        progress.described = described
        if not described.pool or not described.pool.active:
            return
        if self._threads and self._views:
            look = partial(_look, described, self._views, self._deadline)
            self._pending[self._threads.submit(look)] = (progress, self._looked)
        else:
            self._looked(progress, Local())

    def _looked(self, progress: Progress, local: Local) -> None:
        progress.local = local
        count = partial(count_volumes, uuid=progress.listed.uuid, until=self._until)
        self._ask(progress, count, self._counted)

    def _counted(self, progress: Progress, volumes: Volumes) -> None:
        progress.volumes = volumes


def _daemon(uri: str) -> int | None:
    session = is_of_session(uri)
    run = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}") if session else "/run"
    return pool_paths.daemon(run, session)


def _look(described: Described, views: Views, deadline: Deadline) -> Local:
    """Look at what of an active pool is on this machine; may hang with its storage."""
    assert described.pool
    kind = pool_kinds.of(described.pool.kind)
    if kind.local and described.path:
        return Local(pool_paths.examine(described.path, kind, views))
    if kind.name == "zfs":
        from kvmwatch.reading import zpools  # noqa: PLC0415 - few hypervisors have ZFS

        return Local(AtPath(fault=zpools.fault(described.source), compared=True))
    if kind.name == "logical" and thin_pools.active(described.source):
        try:
            return Local(thin=thin_pools.use(described.source, deadline.remaining() * _SHARE_OF_LVS))
        except KvmwatchError as error:
            return Local(unread=(Unread(Group.POOLS, "use of its thin pool", str(error)),))
    return Local()
