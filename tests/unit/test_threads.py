"""What the threads of a QEMU do and take, of folders as /proc has them and of this process itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import ProcessStats, ThreadStats
from kvmwatch.model.rates import NO_RATE, samples, with_rates
from kvmwatch.model.snapshot import IOTHREAD, OTHER, VCPU, VHOST, Process, Snapshot, Thread
from kvmwatch.reading import process_details, process_stats, threads
from kvmwatch.reading.deadline import Deadline

TICKS = os.sysconf("SC_CLK_TCK")


def write_stat(
    folder: Path, name: str, used: float = 0, ppid: int = 1, started: int = 100, waited: float = 0
) -> None:
    fields = [
        "S",
        ppid,
        *[0] * 9,
        round(used * TICKS),
        0,
        *[0] * 6,
        started,
        *[0] * 19,
        round(waited * TICKS),
        0,
        0,
    ]
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{folder.name} ({name}) {' '.join(map(str, fields))}\n")


def write_process(proc: Path, pid: int, *named: tuple[str, float, float]) -> None:
    """A process with threads: name, seconds of CPU, seconds waited."""
    write_stat(proc / str(pid), "qemu-system-x86", sum(used for _, used, _ in named))
    for number, (name, used, waited) in enumerate(named):
        write_stat(proc / str(pid) / "task" / str(pid + number), name, used, waited=waited)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CPU 0/KVM", VCPU),
        ("CPU 255/TCG", VCPU),
        ("ALL CPUs/TCG", VCPU),
        ("IO iothread1", IOTHREAD),
        ("IO iothread123", IOTHREAD),
        ("IO mon_iothread", OTHER),
        ("vhost-4711", VHOST),
        ("qemu-system-x86", OTHER),
        ("worker", OTHER),
        ("CPUs of (odd) 1", OTHER),
        ("kvm-nx-lpage-re", OTHER),
        ("", OTHER),
    ],
)
def test_what_a_thread_does_by_its_name(tmp_path: Path, name: str, kind: str) -> None:
    write_process(tmp_path, 4711, (name, 2.5, 0))
    (thread,) = threads.read(4711, True, {}, tmp_path)
    assert (thread.kind, thread.name, thread.stats.cpu_time, thread.apart) == (kind, name, 2.5, False)


def test_sums_have_nothing_of_what_there_is_not(tmp_path: Path) -> None:
    write_process(tmp_path, 10, ("CPU 0/KVM", 1, 0.5), ("CPU 1/KVM", 2, 0), ("worker", 4, 0.25))
    of_all = threads.sums(threads.read(10, True, {}, tmp_path))
    assert of_all == ProcessStats(vcpu_time=3, io_delay=0.75)
    assert threads.sums(threads.read(10, False, {}, tmp_path)) == ProcessStats(vcpu_time=3)
    assert threads.sums(()) == ProcessStats()


def test_a_wait_of_0_may_be_one_that_nobody_counted(tmp_path: Path) -> None:
    write_process(tmp_path, 10, ("CPU 0/KVM", 1, 0))
    assert threads.sums(threads.read(10, True, {}, tmp_path)).io_delay is None


@pytest.mark.parametrize(("content", "accounted"), [("0\n", False), ("1\n", True), (None, True)])
def test_whether_waits_are_accounted(tmp_path: Path, content: str | None, accounted: bool) -> None:
    if content is not None:
        (tmp_path / "sys/kernel").mkdir(parents=True)
        (tmp_path / "sys/kernel/task_delayacct").write_text(content)
    assert threads.delays_are_accounted(tmp_path) is accounted


@pytest.mark.parametrize(
    ("release", "apart"),
    [("6.1.0-37-amd64", True), ("5.15.0-generic", True), ("6.4", False), ("6.12.1+deb13", False), ("7", False)],
)
def test_vhost_threads_of_the_kernel(tmp_path: Path, release: str, apart: bool) -> None:
    write_stat(tmp_path / "900", "vhost-10", 3, ppid=2)
    write_stat(tmp_path / "901", "vhost-10", 4, ppid=2)
    write_stat(tmp_path / "902", "vhost-10", 5, ppid=1)  # anybody can call itself that
    write_stat(tmp_path / "903", "vhost-x", 6, ppid=2)
    write_process(tmp_path, 10, ("CPU 0/KVM", 1, 0))
    (tmp_path / "meminfo").write_text("")
    vhosts = threads.vhosts_of_the_kernel(tmp_path, release)
    found = threads.read(10, True, vhosts, tmp_path)
    assert sorted(thread.tid for thread in found if thread.apart) == ([900, 901] if apart else [])
    assert threads.sums(found).vhost_time == (7 if apart else None)


def process(time: float, cpu: float, *told: Thread) -> Snapshot:
    known = {name: value for name, value in threads.sums(told)._asdict().items() if value is not None}
    stats = ProcessStats(cpu_time=cpu, read_bytes=time)._replace(**known)
    return Snapshot("qemu:///system", 0, 0, processes=(Process(10, 1, "u", "web1", time, stats, threads=told),))


def thread(tid: int, kind: str, cpu: float, waited: float | None = None, apart: bool = False) -> Thread:
    return Thread(tid, tid, kind, kind, apart, ThreadStats(cpu, waited))


@given(
    st.dictionaries(st.integers(0, 8), st.floats(0, 1), min_size=1),
    st.sets(st.integers(0, 8)),
    st.sets(st.integers(9, 12)),
)
def test_rates_are_of_the_threads_that_were_there_before_and_after(
    busy: dict[int, float], ended: set[int], new: set[int]
) -> None:
    before = [thread(tid, VCPU if tid < 4 else OTHER, 100, 50) for tid in busy]
    after = [
        thread(tid, VCPU if tid < 4 else OTHER, 100 + 10 * rate, 50 + 10 * rate)
        for tid, rate in busy.items()
        if tid not in ended
    ] + [thread(tid, OTHER, 1000, 1000) for tid in new]
    found = with_rates(process(20, 510, *after), samples(process(10, 500, *before)))
    (rated,) = found.processes
    assert rated.rates.cpu_time == 1, "those that have ended cost no other figure its rate"
    stayed = {tid: rate for tid, rate in busy.items() if tid not in ended}
    of_vcpus = [rate for tid, rate in stayed.items() if tid < 4]
    assert rated.rates.vcpu_time == (pytest.approx(sum(of_vcpus), abs=1e-9) if of_vcpus else None)
    assert rated.rates.io_delay == (pytest.approx(sum(stayed.values()), abs=1e-9) if stayed else None)


def test_a_first_reading_lacks_their_rates() -> None:
    (first,) = with_rates(process(10, 500, thread(1, VCPU, 5))).processes
    assert [(part.group, part.why) for part in first.unread] == [
        (Group.PROCESSES, NO_RATE),
        (Group.THREADS, NO_RATE),
    ]


@pytest.mark.parametrize(("apart", "other"), [(False, 25), (True, 75)])
def test_the_rest_is_what_neither_they_nor_vhost_take(apart: bool, other: float) -> None:
    before = thread(1, VCPU, 0), thread(2, IOTHREAD, 0), thread(3, VHOST, 0, apart=apart)
    after = thread(1, VCPU, 10), thread(2, IOTHREAD, 5), thread(3, VHOST, 5, apart=apart)
    (rated,) = with_rates(process(20, 22.5, *after), samples(process(10, 0, *before))).processes
    assert derived.other_cpu(rated) == pytest.approx(other)


def test_without_its_threads_the_rest_is_not_known() -> None:
    (rated,) = with_rates(process(20, 22.5), samples(process(10, 0))).processes
    assert derived.other_cpu(rated) is None


def test_threads_without_names_are_told(tmp_path: Path) -> None:
    write_process(tmp_path, 10, ("qemu-system-x86", 1, 1))
    found = process_details.with_details(process(1, 1), Group.THREADS, Deadline(5), tmp_path)
    (part,) = found.processes[0].unread
    assert "none is named as a vCPU" in part.text
    assert found.processes[0].stats.vcpu_time is None


def test_one_that_ends_meanwhile_is_told(tmp_path: Path) -> None:
    found = process_details.with_details(process(1, 1), Group.THREADS | Group.PSS, Deadline(5), tmp_path)
    assert [(part.group, part.what) for part in found.processes[0].unread] == [
        (Group.THREADS, "its threads"),
        (Group.PSS, "PSS"),
    ]


def test_one_whose_pages_are_not_added_up_in_time_costs_the_others_nothing(tmp_path: Path) -> None:
    (hung,) = process(1, 1).processes
    for pid in (10, 11):
        (tmp_path / str(pid)).mkdir()
    os.mkfifo(tmp_path / "10/smaps_rollup")  # to open it waits for a writer
    (tmp_path / "11/smaps_rollup").write_text(
        "0-1 ---p 0 00:00 0 [rollup]\nRss:  20 kB\nPss:   7 kB\nPss_Dirty: 1 kB\n"
    )
    snapshot = Snapshot("qemu:///system", 0, 0, processes=(hung, hung._replace(pid=11)))
    begun = time.monotonic()
    found = process_details.with_details(snapshot, Group.PSS, Deadline(2), tmp_path)
    assert time.monotonic() - begun < 1
    assert [process.stats.pss for process in found.processes] == [None, 7 * 1024]
    assert "not added up its pages in 0." in found.processes[0].unread[0].why


def test_figures_of_this_very_process() -> None:
    told = psutil.Process()
    before = told.num_threads()
    started, stats, unread = process_stats.of(os.getpid())
    assert stats.rss == pytest.approx(told.memory_info().rss, rel=0.05)
    assert stats.cpu_time == pytest.approx(sum(told.cpu_times()[:2]), abs=0.2)
    # one that an earlier test left hanging may end just now
    assert stats.threads in (before, told.num_threads())
    assert stats.open_files == pytest.approx(told.num_fds(), abs=1)
    assert stats.files_limit == told.rlimit(psutil.RLIMIT_NOFILE)[0]
    assert stats.age == pytest.approx(time.time() - told.create_time(), abs=2)
    assert started + (stats.age or 0) == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
    assert (stats.read_bytes, stats.write_bytes) <= tuple(told.io_counters()[2:4])
    assert unread == ()


@pytest.mark.parametrize(("limit", "known"), [("1024 4096", 1024), ("unlimited unlimited", None)])
def test_what_a_process_does_not_have_is_not_0(tmp_path: Path, limit: str, known: int | None) -> None:
    write_stat(tmp_path / "10", "qemu", 1)
    (tmp_path / "10/fd").mkdir()
    (tmp_path / "10/status").write_text("Name:\tqemu\nThreads:\t1\n")
    (tmp_path / "10/limits").write_text(f"Limit  Soft  Hard  Units\nMax open files  {limit}  files\n")
    _, stats, _ = process_stats.of(10, tmp_path)
    assert (stats.threads, stats.open_files, stats.files_limit) == (1, 0, known)
    assert (stats.rss, stats.swap, stats.read_bytes, stats.pss, stats.vcpu_time) == (None,) * 5
