"""The condition of a VM as one number: what its state and reason mean, for triggers that look back over a time.

It is made of the table of states (:mod:`kvmwatch.model.states`) that check_kvm_state judges by. What is expected
of the VM is not in it: in Zabbix a macro may say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from kvmwatch.model import states
from kvmwatch.model.snapshot import Domain, Snapshot

(RUNNING, JOB, BRIEF, PAUSED, IO_ERROR, FULL, FAULT) = range(7)
(UNKNOWN, CRASHED, OFF, ELSEWHERE, GONE, LEFT_ALONE) = range(7, 13)

#: for people, in the order of the numbers: from CRASHED on there is no guest that works, from ELSEWHERE on it is
#: not ours to judge. GONE is not in a document: it is what Zabbix makes of a VM that is not in it
TEXTS = (
    *(
        "running",
        "busy with a job",
        "starting or stopping",
        "paused",
        "paused by an I/O error",
        "paused, its pool is full",
        "paused by a fault",
    ),
    *("not known", "crashed", "off", "moved elsewhere", "gone", "left alone"),
)

_OF_REASONS = {states.HELD: PAUSED, states.FAULT: FAULT, states.UNKNOWN: PAUSED}
_OF_PASSING = {states.BRIEF: BRIEF, states.JOB: JOB}


def of(domain: Domain, without_room: Mapping[str, str]) -> int:
    """Give the condition of a domain, with what :func:`without_room` gives."""
    state, why = domain.state, domain.why
    if domain.policy.ignore:
        return LEFT_ALONE
    if why.meaning is states.ELSEWHERE:
        return ELSEWHERE
    if why.lasts is not None:
        return _OF_PASSING[why.lasts]
    if state == states.PAUSED:
        # whatever a newer libvirt paused it for, it does not run
        if why.text == "I/O error":
            return FULL if domain.uuid in without_room else IO_ERROR
        return _OF_REASONS[why.meaning]
    if why.meaning is states.UNKNOWN:
        return UNKNOWN
    if why.meaning is states.FAULT:
        return CRASHED
    return OFF if state in (states.SHUTOFF, states.PMSUSPENDED) else RUNNING


def of_all(snapshot: Snapshot) -> dict[str, int]:
    """UUID to condition of all domains there are; those that were not asked for are left alone."""
    full = without_room(snapshot)
    asked = {domain.uuid: of(domain, full) for domain in snapshot.domains}
    return dict.fromkeys(sorted(snapshot.uuids - asked.keys()), LEFT_ALONE) | asked


def without_room(snapshot: Snapshot) -> dict[str, str]:
    """UUIDs of domains to the UUID of the pool that has no room for them, so that QEMU paused them.

    That is the pool's fault and is told of the pool, once for all its domains.
    """
    paths = {PurePosixPath(pool.path): pool.uuid for pool in snapshot.pools if pool.path and pool.active}
    found = {}
    for domain in snapshot.domains:
        if domain.state == states.PAUSED and not domain.policy.ignore:
            full = (disk.path for disk in domain.disks if disk.error == "no space" and disk.path)
            pools = (paths[folder] for path in full for folder in PurePosixPath(path).parents if folder in paths)
            if pool := next(pools, None):
                found[domain.uuid] = pool
    return found
