"""Which QEMUs do not answer libvirt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import libvirt

from kvmwatch.reading.connection import UNSUPPORTED, Connection, LibvirtDomain, one_line, uuid_of
from kvmwatch.reading.deadline import Deadline

if TYPE_CHECKING:
    from kvmwatch.reading.hypervisor import Hypervisor
    from kvmwatch.reading.walk import Walked

#: not running any more, or a driver without it
_NOTHING_TO_TELL = (*UNSUPPORTED, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN)
STUCK_AFTER = 2.0  # seconds; less under a short deadline
_LOOK_AGAIN = 0.2  # seconds


def patience(deadline: Deadline) -> float:
    """After how many seconds without an answer something counts as hung."""
    return min(STUCK_AFTER, deadline.seconds / 4)


#: UUIDs to why it could not be told of a domain whether it hangs
Untold = dict[str, str]


def hung(
    hypervisor: Hypervisor, uuids: Collection[str], deadline: Deadline, untold: Untold | None = None
) -> dict[str, float]:
    """UUID to seconds of those whose QEMU owes libvirt an answer for so long that it counts as hung.

    virDomainGetControlInfo asks no QEMU. It waits only for a domain that libvirt itself holds, which is then among
    those given. It does not tell of every job that makes others wait. ``untold`` is filled. Raises KvmwatchError,
    and libvirtError when the connection is lost.
    """
    if not uuids:
        return {}
    from kvmwatch.reading.walk import walk  # noqa: PLC0415 - only where some QEMU has not answered

    limit = patience(deadline)

    def questioner() -> Callable[[str], float | None]:
        connection = hypervisor.another()
        return lambda uuid: _looked_up(connection, uuid, limit, untold)

    def asked(uuids: Collection[str]) -> Walked[float]:
        return walk(uuids, questioner, deadline, limit, lanes=1)

    walked = asked(uuids)
    if untold is not None:
        untold.update(dict.fromkeys(walked.unasked, f"it was not its turn within {deadline.seconds:g} s"))

    def again(uuids: Collection[str]) -> dict[str, float]:
        walked = asked(uuids)
        return walked.answers | walked.held

    return _sure(walked.answers, again, deadline) | walked.held


def occupied(
    domains: Iterable[LibvirtDomain], deadline: Deadline, untold: Untold | None = None
) -> dict[str, float]:
    """The same, asked through the domains' own connection, by one who may be left waiting."""
    limit = patience(deadline)
    known = {uuid_of(domain): domain for domain in domains}

    def asked(uuids: Collection[str]) -> dict[str, float]:
        answers = ((uuid, _of(known[uuid], limit, untold)) for uuid in uuids)
        return {uuid: waited for uuid, waited in answers if waited is not None}

    return _sure(asked(known), asked, deadline)


def _sure(
    late: dict[str, float], ask: Callable[[Collection[str]], dict[str, float]], deadline: Deadline
) -> dict[str, float]:
    """Those that are late, without those that have only just become so and are not when they are asked again.

    After a machine stood still for a while every QEMU that was just being asked is late, and then answers.
    """
    fresh = [uuid for uuid, waited in late.items() if waited < 2 * patience(deadline)]
    if not fresh:
        return late
    deadline.sleep(_LOOK_AGAIN)
    return {uuid: waited for uuid, waited in late.items() if uuid not in fresh} | ask(fresh)


def _looked_up(connection: Connection, uuid: str, limit: float, untold: Untold | None) -> float | None:
    try:
        domain = connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if not connection.isAlive():
            raise
        if untold is not None and error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            untold[uuid] = one_line(error)
        return None
    return _of(domain, limit, untold)


def _of(domain: LibvirtDomain, limit: float, untold: Untold | None) -> float | None:
    try:
        state, _details, milliseconds = domain.controlInfo(0)
    except libvirt.libvirtError as error:
        if not domain.connect().isAlive():
            raise
        if untold is not None and error.get_error_code() not in _NOTHING_TO_TELL:
            untold[uuid_of(domain)] = one_line(error)
        return None
    occupied = state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds / 1000 >= limit
    return milliseconds / 1000 if occupied else None
