"""Concurrent calls for many domains, of which any one may hang.

libvirtd asks the QEMUs of one call in turn, so a few calls at once halve the time. The first call that meets
a QEMU which has just hung never returns, even with NOWAIT; meanwhile controlInfo tells which domain it waits
for, and since the hung call holds that domain's lock, further NOWAIT calls skip it at once. So when a call
does not return, the hung domain is named, the call is left behind and its domains are asked again on a fresh
connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

import libvirt

from kvmwatch.connection import Connection, LibvirtDomain, open_readonly
from kvmwatch.deadline import Deadline, call

T = TypeVar("T")

LANES = 4  # libvirtd serves 5 requests of a client at a time (max_client_requests); one stays for controlInfo
CHUNK = 8  # domains per call: small enough that a hung one holds up few others
PATIENCE = 0.25  # seconds without any answer after which controlInfo is asked
STUCK_AFTER = 2.0  # seconds; less under a short deadline


def each_chunk(
    uri: str,
    domains: list[LibvirtDomain],
    read: Callable[[list[LibvirtDomain]], list[T]],
    deadline: Deadline,
    size: int = CHUNK,
) -> tuple[list[T], dict[str, float], set[str]]:
    """Call *read* for chunks of *domains* in a few lanes.

    Gives the results, the domains that hang (UUID to seconds), and the UUIDs of those that could not be
    read in time. Raises what *read* raises, and DeadlineExceeded when libvirtd itself stops answering.
    """
    results: list[T] = []
    stuck: dict[str, float] = {}
    pending = _submit(read, _chunks(domains, size))
    while pending and deadline.remaining():
        done, _ = wait(pending, min(PATIENCE, deadline.remaining()), FIRST_COMPLETED)
        for future in done:
            del pending[future]
            results.extend(future.result())
        if done:
            continue
        running = [domain for future, chunk in pending.items() if future.running() for domain in chunk]
        found = call(deadline, f"libvirt at {uri}", lambda: occupied(running))  # noqa: B023 - awaited here
        limit = stuck_after(deadline)
        new = {uuid: seconds for uuid, seconds in found.items() if seconds >= limit and uuid not in stuck}
        if new:
            stuck.update(new)
            waiting, pending, again = pending, {}, []
            for future, chunk in waiting.items():
                if _given_up(future, chunk, stuck):
                    again.append(chunk)
                else:
                    pending[future] = chunk
            reopened = call(deadline, f"libvirt at {uri}", lambda: _reopened(uri, again))  # noqa: B023
            pending.update(_submit(read, reopened))
    unread = {domain.UUIDString() for chunk in pending.values() for domain in chunk}
    return results, stuck, unread


def occupied(domains: Iterable[LibvirtDomain]) -> dict[str, float]:
    """Ask virDomainGetControlInfo which domains' QEMUs owe libvirt an answer, and for how many seconds."""
    waiting = {}
    for domain in domains:
        try:
            state, _details, milliseconds = domain.controlInfo(0)
        except libvirt.libvirtError:
            continue  # not running any more, or a driver without it
        if state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED:
            waiting[domain.UUIDString()] = milliseconds / 1000
    return waiting


def stuck_after(deadline: Deadline) -> float:
    """Seconds without an answer of its QEMU after which a domain counts as hung."""
    return min(STUCK_AFTER, deadline.seconds / 4)


def _chunks(domains: list[LibvirtDomain], most: int) -> list[list[LibvirtDomain]]:
    size = max(1, min(most, -(-len(domains) // LANES)))
    return [domains[start : start + size] for start in range(0, len(domains), size)]


def _submit(
    read: Callable[[list[LibvirtDomain]], list[T]], chunks: list[list[LibvirtDomain]]
) -> dict[Future[list[T]], list[LibvirtDomain]]:
    lanes = ThreadPoolExecutor(LANES)
    return {lanes.submit(read, chunk): chunk for chunk in chunks}


def _given_up(future: Future[list[T]], chunk: list[LibvirtDomain], stuck: dict[str, float]) -> bool:
    # not begun yet, and its lanes may all be blocked; or waiting for a hung domain
    return future.cancel() or any(domain.UUIDString() in stuck for domain in chunk)


def _reopened(uri: str, chunks: list[list[LibvirtDomain]]) -> list[list[LibvirtDomain]]:
    connection: Connection = open_readonly(uri)
    fresh = []
    for chunk in chunks:
        found = []
        for domain in chunk:
            try:
                found.append(connection.lookupByUUIDString(domain.UUIDString()))
            except libvirt.libvirtError:
                continue  # gone meanwhile
        if found:
            fresh.append(found)
    return fresh
