"""The snapshots that domains carry: how many, and how old the oldest is."""

from __future__ import annotations

import re
from collections.abc import Callable

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading import control
from kvmwatch.reading.connection import Connection, looked_up, one_line
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.walk import Walked, walk

_CREATED = re.compile(r"<creationTime>(\d+)</creationTime>")


def with_snapshots(hypervisor: Hypervisor, domains: tuple[Domain, ...], deadline: Deadline) -> tuple[Domain, ...]:
    """Give the domains with ``stats.snapshots`` and ``stats.oldest_snapshot``.

    Only those that libvirt's list filter named (``has_snapshots``) cost a call each, and one per snapshot.
    Raises libvirtError when the connection is lost.
    """
    having = [domain.uuid for domain in domains if domain.has_snapshots]

    def questioner() -> Callable[[str], list[int] | str | None]:
        connection = hypervisor.another()
        return lambda uuid: _created(connection, uuid)

    walked: Walked[list[int] | str] = walk(having, questioner, deadline, control.patience(deadline))
    created: dict[str, list[int] | str] = dict.fromkeys(having, "libvirt did not give them in time")
    created.update(walked.answers)
    return tuple(
        _with(domain, created.get(domain.uuid, [])) if domain.has_snapshots is not None else domain
        for domain in domains
    )


def _created(connection: Connection, uuid: str) -> list[int] | str:
    """When its snapshots were made (Unix times), or why that is not known."""
    try:
        snapshots = [
            snapshot for domain in looked_up(connection, [uuid]) for snapshot in domain.listAllSnapshots(0)
        ]
        descriptions = [snapshot.getXMLDesc(0) for snapshot in snapshots]
    except ValueError as error:  # text that is no UTF-8
        return str(error)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT):
            return "they were changed during the reading"
        if connection.isAlive():
            return one_line(error)
        raise
    # ElementTree would read the whole domain that each snapshot carries within
    created = [int(found[1]) for found in map(_CREATED.search, descriptions) if found]
    return created if len(created) == len(descriptions) else "one does not tell when it was made"


def _with(domain: Domain, created: list[int] | str) -> Domain:
    if isinstance(created, str):
        return domain._replace(unread=(*domain.unread, Unread(Group.SNAPSHOTS, "snapshots", created)))
    return domain._replace(
        stats=domain.stats._replace(
            snapshots=float(len(created)), oldest_snapshot=float(min(created)) if created else None
        )
    )
