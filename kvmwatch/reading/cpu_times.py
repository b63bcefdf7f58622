"""The CPU times of domains as the kernel counts them, in the fields in which libvirt tells them.

libvirt takes them from the same files, but asks the QEMU first, twice (query-stats, for times of halt polling that
nobody here wants): that costs each QEMU some 0.8 ms each time, and waits for one that does not answer. Where these
files are not to be had as expected (another machine, a session's daemon, control groups of version 1, a container
of its own, hidepid), libvirt is asked.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence

from kvmwatch.model.record import Record
from kvmwatch.reading import pid_files
from kvmwatch.reading.bulk import Fields
from kvmwatch.reading.connection import is_local, uri_scheme
from kvmwatch.reading.pid_files import Folder
from kvmwatch.reading.proc_files import content

#: where control groups of version 2 are, alone or beside those of version 1; the first that is there
_ROOTS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_VCPU = re.compile(r"vcpu(\d+)")
_USEC = 1000  # ns
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # ns
_UTIME, _STIME = 11, 12  # of /proc/PID/stat, behind the name


class _Place(Record):
    """Where the times of one run of a domain are."""

    pid: int
    group: str
    links: int  # to the folder of the group: another number when a vCPU is plugged or unplugged
    threads: tuple[tuple[str, int], ...]  # number of each vCPU, and its thread


#: by name and number of the run, for who reads again and again: finding them costs as much as reading them
_places: dict[tuple[str, str, int], _Place] = {}
_MOST_PLACES = 4096
#: lanes that read files at the same time spend five times as much in handing Python's lock to each other
_turn = threading.Lock()
_LONGEST_TURN = 1.0  # seconds


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
        if not _turn.acquire(timeout=_LONGEST_TURN):  # somebody's file does not come: libvirt will do
            self._root = None
            return None
        try:
            return self._told(name, number)
        finally:
            _turn.release()

    def _told(self, name: str, number: int) -> Fields | None:
        key = (f"{self._root}", name, number)
        known = _places.pop(key, None)
        for remembered in (known, None) if known else (None,):
            try:
                place = remembered or self._found(name, number)
                fields = self._read(place)
            except (pid_files.Unfound, OSError, ValueError, LookupError):
                continue  # it has just ended, or is hidden, or what is remembered is not so any more
            if len(_places) >= _MOST_PLACES:  # most of them have ended
                _places.clear()
            _places[key] = place
            return fields
        return None

    def _found(self, name: str, number: int) -> _Place:
        """Raises Unfound, OSError, ValueError and LookupError."""
        _, pid = pid_files.pid_file(name, self._folders)
        group = f"{self._root}{_group(content(f'{self._proc}/{pid}/cgroup'), number)}"
        links = _links(group)
        vcpus = [vcpu[1] for vcpu in map(_VCPU.fullmatch, os.listdir(group)) if vcpu]
        if not vcpus:
            raise LookupError(f"{group} has no vCPUs")
        tasks = f"{self._proc}/{pid}/task"
        return _Place(pid, group, links, tuple((vcpu, _thread(f"{group}/vcpu{vcpu}", tasks)) for vcpu in vcpus))

    def _read(self, place: _Place) -> Fields:
        """Raises OSError, ValueError and LookupError."""
        if place.links != _links(place.group):
            raise LookupError(f"{place.group} has other vCPUs now")
        total = dict(line.split() for line in content(f"{place.group}/cpu.stat").splitlines())
        fields: Fields = {
            "cpu.time": int(total[b"usage_usec"]) * _USEC,
            "cpu.user": int(total[b"user_usec"]) * _USEC,
            "cpu.system": int(total[b"system_usec"]) * _USEC,
            "vcpu.current": len(place.threads),
        }
        for vcpu, thread in place.threads:
            task = f"{self._proc}/{place.pid}/task/{thread}"
            behind = content(f"{task}/stat").rpartition(b")")[2].split()
            fields[f"vcpu.{vcpu}.time"] = (int(behind[_UTIME]) + int(behind[_STIME])) * _TICK
            fields[f"vcpu.{vcpu}.delay"] = int(content(f"{task}/schedstat").split()[1])
        return fields


def _links(group: str) -> int:
    """Links to a folder of the kernel's: two, and one of each folder in it. Raises OSError."""
    return os.stat(group).st_nlink


def _thread(group: str, tasks: str) -> int:
    """The vCPU's own thread; the kernel puts helpers of its own into its group. Raises OSError and LookupError."""
    threads = [int(thread) for thread in content(f"{group}/cgroup.threads").split()]
    if len(threads) > 1:
        threads = [thread for thread in threads if b"(CPU " in content(f"{tasks}/{thread}/stat")]
    return threads[0]


def _group(text: bytes, number: int) -> str:
    """The control group of a domain's run in ``/proc/PID/cgroup``. Raises LookupError: none, or of another run."""
    line = next((os.fsdecode(line) for line in text.split(b"\n") if line.startswith(b"0::")), "")
    if pid_files.cgroup_id(line) != number:
        raise LookupError(f"{line} is not of run {number}")
    return line[len("0::") :].removesuffix("/emulator")
