"""The host's memory: huge pages and ZFS's cache are not taken for used."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_kvm import host as check
from check_kvm.frame import output, plugin
from check_kvm.frame.thresholds import Thresholds

from kvmwatch.model.metrics import HostStats
from kvmwatch.model.snapshot import Host, Snapshot
from kvmwatch.reading import hosts

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
#: a hypervisor with 1 TB, of which 896 GiB are huge pages, most of them free
RESERVED = """MemTotal:       1055902584 kB
MemFree:          23681988 kB
MemAvailable:     37933000 kB
Buffers:             12000 kB
Cached:           15000000 kB
HugePages_Total:    458752
HugePages_Free:     384000
HugePages_Rsvd:          0
HugePages_Surp:          0
Hugepagesize:         2048 kB
Hugetlb:         939524096 kB
"""
PLAIN = "MemTotal: 1048576 kB\nMemFree: 102400 kB\nMemAvailable: 524288 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n"
OLD = "MemTotal: 1048576 kB\nMemFree: 102400 kB\nBuffers: 1024 kB\nCached: 102400 kB\n"
ARC = "9 1 0x01 147 39984 1 2\nname type data\nhits 4 99\nsize 4 {}\nc_min 4 {}\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys").mkdir()
    return tmp_path


def read(machine: Path, meminfo: str, arc: str = "", **pages: tuple[int, int, int]) -> HostStats:
    """Stats of a machine; pages: how many of a size there are, are free, are promised."""
    (machine / "proc/meminfo").write_text(meminfo)
    if arc:
        (machine / "proc/spl/kstat/zfs").mkdir(parents=True)
        (machine / "proc/spl/kstat/zfs/arcstats").write_text(arc)
    for size, counts in pages.items():
        folder = machine / f"sys/kernel/mm/hugepages/hugepages-{size}"
        folder.mkdir(parents=True)
        for file, count in zip(("nr_hugepages", "free_hugepages", "resv_hugepages"), counts):
            (folder / file).write_text(f"{count}\n")
    return HostStats(**hosts.memory_of(machine / "proc", machine / "sys"))


def judged(stats: HostStats) -> tuple[str, int]:
    snapshot = Snapshot("qemu:///system", 0, 0, host=Host("kvm1", "QEMU", "9", "7", 0, stats))
    verdict = plugin.judged(check.CHECK, snapshot, Thresholds("host", check.CHECK.metrics))
    return output.render("host", verdict)


def sizes(kb: dict[int, tuple[int, int, int]]) -> dict[str, tuple[int, int, int]]:
    return {f"{size}kB": counts for size, counts in kb.items()}


def test_huge_pages_that_are_free_are_not_used_memory(machine: Path) -> None:
    stats = read(machine, RESERVED)
    assert stats.hugepages_total == 458752 * 2 * MIB
    assert stats.hugepages_free == 384000 * 2 * MIB
    text, code = judged(stats)
    assert code == 0
    assert "memory 67 %" in text
    assert "hugepages 16 %" in text


@pytest.mark.parametrize(
    ("pages", "total", "free"),
    [
        ({2048: (10, 4, 0)}, 20 * MIB, 8 * MIB),
        ({2048: (10, 4, 3)}, 20 * MIB, 2 * MIB),
        ({2048: (10, 4, 0), 1048576: (3, 1, 0)}, 20 * MIB + 3 * GIB, 8 * MIB + GIB),
        ({2048: (0, 0, 0), 1048576: (0, 0, 0)}, 0, 0),
        ({64: (16, 16, 0)}, MIB, MIB),
    ],
)
def test_all_sizes_count(machine: Path, pages: dict[int, tuple[int, int, int]], total: int, free: int) -> None:
    stats = read(machine, RESERVED, **sizes(pages))
    assert (stats.hugepages_total, stats.hugepages_free) == (total, free)


def test_huge_pages_that_are_used_up_are_told(machine: Path) -> None:
    text, code = judged(read(machine, RESERVED, **sizes({2048: (458752, 100, 0)})))
    assert code == 1
    assert "hugepages 100 % (over 95 %)" in text


def test_a_machine_without_huge_pages_has_no_figure_of_them(machine: Path) -> None:
    text, code = judged(read(machine, PLAIN))
    assert code == 0
    assert "memory 50 %" in text
    said, _, perfdata = text.partition(" | ")
    assert "hugepages" not in said
    assert "hugepages=U;95;;0;100" in perfdata


@pytest.mark.parametrize(
    ("size", "least", "available"),
    [(256 * MIB, 64 * MIB, 704 * MIB), (64 * MIB, 256 * MIB, 512 * MIB), (4 * GIB, 0, GIB)],
    ids=["above its minimum", "below its minimum", "more than there is"],
)
def test_the_cache_of_zfs_can_be_given_out(machine: Path, size: int, least: int, available: int) -> None:
    assert read(machine, PLAIN, ARC.format(size, least)).memory_available == available


@pytest.mark.parametrize(
    ("lines", "total", "used"),
    [
        ("SwapTotal: 2097152 kB\nSwapFree: 524288 kB\n", 2 * GIB, 1536 * MIB),
        ("SwapTotal: 0 kB\n", 0, 0),
        ("", 0, 0),
    ],
)
def test_swap_space(machine: Path, lines: str, total: int, used: int, recwarn: pytest.WarningsRecorder) -> None:
    """A warning would be on stderr, which agents take for output."""
    (machine / "proc/meminfo").write_text(PLAIN + lines)
    assert hosts.swap_of(machine / "proc") == {"swap_total": total, "swap_used": used}
    assert not recwarn.list


def test_old_kernels_have_no_estimate(machine: Path) -> None:
    assert read(machine, OLD).memory_available == 205824 * KIB
