"""The figures of one QEMU process, of its files in /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import ProcessStats, Value
from kvmwatch.model.snapshot import Unread, Unreads
from kvmwatch.reading import threads
from kvmwatch.reading.proc_files import content

_KIB = 1024
_HIDDEN = Unread(Group.PROCESSES, "what it reads, writes and has open", "the kernel shows it to root only")


def of(pid: int, proc: Path = threads.PROC) -> tuple[float, ProcessStats, Unreads]:
    """When it was started (seconds from the boot of the host), what it takes, and what of that is hidden.

    What another user may not see (io, fd) is None. Raises OSError when it has ended.
    """
    folder = f"{proc}/{pid}"
    stat = threads.stat_of(f"{folder}/stat")
    status = content(f"{folder}/status")
    read_bytes, write_bytes, open_files = None, None, None
    unread: Unreads = ()
    try:
        read_bytes, write_bytes = _io(folder)
        open_files = len(os.listdir(f"{folder}/fd"))
    except PermissionError:
        unread = (_HIDDEN,)
    stats = ProcessStats(
        cpu_time=stat.cpu_time,
        rss=size_in(status, b"\nVmRSS:"),
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        threads=_number_in(status, b"\nThreads:"),
        open_files=open_files,
        files_limit=_number_in(content(f"{folder}/limits"), b"\nMax open files "),  # the soft one counts
        swap=size_in(status, b"\nVmSwap:"),
        age=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - stat.started),
    )
    return stat.started, stats, unread


def size_in(text: bytes, label: bytes) -> Value:
    """Bytes that stand behind a label as "1764 kB"; None where they do not."""
    number = _number_in(text, label)
    return None if number is None else number * _KIB


def _number_in(text: bytes, label: bytes) -> int | None:
    """The number behind a label; None where there is none, or "unlimited"."""
    words = text.partition(label)[2].split(None, 1)
    return int(words[0]) if words and words[0].isdigit() else None


def _io(folder: str) -> tuple[Value, Value]:
    try:
        text = content(f"{folder}/io")
    except FileNotFoundError:  # this kernel does not account it, or it has ended, which the next file tells
        return None, None
    return _number_in(text, b"\nread_bytes:"), _number_in(text, b"\nwrite_bytes:")
