"""Which process is the QEMU of a domain: told by what only libvirt can write, and not by what anybody can.

A process's name and its ``-uuid`` are everybody's to choose. libvirt's pid file (``/run/libvirt/qemu/NAME.pid``,
readable for all) and its control group (``machine-qemu\\x2d3\\x2dweb1.scope`` of machine.slice) are not. Either
is believed only of a process that carries the domain's ``-uuid`` as well: a pid file can be left behind by a
crash, and its PID be another's by now.

The times of process and pid file are not compared: a clock that is set forward after the boot, as on many
machines, would make every QEMU that was started before it look like one that came after its pid file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import psutil

from kvmwatch.model.record import Record
from kvmwatch.reading.pid_files import Folder, Unfound, pid_file, run_of
from kvmwatch.reading.proc_files import content

#: what distributions call QEMU, as it stands or with more behind it; kvmwatch is none
_NAMES = ("qemu-system-", "qemu-kvm", "kvm-")


class Running(Record):
    """An active domain."""

    uuid: str
    name: str
    id: int


class Emulator(Record):
    """The process that is a domain's."""

    pid: int
    arguments: list[str]


class Emulators(Record):
    """UUIDs of domains to their processes, or to why there is none; and the PIDs that are libvirt's in any way."""

    processes: dict[str, Emulator]
    missing: dict[str, str]
    pids: set[int]


def find(domains: Iterable[Running], folders: Sequence[Folder]) -> Emulators:
    """Find the process of each domain by its pid file, else by its control group."""
    found = Emulators({}, {}, set())
    without = []
    for domain in domains:
        try:
            emulator = _by_pid_file(domain, folders)
        except Unfound as error:
            found.missing[domain.uuid] = str(error)
            without.append(domain)
        else:
            found.pids.add(emulator.pid)
            found.processes[domain.uuid] = _inside(emulator, domain.uuid)
    for uuid, emulator in _by_cgroup(without):
        del found.missing[uuid]
        found.processes[uuid] = emulator
    found.pids.update(emulator.pid for emulator in found.processes.values())
    return found


def is_a_name_of_qemu(name: str) -> bool:
    """Whether a process or a program of this name is a QEMU, as far as a name tells."""
    return f"{name}-".startswith(_NAMES)


def looks_like_qemu(pid: int) -> bool:
    """Whether it is called as QEMU is. ``-name process=`` changes the name, and only root sees the executable.

    It is asked of every process there is: psutil would read four files of each. Raises OSError when it has ended.
    """
    if is_a_name_of_qemu(os.fsdecode(content(f"/proc/{pid}/comm"))):  # of 15 characters, which are enough
        return True
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except PermissionError:
        program = next(iter(arguments(pid)), "")  # who is started by its path tells it there
        if not os.path.isabs(program):
            return False
    return is_a_name_of_qemu(os.path.basename(program))


def arguments(pid: int) -> list[str]:
    """The command line of a process. Those of the kernel have none, nor who has ended and is not yet waited for.

    Raises OSError when it is gone, or hidden.
    """
    text = os.fsdecode(content(f"/proc/{pid}/cmdline"))
    words = text.removesuffix("\0").split("\0") if text else []
    return words[0].split(" ") if len(words) == 1 else words  # of who has written his own


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value that follows an option on a command line."""
    for given, value in zip(arguments, arguments[1:]):
        if given == name:
            return value
    return None


def is_question(arguments: Sequence[str]) -> bool:
    """Whether libvirt has only started it to ask what this QEMU can do: it has no machine."""
    return (option(arguments, "-machine") or "").split(",")[0] == "none"


def uuid_of(words: Sequence[str]) -> str | None:
    """The ``-uuid`` of a command line, as libvirt writes it: in small letters."""
    uuid = option(words, "-uuid")
    return uuid.lower() if uuid else None


def _by_pid_file(domain: Running, folders: Sequence[Folder]) -> Emulator:
    file, pid = pid_file(domain.name, folders)
    try:
        words = arguments(pid)
    except OSError:
        if _is_there(pid):
            raise Unfound(f"PID {pid} of {file} is hidden from this user (hidepid of /proc?)") from None
        words = []
    if not words:
        raise Unfound(f"PID {pid} of {file} has ended")
    if uuid_of(words) != domain.uuid:
        raise Unfound(f"PID {pid} of {file} is another process, without -uuid {domain.uuid}")
    return Emulator(pid, words)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _inside(emulator: Emulator, uuid: str) -> Emulator:
    """The QEMU that an emulator which is a script has started, instead of becoming it; else the process itself."""
    try:
        if looks_like_qemu(emulator.pid):
            return emulator
        started = (child.pid for child in psutil.Process(emulator.pid).children())
        children = (Emulator(pid, arguments(pid)) for pid in started)
        return next((child for child in children if uuid_of(child.arguments) == uuid), emulator)
    except (OSError, psutil.Error):
        return emulator


def _by_cgroup(domains: Sequence[Running]) -> Iterator[tuple[str, Emulator]]:
    """Where there is no pid file (libvirt runs in a container), the process in the domain's control group."""
    wanted = {domain.uuid: domain for domain in domains}
    for pid in psutil.pids() if wanted else ():
        try:
            words = arguments(pid)
        except OSError:
            continue  # it ended, or is hidden
        domain = wanted.get(uuid_of(words) or "")
        if domain and run_of(pid) == domain.id:
            del wanted[domain.uuid]
            yield domain.uuid, Emulator(pid, words)
