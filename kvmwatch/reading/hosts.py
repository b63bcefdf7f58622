"""The hypervisor's host: CPU, memory, swap, load."""

from __future__ import annotations

import time
from typing import Any

import libvirt

from kvmwatch.model.metrics import HostStats
from kvmwatch.model.snapshot import Host
from kvmwatch.reading.connection import is_local
from kvmwatch.reading.hypervisor import Hypervisor

_NANO = 1_000_000_000
_KIB = 1024


def read(hypervisor: Hypervisor) -> Host:
    """Ask libvirt for CPU and memory, and the local machine for what libvirt does not tell.

    Memory is virNodeGetMemoryStats', not virNodeGetInfo's: the latter sums the NUMA nodes' figures, which
    were seen at half of what the host has.
    """
    connection = hypervisor.connection
    driver = connection.getType()
    now = time.monotonic()
    info = connection.getInfo()
    cpu = _asked(connection.getCPUStats)
    memory = _asked(connection.getMemoryStats)
    stats = HostStats(
        cpus=info[2],
        cpu_user=_scaled(cpu, "user"),
        cpu_system=_scaled(cpu, "kernel"),
        cpu_iowait=_scaled(cpu, "iowait"),
        cpu_idle=_scaled(cpu, "idle"),
    )
    if memory:
        available = sum(memory.get(part, 0) for part in ("free", "buffers", "cached"))
        stats = stats._replace(memory_total=memory["total"] * _KIB, memory_available=available * _KIB)
    elif driver == "TEST":  # it has no memory statistics, and its node info is what the file says
        stats = stats._replace(memory_total=info[1] * _KIB * _KIB)
    if is_local(hypervisor.uri):
        stats = _local(stats)
    version = connection.getVersion()
    return Host(
        connection.getHostname(), driver, _version(connection.getLibVersion()), _version(version), now, stats
    )


def _local(stats: HostStats) -> HostStats:
    import psutil  # noqa: PLC0415 - only the host's commands pay for it

    memory = psutil.virtual_memory()
    swap = psutil.swap_memory()
    load1, load5, load15 = psutil.getloadavg()
    return stats._replace(
        memory_total=memory.total,
        memory_available=memory.available,
        swap_total=swap.total,
        swap_used=swap.used,
        load1=load1,
        load5=load5,
        load15=load15,
    )


def _asked(question: Any) -> dict[str, int] | None:
    try:
        answer: dict[str, int] = question(-1)  # all CPUs, all NUMA cells
    except libvirt.libvirtError:
        return None
    return answer


def _scaled(cpu: dict[str, int] | None, name: str) -> float | None:
    return None if not cpu or name not in cpu else cpu[name] / _NANO


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
