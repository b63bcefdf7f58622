"""Low-level discovery lists: what there is, not how it is, so that a list changes only when things do.

A domain's parts are lists of values; PARTS names the LLD macro of each. ``zabbix_kvm discover`` makes rows of
them, as Zabbix takes them. The master item has them within their domain's row instead: rows that each repeat the
domain took a third of its size (the templates' rules make the rows, and only when something changed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kvmwatch.model import measured
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot

Row = dict[str, Any]
Values = tuple[Any, ...]

#: {#VM.STATE}: whether it has a QEMU, and else whether it should run. Not the state itself: then the lists would
#: change with every pause.
RUNNING, WANTED, OFF = "running", "wanted", "off"


#: the macros of every row that is about a domain
OF_VM = ("{#VM.UUID}", "{#VM.NAME}", "{#VM.TITLE}", "{#VM.LABEL}", "{#VM.STATE}")


class PartKind(NamedTuple):
    """A kind of parts of a domain: the macros that tell one, and their values for each."""

    macros: tuple[str, ...]
    values: Callable[[Domain], Iterator[Values]]

    def rows(self, domain: Domain) -> Iterator[Row]:
        """One row per part, which does not say whose it is."""
        return (dict(zip(self.macros, values)) for values in self.values(domain))


def _vcpus(domain: Domain) -> Iterator[Values]:
    """The vCPUs that the domain's XML gives it."""
    return ((number,) for number in domain.vcpu_numbers or ())


def _disks(domain: Domain) -> Iterator[Values]:
    """The disks that have figures; drives for media (CD-ROM, floppy) are left out."""
    return ((disk.name, disk.bus or "") for disk in measured.disks(domain))


def _interfaces(domain: Domain) -> Iterator[Values]:
    """The interfaces that have counters. Its MAC is its identity."""
    return ((interface.key, interface.source or "") for interface in measured.interfaces(domain))


def _filesystems(domain: Domain) -> Iterator[Values]:
    """The file systems that a guest agent reports."""
    return ((filesystem.key, filesystem.kind) for filesystem in domain.filesystems or ())


PARTS: dict[str, PartKind] = {
    "vcpus": PartKind(("{#VCPU.ID}",), _vcpus),
    "disks": PartKind(("{#DISK.NAME}", "{#DISK.BUS}"), _disks),
    "interfaces": PartKind(("{#IF.MAC}", "{#IF.SOURCE}"), _interfaces),
    "filesystems": PartKind(("{#FS.MOUNTPOINT}", "{#FS.TYPE}"), _filesystems),
}


def in_context(name: str) -> str:
    """A name as it stands in Zabbix: C/ for C\\, which no macro's context and no key can end with in quotes."""
    return f"{name[:-1]}/" if name.endswith("\\") else name


def domains(snapshot: Snapshot) -> Iterator[Row]:
    """One row per domain, with the host name of its hypervisor (empty unless that is read, too)."""
    hypervisor = snapshot.host.hostname or "" if snapshot.host else ""
    for domain in _watched(snapshot):
        yield _of(domain) | {"{#VM.HYPERVISOR}": hypervisor}


def domains_with_parts(snapshot: Snapshot) -> Iterator[Row]:
    """The same rows with the values of each domain's parts, by kind; kinds of which it has none are left out."""
    for domain, row in zip(_watched(snapshot), domains(snapshot)):
        parts = {kind: list(map(list, part.values(domain))) for kind, part in PARTS.items()}
        yield row | {kind: values for kind, values in parts.items() if values}


def pools(snapshot: Snapshot) -> Iterator[Row]:
    """One row per storage pool."""
    for pool in snapshot.pools:
        yield {"{#POOL.UUID}": pool.uuid, "{#POOL.NAME}": in_context(pool.name), "{#POOL.TYPE}": pool.kind}


def networks(snapshot: Snapshot) -> Iterator[Row]:
    """One row per virtual network."""
    for network in snapshot.networks:
        yield {
            "{#NET.UUID}": network.uuid,
            "{#NET.NAME}": in_context(network.name),
            "{#NET.BRIDGE}": network.bridge or "",
        }


def uplinks(snapshot: Snapshot) -> Iterator[Row]:
    """One row per interface of the host that carries VMs, with the bridges that stand on it."""
    for uplink in snapshot.uplinks or ():
        yield {"{#UPLINK.NAME}": in_context(uplink.name), "{#UPLINK.CARRIES}": ", ".join(uplink.carries)}


def knows_uplinks(snapshot: Snapshot) -> bool:
    """Whether all that the domains and networks hang on is known: else some would be missing in the list."""
    known = all(part.group is not Group.DEFINITION for domain in snapshot.domains for part in domain.unread)
    # one that somebody holds could not be asked what it has
    silent = any(domain.not_responding is not None and not domain.interfaces for domain in snapshot.domains)
    return known and not silent and snapshot.has(Group.NONE) and snapshot.has(Group.NETWORKS)


def _rows(part: PartKind) -> Callable[[Snapshot], Iterator[Row]]:
    def rows(snapshot: Snapshot) -> Iterator[Row]:
        return (_of(domain) | row for domain in _watched(snapshot) for row in part.rows(domain))

    return rows


def _watched(snapshot: Snapshot) -> Iterator[Domain]:
    return (domain for domain in snapshot.domains if not domain.policy.ignore)


def _of(domain: Domain) -> Row:
    """What every row has that is about a domain: its names, and whether it runs.

    {#VM.TITLE} is what people call it; {#VM.LABEL} has both names where they differ.
    """
    names = (domain.uuid, in_context(domain.name), domain.title or domain.name, domain.label)
    return dict(zip(OF_VM, (*names, _state(domain))))


def _state(domain: Domain) -> str:
    if domain.active:
        return RUNNING
    # who may be wanted (None: not known) is not left out
    return WANTED if domain.expected in ("running", "paused", None) else OFF


_DEFINED = Group.SHUT_OFF | Group.DEFINITION | Group.AUTOSTART

#: KIND of ``zabbix_kvm discover`` to its rows and the groups they need
KINDS: dict[str, tuple[Callable[[Snapshot], Iterator[Row]], Group]] = {
    "domains": (domains, _DEFINED | Group.HOST),
    # whether a disk or an interface has figures is seen by asking for them
    "disks": (_rows(PARTS["disks"]), _DEFINED | Group.DISK | Group.CONTROL),
    "interfaces": (_rows(PARTS["interfaces"]), _DEFINED | Group.INTERFACE),
    **{kind: (_rows(PARTS[kind]), _DEFINED) for kind in ("vcpus", "filesystems")},
    "uplinks": (uplinks, _DEFINED | Group.INTERFACE | Group.NETWORKS | Group.UPLINKS),
    "pools": (pools, Group.POOLS),
    "networks": (networks, Group.NETWORKS),
}
