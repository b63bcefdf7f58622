"""Which process is the QEMU of a domain: told by what only libvirt can write, and not by what anybody can.

A process's name and its ``-uuid`` are everybody's to choose. libvirt's pid file (``/run/libvirt/qemu/NAME.pid``,
readable for all) and its control group (``machine-qemu\\x2d3\\x2dweb1.scope`` of machine.slice) are not. Either
is believed only of a process that carries the domain's ``-uuid`` as well: a pid file can be left behind by a
crash, and its PID be another's by now.

The times of process and pid file are not compared: a clock that is set forward after the boot, as on many
machines, would make every QEMU that was started before it look like one that came after its pid file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from kvmwatch.model.record import Record
from kvmwatch.reading.pid_files import Folder, Unfound, cgroup_id, pid_file

#: what distributions call QEMU, as it stands or with more behind it; kvmwatch is none
_NAMES = ("qemu-system-", "qemu-kvm", "kvm-")


class Running(Record):
    """An active domain."""

    uuid: str
    name: str
    id: int


class Found(Record):
    """UUIDs of domains to their processes, or to why there is none; and the PIDs that are libvirt's in any way."""

    processes: dict[str, psutil.Process]
    missing: dict[str, str]
    pids: set[int]


def find(domains: Iterable[Running], folders: Sequence[Folder]) -> Found:
    """Find the process of each domain by its pid file, else by its control group."""
    found = Found({}, {}, set())
    without = []
    for domain in domains:
        try:
            process = _by_pid_file(domain, folders)
        except Unfound as error:
            found.missing[domain.uuid] = str(error)
            without.append(domain)
        else:
            found.pids.add(process.pid)
            found.processes[domain.uuid] = _inside(process, domain.uuid)
    for uuid, process in _by_cgroup(without):
        del found.missing[uuid]
        found.processes[uuid] = process
    found.pids.update(process.pid for process in found.processes.values())
    return found


def is_a_name_of_qemu(name: str) -> bool:
    """Whether a process or a program of this name is a QEMU, as far as a name tells."""
    return f"{name}-".startswith(_NAMES)


def processes() -> Iterator[psutil.Process]:
    """All processes, each looked at anew.

    psutil's own iterator remembers them from call to call: what was a fork of libvirtd when it was first seen,
    and is a QEMU by now, would be called libvirtd as long as we run.
    """
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error):  # it ended
            yield psutil.Process(pid)


def looks_like_qemu(process: psutil.Process) -> bool:
    """Whether it is called as QEMU is. ``-name process=`` changes the name, and only root sees the executable."""
    if is_a_name_of_qemu(process.name()):
        return True
    try:
        return is_a_name_of_qemu(os.path.basename(process.exe()))
    except psutil.AccessDenied:
        return False


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value that follows an option on a command line."""
    for given, value in zip(arguments, arguments[1:]):
        if given == name:
            return value
    return None


def is_question(arguments: Sequence[str]) -> bool:
    """Whether libvirt has only started it to ask what this QEMU can do: it has no machine."""
    return (option(arguments, "-machine") or "").split(",")[0] == "none"


def uuid_of(process: psutil.Process) -> str | None:
    """The ``-uuid`` of a process, as libvirt writes it: in small letters. Raises psutil.Error."""
    uuid = option(process.cmdline(), "-uuid")
    return uuid.lower() if uuid else None


def _by_pid_file(domain: Running, folders: Sequence[Folder]) -> psutil.Process:
    file, pid = pid_file(domain.name, folders)
    try:
        process = psutil.Process(pid)
        uuid = uuid_of(process)
    except psutil.Error:
        if _is_there(pid):
            raise Unfound(f"PID {pid} of {file} is hidden from this user (hidepid of /proc?)") from None
        raise Unfound(f"PID {pid} of {file} has ended") from None
    if uuid != domain.uuid:
        raise Unfound(f"PID {pid} of {file} is another process, without -uuid {domain.uuid}")
    return process


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _inside(process: psutil.Process, uuid: str) -> psutil.Process:
    """The QEMU that an emulator which is a script has started, instead of becoming it; else the process itself."""
    try:
        if looks_like_qemu(process):
            return process
        return next((child for child in process.children() if uuid_of(child) == uuid), process)
    except psutil.Error:
        return process


def _by_cgroup(domains: Sequence[Running]) -> Iterator[tuple[str, psutil.Process]]:
    """Where there is no pid file (libvirt runs in a container), the process in the domain's control group."""
    wanted = {domain.uuid: domain for domain in domains}
    for process in processes() if wanted else ():
        try:
            domain = wanted.get(uuid_of(process) or "")
        except psutil.Error:
            continue  # it ended, or is hidden
        if domain and _id_of_cgroup(process.pid) == domain.id:
            del wanted[domain.uuid]
            yield domain.uuid, process


def _id_of_cgroup(pid: int) -> int | None:
    """libvirt's number of the run whose control group a process is in. Only root can put one there."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return cgroup_id(text)
