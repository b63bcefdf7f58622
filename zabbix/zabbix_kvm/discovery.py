"""Low-level discovery lists: what there is, not how it is, so that a list changes only when things do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kvmwatch.groups import Group
from kvmwatch.snapshot import Domain, Snapshot

Row = dict[str, Any]


def vcpus(domain: Domain) -> Iterator[Row]:
    """One row per vCPU that the domain's XML gives it."""
    for number in range(domain.defined_vcpus or 0):
        yield {"{#VCPU.ID}": number}


def disks(domain: Domain) -> Iterator[Row]:
    """One row per disk; drives for media (CD-ROM, floppy) are left out."""
    for disk in domain.disks:
        if not disk.removable:
            yield {"{#DISK.NAME}": disk.name, "{#DISK.BUS}": disk.bus or ""}


def interfaces(domain: Domain) -> Iterator[Row]:
    """One row per interface that has counters; user-mode ones have none. Its MAC is its identity."""
    for interface in domain.interfaces:
        if interface.kind != "user":
            yield {"{#IF.MAC}": interface.key, "{#IF.SOURCE}": interface.source or ""}


def filesystems(domain: Domain) -> Iterator[Row]:
    """One row per file system that a guest agent reports."""
    for filesystem in domain.filesystems or ():
        yield {"{#FS.MOUNTPOINT}": filesystem.mountpoint, "{#FS.TYPE}": filesystem.kind}


#: the parts of a domain, to the rows that tell of them within one domain
PARTS: dict[str, Callable[[Domain], Iterator[Row]]] = {
    "vcpus": vcpus,
    "disks": disks,
    "interfaces": interfaces,
    "filesystems": filesystems,
}


def domains(snapshot: Snapshot) -> Iterator[Row]:
    """One row per domain, with the host name of its hypervisor (empty unless that is read, too)."""
    hypervisor = snapshot.host.hostname if snapshot.host else ""
    for domain in _watched(snapshot):
        yield _of(domain) | {"{#VM.TITLE}": domain.title or "", "{#VM.HYPERVISOR}": hypervisor}


def pools(snapshot: Snapshot) -> Iterator[Row]:
    """One row per storage pool."""
    for pool in snapshot.pools:
        yield {"{#POOL.UUID}": pool.uuid, "{#POOL.NAME}": pool.name, "{#POOL.TYPE}": pool.kind}


def networks(snapshot: Snapshot) -> Iterator[Row]:
    """One row per virtual network."""
    for network in snapshot.networks:
        yield {
            "{#NET.UUID}": network.uuid,
            "{#NET.NAME}": network.name,
            "{#NET.BRIDGE}": network.bridge or "",
        }


def _parts(kind: str) -> Callable[[Snapshot], Iterator[Row]]:
    def rows(snapshot: Snapshot) -> Iterator[Row]:
        for domain in _watched(snapshot):
            for row in PARTS[kind](domain):
                yield _of(domain) | row

    return rows


def _watched(snapshot: Snapshot) -> Iterator[Domain]:
    return (domain for domain in snapshot.domains if not domain.policy.ignore)


def _of(domain: Domain) -> Row:
    return {"{#VM.UUID}": domain.uuid, "{#VM.NAME}": domain.name}


_DEFINED = Group.SHUT_OFF | Group.DEFINITION

#: KIND of ``zabbix_kvm discover`` to its rows and the groups they need
KINDS: dict[str, tuple[Callable[[Snapshot], Iterator[Row]], Group]] = {
    "domains": (domains, _DEFINED | Group.HOST),
    **{kind: (_parts(kind), _DEFINED) for kind in ("disks", "interfaces", "vcpus", "filesystems")},
    "pools": (pools, Group.POOLS),
    "networks": (networks, Group.NETWORKS),
}
