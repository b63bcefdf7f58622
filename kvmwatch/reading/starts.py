"""When the QEMU of each domain was started, by libvirt's pid file and /proc: nobody is asked who could be slow.

libvirt itself does not tell it. The process's command line would say whose it is, but to read that waits for a
process that hangs in the kernel (with its storage, say); its name and its control group do not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading import pid_files
from kvmwatch.reading.connection import is_local, one_line, uri_scheme
from kvmwatch.reading.pid_files import Folder
from kvmwatch.reading.proc_files import content

PROC = "/proc"

_NAMES = (b"qemu", b"kvm")  # what a QEMU is called as a rule; else its control group has to be libvirt's
_STARTTIME = 19  # of /proc/PID/stat, behind the process's name


def with_starts(
    domains: tuple[Domain, ...], uri: str, proc: Folder = PROC, folders: Sequence[Folder] | None = None
) -> tuple[Domain, ...]:
    """Give the active domains the Unix time at which their QEMU was started on this machine.

    That is the domain's start, or its arrival by migration, or its return from a saved state; the guest may have
    rebooted since. It stays unknown on another machine, and where libvirt's processes are not to be seen from here
    (another container, hidepid).
    """
    if not is_local(uri) or uri_scheme(uri) != "qemu":
        return domains
    try:
        boot = _boot_time(proc)
    except (OSError, ValueError, LookupError) as error:
        why = Unread(Group.STARTED, "start of the QEMU process", one_line(error))
        return tuple(d._replace(unread=(*d.unread, why)) if d.active else d for d in domains)
    folders = pid_files.run_folders(uri) if folders is None else folders
    return tuple(_with_start(domain, boot, proc, folders) if domain.active else domain for domain in domains)


def _with_start(domain: Domain, boot: int, proc: Folder, folders: Sequence[Folder]) -> Domain:
    try:
        _, pid = pid_files.pid_file(domain.name, folders)
    except pid_files.Missing:
        return domain
    except pid_files.Unfound as error:
        unread = Unread(Group.STARTED, "start of the QEMU process", str(error))
        return domain._replace(unread=(*domain.unread, unread))
    try:
        stat = content(f"{proc}/{pid}/stat")
        name, behind = stat.partition(b"(")[2].rpartition(b")")[::2]
        started = int(behind.split()[_STARTTIME]) // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, LookupError):  # it has just ended, or is hidden
        return domain
    if not name.startswith(_NAMES) and pid_files.run_of(pid, proc) != domain.id:
        return domain  # the PID is of another container's count
    return domain._replace(stats=domain.stats._replace(started=boot + started))


def _boot_time(proc: Folder) -> int:
    """Unix time of the boot, which moves when the clock is set. Raises OSError, ValueError, LookupError."""
    return int(content(f"{proc}/stat").partition(b"\nbtime ")[2].split()[0])
