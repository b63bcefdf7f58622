"""Which QEMUs do not answer libvirt."""

from __future__ import annotations

from collections.abc import Iterable

import libvirt

from kvmwatch.reading.connection import UNSUPPORTED, LibvirtDomain
from kvmwatch.reading.deadline import Deadline

#: not running any more, or a driver without it
_NOTHING_TO_TELL = (*UNSUPPORTED, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN)
STUCK_AFTER = 2.0  # seconds; less under a short deadline


def patience(deadline: Deadline) -> float:
    """After how many seconds without an answer something counts as hung."""
    return min(STUCK_AFTER, deadline.seconds / 4)


def hung(
    domains: Iterable[LibvirtDomain], deadline: Deadline, untold: dict[str, str] | None = None
) -> dict[str, float]:
    """UUID to seconds of those whose QEMU owes libvirt an answer for so long that it counts as hung.

    virDomainGetControlInfo asks no QEMU and waits for none. It does not tell of every job that makes others wait.
    ``untold`` is filled with the UUIDs of those of which nothing could be told, and why. Raises libvirtError when
    the connection is lost.
    """
    limit = patience(deadline)
    waiting = {}
    for domain in domains:
        try:
            state, _details, milliseconds = domain.controlInfo(0)
        except libvirt.libvirtError as error:
            if not domain.connect().isAlive():
                raise
            if untold is not None and error.get_error_code() not in _NOTHING_TO_TELL:
                untold[domain.UUIDString()] = " ".join(str(error).split())
            continue
        if state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds / 1000 >= limit:
            waiting[domain.UUIDString()] = milliseconds / 1000
    return waiting
