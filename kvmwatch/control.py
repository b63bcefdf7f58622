"""Which QEMUs do not answer libvirt."""

from __future__ import annotations

from collections.abc import Iterable

import libvirt

from kvmwatch.connection import LibvirtDomain
from kvmwatch.deadline import Deadline

STUCK_AFTER = 2.0  # seconds; less under a short deadline


def occupied(domains: Iterable[LibvirtDomain], deadline: Deadline) -> dict[str, float]:
    """Ask virDomainGetControlInfo which QEMUs owe libvirt an answer for so long that they count as hung."""
    limit = min(STUCK_AFTER, deadline.seconds / 4)
    waiting = {}
    for domain in domains:
        try:
            state, _details, milliseconds = domain.controlInfo(0)
        except libvirt.libvirtError:
            continue  # not running any more, or a driver without it
        if state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds / 1000 >= limit:
            waiting[domain.UUIDString()] = milliseconds / 1000
    return waiting
