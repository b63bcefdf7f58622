"""What is dear to read of QEMU processes, for who asks for it: their threads, and their share of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Process, Snapshot, Unread
from kvmwatch.reading import process_stats, threads
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.proc_files import content

_SHARE = 0.25  # of the time that is left may go into waiting for the PSS of one process
_NOT_YET = "some of its threads have not waited, or are older than the kernel's accounting of it"
_NOT_ACCOUNTED = "the kernel does not account it: sysctl kernel.task_delayacct=1, and start the VM anew"


def with_details(snapshot: Snapshot, groups: Group, deadline: Deadline, proc: Path = threads.PROC) -> Snapshot:
    """Give the processes of domains what is asked for (THREADS, PSS), or in ``unread`` why it is not."""
    return snapshot._replace(processes=tuple(_detailed(snapshot.processes, groups, deadline, proc)))


def _detailed(processes: Iterable[Process], groups: Group, deadline: Deadline, proc: Path) -> Iterator[Process]:
    accounted = threads.delays_are_accounted(proc)
    vhosts = threads.vhosts_of_the_kernel(proc) if Group.THREADS in groups else {}
    for process in processes:
        detailed = process
        if process.known and Group.THREADS in groups:
            detailed = _with_threads(detailed, accounted, vhosts, proc)
        if process.known and Group.PSS in groups:
            detailed = _with_pss(detailed, deadline, proc)
        yield detailed


def _with_threads(process: Process, accounted: bool, vhosts: Mapping[int, list[int]], proc: Path) -> Process:
    try:
        found = threads.read(process.pid, accounted, vhosts, proc)
    except OSError:
        return _without(process, Group.THREADS, "its threads", "it ended while they were read")
    sums = threads.sums(found)
    known = {name: value for name, value in sums._asdict().items() if value is not None}
    process = process._replace(threads=found, stats=process.stats._replace(**known))
    if sums.vcpu_time is None:
        why = "none is named as a vCPU; QEMU names them with -name debug-threads=on"
        process = _without(process, Group.THREADS, "what its threads do", why)
    if any(thread.stats.io_delay is None for thread in found):
        why = _NOT_YET if accounted else _NOT_ACCOUNTED
        process = _without(process, Group.THREADS, "how long it waits for storage", why)
    return process


def _with_pss(process: Process, deadline: Deadline, proc: Path) -> Process:
    file = f"{proc}/{process.pid}/smaps_rollup"
    share = deadline.share(_SHARE)
    allowed = share.remaining()
    try:
        pss = Started(lambda: process_stats.size_in(content(file), b"\nPss:")).wait(share)
    except DeadlineExceeded:
        why = f"the kernel has not added up its pages in {allowed:.1f} s; a longer -t gives it more"
    except PermissionError:
        why = "the kernel shows it to root only"
    except OSError:  # before Linux 4.14 there is no such file
        why = f"{file} cannot be read"
    else:
        return process._replace(stats=process.stats._replace(pss=pss))
    return _without(process, Group.PSS, "PSS", why)


def _without(process: Process, group: Group, what: str, why: str) -> Process:
    return process._replace(unread=(*process.unread, Unread(group, what, why)))
