"""Since when a domain is in a passing state (:mod:`kvmwatch.model.states`), or a disk in a block job.

One run keeps it for the next, beside the counters, as a sample of its own for each such domain and disk.
"""

from __future__ import annotations

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample, Samples
from kvmwatch.model.snapshot import Disk, Domain, Snapshot, Unread

#: seconds; two looks further apart do not tell that a domain was in the state all the time between
_FORGOTTEN_AFTER = 12 * 3600
#: seconds; a run that began after this one may be done before it
_BESIDE = 60.0
_SUFFIX = "/since"
_MIRROR = "/mirror/"


def with_since(snapshot: Snapshot, earlier: Samples) -> Snapshot:
    """Fill ``since`` of the domains in a passing state, ``mirror_since`` of the disks in a block job.

    It is when that was first seen, which may be just now.

    That is Unix time, unlike the counters': it is told to people, and a clock that is set moves it once.
    """
    return snapshot._replace(
        domains=tuple(
            _with_mirrors(
                domain._replace(since=_since(domain, earlier.get(domain.uuid + _SUFFIX), snapshot.time))
                if passing(domain)
                else domain,
                earlier,
                snapshot.time,
            )
            for domain in snapshot.domains
        )
    )


def samples(snapshot: Snapshot, earlier: Samples) -> Samples:
    """What the next run needs to go on.

    Of what does not tell its state or its XML just now that is what the ``earlier`` run left: it has not ended.
    The disks of such a domain are those that are remembered (:mod:`~kvmwatch.model.remembered`).
    """
    mirrors = {
        domain.uuid + _MIRROR + disk.name: Sample(
            domain.time, domain.id, {"since": disk.mirror_since, "seen": snapshot.time}
        )
        for domain in snapshot.domains
        for disk in domain.disks
        if disk.mirror_since is not None
    }
    passed = {
        domain.uuid + _SUFFIX: Sample(
            domain.time,
            domain.id,
            {"state": domain.state, "reason": domain.reason, "since": domain.since, "seen": snapshot.time},
        )
        for domain in snapshot.domains
        if domain.since is not None
    }
    return _untold(snapshot, earlier) | mirrors | passed


def unkept(snapshot: Snapshot, problem: str | None) -> Snapshot:
    """Say of what was first seen just now that the next run will see it for the first time, too."""
    if not problem:
        return snapshot
    of_state, of_job = (
        Unread(group, "", f"how long {what} lasts cannot be told: {problem}")
        for group, what in ((Group.SINCE, "that"), (Group.DISK, "its block job"))
    )

    def told(domain: Domain) -> Domain:
        disks = tuple(
            disk._replace(unread=(*disk.unread, of_job)) if disk.mirror_since == snapshot.time else disk
            for disk in domain.disks
        )
        unread = (*domain.unread, of_state) if domain.since == snapshot.time else domain.unread
        return domain._replace(disks=disks, unread=unread)

    return snapshot._replace(domains=tuple(map(told, snapshot.domains)))


def passing(domain: Domain) -> bool:
    """Whether it is in a state that passes."""
    return domain.why.meaning is states.PASSING


def _untold(snapshot: Snapshot, earlier: Samples) -> Samples:
    keys = [domain.uuid + _SUFFIX for domain in snapshot.domains if domain.state == states.NOSTATE]
    without_xml = (domain for domain in snapshot.domains if domain.defined_vcpus is None)
    keys += [domain.uuid + _MIRROR + disk.name for domain in without_xml for disk in domain.disks]
    return {key: earlier[key] for key in keys if key in earlier}


def _since(domain: Domain, before: Sample | None, now: float) -> float:
    if before is None or before.generation != domain.id:
        return now
    kept = before.counters
    if (kept.get("state"), kept.get("reason")) != (domain.state, domain.reason):
        return now
    return _unless_forgotten(before, now)


def _with_mirrors(domain: Domain, earlier: Samples, now: float) -> Domain:
    if not any(disk.mirror for disk in domain.disks):
        return domain

    def since(disk: Disk) -> float | None:
        if not disk.mirror:
            return None
        before = earlier.get(domain.uuid + _MIRROR + disk.name)
        return now if before is None or before.generation != domain.id else _unless_forgotten(before, now)

    return domain._replace(disks=tuple(disk._replace(mirror_since=since(disk)) for disk in domain.disks))


def _unless_forgotten(before: Sample, now: float) -> float:
    kept = before.counters
    seen, since = kept.get("seen", now), kept.get("since", now)
    known = since <= seen and -_BESIDE <= now - seen <= _FORGOTTEN_AFTER
    return min(since, now) if known else now
