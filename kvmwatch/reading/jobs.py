"""The job that runs on a domain: a migration, a save, a dump, a backup, and how far it is.

libvirt asks the QEMU for it, and waits for whoever asks that something else; so it is asked like anything that may
hang, and not at all where the QEMU owes libvirt an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Job, Unread
from kvmwatch.reading import control
from kvmwatch.reading.connection import UNSUPPORTED, Connection, one_line
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.walk import Walked, walk

#: virDomainJobOperation, as virsh domjobinfo has it
_OPERATIONS = (
    *("job", "start", "save", "restore", "incoming migration", "outgoing migration"),
    *("snapshot", "snapshot revert", "dump", "backup", "snapshot delete"),
)
_RUNS = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)
#: it has ended meanwhile, or is a driver without jobs
_NO_JOB = (*UNSUPPORTED, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN)
_SILENT = "its QEMU does not answer"
_LATE = "libvirt did not tell in time whether one runs"


def with_jobs(hypervisor: Hypervisor, domains: tuple[Domain, ...], deadline: Deadline) -> tuple[Domain, ...]:
    """Give the active domains their ``job``, or why it is not known: what fails here costs nothing else."""
    asked = [domain.uuid for domain in domains if domain.active and domain.not_responding is None]
    told: dict[str, Job | str] = {}
    if asked:
        try:
            walked: Walked[Job | str] = walk(
                asked, lambda: _questioner(hypervisor), deadline, control.patience(deadline)
            )
        except (KvmwatchError, libvirt.libvirtError) as error:  # of a connection that is for this alone
            told = dict.fromkeys(asked, one_line(error))
        else:
            told.update(walked.answers)
            told.update(dict.fromkeys((*walked.held, *walked.unasked), _LATE))
    told |= {domain.uuid: _SILENT for domain in domains if domain.not_responding is not None}
    return tuple(_with(domain, told.get(domain.uuid)) for domain in domains)


def of_stats(stats: Mapping[str, Any]) -> Job | None:
    """The job that the answer of virDomainGetJobStats tells of; None: none runs."""
    if stats.get("type") not in _RUNS:
        return None
    number = stats.get("operation", 0)
    total, processed, remaining = (_bytes(stats, name) for name in ("total", "processed", "remaining"))
    if remaining is None and total is not None and processed is not None:
        remaining = max(0, total - processed)
    # what a guest writes meanwhile is sent again, so that more can have been processed than there is
    progress = (1 - remaining / total) * 100 if total and remaining is not None else None
    elapsed = stats.get("time_elapsed")
    return Job(
        _OPERATIONS[number] if 0 <= number < len(_OPERATIONS) else f"job {number}",
        None if elapsed is None else elapsed / 1000,
        None if progress is None else max(0.0, progress),
        remaining if total else None,
    )


def _bytes(stats: Mapping[str, Any], name: str) -> int | None:
    """Of data as a whole, else of memory and disks together."""
    parts = [stats.get(f"data_{name}")]
    if parts == [None]:
        parts = [stats.get(f"{of}_{name}") for of in ("memory", "disk")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _questioner(hypervisor: Hypervisor) -> Callable[[str], Job | str | None]:
    connection = hypervisor.another()
    return lambda uuid: _asked(connection, uuid)


def _asked(connection: Connection, uuid: str) -> Job | str | None:
    try:
        return of_stats(connection.lookupByUUIDString(uuid).jobStats())
    except libvirt.libvirtError as error:
        return None if error.get_error_code() in _NO_JOB else one_line(error)


def _with(domain: Domain, told: Job | str | None) -> Domain:
    if isinstance(told, str):
        return domain._replace(unread=(*domain.unread, Unread(Group.JOB, "job", told)))
    return domain._replace(job=told)
