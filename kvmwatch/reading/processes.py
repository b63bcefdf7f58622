"""The QEMU processes of this machine, as top, iotop and lsof would show them (psutil, /proc)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.metrics import ProcessStats, Value
from kvmwatch.model.snapshot import Process
from kvmwatch.reading.connection import is_local
from kvmwatch.reading.hypervisor import Hypervisor

_PREFIXES = ("qemu-system-", "qemu-kvm", "kvm")  # what distributions call QEMU
_CLOCK = 100  # ticks a second of a process's start time, which tells it from a later one with the same PID


def read(hypervisor: Hypervisor) -> tuple[Process, ...]:
    """Read every QEMU process that has a -uuid or a -name, whoever started it.

    What another user may not see (/proc/PID/io and fd need root or the process's own user) is None. Raises
    KvmwatchError when the hypervisor is another machine.
    """
    if not is_local(hypervisor.uri):
        raise KvmwatchError(
            f"{hypervisor.uri}: QEMU processes can be seen only on their own machine; run the check there (NRPE)"
        )
    return tuple(sorted(_processes(), key=lambda process: process.pid))


def names() -> dict[str, str]:
    """UUID to name of the QEMUs that are seen on this machine."""
    return {process.uuid: process.name or process.uuid for process in _processes() if process.uuid}


def _processes() -> Iterator[Process]:
    for process in psutil.process_iter():
        try:
            if process.name().startswith(_PREFIXES):
                arguments = process.cmdline()
                uuid, name = _option(arguments, "-uuid"), _guest_name(_option(arguments, "-name"))
                if uuid or name:
                    yield _process(process, uuid, name)
        except psutil.Error:
            continue  # it ended


def _process(process: psutil.Process, uuid: str | None, name: str | None) -> Process:
    with process.oneshot():
        cpu = process.cpu_times()
        read_bytes, write_bytes = _io(process)
        stats = ProcessStats(
            cpu_time=cpu.user + cpu.system,
            rss=process.memory_info().rss,
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            threads=process.num_threads(),
            open_files=_open_files(process),
        )
        started = int(process.create_time() * _CLOCK)
    return Process(process.pid, started, uuid.lower() if uuid else None, name, time.monotonic(), stats)


def _io(process: psutil.Process) -> tuple[Value, Value]:
    try:
        io = process.io_counters()
    except psutil.AccessDenied:
        return None, None
    return io.read_bytes, io.write_bytes


def _open_files(process: psutil.Process) -> Value:
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return None


def _option(arguments: list[str], option: str) -> str | None:
    try:
        return arguments[arguments.index(option) + 1]
    except (ValueError, IndexError):
        return None


def _guest_name(option: str | None) -> str | None:
    """The name in ``-name guest=NAME,debug-threads=on`` or ``-name NAME``; a comma in it is doubled."""
    if option is None:
        return None
    parts = option.replace(",,", "\0").split(",")
    name = next((part[len("guest=") :] for part in parts if part.startswith("guest=")), parts[0])
    return name.replace("\0", ",")
