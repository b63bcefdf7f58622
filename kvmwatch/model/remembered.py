"""Which disks and interfaces with figures a domain had when it was last read: what one run keeps for the next.

A QEMU that hangs or a domain that is held keeps its XML to itself. Its parts are there all the same, without
figures, so that what is told of them (the labels of perfdata) does not come and go with that. It is kept beside
the counters, as a sample of its own for each domain.
"""

from __future__ import annotations

from kvmwatch.model import measured, states
from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample, Samples
from kvmwatch.model.snapshot import Disk, Domain, Interface, Snapshot

_SUFFIX = "/parts"
_DISK, _INTERFACE = "disk/", "interface/"


def with_parts(snapshot: Snapshot, earlier: Samples) -> Snapshot:
    """Fill the disks and interfaces of the domains that do not tell them just now."""
    return snapshot._replace(
        domains=tuple(
            _filled(domain, earlier[domain.uuid + _SUFFIX])
            if _untold(domain) and domain.uuid + _SUFFIX in earlier
            else domain
            for domain in snapshot.domains
        )
    )


def samples(snapshot: Snapshot) -> Samples:
    """What the next run needs to go on, of a snapshot whose parts are filled."""
    return {
        domain.uuid + _SUFFIX: Sample(domain.time, None, dict.fromkeys(parts, 0))
        for domain in snapshot.domains
        if (parts := _parts(domain))
    }


def _parts(domain: Domain) -> list[str]:
    # of what never has figures there are no labels either, and what is remembered does not tell its kind
    disks = [_DISK + disk.name for disk in domain.disks if measured.ever(disk)]
    return disks + [_INTERFACE + part.key for part in domain.interfaces if measured.ever(part)]


def _untold(domain: Domain) -> bool:
    if domain.disks or domain.interfaces:
        return False
    silent = domain.not_responding is not None or domain.state == states.NOSTATE
    return silent or any(part.group is Group.DEFINITION for part in domain.unread)


def _filled(domain: Domain, earlier: Sample) -> Domain:
    return domain._replace(
        disks=tuple(Disk(part[len(_DISK) :]) for part in earlier.counters if part.startswith(_DISK)),
        interfaces=tuple(
            Interface(part[len(_INTERFACE) :]) for part in earlier.counters if part.startswith(_INTERFACE)
        ),
    )
