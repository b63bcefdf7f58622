"""Whether a ZFS pool of this machine does I/O: while all of it waits, libvirt calls it running, and df works."""

from __future__ import annotations

from typing import Optional

FOLDER = "/proc/spl/kstat/zfs"

#: a degraded one works: that a disk of it is missing is for who looks after the disks to tell
_WORKING = ("ONLINE", "DEGRADED")


def fault(dataset: str) -> Optional[str]:
    """What is wrong with the pool of a dataset (``tank/vms``); None: nothing, or it is not to be seen.

    Every user may read it, since ZFS 0.8.
    """
    name = dataset.partition("/")[0]
    try:
        with open(f"{FOLDER}/{name}/state", encoding="ascii") as file:
            state = file.read(128).strip()
    except (OSError, ValueError):
        return None
    return None if state in _WORKING else f"its ZFS pool {name} is {state}: see 'zpool status {name}'"
