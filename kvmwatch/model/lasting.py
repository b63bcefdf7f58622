"""Since when a domain is in a passing state (:mod:`kvmwatch.model.states`): what one run keeps for the next.

It is kept beside the counters, as a sample of its own for each domain in such a state.
"""

from __future__ import annotations

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample, Samples
from kvmwatch.model.snapshot import Domain, Snapshot, Unread

#: seconds; two looks further apart do not tell that a domain was in the state all the time between
_FORGOTTEN_AFTER = 12 * 3600
_SUFFIX = "/since"


def with_since(snapshot: Snapshot, earlier: Samples) -> Snapshot:
    """Fill ``since`` of the domains in a passing state: when that was first seen, which may be just now.

    That is Unix time, unlike the counters': it is told to people, and a clock that is set moves it once.
    """
    return snapshot._replace(
        domains=tuple(
            domain._replace(since=_since(domain, earlier.get(domain.uuid + _SUFFIX), snapshot.time))
            if passing(domain)
            else domain
            for domain in snapshot.domains
        )
    )


def samples(snapshot: Snapshot) -> Samples:
    """What the next run needs to go on."""
    return {
        domain.uuid + _SUFFIX: Sample(
            domain.time,
            domain.id,
            {"state": domain.state, "reason": domain.reason, "since": domain.since, "seen": snapshot.time},
        )
        for domain in snapshot.domains
        if domain.since is not None
    }


def unkept(snapshot: Snapshot, problem: str | None) -> Snapshot:
    """Say of domains that were first seen just now that the next run will see them for the first time, too."""
    if not problem:
        return snapshot
    unread = Unread(Group.SINCE, "", f"how long that lasts cannot be told: {problem}")
    return snapshot._replace(
        domains=tuple(
            domain._replace(unread=(*domain.unread, unread)) if domain.since == snapshot.time else domain
            for domain in snapshot.domains
        )
    )


def passing(domain: Domain) -> bool:
    """Whether it is in a state that passes."""
    return domain.why.meaning is states.PASSING


def _since(domain: Domain, before: Sample | None, now: float) -> float:
    if before is None or before.generation != domain.id:
        return now
    kept = before.counters
    if (kept.get("state"), kept.get("reason")) != (domain.state, domain.reason):
        return now
    seen, since = kept.get("seen", now), kept.get("since", now)
    return since if since <= seen <= now <= seen + _FORGOTTEN_AFTER else now
