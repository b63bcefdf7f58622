"""The threads of a QEMU process: what each does, the CPU time that it used, and how long it waited for storage.

libvirt has QEMU name them (``-name debug-threads=on``). What the kernel does for a guest's network, vhost, is a
thread of QEMU's since Linux 6.4; before it is one of the kernel's own, that carries QEMU's PID in its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kvmwatch.model.metrics import ProcessStats, ThreadStats, Value
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import IOTHREAD, OTHER, VCPU, VHOST, Thread
from kvmwatch.reading.proc_files import content

PROC = Path("/proc")

#: how the names begin; "IO mon_iothread" is the monitor's, and moves no data
_KINDS = (("CPU ", VCPU), ("ALL CPUs", VCPU), ("IO iothread", IOTHREAD), ("vhost-", VHOST))
KTHREADD = 2  # the parent of all threads of the kernel, of which some are called kvm-...
_TICKS = os.sysconf("SC_CLK_TCK")  # in a second
#: of /proc/PID/stat, behind the name
_PPID, _UTIME, _STIME, _STARTTIME, _BLKIO = 1, 11, 12, 19, 39


class Stat(Record):
    """What /proc/PID/stat or that of a thread tells; times in seconds, ``started`` since the boot."""

    name: str
    ppid: int
    cpu_time: float
    started: float
    io_delay: float


def read(pid: int, accounted: bool, vhosts: Mapping[int, list[int]], proc: Path = PROC) -> tuple[Thread, ...]:
    """Every thread of a process. Raises OSError when it has ended.

    ``accounted``: see :func:`delays_are_accounted`. ``vhosts``: see :func:`vhosts_of_the_kernel`.
    """
    folder = f"{proc}/{pid}/task"
    inside = [(int(tid), f"{folder}/{tid}/stat", False) for tid in os.listdir(folder)]
    outside = [(tid, f"{proc}/{tid}/stat", True) for tid in vhosts.get(pid, ())]
    return tuple(_threads([*inside, *outside], accounted))


def sums(threads: Iterable[Thread]) -> ProcessStats:
    """What the threads of each kind used, and how long all of them waited; None of a kind that there is not."""
    found = list(threads)
    return ProcessStats(
        vcpu_time=_sum(thread.stats.cpu_time for thread in found if thread.kind == VCPU),
        iothread_time=_sum(thread.stats.cpu_time for thread in found if thread.kind == IOTHREAD),
        vhost_time=_sum(thread.stats.cpu_time for thread in found if thread.kind == VHOST),
        io_delay=_sum(thread.stats.io_delay for thread in found),
    )


def delays_are_accounted(proc: Path = PROC) -> bool:
    """Whether the kernel measures how long threads wait for storage; before Linux 5.14 there is no such switch."""
    try:
        return (proc / "sys/kernel/task_delayacct").read_text(encoding="ascii").strip() != "0"
    except OSError:
        return True


def vhosts_of_the_kernel(proc: Path = PROC, release: str = "") -> dict[int, list[int]]:
    """PIDs to those of the kernel's own threads that carry their network traffic; none since Linux 6.4.

    ``release``: of the kernel; empty: of this one.
    """
    if _version(release or os.uname().release) >= (6, 4):
        return {}
    found: dict[int, list[int]] = {}
    for tid in filter(str.isdecimal, os.listdir(proc)):
        try:
            of = stat_of(f"{proc}/{tid}/stat")
        except OSError:
            continue  # it has ended
        owner = of.name.partition("-")[2]
        if of.ppid == KTHREADD and of.name.startswith("vhost-") and owner.isdecimal():
            found.setdefault(int(owner), []).append(int(tid))
    return found


def stat_of(file: str) -> Stat:
    """Read /proc/PID/stat or that of a thread. Raises OSError."""
    name, behind = content(file).partition(b"(")[2].rpartition(b")")[::2]
    fields = behind.split()
    return Stat(
        name.decode(errors="replace"),
        int(fields[_PPID]),
        (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS,
        int(fields[_STARTTIME]) / _TICKS,
        int(fields[_BLKIO]) / _TICKS,
    )


def _threads(files: Iterable[tuple[int, str, bool]], accounted: bool) -> Iterator[Thread]:
    for tid, file, apart in files:
        try:
            of = stat_of(file)
        except OSError:
            continue  # it has ended
        kind = next((kind for start, kind in _KINDS if of.name.startswith(start)), OTHER)
        # 0 is also what the kernel says of one that was started before it began to account
        delay = of.io_delay or None if accounted else None
        yield Thread(tid, of.started, of.name, kind, apart, ThreadStats(of.cpu_time, delay))


def _sum(values: Iterable[Value]) -> Value:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _version(release: str) -> tuple[int, ...]:
    """6.4 of 6.4.0-1-amd64."""
    parts = release.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)
