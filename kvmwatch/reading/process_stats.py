"""The figures of one QEMU process, of its files in /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import ProcessStats, Value
from kvmwatch.model.snapshot import Unread, Unreads
from kvmwatch.reading import threads

PROC = Path("/proc")

_KIB = 1024
_HIDDEN = Unread(Group.PROCESSES, "what it reads, writes and has open", "the kernel shows it to root only")


def of(pid: int, proc: Path = PROC) -> tuple[float, ProcessStats, Unreads]:
    """When it was started (seconds from the boot of the host), what it takes, and what of that is hidden.

    What another user may not see (io, fd) is None. Raises OSError when it has ended.
    """
    folder = proc / str(pid)
    stat = threads.stat_of(folder / "stat")
    status = lines_of(folder / "status")
    stats = ProcessStats(
        cpu_time=stat.cpu_time,
        rss=bytes_of(status.get("VmRSS")),
        threads=int(status["Threads"]),
        files_limit=_files_limit(folder),
        swap=bytes_of(status.get("VmSwap")),
        age=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - stat.started),
    )
    try:
        stats = stats._replace(**_io(folder), open_files=len(os.listdir(folder / "fd")))
    except PermissionError:
        return stat.started, stats, (_HIDDEN,)
    return stat.started, stats, ()


def lines_of(file: Path) -> dict[str, str]:
    """The values of a file whose lines are NAME: VALUE. Raises OSError."""
    lines = (line.partition(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return {name: value for name, _, value in lines}


def bytes_of(text: str | None) -> Value:
    """Of "1764 kB"."""
    return None if text is None else int(text.split()[0]) * _KIB


def _files_limit(folder: Path) -> Value:
    """The soft one, which counts; None: it has none."""
    words = (folder / "limits").read_text(encoding="ascii").partition("Max open files")[2].split()
    return int(words[0]) if words and words[0].isdecimal() else None


def _io(folder: Path) -> dict[str, int]:
    try:
        io = lines_of(folder / "io")
    except FileNotFoundError:  # this kernel does not account it, or it has ended, which the next file tells
        return {}
    return {name: int(io[name]) for name in ("read_bytes", "write_bytes")}
