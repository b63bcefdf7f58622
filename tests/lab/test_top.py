"""kvmwatch top on real guests: its figures beside libvirt's and the kernel's, and what hangs."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from commands import Command
from terminals import Terminal, terminal

if TYPE_CHECKING:
    from bed import Bed

pytestmark = [pytest.mark.usefixtures("bed"), pytest.mark.daemons("modular")]

TICKS = os.sysconf("SC_CLK_TCK")


def readings(command: Command, view: str, *words: str) -> list[dict[str, Any]]:
    ran = command("kvmwatch", "top", "--json", "--view", view, *words)
    assert (ran.code, ran.err) == (0, ""), ran
    return [json.loads(line) for line in ran.out.splitlines()]


def stats(name: str) -> dict[str, float]:
    words = ["virsh", "-r", "domstats", "--nowait", name]
    told = subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout
    lines = (line.strip().partition("=") for line in told.splitlines())
    return {field: float(value) for field, _, value in lines if re.fullmatch("[0-9]+", value)}


def test_rates_beside_domstats(command: Command) -> None:
    before, begun = stats("web1"), time.monotonic()
    *_, last = readings(command, "domains", "--domain", "web1", "-n", "2", "-d", "6")
    after, seconds = stats("web1"), time.monotonic() - begun
    (domain,) = last["domains"]
    cpu = (after["vcpu.0.time"] + after["vcpu.1.time"] - before["vcpu.0.time"] - before["vcpu.1.time"]) / 1e9
    assert domain["cpu"] == pytest.approx(cpu / seconds / 2 * 100, rel=0.35)
    written = sum(after[name] - before[name] for name in after if name.endswith(".wr.bytes"))
    assert domain["write"] == pytest.approx(written / seconds, rel=0.35)
    assert domain["rss"] == pytest.approx(after["balloon.rss"] * 1024, rel=0.15)
    assert domain["cpu_time"] == pytest.approx(after["cpu.time"] / 1e9, rel=0.15)


def test_processes_beside_proc(command: Command, bed: Bed) -> None:
    pid = bed.qemu_pid("web1")
    *_, last = readings(command, "processes", "-n", "2", "-d", "3")
    by_pid = {line["pid"]: line for line in last["processes"]}
    line = by_pid[str(pid)]
    assert line["vm"] == "web1"
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert line["threads"] == pytest.approx(int(fields[17]), abs=3)
    assert line["cpu"] is not None
    assert line["rss"] == pytest.approx(int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), rel=0.15)
    running = {domain["name"] for domain in readings(command, "domains", "-n", "1")[0]["domains"] if domain["id"]}
    assert {line["vm"] for line in by_pid.values()} <= running


@pytest.mark.skipif(not shutil.which("virt-top"), reason="this Debian has no virt-top")
def test_rates_beside_virt_top(command: Command, tmp_path: Path) -> None:
    """Both look at web1 for the same while, as virt-top's --csv and our --json tell it."""
    file, seconds = tmp_path / "virt-top.csv", 5
    words = ["virt-top", "--script", "-n", "3", "-d", str(seconds), "--csv", str(file)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as theirs:
        *_, last = readings(command, "domains", "--domain", "web1", "-n", "3", "-d", str(seconds))
        assert theirs.wait(60) == 0
    header, *_, row = csv.reader(file.read_text().splitlines())
    # its columns of a domain come again for each, of which only the first have names
    first, width = header.index("Domain ID"), len(header) - header.index("Domain ID")
    told = (row[at : at + width] for at in range(first, len(row), width))
    (web1,) = (dict(zip(header[first:], part)) for part in told if part[1] == "web1")
    (ours,) = last["domains"]
    # its % are of all CPUs of the host, and have QEMU's own threads in them
    assert float(web1["%CPU"]) == pytest.approx(ours["cpu"] * ours["vcpus"] / (os.cpu_count() or 1), rel=0.5)
    assert float(web1["Mem (bytes)"]) * 1024 == pytest.approx(ours["memory"], rel=0.01)  # they are KiB
    assert float(web1["Block WRRQ"]) / seconds == pytest.approx(ours["write_iops"], rel=0.5, abs=1)


def answers(top: Terminal) -> float:
    """Seconds until a key is answered: to the disks, and back."""
    begun = time.monotonic()
    top.press("3")
    top.until(lambda: "sorted by write" in top.text or "FLUSH TAKES" in top.text, 3)
    top.press("0")
    top.until(lambda: "NAME" in top.text, 3)
    return time.monotonic() - begun


def row(top: Terminal, name: str) -> str:
    return next((line for line in top.lines if line.startswith(name)), "")


def test_a_qemu_that_hangs_holds_up_neither_keys_nor_others(command: Command, bed: Bed) -> None:
    with terminal(command, 50, 200, "kvmwatch", "top", "-d", "1", "--sort", "name") as top:
        top.until(lambda: row(top, "web1"), 30)
        pid = bed.qemu_pid("idle1")
        os.kill(pid, signal.SIGSTOP)
        try:
            top.until(lambda: "not responding" in row(top, "idle1"), 40)
            assert answers(top) < 2
            top.until(lambda: re.search(r"1 not responding", top.text), 10)
            clock = top.lines[0]
            top.until(lambda: top.lines[0] != clock, 20)
            assert re.search(r"running .* \d+(\.\d)? % ", row(top, "web1")), "the others have their figures"
            assert " ? " in row(top, "idle1")
        finally:
            os.kill(pid, signal.SIGCONT)
        top.until(lambda: "not responding" not in row(top, "idle1"), 40)
        top.press("q")
        assert top.ended() == 0


def test_a_daemon_that_hangs_is_told_and_the_last_figures_stay(command: Command, bed: Bed) -> None:
    with terminal(command, 50, 200, "kvmwatch", "top", "-d", "1", "-t", "8") as top:
        top.until(lambda: row(top, "web1"), 30)
        bed.daemon.send(signal.SIGSTOP)
        try:
            top.until(
                lambda: re.search(r"libvirt has not answered for \d+ s, and these figures are old", top.text), 30
            )
            assert answers(top) < 2
            assert row(top, "web1")
            seconds = (
                r"libvirt has not answered for (1\d|2\d) s, and these figures are old: .*gave no answer within"
            )
            top.until(lambda: re.search(seconds, top.text), 30)
            assert answers(top) < 2
        finally:
            bed.daemon.send(signal.SIGCONT)
        top.until(lambda: "not answered" not in top.text, 40)
        bed.daemon.send(signal.SIGSTOP)
        try:
            top.until(lambda: "not answered" in top.text, 30)
            begun = time.monotonic()
            top.press("q")
            assert top.ended() == 0
            assert time.monotonic() - begun < 3
        finally:
            bed.daemon.send(signal.SIGCONT)


def reader(top: Terminal) -> psutil.Process:
    """The process that reads: it leads a session."""
    (found,) = (p for p in psutil.Process(top.process.pid).children(recursive=True) if os.getsid(p.pid) == p.pid)
    return found


def next_reading(top: Terminal) -> None:
    clock = top.lines[0]
    top.until(lambda: top.lines[0] != clock, 20)


def test_one_process_reads_again_and_again_and_keeps_nothing(command: Command) -> None:
    with terminal(command, 50, 200, "kvmwatch", "top", "-d", "2") as top:
        top.until(lambda: row(top, "web1"), 30)
        first, files = reader(top), []
        for _ in range(6):
            next_reading(top)
            assert reader(top) == first
            files.append(first.num_fds())  # it has just told what it read
        assert max(files[3:]) <= max(files[:3]), "connections of readings that are over"
        assert first.num_threads() == 1


def test_a_daemon_that_restarts(command: Command, bed: Bed) -> None:
    with terminal(command, 50, 200, "kvmwatch", "top", "-d", "1") as top:
        top.until(lambda: row(top, "web1"), 30)
        bed.daemon.end()
        try:
            top.until(lambda: "libvirt is not running" in top.text, 30)
            assert row(top, "web1")
        finally:
            bed.daemon.start()
        top.until(lambda: "not running" not in top.text, 30)
        assert row(top, "web1")
