"""Which disks and interfaces of a domain have figures: what is discovered is what will have values.

Of a running domain these are the ones that libvirt gave figures of. Of one that does not run, or whose figures
could not be had just now, they are those of a kind that has some.
"""

from __future__ import annotations

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Disk, Domain, Interface

#: kinds of <interface> with a device on the host that counts; the others are QEMU's own, a switch's or the guest's
_COUNTING = ("network", "bridge", "ethernet", "direct")
_COUNTED_BY_ITS_SWITCH = "vhostuser"  # where that is Open vSwitch
#: kinds of <disk> that another process serves, past QEMU
_NOT_COUNTING = ("vhostuser", "vhostvdpa")


def interfaces(domain: Domain) -> tuple[Interface, ...]:
    """The interfaces that have counters. The host counts, so a QEMU that does not answer keeps none back."""
    return tuple(
        interface
        for interface in domain.interfaces
        if _has_values(interface) or (_untold(domain, interface, Group.INTERFACE) and counts(interface))
    )


def disks(domain: Domain) -> tuple[Disk, ...]:
    """The disks that have statistics; drives for media are left out."""
    of_storage = [disk for disk in domain.disks if not disk.removable]
    # a QEMU that is just being started or filled gives figures of none
    silent = not any(map(_has_values, of_storage))
    return tuple(
        disk
        for disk in of_storage
        if _has_values(disk) or ((silent or _untold(domain, disk, Group.DISK)) and disk.kind not in _NOT_COUNTING)
    )


def counts(interface: Interface) -> bool:
    """Whether interfaces of its kind have a device on the host that counts."""
    return interface.kind is None or interface.kind in _COUNTING


def past_qemu(disk: Disk) -> bool:
    """Whether another process serves it, so that QEMU counts nothing of it."""
    return disk.kind in _NOT_COUNTING


def ever(part: Disk | Interface) -> bool:
    """Whether it has figures, now or another time: what it is decides that, not how it is."""
    if isinstance(part, Disk):
        return not part.removable and (part.kind not in _NOT_COUNTING or _has_values(part))
    return counts(part) or part.kind == _COUNTED_BY_ITS_SWITCH or _has_values(part)


def missing(domain: Domain, part: Disk | Interface) -> bool:
    """Whether it should have counters and has none, and nobody has said why."""
    group = Group.DISK if isinstance(part, Disk) else Group.INTERFACE
    if domain.state not in (states.RUNNING, states.BLOCKED) or _untold(domain, part, group):
        return False
    if isinstance(part, Disk):
        counted = (part.stats.read_requests, part.stats.write_requests, part.stats.flush_requests)
        return not part.removable and part.kind not in _NOT_COUNTING and all(count is None for count in counted)
    # one of a network that gives guests devices of the host has no name there
    return part.stats.rx_bytes is None and part.name is not None and counts(part)


def _has_values(part: Disk | Interface) -> bool:
    return any(value is not None for value in part.stats)


def _untold(domain: Domain, part: Disk | Interface, group: Group) -> bool:
    """Whether it can have figures that are not here."""
    groups = (group, Group.DEFINITION)
    return (
        not domain.active
        or domain.not_responding is not None
        or bool(part.unread)
        or any(unread.group in groups for unread in domain.unread)
    )
