"""How much of the time limit is for reading: what sending took the last time is kept free, and as much again."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kvmwatch.command import state_files

_KIND = "kvm_budget"
_LEAST, _MOST = 0.4, 0.9  # of the time, for reading
_FIRST = 0.6  # nothing is known yet
_SPARE = 2  # times what it took: VMs come, and receivers have others to serve


class Budget:
    """What sending to a target takes, from run to run."""

    def __init__(self, directory: str | None, target: Sequence[object]) -> None:
        """``directory`` None: see ``state_files.directory``."""
        self._path = state_files.path(state_files.directory(directory), _KIND, *target)
        self._started = 0.0

    def reading(self, seconds: float) -> float:
        """The part of so many seconds that is for reading."""
        return share(state_files.read(self._path), seconds)

    def start(self) -> None:
        """Sending begins."""
        self._started = time.monotonic()

    def keep(self) -> None:
        """Sending is over, or had to stop: remember what it took."""
        state_files.replace(self._path, f"{time.monotonic() - self._started:.3f}")


def share(stored: str | None, seconds: float) -> float:
    """The part for reading, when sending took so many seconds (None or damaged: not known)."""
    try:
        took = float(stored or "")
    except ValueError:
        return _FIRST
    if not (0 <= took < float("inf") and seconds > 0):
        return _FIRST
    return min(_MOST, max(_LEAST, 1 - _SPARE * took / seconds))
