"""Concurrent calls, of which any one may hang.

libvirtd asks the QEMUs of one call in turn, so a few calls at once halve the time. The first call that meets
a QEMU which has just hung never returns, even with NOWAIT; meanwhile controlInfo tells which domain it waits
for, and since the hung call holds that domain's lock, further NOWAIT calls skip it at once. So when a call
does not return, the hung domain is named, the call is left behind and its domains are asked again by fresh
lanes. When nobody is named (a job that controlInfo does not tell of holds a domain), they are asked again one
by one: then it is the one whose own call does not return.

Each lane is a thread with a connection of its own: with libvirt 9.0, on a connection that several threads
shared, controlInfo was seen to block as long as one of them was in a call that did not return.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

import libvirt

from kvmwatch.model.record import Record
from kvmwatch.reading.connection import Connection, LibvirtDomain, looked_up, uuid_of
from kvmwatch.reading.deadline import Awake, Deadline

T = TypeVar("T")

LANES = 4  # more gain nothing: libvirtd's own work is the limit then
CHUNK = 8  # domains per call: small enough that a hung one holds up few others
PATIENCE = 0.25  # seconds without any answer after which controlInfo is asked


class Crew:
    """Threads that each have their own connection. They are left behind when their calls hang."""

    def __init__(self, connect: Callable[[], Connection], lanes: int = LANES) -> None:
        """``connect`` is called once in each lane, in its thread."""
        self._connect = connect
        self._threads = ThreadPoolExecutor(lanes)
        self._local = threading.local()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Have the next free lane do this work with its connection."""
        return self._threads.submit(lambda: work(self._connection()))

    def submit_domains(
        self, uuids: list[str], read: Callable[[list[LibvirtDomain]], list[T]], listed: bool = False
    ) -> Future[list[T]]:
        """Have the next free lane read these domains; those that are gone are left out.

        They are looked up by their UUIDs, or all at once in a list (``listed``), which would wait for any domain
        that somebody holds.
        """

        def work(connection: Connection) -> list[T]:
            domains = self._listed(connection, uuids) if listed else looked_up(connection, uuids)
            return read(domains) if domains else []

        return self.submit(work)

    def _listed(self, connection: Connection, uuids: list[str]) -> list[LibvirtDomain]:
        if not hasattr(self._local, "domains"):
            try:
                self._local.domains = {uuid_of(domain): domain for domain in connection.listAllDomains(0)}
            except libvirt.libvirtError:
                return looked_up(connection, uuids)
        known: dict[str, LibvirtDomain] = self._local.domains
        return [known[uuid] for uuid in uuids if uuid in known]

    def _connection(self) -> Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
        return self._local.connection


class Unanswered(Record):
    """UUIDs of domains that hang, with the seconds for which they have, and of those whose turn did not come."""

    stuck: dict[str, float]
    unread: set[str]


def each_chunk(
    make_crew: Callable[[], Crew],
    uuids: list[str],
    read: Callable[[list[LibvirtDomain], frozenset[str]], list[T]],
    hung: Callable[[list[str]], dict[str, float]],
    deadline: Deadline,
    patience: float,
    size: int = CHUNK,
    listed: bool = False,
) -> tuple[list[T], Unanswered]:
    """Call *read* for chunks of domains in a few lanes, and give all results.

    ``hung`` tells which of some domains hang (see :func:`kvmwatch.reading.control.hung`). *read* gets the UUIDs of
    those that let a call of their own wait for ``patience`` seconds, and must not wait for them again. ``listed``:
    see :meth:`Crew.submit_domains`; it is not done again once somebody waits. Raises what both raise.
    """
    results: list[T] = []
    stuck: dict[str, float] = {}
    waiting: dict[str, float] = {}  # UUID to since when, by the clock
    since: dict[Future[list[T]], float] = {}
    clock = Awake(2 * PATIENCE)
    crew = make_crew()
    pending: dict[Future[list[T]], list[str]] = {}

    def submit(chunk: list[str], listed: bool = False) -> None:
        known = frozenset(waiting)
        pending[crew.submit_domains(chunk, lambda domains: read(domains, known), listed)] = chunk

    for chunk in _chunks(uuids, size):
        submit(chunk, listed)
    while pending and deadline.remaining():
        done, _ = wait(pending, min(PATIENCE, deadline.remaining()), FIRST_COMPLETED)
        now = clock.look()
        for future in done:
            del pending[future]
            results.extend(future.result())
        if done or not deadline.remaining():
            continue
        running = {future: chunk for future, chunk in pending.items() if future.running()}
        late = {future for future in running if now - since.setdefault(future, now) >= patience}
        found = hung([uuid for chunk in running.values() for uuid in chunk if uuid not in stuck])
        alone = {pending[future][0]: since[future] for future in late if len(pending[future]) == 1}
        parted = {future for future in late if len(pending[future]) > 1}
        if found.keys() <= stuck.keys() and alone.keys() <= waiting.keys() and not parted:
            continue
        stuck.update(found)
        waiting = {**alone, **waiting}
        blamed = stuck.keys() | waiting.keys()
        before, pending, crew = pending, {}, make_crew()
        again: list[list[str]] = []
        for future, chunk in before.items():
            # not begun yet, and its lanes may all be blocked; or waiting for one of these, if only for the list
            if future.cancel() or listed or future in parted or not blamed.isdisjoint(chunk):
                again += [[uuid] for uuid in chunk] if future in parted else [chunk]
            else:
                pending[future] = chunk
        listed = False
        # those that are blamed may block the new lanes as well, so they come last
        for chunk in sorted(again, key=lambda chunk: not blamed.isdisjoint(chunk)):
            submit(chunk)
    left = {uuid for chunk in pending.values() for uuid in chunk}
    now = clock.look()
    stuck = {**{uuid: now - waiting[uuid] for uuid in left & waiting.keys()}, **stuck}
    return results, Unanswered(stuck, left - stuck.keys())


def _chunks(uuids: list[str], most: int) -> list[list[str]]:
    size = max(1, min(most, -(-len(uuids) // LANES)))
    return [uuids[start : start + size] for start in range(0, len(uuids), size)]
