"""Which QEMUs do not answer libvirt."""

from __future__ import annotations

from collections.abc import Iterable

import libvirt

from kvmwatch.reading.connection import LibvirtDomain
from kvmwatch.reading.deadline import Deadline

STUCK_AFTER = 2.0  # seconds; less under a short deadline


def patience(deadline: Deadline) -> float:
    """After how many seconds without an answer something counts as hung."""
    return min(STUCK_AFTER, deadline.seconds / 4)


def hung(domains: Iterable[LibvirtDomain], deadline: Deadline) -> dict[str, float]:
    """UUID to seconds of those whose QEMU owes libvirt an answer for so long that it counts as hung.

    virDomainGetControlInfo asks no QEMU and waits for none. It does not tell of every job that makes others wait.
    """
    limit = patience(deadline)
    waiting = {}
    for domain in domains:
        try:
            state, _details, milliseconds = domain.controlInfo(0)
        except libvirt.libvirtError:
            continue  # not running any more, or a driver without it
        if state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds / 1000 >= limit:
            waiting[domain.UUIDString()] = milliseconds / 1000
    return waiting
