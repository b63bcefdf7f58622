"""The CPU times of domains as the kernel counts them, in the fields in which libvirt tells them.

libvirt takes them from the same files, but asks the QEMU first, twice (query-stats, for times of halt polling that
nobody here wants): that costs each QEMU some 0.8 ms each time, and waits for one that does not answer. Where these
files are not to be had as expected (another machine, a session's daemon, control groups of version 1, a container
of its own, hidepid), libvirt is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache

from kvmwatch.reading import pid_files
from kvmwatch.reading.bulk import Fields
from kvmwatch.reading.connection import is_local, uri_scheme
from kvmwatch.reading.pid_files import Folder

#: where control groups of version 2 are, alone or beside those of version 1; the first that is there
_ROOTS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_VCPU = re.compile(r"vcpu(\d+)")
_USEC = 1000  # ns
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # ns
_UTIME, _STIME = 11, 12  # of /proc/PID/stat, behind the name
_PIECE = 16384  # bytes that are read at once


class CpuTimes:
    """Reads them on this machine."""

    def __init__(
        self,
        uri: str,
        proc: Folder = "/proc",
        roots: Sequence[Folder] = _ROOTS,
        folders: Sequence[Folder] | None = None,
    ) -> None:
        """Take where they are: ``roots`` of control groups, ``folders`` of pid files."""
        self._proc = proc
        self._folders = pid_files.run_folders(uri) if folders is None else folders
        local = is_local(uri) and uri_scheme(uri) == "qemu"
        self._root = next((root for root in roots if local and os.path.exists(f"{root}/cgroup.controllers")), None)

    def of(self, name: str, number: int) -> Fields | None:
        """``cpu.time``, ``vcpu.current``, ``vcpu.N.time`` and so on of one run of a domain, or None: ask libvirt.

        ``number``: of the run (virDomainGetID). Only libvirt can put a process into the control group of this
        number, so a pid file that is old or of a container of its own leads nowhere.
        """
        if self._root is None:
            return None
        try:
            _, pid = pid_files.pid_file(name, self._folders)
            group = _group(_content(f"{self._proc}/{pid}/cgroup"), number)
            return None if group is None else self._read(pid, f"{self._root}{group}")
        except (pid_files.Unfound, OSError, ValueError, LookupError):  # it has just ended, or is hidden
            return None

    def _read(self, pid: int, group: str) -> Fields | None:
        """Raises OSError, ValueError and LookupError."""
        total = dict(line.split() for line in _content(f"{group}/cpu.stat").splitlines())
        fields: Fields = {
            "cpu.time": int(total[b"usage_usec"]) * _USEC,
            "cpu.user": int(total[b"user_usec"]) * _USEC,
            "cpu.system": int(total[b"system_usec"]) * _USEC,
        }
        vcpus = [found[1] for found in map(_VCPU.fullmatch, os.listdir(group)) if found]
        for vcpu in vcpus:
            threads = _content(f"{group}/vcpu{vcpu}/cgroup.threads").split()
            time, delay = self._thread(f"{self._proc}/{pid}/task", [int(thread) for thread in threads])
            fields[f"vcpu.{vcpu}.time"], fields[f"vcpu.{vcpu}.delay"] = time, delay
        fields["vcpu.current"] = len(vcpus)
        return fields if vcpus else None

    @staticmethod
    def _thread(tasks: str, threads: Sequence[int]) -> tuple[int, int]:
        """The times of the vCPU's own of these threads: the kernel puts helpers of its own beside it."""
        for thread in threads:
            name, _, behind = _content(f"{tasks}/{thread}/stat").partition(b"(")[2].rpartition(b")")
            if len(threads) == 1 or name.startswith(b"CPU "):
                fields = behind.split()
                delay = int(_content(f"{tasks}/{thread}/schedstat").split()[1])
                return (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK, delay
        raise LookupError


@lru_cache(maxsize=4096)
def _group(text: bytes, number: int) -> str | None:
    """The control group of a domain's run in ``/proc/PID/cgroup``; None: that is no QEMU's, or of another run."""
    line = next((os.fsdecode(line) for line in text.split(b"\n") if line.startswith(b"0::")), "")
    return line[3:].removesuffix("/emulator") if pid_files.cgroup_id(line) == number else None


def _content(file: str) -> bytes:
    opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)  # open() asks the kernel for more than that
    try:
        return os.read(opened, _PIECE)
    finally:
        os.close(opened)
