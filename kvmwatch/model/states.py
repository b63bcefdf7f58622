"""Domain states and their reasons, in the words of ``virsh domstate --reason``, and the states of pools.

What each reason means for who watches stands in one table, REASONS. The verdicts of check_kvm_state, the Zabbix
triggers about states and docs/states.md are made of it.
"""

from __future__ import annotations

from typing import Optional

from kvmwatch.model.record import Record

NOSTATE, RUNNING, BLOCKED, PAUSED, SHUTDOWN, SHUTOFF, CRASHED, PMSUSPENDED = range(8)

#: virDomainState to the name used in options, perfdata and JSON
NAMES = ("nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")

#: the same for people
LABELS = ("no state", "running", "blocked", "paused", "shutting down", "shut off", "crashed", "suspended")

#: virStoragePoolState, and for people
POOL_INACTIVE, POOL_BUILDING, POOL_RUNNING, POOL_DEGRADED, POOL_INACCESSIBLE = range(5)
POOL_LABELS = ("inactive", "building", "running", "degraded", "inaccessible")

#: What a reason means: the state is as good as what is expected of the domain ...
EXPECTED = "as expected"
#: ... something goes on that ends by itself: trouble only when it lasts (see ``lasts``)
PASSING = "passing"
#: ... it does nothing until somebody goes on with it: trouble unless that is expected
HELD = "held"
#: ... something went wrong, whatever is expected of the domain
FAULT = "fault"
#: ... it is none of this hypervisor's any more
ELSEWHERE = "elsewhere"
#: ... nobody can tell
UNKNOWN = "not known"

#: How long a passing state may last: moments, or as long as a job over all of a domain's memory takes
BRIEF, JOB = "brief", "job"


class Reason(Record):
    """One reason of a state; its place in REASONS is libvirt's number."""

    text: str  # virsh's word
    meaning: str
    lasts: Optional[str] = None  # of a passing one: BRIEF or JOB


def _expected(*texts: str) -> tuple[Reason, ...]:
    return tuple(Reason(text, EXPECTED) for text in texts)


def _faults(*texts: str) -> tuple[Reason, ...]:
    return tuple(Reason(text, FAULT) for text in texts)


#: virDomainState to its reasons (virDomainRunningReason, ...), in libvirt's order
REASONS: dict[int, tuple[Reason, ...]] = {
    NOSTATE: (Reason("unknown", UNKNOWN),),
    RUNNING: (
        *_expected("unknown", "booted", "migrated", "restored", "from snapshot", "unpaused"),
        *_expected("migration canceled", "save canceled", "event wakeup"),
        *_faults("crashed"),  # it has a QEMU, which is of no use any more
        Reason("post-copy", PASSING, JOB),  # its memory is still on the hypervisor that it comes from
        *_faults("post-copy failed"),
    ),
    BLOCKED: _expected("unknown"),
    PAUSED: (
        Reason("unknown", HELD),
        Reason("user", HELD),
        Reason("migrating", PASSING, JOB),  # also where it arrives, all the time
        Reason("saving", PASSING, JOB),
        Reason("dumping", PASSING, JOB),
        *_faults("I/O error", "watchdog"),
        Reason("from snapshot", HELD),  # one of a paused domain, to which it was reverted
        Reason("shutting down", PASSING, BRIEF),
        Reason("creating snapshot", PASSING, JOB),
        *_faults("crashed"),
        Reason("starting up", PASSING, BRIEF),
        Reason("post-copy", PASSING, JOB),
        *_faults("post-copy failed", "API error"),
    ),
    SHUTDOWN: (Reason("unknown", PASSING, BRIEF), Reason("user", PASSING, BRIEF)),
    SHUTOFF: (
        *_expected("unknown", "shutdown", "destroyed"),
        *_faults("crashed"),
        Reason("migrated", ELSEWHERE),
        *_expected("saved"),
        *_faults("failed"),
        *_expected("from snapshot"),
        *_faults("daemon"),  # libvirtd could not take it back after a restart, and ended it
    ),
    CRASHED: _faults("unknown", "panicked"),
    PMSUSPENDED: _expected("unknown"),
}


def reason(state: int, number: int) -> Reason:
    """Give what is known of a reason.

    Of one that only a newer libvirt has, nobody can tell whether it is good news.
    """
    reasons = REASONS.get(state, ())
    return reasons[number] if 0 <= number < len(reasons) else Reason(f"reason {number}", UNKNOWN)


def label(state: int) -> str:
    """Give the state in words, "state 9" for one that a newer libvirt has."""
    return LABELS[state] if 0 <= state < len(LABELS) else f"state {state}"


def is_active(state: int | None) -> bool:
    """Tell whether a domain in this state has a QEMU process (running, paused, crashed and held, ...)."""
    return state is not None and state != SHUTOFF
