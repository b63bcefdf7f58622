"""What a command costs: wall time, and CPU time of itself, of libvirtd and of the QEMUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What something took: seconds of wall time, and of CPU of itself, of libvirtd and of the QEMUs."""

    wall: float
    own: float
    daemon: float
    guests: float

    def beside(self, nobody: Cost) -> Cost:
        """Without what libvirtd and the QEMUs took by themselves in as long a time, in which nobody did anything."""
        return self._replace(daemon=self.daemon - nobody.daemon, guests=self.guests - nobody.guests)


class Spent:
    """The CPU time of libvirtd and of the QEMUs that run now."""

    def __init__(self, daemon: int) -> None:
        self._daemon = daemon
        self._emulators = [int(path.name) for path in Path("/proc").glob("[0-9]*") if b"guest=" in _words_of(path)]

    def by(self, process: int | None, work: Callable[[], float]) -> Cost:
        """Do some work, which gives its wall time, and tell what it cost.

        ``process``: who works, with all children that it has or had; None: children of this process that have ended.
        """
        before = self._now(process)
        wall = work()
        return Cost(wall, *(after - was for was, after in zip(before, self._now(process))))

    def _now(self, process: int | None) -> tuple[float, float, float]:
        own = sum(os.times()[2:4]) if process is None else _of_tree(process)
        return own, _of(self._daemon), sum(map(_of, self._emulators))


def _of(pid: int) -> float:
    """CPU time of a process, in seconds; 0 when it is gone."""
    return sum(_times(pid)[:2])


def _of_tree(root: int) -> float:
    """CPU time of a process, of the children it has, and of those that ended."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if fields := _fields(int(path.name)):
            parents.setdefault(int(fields[1]), []).append(int(path.name))
    total, todo = 0.0, [root]
    while todo:
        pid = todo.pop()
        total += sum(_times(pid))
        todo += parents.get(pid, [])
    return total


def _times(pid: int) -> list[float]:
    """Seconds in user and system mode, of itself and of the children that it has waited for."""
    fields = _fields(pid)
    return [int(ticks) / _TICK for ticks in fields[11:15]] if fields else [0.0]


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat behind the name; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _words_of(process: Path) -> bytes:
    """The command line of a process; empty when it is gone."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
