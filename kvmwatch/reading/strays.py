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
from kvmwatch.model.snapshot import Process, Snapshot, Unread
from kvmwatch.reading import emulators, pid_files
from kvmwatch.reading.connection import is_local, one_line, uri_scheme
from kvmwatch.reading.listing import Survey
from kvmwatch.reading.threads import KTHREADD, PROC, Stat, stat_of

_INIT = 1  # the parent of a QEMU that libvirt has started


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
        stats = dict(_stats(proc))
    except OSError as error:
        return _unknown(snapshot, one_line(error))
    looking = {
        pid: pid_files.run_of(pid, proc) for pid, stat in stats.items() if emulators.is_a_name_of_qemu(stat.name)
    }
    folders = pid_files.run_folders(uri) if folders is None else folders
    known = {KTHREADD}
    active = [(d.name(), d.ID()) for d, fields in survey.listed if states.is_active(fields["state.state"])]
    for name, run in (*active, *((name, -1) for name, _ in survey.held.values())):
        pids = {pid for pid, its_run in looking.items() if its_run == run}
        # in another container the PID is of its count, and here some other process's
        parents = {stats[pid].ppid for pid in looking} - {_INIT}  # of a QEMU that a script has started
        pids |= {pid for pid in _of_pid_file(name, folders) if pid in looking or pid in parents}
        if not pids:
            return _unknown(snapshot, f"the process of {name} cannot be seen")
        known |= pids
    strays = ((pid, stats[pid]) for pid in sorted(looking) if not {pid, stats[pid].ppid} & known)
    processes = (Process(pid, of.started, None, of.name, time.monotonic(), known=False) for pid, of in strays)
    return snapshot._replace(processes=(*snapshot.processes, *processes))


def _unknown(snapshot: Snapshot, why: str) -> Snapshot:
    return snapshot._replace(unread=(*snapshot.unread, Unread(Group.STRAYS, "", why, absent=True)))


def _stats(proc: Path) -> Iterator[tuple[int, Stat]]:
    """PID and stat of all processes that can be seen. Raises OSError when none can."""
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            yield int(name), stat_of(f"{proc}/{name}/stat")
        except (OSError, ValueError, LookupError):
            continue  # it has just ended, or is hidden


def _of_pid_file(name: str, folders: Sequence[pid_files.Folder]) -> set[int]:
    """What libvirt's pid file of a domain holds."""
    try:
        return {pid_files.pid_file(name, folders)[1]}
    except pid_files.Unfound:
        return set()
