"""Low-level discovery lists: what there is, not how it is, so that a list changes only when things do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kvmwatch.groups import Group
from kvmwatch.snapshot import Domain, Snapshot

Row = dict[str, Any]


def domains(snapshot: Snapshot) -> Iterator[Row]:
    """One row per domain."""
    for domain in _watched(snapshot):
        yield _of(domain) | {"{#VM.TITLE}": domain.title or ""}


def vcpus(snapshot: Snapshot) -> Iterator[Row]:
    """One row per vCPU that the domain's XML gives it."""
    for domain in _watched(snapshot):
        for number in range(domain.defined_vcpus or 0):
            yield _of(domain) | {"{#VCPU.ID}": number}


def disks(snapshot: Snapshot) -> Iterator[Row]:
    """One row per disk; drives for media (CD-ROM, floppy) are left out."""
    for domain in _watched(snapshot):
        for disk in domain.disks:
            if not disk.removable:
                yield _of(domain) | {"{#DISK.NAME}": disk.name, "{#DISK.BUS}": disk.bus or ""}


def interfaces(snapshot: Snapshot) -> Iterator[Row]:
    """One row per interface that has counters; user-mode ones have none. Its MAC is its identity."""
    for domain in _watched(snapshot):
        for interface in domain.interfaces:
            if interface.kind != "user":
                yield _of(domain) | {"{#IF.MAC}": interface.key, "{#IF.SOURCE}": interface.source or ""}


def filesystems(snapshot: Snapshot) -> Iterator[Row]:
    """One row per file system that a guest agent reports."""
    for domain in _watched(snapshot):
        for filesystem in domain.filesystems:
            yield _of(domain) | {"{#FS.MOUNTPOINT}": filesystem.mountpoint, "{#FS.TYPE}": filesystem.kind}


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


_DEFINED = Group.SHUT_OFF | Group.DEFINITION

#: KIND of ``zabbix_kvm discover`` to its rows and the groups they need
KINDS: dict[str, tuple[Callable[[Snapshot], Iterator[Row]], Group]] = {
    "domains": (domains, _DEFINED),
    "disks": (disks, _DEFINED),
    "interfaces": (interfaces, _DEFINED),
    "vcpus": (vcpus, _DEFINED),
    "filesystems": (filesystems, _DEFINED),
    "pools": (pools, Group.POOLS),
    "networks": (networks, Group.NETWORKS),
}


def _watched(snapshot: Snapshot) -> Iterator[Domain]:
    return (domain for domain in snapshot.domains if not domain.policy.ignore)


def _of(domain: Domain) -> Row:
    return {"{#VM.UUID}": domain.uuid, "{#VM.NAME}": domain.name}
