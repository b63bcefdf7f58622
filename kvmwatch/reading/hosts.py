"""The hypervisor's host: CPU, memory, swap, load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import libvirt
import psutil

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import HostStats
from kvmwatch.model.snapshot import Host, Unread
from kvmwatch.reading.connection import UNSUPPORTED, is_local, one_line
from kvmwatch.reading.hypervisor import Hypervisor

T = TypeVar("T")
Stats = dict[str, float]

_NANO = 1_000_000_000
_KIB = 1024


def read(hypervisor: Hypervisor) -> Host:
    """Ask libvirt for CPU and memory, and the local machine for what libvirt does not tell.

    Memory is virNodeGetMemoryStats', not virNodeGetInfo's: the latter sums the NUMA nodes' figures, which
    were seen at half of what the host has.
    """
    connection = hypervisor.connection
    now = time.monotonic()
    unread: list[Unread] = []

    def asked(what: str, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except (libvirt.libvirtError, OSError, psutil.Error, ValueError) as error:  # ValueError: no UTF-8
            supported = not isinstance(error, libvirt.libvirtError) or error.get_error_code() not in UNSUPPORTED
            if not connection.isAlive():
                raise
            if supported:
                unread.append(Unread(Group.HOST, what, one_line(error)))
            return None

    driver = asked("driver", connection.getType)
    info = asked("CPUs", connection.getInfo)
    cpu = asked("CPU time", lambda: connection.getCPUStats(-1))  # of all CPUs
    memory = asked("memory", lambda: connection.getMemoryStats(-1))  # of all NUMA cells
    stats = HostStats(
        cpus=info[2] if info else None,
        cpu_user=_scaled(cpu, "user"),
        cpu_system=_scaled(cpu, "kernel"),
        cpu_iowait=_scaled(cpu, "iowait"),
        cpu_idle=_scaled(cpu, "idle"),
    )
    if memory:
        available = sum(memory.get(part, 0) for part in ("free", "buffers", "cached"))
        stats = stats._replace(memory_total=memory["total"] * _KIB, memory_available=available * _KIB)
    elif driver == "TEST" and info:  # it has no memory statistics, and its node info is what the file says
        stats = stats._replace(memory_total=info[1] * _KIB * _KIB)
    if is_local(hypervisor.uri):
        for what, local in (("memory", _memory), ("swap space", _swap), ("load average", _load)):
            stats = stats._replace(**(asked(what, local) or {}))
    libvirt_version = asked("version of libvirt", connection.getLibVersion)
    version = asked("version of the hypervisor", connection.getVersion)
    return Host(
        asked("host name", connection.getHostname),
        driver,
        _version(libvirt_version),
        _version(version),
        now,
        stats,
        unread=tuple(unread),
    )


def _memory() -> Stats:
    memory = psutil.virtual_memory()
    return {"memory_total": memory.total, "memory_available": memory.available}


def _swap() -> Stats:
    swap = psutil.swap_memory()
    return {"swap_total": swap.total, "swap_used": swap.used}


def _load() -> Stats:
    return dict(zip(("load1", "load5", "load15"), psutil.getloadavg()))


def _scaled(cpu: dict[str, int] | None, name: str) -> float | None:
    return None if not cpu or name not in cpu else cpu[name] / _NANO


def _version(number: int | None) -> str | None:
    if number is None:
        return None
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
