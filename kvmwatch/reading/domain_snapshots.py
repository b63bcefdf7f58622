"""The snapshots that domains carry: how many, and how old the oldest is."""

from __future__ import annotations

import re
from collections.abc import Iterable

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading.connection import Connection
from kvmwatch.reading.hypervisor import Hypervisor

_CREATED = re.compile(r"<creationTime>(\d+)</creationTime>")


def with_snapshots(hypervisor: Hypervisor, domains: tuple[Domain, ...]) -> tuple[Domain, ...]:
    """Give the domains with ``stats.snapshots`` and ``stats.oldest_snapshot``.

    Only those that libvirt's list filter named (``has_snapshots``) cost a call each, and one per snapshot.
    Raises libvirtError when the connection is lost.
    """
    having = [domain.uuid for domain in domains if domain.has_snapshots]
    created = hypervisor.call(lambda: dict(_read(hypervisor.connection, having))) if having else {}
    return tuple(
        domain if domain.has_snapshots is None else _with(domain, created.get(domain.uuid, []))
        for domain in domains
    )


def _read(connection: Connection, uuids: Iterable[str]) -> Iterable[tuple[str, list[int] | str]]:
    """UUID to when its snapshots were made, or why that is not known."""
    for uuid in uuids:
        try:
            domain = connection.lookupByUUIDString(uuid)
            descriptions = [snapshot.getXMLDesc(0) for snapshot in domain.listAllSnapshots(0)]
        except ValueError as error:  # text that is no UTF-8
            yield uuid, str(error)
            continue
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT):
                yield uuid, "they were changed during the reading"
            elif connection.isAlive():
                yield uuid, " ".join(str(error).split())
            else:
                raise
            continue
        # ElementTree would read the whole domain that each snapshot carries within
        created = [int(found[1]) for found in map(_CREATED.search, descriptions) if found]
        yield uuid, created if len(created) == len(descriptions) else "one does not tell when it was made"


def _with(domain: Domain, created: list[int] | str) -> Domain:
    if isinstance(created, str):
        return domain._replace(unread=(*domain.unread, Unread(Group.SNAPSHOTS, "snapshots", created)))
    return domain._replace(
        stats=domain.stats._replace(
            snapshots=float(len(created)), oldest_snapshot=float(min(created)) if created else None
        )
    )
