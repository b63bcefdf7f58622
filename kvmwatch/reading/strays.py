"""Processes that look like a QEMU and are of none of libvirt's domains, as far as that is seen without waiting.

Their command lines would say more (see :mod:`kvmwatch.reading.processes`), but to read one waits for a process
that hangs in the kernel, and a QEMU that libvirt could not end is often such a one. Names, parents and control
groups do not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Process, Snapshot, Unread
from kvmwatch.reading import emulators, pid_files
from kvmwatch.reading.connection import is_local, one_line, uri_scheme
from kvmwatch.reading.listing import Survey

PROC = Path("/proc")

_INIT = 1  # the parent of a QEMU that libvirt has started
_KTHREADD = 2  # the parent of the kernel's own threads, of which some are called kvm-...
_PARENT, _STARTTIME = 1, 19  # of /proc/PID/stat, behind the process's name


class _Stat(Record):
    """A line of ``/proc/PID/stat``."""

    pid: int
    name: str
    parent: int
    started: float  # seconds from the boot


def with_strays(
    snapshot: Snapshot, survey: Survey, proc: Path = PROC, folders: Sequence[pid_files.Folder] | None = None
) -> Snapshot:
    """Add the processes that look like a QEMU and are of no active domain; ``survey`` has all domains.

    Nothing is said where they cannot be told apart: on another machine, and while the process of some active
    domain is not to be seen from here (another container, hidepid).
    """
    uri = snapshot.uri
    if not is_local(uri) or uri_scheme(uri) != "qemu":
        return _unknown(snapshot, "QEMU processes can be seen only on their own machine")
    try:
        stats = {stat.pid: stat for stat in _stats(proc)}
    except OSError as error:
        return _unknown(snapshot, one_line(error))
    looking = {
        stat.pid: pid_files.run_of(stat.pid, proc)
        for stat in stats.values()
        if emulators.is_a_name_of_qemu(stat.name)
    }
    folders = pid_files.run_folders(uri) if folders is None else folders
    known = {_KTHREADD}
    active = [(d.name(), d.ID()) for d, fields in survey.listed if states.is_active(fields["state.state"])]
    for name, run in (*active, *((name, -1) for name, _ in survey.held.values())):
        pids = {pid for pid, its_run in looking.items() if its_run == run}
        # in another container the PID is of its count, and here some other process's
        parents = {stats[pid].parent for pid in looking} - {_INIT}  # of a QEMU that a script has started
        pids |= {pid for pid in _of_pid_file(name, folders) if pid in looking or pid in parents}
        if not pids:
            return _unknown(snapshot, f"the process of {name} cannot be seen")
        known |= pids
    strays = (stats[pid] for pid in sorted(looking) if not {pid, stats[pid].parent} & known)
    made = (Process(s.pid, s.started, None, s.name, time.monotonic(), known=False) for s in strays)
    return snapshot._replace(processes=(*snapshot.processes, *made))


def _unknown(snapshot: Snapshot, why: str) -> Snapshot:
    return snapshot._replace(unread=(*snapshot.unread, Unread(Group.STRAYS, "", why, absent=True)))


def _stats(proc: Path) -> Iterator[_Stat]:
    """Of all processes that can be seen. Raises OSError when none can."""
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            before, _, behind = (proc / name / "stat").read_bytes().partition(b"(")[2].rpartition(b")")
            fields = behind.split()
            parent, ticks = int(fields[_PARENT]), int(fields[_STARTTIME])
        except (OSError, ValueError, LookupError):
            continue  # it has just ended, or is hidden
        text = before.decode("utf-8", "replace")
        yield _Stat(int(name), text, parent, ticks / os.sysconf("SC_CLK_TCK"))


def _of_pid_file(name: str, folders: Sequence[pid_files.Folder]) -> set[int]:
    """What libvirt's pid file of a domain holds."""
    try:
        return {pid_files.pid_file(name, folders)[1]}
    except pid_files.Unfound:
        return set()
