"""Programs that this process has started, ended with all that they have started themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import time

_GRACE = 0.2  # seconds from SIGTERM to SIGKILL
_LOOK = 0.01

#: leaders of process groups that are under way; their members may outlive them
_groups: set[int] = set()


def add(group: int) -> None:
    """Take note of a program that leads a process group of its own."""
    _groups.add(group)


def forget(group: int) -> None:
    """It is done; what it has left running on purpose (a daemon) stays."""
    _groups.discard(group)


def end(group: int) -> None:
    """End a program and its whole group: SIGTERM, and SIGKILL for what ignores that. Takes 0.2 s at most."""
    _end({-group})
    forget(group)


def end_all() -> None:
    """End every child, also those that libraries have started (ssh of a remote URI). Takes 0.2 s at most."""
    targets = {-group for group in _groups}
    left = _children("self")
    while left:  # what we know no group of is found by its parents, while these are there
        pid = left.pop()
        if _leads(pid):
            targets.add(-pid)
        else:
            targets.add(pid)
            left += _children(pid)
    _end(targets)


def _end(targets: set[int]) -> None:
    for target in targets:
        _send(target, signal.SIGTERM)
    end = time.monotonic() + _GRACE
    while (targets := {target for target in targets if _lives(target)}) and time.monotonic() < end:
        time.sleep(_LOOK)
    for target in targets:
        _send(target, signal.SIGKILL)
        _lives(target)  # which reaps it


def _send(target: int, number: int) -> None:
    with contextlib.suppress(OSError):  # it ended by itself, or is another user's (sudo)
        os.kill(target, number)


def _lives(target: int) -> bool:
    """Whether a process, or with a negative number anything of a group, is there. Reaps it when it has ended."""
    with contextlib.suppress(OSError):
        os.waitpid(abs(target), os.WNOHANG)
    try:
        os.kill(target, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _leads(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return os.getpgid(pid) == pid
    return False


def _children(pid: int | str) -> list[int]:
    found: list[int] = []
    tasks = f"/proc/{pid}/task"
    with contextlib.suppress(OSError):  # it ended
        for task in os.listdir(tasks):
            with contextlib.suppress(OSError), open(f"{tasks}/{task}/children", encoding="utf-8") as children:
                found += map(int, children.read().split())
    return found
