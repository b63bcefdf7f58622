"""Pressure, swapping, KSM, NUMA nodes and what still fits, of folders as the kernel has them and of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kvmwatch_terminal import host_details

from kvmwatch.model.metrics import HostStats, NodeStats
from kvmwatch.model.snapshot import Host, NumaNode
from kvmwatch.reading import numa, shortage

GIB = 1 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")
PSI = "some avg10=1.50 avg60=0.14 avg300=0.41 total={}\nfull avg10=0.00 avg60=0.05 avg300=0.22 total=7\n"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_pressure_is_the_time_in_which_something_waited(tmp_path: Path) -> None:
    write(tmp_path / "pressure/cpu", PSI.format(20_648_075).splitlines()[0] + "\n")  # before 5.13 without "full"
    write(tmp_path / "pressure/io", PSI.format(500_000))
    assert shortage.pressure(tmp_path) == {"pressure_cpu": 20.648075, "pressure_io": 0.5}


def test_a_kernel_that_does_not_measure_it_is_no_fault(tmp_path: Path) -> None:
    assert shortage.pressure(tmp_path) == {}
    (tmp_path / "pressure/io").mkdir(parents=True)  # to read it is an error
    write(tmp_path / "pressure/memory", PSI.format(1))
    assert shortage.pressure(tmp_path) == {"pressure_memory": 0.000001}


def test_swapping_is_in_bytes(tmp_path: Path) -> None:
    write(tmp_path / "vmstat", "nr_free_pages 5\npswpin 3\npswpout 4\npswpin_not 9\n")
    assert shortage.swapping(tmp_path) == {"swap_in": 3 * PAGE, "swap_out": 4 * PAGE}
    write(tmp_path / "vmstat", "nr_free_pages 5\n")
    assert shortage.swapping(tmp_path) == {}


def test_what_ksm_saves(tmp_path: Path) -> None:
    assert shortage.shared(tmp_path) == {}
    write(tmp_path / "kernel/mm/ksm/pages_sharing", "1000\n")
    assert shortage.shared(tmp_path) == {"ksm_saved": 1000 * PAGE}


def test_nodes_by_number(tmp_path: Path) -> None:
    for number in (10, 2):
        folder = tmp_path / f"devices/system/node/node{number}"
        lines = (
            f"Node {number} MemTotal:  2048 kB",
            f"Node {number} MemFree:  1024 kB",
            f"Node {number} HugePages_Total:  3",
        )
        write(folder / "meminfo", "\n".join(lines) + "\n")
        write(folder / "cpulist", f"{number}-{number + 3}\n")
        write(folder / "hugepages/hugepages-2048kB/nr_hugepages", "3\n")
        write(folder / "hugepages/hugepages-2048kB/free_hugepages", "1\n")
    write(tmp_path / "devices/system/node/online", "2,10\n")
    stats = NodeStats(2048 << 10, 1024 << 10, 6 << 20, 2 << 20)
    assert numa.nodes(tmp_path) == (NumaNode(2, "2-5", stats), NumaNode(10, "10-13", stats))
    assert numa.nodes(tmp_path / "none") == ()
    (tmp_path / "devices/system/node/node10/cpulist").unlink()
    assert numa.nodes(tmp_path) == (NumaNode(2, "2-5", stats), NumaNode(10, None, NodeStats())), (
        "it is there, not known"
    )


def test_this_machine() -> None:
    before = shortage.pressure(Path("/proc")) | shortage.swapping(Path("/proc"))
    after = shortage.pressure(Path("/proc")) | shortage.swapping(Path("/proc"))
    assert before.keys() == after.keys() <= set(HostStats._fields)
    assert all(after[name] >= value for name, value in before.items())
    total = sum(node.stats.memory_total or 0 for node in numa.nodes(Path("/sys")))
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 <= total <= (int(lines["MemTotal"].split()[0]) << 10) * 1.05


@pytest.mark.parametrize(
    ("available", "hugepages", "promised", "fits"),
    [
        (20, 0, 40, 20),  # the memory that is at hand
        (60, 0, 40, 24),  # the others have not taken theirs yet
        (20, 0, 70, 0),  # more is promised than there is
        (4, 32, 20, 32),  # as huge pages
        (4, None, 20, 4),
        (None, 0, 40, None),
        (20, 0, None, None),
    ],
)
def test_the_largest_vm_that_fits(
    available: float | None, hugepages: float | None, promised: float | None, fits: float | None
) -> None:
    def size(gib: float | None) -> float | None:
        return None if gib is None else gib * GIB

    stats = HostStats(memory_total=64 * GIB, memory_available=size(available), hugepages_free=size(hugepages))
    assert host_details._fits(Host("kvm1", "QEMU", "9", "7", 0, stats), size(promised)) == size(fits)
