"""Which domains make libvirt wait: their QEMU does not answer, or a job holds them."""

from __future__ import annotations

from collections.abc import Iterable

import libvirt

from kvmwatch.connection import LibvirtDomain
from kvmwatch.deadline import Deadline

STUCK_AFTER = 2.0  # seconds; less under a short deadline


def hung(domains: Iterable[LibvirtDomain], deadline: Deadline) -> dict[str, float]:
    """UUID to seconds of those whose QEMU owes libvirt an answer for so long that it counts as hung."""
    return _waiting(domains, deadline, libvirt.VIR_DOMAIN_CONTROL_OCCUPIED)


def held(domains: Iterable[LibvirtDomain], deadline: Deadline) -> dict[str, float]:
    """The same, and those that a job has held for as long (a device that the guest does not give back, say).

    Nobody else's question about them is answered meanwhile.
    """
    return _waiting(domains, deadline, libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, libvirt.VIR_DOMAIN_CONTROL_JOB)


def _waiting(domains: Iterable[LibvirtDomain], deadline: Deadline, *states: int) -> dict[str, float]:
    # virDomainGetControlInfo asks no QEMU and waits for none
    limit = min(STUCK_AFTER, deadline.seconds / 4)
    waiting = {}
    for domain in domains:
        try:
            state, _details, milliseconds = domain.controlInfo(0)
        except libvirt.libvirtError:
            continue  # not running any more, or a driver without it
        if state in states and milliseconds / 1000 >= limit:
            waiting[domain.UUIDString()] = milliseconds / 1000
    return waiting
