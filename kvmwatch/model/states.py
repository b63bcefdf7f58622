"""Domain states and their reasons, in the words of ``virsh domstate --reason``, and the states of pools."""

from __future__ import annotations

NOSTATE, RUNNING, BLOCKED, PAUSED, SHUTDOWN, SHUTOFF, CRASHED, PMSUSPENDED = range(8)

#: virDomainState to the name used in options, perfdata and JSON
NAMES = ("nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")

#: the same for people
LABELS = ("no state", "running", "blocked", "paused", "shutting down", "shut off", "crashed", "suspended")

#: virStoragePoolState, and for people
POOL_INACTIVE, POOL_BUILDING, POOL_RUNNING, POOL_DEGRADED, POOL_INACCESSIBLE = range(5)
POOL_LABELS = ("inactive", "building", "running", "degraded", "inaccessible")

_REASONS: dict[int, tuple[str, ...]] = {
    RUNNING: (
        *("unknown", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled"),
        *("save canceled", "event wakeup", "crashed", "post-copy", "post-copy failed"),
    ),
    PAUSED: (
        *("unknown", "user", "migrating", "saving", "dumping", "I/O error", "watchdog", "from snapshot"),
        *("shutting down", "creating snapshot", "crashed", "starting up", "post-copy", "post-copy failed"),
        "API error",
    ),
    SHUTDOWN: ("unknown", "user"),
    SHUTOFF: (
        *("unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot"),
        "daemon",
    ),
    CRASHED: ("unknown", "panicked"),
}


def reason_text(state: int, reason: int) -> str:
    """Give the reason in virsh's words; ``unknown`` where libvirt has none or a newer one."""
    reasons = _REASONS.get(state, ())
    return reasons[reason] if 0 <= reason < len(reasons) else "unknown"


def is_active(state: int | None) -> bool:
    """Tell whether a domain in this state has a QEMU process (running, paused, crashed and held, ...)."""
    return state is not None and state != SHUTOFF
