"""Waiting for what daemons do in their own time: as long as it takes on a busy machine, and not longer than needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 180  # seconds; nothing is judged by how fast it comes


def eventually(what: str, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until a condition gives something true, and give that; fail with its name and what it gave last."""
    end = time.monotonic() + seconds
    while not (given := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain until {what}: {given!r}")
        time.sleep(0.2)
    return given


def eventually_equal(
    what: str, read: Callable[[], T], wanted: T, seconds: float = PATIENCE, every: float = 0.2
) -> None:
    """Wait until something is read as wanted; fail with its name and the difference."""
    end = time.monotonic() + seconds
    while (given := read()) != wanted and time.monotonic() < end:
        time.sleep(every)
    assert given == wanted, f"waited {seconds:g} s in vain until {what}:\n{given!r}\nwanted:\n{wanted!r}"
