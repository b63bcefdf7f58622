"""Waiting for what daemons do in their own time: as long as it takes on a busy machine, and not longer than needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 180  # seconds; nothing is judged by how fast it comes


def eventually(what: str, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until a condition gives something true, and give that; fail with its name and what it gave last."""
    begun = time.monotonic()
    while not (given := condition()):
        if (waited := time.monotonic() - begun) > seconds:
            raise AssertionError(f"waited {seconds:g} s in vain until {what}: {given!r}")
        time.sleep(_pause(waited))
    return given


def eventually_equal(
    what: str, read: Callable[[], T], wanted: T, seconds: float = PATIENCE, every: float = 0.0
) -> None:
    """Wait until something is read as wanted; fail with its name and the difference."""
    begun = time.monotonic()
    while (given := read()) != wanted and (waited := time.monotonic() - begun) < seconds:
        time.sleep(max(every, _pause(waited)))
    assert given == wanted, f"waited {seconds:g} s in vain until {what}:\n{given!r}\nwanted:\n{wanted!r}"


def _pause(waited: float) -> float:
    """Seconds to the next look: what takes long is asked less often, for each answer costs the daemon something."""
    return min(max(0.1, waited / 10), 0.5)
