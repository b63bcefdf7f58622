"""The snapshots that domains carry: how many, and how old the oldest is; and when the newest checkpoint was made.

A checkpoint is where an incremental backup begins, so its time is that of the backup it was made with.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading import control
from kvmwatch.reading.connection import Connection, LibvirtDomain, looked_up, one_line
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.walk import Walked, walk

_CREATED = re.compile(r"<creationTime>(\d+)</creationTime>")
_GONE = (
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
    libvirt.VIR_ERR_NO_DOMAIN_CHECKPOINT,
)


def with_snapshots(hypervisor: Hypervisor, domains: tuple[Domain, ...], deadline: Deadline) -> tuple[Domain, ...]:
    """Give the domains with ``stats.snapshots`` and ``stats.oldest_snapshot``.

    Only those that libvirt's list filter named (``has_snapshots``) cost a call each, and one per snapshot.
    Raises libvirtError when the connection is lost.
    """
    having = [domain.uuid for domain in domains if domain.has_snapshots]
    created = _asked(hypervisor, having, _of_snapshots, deadline)
    return tuple(
        _with(domain, created.get(domain.uuid, [])) if domain.has_snapshots is not None else domain
        for domain in domains
    )


def with_checkpoints(
    hypervisor: Hypervisor, domains: tuple[Domain, ...], deadline: Deadline
) -> tuple[Domain, ...]:
    """Give the domains that have checkpoints (``has_checkpoints``) ``stats.newest_checkpoint``; it costs the same.

    Raises libvirtError when the connection is lost.
    """
    having = [domain.uuid for domain in domains if domain.has_checkpoints]
    created = _asked(hypervisor, having, _of_checkpoints, deadline)
    return tuple(
        _with_newest(domain, created[domain.uuid]) if domain.has_checkpoints else domain for domain in domains
    )


def _of_snapshots(domain: LibvirtDomain) -> list[str]:
    return [snapshot.getXMLDesc(0) for snapshot in domain.listAllSnapshots(0)]


def _of_checkpoints(domain: LibvirtDomain) -> list[str]:
    without_domain = libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN
    return [checkpoint.getXMLDesc(without_domain) for checkpoint in domain.listAllCheckpoints(0)]


def _asked(
    hypervisor: Hypervisor,
    uuids: list[str],
    descriptions: Callable[[LibvirtDomain], list[str]],
    deadline: Deadline,
) -> dict[str, list[int] | str]:
    """UUID to when its snapshots or checkpoints were made (Unix times), or why that is not known."""

    def questioner() -> Callable[[str], list[int] | str | None]:
        connection = hypervisor.another()
        return lambda uuid: _created(connection, uuid, descriptions)

    walked: Walked[list[int] | str] = walk(uuids, questioner, deadline, control.patience(deadline))
    created: dict[str, list[int] | str] = dict.fromkeys(uuids, "libvirt did not give them in time")
    created.update(walked.answers)
    return created


def _created(
    connection: Connection, uuid: str, descriptions: Callable[[LibvirtDomain], list[str]]
) -> list[int] | str:
    try:
        described = [xml for domain in looked_up(connection, [uuid]) for xml in descriptions(domain)]
    except ValueError as error:  # text that is no UTF-8
        return str(error)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return "they were changed during the reading"
        if connection.isAlive():
            return one_line(error)
        raise
    # ElementTree would read the whole domain that each snapshot carries within
    created = [int(found[1]) for found in map(_CREATED.search, described) if found]
    return created if len(created) == len(described) else "one does not tell when it was made"


def _with_newest(domain: Domain, created: list[int] | str) -> Domain:
    if isinstance(created, str):
        return domain._replace(unread=(*domain.unread, Unread(Group.CHECKPOINTS, "checkpoints", created)))
    return domain._replace(stats=domain.stats._replace(newest_checkpoint=float(max(created)) if created else None))


def _with(domain: Domain, created: list[int] | str) -> Domain:
    if isinstance(created, str):
        return domain._replace(unread=(*domain.unread, Unread(Group.SNAPSHOTS, "snapshots", created)))
    return domain._replace(
        stats=domain.stats._replace(
            snapshots=float(len(created)), oldest_snapshot=float(min(created)) if created else None
        )
    )
