"""The hypervisor's host: CPU, memory and its NUMA nodes, swap, load, pressure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import HostStats
from kvmwatch.model.snapshot import Host, Unread
from kvmwatch.reading import numa, shortage
from kvmwatch.reading.connection import UNSUPPORTED, is_local, one_line
from kvmwatch.reading.hypervisor import Hypervisor

T = TypeVar("T")
Stats = dict[str, float]
Questions = tuple[tuple[str, Callable[[], Stats]], ...]  # what is asked, for people, and what gives the figures

_NANO = 1_000_000_000
_KIB = 1024
_TICKS = os.sysconf("SC_CLK_TCK")  # in a second
_STEAL = 8  # of the first line of /proc/stat; behind it those of guests


def read(hypervisor: Hypervisor, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Host:
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
        except (libvirt.libvirtError, OSError, ValueError, LookupError, SyntaxError) as error:
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
    more: Questions = ()
    local = is_local(hypervisor.uri)
    if local:
        more = _of_this_machine(proc, sys)
    elif driver != "TEST":  # its cells and their pages are constants
        more = (("huge pages", lambda: _remote_hugepages(connection)),)
    for what, figures in more:
        stats = stats._replace(**(asked(what, figures) or {}))
    nodes = asked("NUMA nodes", lambda: numa.nodes(sys)) if local else None
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
        nodes=nodes or (),
    )


def _of_this_machine(proc: Path, sys: Path) -> Questions:
    """What libvirt does not tell, or tells less of."""
    return (
        ("CPU time of guests and steal", lambda: times_of(proc)),
        ("memory", lambda: memory_of(proc, sys)),
        ("swap space", lambda: swap_of(proc)),
        ("load average", lambda: dict(zip(("load1", "load5", "load15"), os.getloadavg()))),
        ("pressure", lambda: shortage.pressure(proc)),
        ("swapping", lambda: shortage.swapping(proc)),
        ("what KSM saves", lambda: shortage.shared(sys)),
        ("uptime", lambda: {"uptime": float((proc / "uptime").read_text(encoding="ascii").split()[0])}),
    )


def times_of(proc: Path) -> Stats:
    """CPU time of all CPUs that guests ran and that was stolen, in seconds. Raises OSError, ValueError."""
    with open(proc / "stat", encoding="ascii") as lines:
        steal, guest, guest_nice = map(int, next(lines).split()[_STEAL:][:3])
    return {"cpu_guest": (guest + guest_nice) / _TICKS, "cpu_steal": steal / _TICKS}


def memory_of(proc: Path, sys: Path) -> Stats:
    """Memory and huge pages of a machine with these /proc and /sys, in bytes. Raises OSError, ValueError."""
    meminfo = _meminfo(proc)
    # kernels before 3.14 have no estimate of their own
    guessed = sum(meminfo.get(part, 0) for part in ("MemFree", "Buffers", "Cached"))
    total = meminfo["MemTotal"] * _KIB
    available = meminfo.get("MemAvailable", guessed) * _KIB + _given_back(proc / "spl/kstat/zfs/arcstats")
    count, free, promised = (meminfo.get(f"HugePages_{part}", 0) for part in ("Total", "Free", "Rsvd"))
    # without /sys only those of the usual size are known
    pages = list(_hugepages(sys)) or [(meminfo.get("Hugepagesize", 0) * _KIB, count, free, promised)]
    return {
        "memory_total": total,
        "memory_available": min(available, total),
        "hugepages_total": sum(size * count for size, count, _free, _promised in pages),
        "hugepages_free": sum(size * max(0, free - promised) for size, _count, free, promised in pages),
    }


def swap_of(proc: Path) -> Stats:
    """Swap space of a machine with this /proc, in bytes; 0 where the kernel has none. Raises OSError, ValueError.

    psutil would read what was swapped as well, and print a warning where the kernel does not tell that.
    """
    meminfo = _meminfo(proc)
    total, free = (meminfo.get(f"Swap{part}", 0) for part in ("Total", "Free"))
    return {"swap_total": total * _KIB, "swap_used": (total - free) * _KIB}


def _meminfo(proc: Path) -> dict[str, int]:
    lines = (line.split() for line in (proc / "meminfo").read_text(encoding="ascii").splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in lines if len(line) > 1}


def _hugepages(sys: Path) -> Iterator[tuple[int, int, int, int]]:
    """Of each size its bytes, how many there are, how many are free, and how many of these are promised."""
    for folder in (sys / "kernel/mm/hugepages").glob("hugepages-*kB"):
        size = int(folder.name[len("hugepages-") : -len("kB")]) * _KIB
        files = ("nr_hugepages", "free_hugepages", "resv_hugepages")
        count, free, promised = (int((folder / file).read_text(encoding="ascii")) for file in files)
        yield size, count, free, promised


def _given_back(arcstats: Path) -> int:
    """Bytes that ZFS would give back of its cache; 0 without ZFS."""
    try:
        lines = [line.split() for line in arcstats.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        return 0
    values = {line[0]: int(line[2]) for line in lines if len(line) == 3 and line[2].isdecimal()}
    return max(0, values.get("size", 0) - values.get("c_min", 0))


def _remote_hugepages(connection: libvirt.virConnect) -> Stats:
    from xml.etree import ElementTree  # noqa: PLC0415 - only for remote hypervisors

    cells = list(ElementTree.fromstring(connection.getCapabilities()).iterfind("host/topology/cells/cell"))
    counted: dict[int, int] = {}  # by size in KiB
    for pages in (found for cell in cells for found in cell.iterfind("pages")):
        size = int(pages.get("size") or 0)
        counted[size] = counted.get(size, 0) + int(pages.text or 0)
    huge = sorted(counted)[1:]  # the smallest are the usual ones
    if not huge:
        return {"hugepages_total": 0, "hugepages_free": 0}
    free = connection.getFreePages(huge, int(cells[0].get("id") or 0), len(cells))
    return {
        "hugepages_total": sum(size * counted[size] for size in huge) * _KIB,
        "hugepages_free": sum(int(size) * count for cell in free.values() for size, count in cell.items()) * _KIB,
    }


def _scaled(cpu: dict[str, int] | None, name: str) -> float | None:
    return None if not cpu or name not in cpu else cpu[name] / _NANO


def _version(number: int | None) -> str | None:
    if number is None:
        return None
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
