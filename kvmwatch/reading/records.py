"""From libvirt's flat fields (as virsh domstats prints them) to the records of the snapshot.

The traps of the fields are handled here, each named where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Optional, TypeVar

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import (
    ONE,
    RECORDS,
    DiskStats,
    DomainStats,
    FilesystemStats,
    InterfaceStats,
    Scale,
    Value,
    VcpuStats,
    declarations,
)
from kvmwatch.model.policy import Policy
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Disk, Domain, Filesystem, Interface, Unread, Unreads, Vcpu
from kvmwatch.model.text import readable
from kvmwatch.reading.bulk import VCPUS_APART, WHY, Fields

if TYPE_CHECKING:
    from kvmwatch.reading.domain_xml import Definition

Stats = TypeVar("Stats", DomainStats, VcpuStats, DiskStats, InterfaceStats, FilesystemStats)


class Reading(Record):
    """All that was read of one domain, before it is made a record."""

    uuid: str
    name: str
    id: Optional[int]
    time: float  # CLOCK_MONOTONIC
    fields: Fields
    definition: Optional[Definition] = None
    policy: Policy = Policy()
    unread: Unreads = ()
    disk_errors: Optional[dict[str, int]] = None


def domain(reading: Reading, now: float) -> Domain:
    """Make the record of a domain; *now* is the Unix time of the reading."""
    fields, defined = reading.fields, reading.definition
    state = fields.get("state.state", states.NOSTATE)
    active = states.is_active(state)
    vcpus = tuple(_vcpus(fields)) if active else ()
    stats = _fill(DomainStats, fields, "")
    if not active:
        # a shut-off domain has the daemon's own CPU time in cpu.*
        stats = stats._replace(cpu_time=None, cpu_user=None, cpu_system=None)
    period = defined.balloon_period if defined else None
    if _balloon_stale(stats, period, now):
        stats = stats._replace(**_UNTOLD)
    times = [vcpu.stats.time for vcpu in vcpus if vcpu.stats.time is not None and VCPUS_APART not in fields]
    delays = [vcpu.stats.delay for vcpu in vcpus if vcpu.stats.delay is not None]
    return Domain(
        uuid=reading.uuid,
        name=reading.name,
        id=reading.id,
        state=state,
        reason=fields.get("state.reason", 0),
        time=reading.time,
        title=defined.title if defined else None,
        project=defined.project if defined else None,
        owner=defined.owner if defined else None,
        pinned=defined.pinned if defined else (),
        vcpu_numbers=defined.vcpus if defined else None,
        balloon_period=period,
        agent_connected=defined.agent_connected if defined and active else None,
        consoles=defined.consoles if defined and active else (),
        policy=defined.policy if defined else reading.policy,
        unread=(*reading.unread, *_unread(fields, _OF_DOMAIN)),
        stats=stats._replace(vcpu_time=sum(times) if times else None, cpu_delay=sum(delays) if delays else None),
        vcpus=vcpus,
        disks=tuple(_disks(fields, defined, reading.disk_errors)),
        interfaces=tuple(_interfaces(fields, defined)),
    )


#: what QEMU knows of the balloon, and when the guest's driver told the rest
_KNOWN_TO_QEMU = ("balloon.current", "balloon.maximum", "balloon.rss", "balloon.last-update")
#: what only the guest's balloon driver tells
_UNTOLD: dict[str, None] = {
    name: None
    for name, declared in declarations(DomainStats).items()
    if (declared.field or "").startswith("balloon.") and declared.field not in _KNOWN_TO_QEMU
}


def _balloon_stale(stats: DomainStats, period: Optional[int], now: float) -> bool:
    # Without <stats period> the guest reports once at boot, and the values stand still for ever.
    if stats.balloon_updated is None:
        return False
    from kvmwatch.model.derived import balloon_limit  # noqa: PLC0415 - only where memory is read

    return abs(now - stats.balloon_updated) > balloon_limit(period)


#: record class to its fields that bulk statistics deliver: name, field, scale (None: as it is)
_BULK_FIELDS: dict[type, tuple[tuple[str, str, Optional[Scale]], ...]] = {
    record: tuple(
        (name, declared.field, None if declared.scale == ONE else declared.scale)
        for name, declared in declarations(record).items()
        if declared.field
    )
    for record in RECORDS.values()
}


def _fill(record: type[Stats], fields: Fields, prefix: str) -> Stats:
    values: dict[str, Value] = {}
    for name, field, scale in _BULK_FIELDS[record]:
        raw = fields.get(prefix + field)
        if raw is not None:
            values[name] = scale.apply(raw) if scale else raw
    return record(**values)


def _vcpus(fields: Fields) -> Iterator[Vcpu]:
    # vCPUs that are unplugged leave gaps in the numbers
    timed = (name[len("vcpu.") : -len(".time")] for name in fields if name.endswith(".time"))
    for number in sorted(int(number) for number in timed if number.isdecimal()):
        yield Vcpu(number, _fill(VcpuStats, fields, f"vcpu.{number}."))


def _disks(fields: Fields, defined: Optional[Definition], errors: Optional[dict[str, int]]) -> Iterator[Disk]:
    definitions = {disk.name: disk for disk in defined.disks} if defined else {}
    seen: set[str] = set()
    for number in range(fields.get("block.count", 0)):
        name = fields.get(f"block.{number}.name")
        # A backing chain has one entry per layer; the first is the one the guest uses.
        if name is None or name in seen:
            continue
        seen.add(name)
        disk = definitions.pop(name, Disk(name))
        stats = _fill(DiskStats, fields, f"block.{number}.")
        if stats.allocation == stats.capacity and not stats.highest_offset:
            # QEMU said 0 bytes on disk and libvirt put the file's size there, or the image is
            # preallocated and untouched: nobody can tell which
            stats = stats._replace(allocation=None)
        if errors is not None and stats.read_requests is not None:
            stats = stats._replace(errors=1 if name in errors else 0)
        yield disk._replace(
            path=fields.get(f"block.{number}.path", disk.path),
            error=_error_text(errors, name),
            unread=_unread(fields, {f"block.{number}.": _DISK}),
            stats=stats,
        )
    yield from definitions.values()  # a shut-off domain has its disks only there


def _error_text(errors: Optional[dict[str, int]], name: str) -> Optional[str]:
    if not errors or name not in errors:
        return None
    return "no space" if errors[name] == 2 else "I/O error"  # virDomainDiskErrorCode


def _interfaces(fields: Fields, defined: Optional[Definition]) -> Iterator[Interface]:
    prefixes = {
        fields[f"net.{number}.name"]: f"net.{number}."
        for number in range(fields.get("net.count", 0))
        if f"net.{number}.name" in fields  # user-mode interfaces are counted but have no fields at all
    }
    known = defined.interfaces if defined else tuple(Interface(name, name) for name in prefixes)
    for interface in known:
        prefix = prefixes.get(interface.name or "")
        yield (
            interface
            if prefix is None
            else interface._replace(
                unread=_unread(fields, {prefix: _INTERFACE}), stats=_fill(InterfaceStats, fields, prefix)
            )
        )


_OF_DOMAIN = {
    "state.": (Group.NONE, "state"),  # which every check needs
    "cpu.": (Group.CPU, "CPU time"),
    "vcpu.": (Group.CPU, "vCPU times"),
    "balloon.": (Group.MEMORY, "memory statistics"),
    "size.": (Group.SIZE, "vCPUs and memory given to it"),
    "block.": (Group.DISK, "disks"),
    "net.": (Group.INTERFACE, "interfaces"),
}
_DISK = (Group.DISK, "statistics")
_INTERFACE = (Group.INTERFACE, "counters")


def _unread(fields: Fields, prefixes: Mapping[str, tuple[Group, str]]) -> Unreads:
    return tuple(
        Unread(group, what, fields[prefix + WHY])
        for prefix, (group, what) in prefixes.items()
        if prefix + WHY in fields
    )


#: file systems that are full from the day they are made
_READ_ONLY = ("squashfs", "erofs", "cramfs", "romfs", "iso9660", "udf", "cdfs")
#: and those whose room is none of the guest's disks: memory, another's, or the same room once more
_ELSEWHERE = (
    *("tmpfs", "devtmpfs", "ramfs", "overlay", "overlayfs", "aufs", "autofs"),
    *("nfs", "nfs3", "nfs4", "cifs", "smbfs", "smb3", "9p", "virtiofs", "ceph", "glusterfs", "afs"),
)
#: characters of a mount point: Zabbix's names of graphs hold 128, which begin with the VM's
_LONGEST_MOUNTPOINT = 80
_LONGEST_KIND = 40
#: of one guest; a host of containers may report thousands of mounts
MOST_FILESYSTEMS = 200


def filesystems(fields: Fields) -> Iterator[Filesystem]:
    """The file systems of virDomainGetGuestInfo's fields that can be written to, each with a name of its own.

    One without a size (0, or not told: a volume of Windows without a letter) can have no use, and is left out.
    """
    keys: set[str] = set()
    for number in range(fields.get("fs.count", 0)):
        mountpoint, kind = fields.get(f"fs.{number}.mountpoint"), fields.get(f"fs.{number}.fstype") or ""
        if not mountpoint or kind.lower() in (*_READ_ONLY, *_ELSEWHERE) or kind.lower().startswith("fuse."):
            continue
        stats = _fill(FilesystemStats, fields, f"fs.{number}.")
        if not stats.total or stats.used is None:
            continue
        found = _named_apart(Filesystem(mountpoint, readable(kind, _LONGEST_KIND), stats), keys)
        keys.add(found.key)
        yield found


def _named_apart(filesystem: Filesystem, keys: AbstractSet[str]) -> Filesystem:
    """Windows calls several "System Reserved", something may be mounted over another, and long ones are cut."""
    name, count = readable(filesystem.mountpoint, _LONGEST_MOUNTPOINT) or "?", 1
    named = filesystem._replace(mountpoint=name)
    while named.key in keys:
        count += 1
        named = filesystem._replace(mountpoint=f"{name}#{count}")
    return named
