"""check_kvm_process, _snapshot and _agent against the real processes, snapshots and agents of the lab."""

from __future__ import annotations

import json
import math
import re
import resource
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bed import ODD_NAME, WORK, as_nobody
from commands import Command
from conformance import conforming
from guests import disk, guest, qcow2, small
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("modular")


@pytest.fixture
def stray() -> Iterator[subprocess.Popen[bytes]]:
    """A QEMU that somebody started by hand, with a comma in its name."""
    made = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-name", "guest=by hand,,2,debug-threads=on", "-uuid", str(uuid.uuid4())),
            *("-m", "16", "-display", "none", "-nodefaults", "-S"),
        ],
        stdin=subprocess.DEVNULL,
    )
    yield made
    made.terminate()
    made.wait()


def test_process_of_each_vm(command: Command, bed: Bed) -> None:
    ran = command("check_kvm_process", "-v")
    output = conforming(ran.out, ran.code)
    pid = bed.qemu_pid("web1")
    assert any(line.startswith("[OK] web1 ") and line.endswith(f"PID {pid}") for line in output.lines)
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert resident
    assert output.perfdata["web1.rss"] == pytest.approx(int(resident[1]) * 1024, rel=0.1)
    assert 0 < output.perfdata["web1.cpu"] < 400
    assert output.perfdata["web1.threads"] > 2
    assert output.perfdata["web1.files"] > 10
    assert not any("no QEMU process" in line for line in output.lines)


def test_the_process_beside_top_ps_and_lsof(command: Command, bed: Bed) -> None:
    pid = bed.qemu_pid("web1")
    command("kvmwatch", "show", "web1", "--json")  # its counters are those that the next one compares with
    seconds = 6
    tops = [
        subprocess.Popen(
            ["top", "-b", *of, "-p", str(pid), "-d", str(seconds), "-n", "2", "-w", "200"],
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        for of in ([], ["-H"])
    ]
    # with -H the line of the first thread has what the whole process took (procps 4.0)
    whole, cpu = (cpu_in(top.communicate()[0]) for top in tops)

    def told(*words: str) -> str:
        return subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout

    def age() -> int:
        return int(told("ps", "-o", "etimes=", "-p", str(pid)))

    youngest = age()
    shown = json.loads(command("kvmwatch", "show", "web1", "--json").out)
    oldest = age()
    (process,) = shown["processes"]
    assert youngest - 1 <= process["age"] <= oldest + 1, "ps cuts seconds"
    groups = {threads["kind"]: threads for threads in shown["threads"]}
    assert groups.keys() - {"vhost"} == {"vcpu", "other"}, "it has no I/O thread"
    assert groups["vcpu"]["count"] == 2
    close = {"rel": 0.25, "abs": 3}  # the readings are some 100 ms apart, and top's are of ticks
    of_vcpus = [use for name, use in cpu if name.startswith("CPU ")]
    assert groups["vcpu"]["cpu"] == pytest.approx(sum(of_vcpus), **close)
    assert groups["vcpu"]["busiest"] == pytest.approx(max(of_vcpus), **close)
    assert process["cpu"] == pytest.approx(whole[0][1], **close)
    assert process["cpu"] == pytest.approx(sum(threads["cpu"] for threads in groups.values()), rel=0.05, abs=1)
    if Path("/proc/sys/kernel/task_delayacct").read_text() == "0\n":
        assert {threads["io_delay"] for threads in groups.values()} == {None}, "not known, and not 0"
        assert re.search(r"^ +vCPUs .* \?$", command("kvmwatch", "show", "web1").out, re.MULTILINE)
    lsof = told("lsof", "-w", "-a", "-p", str(pid), "-d", "0-99999", "-F", "f")
    assert process["files"] == pytest.approx(len(re.findall(r"^f[0-9]+$", lsof, re.MULTILINE)), abs=3)
    limit = told("prlimit", "--pid", str(pid), "--nofile", "--noheadings", "--raw", "--output", "SOFT")
    assert process["files_limit"] == int(limit)
    rollup = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert rollup
    assert process["pss"] == pytest.approx(int(rollup[1]) * 1024, rel=0.1)
    assert 0 < process["pss"] <= process["rss"]
    assert process["swap"] == 0


def cpu_in(told: str) -> list[tuple[str, float]]:
    """Name and CPU in % of each line of the last of top's pages."""
    head, *lines = told.rpartition("PID USER")[2].strip().splitlines()
    columns = head.split()  # without the two that the page was parted at
    cpu = columns.index("%CPU") + 2
    fields = (line.split(maxsplit=len(columns) + 1) for line in lines)
    return [(found[-1].strip(), float(found[cpu])) for found in fields]


def test_io_threads_are_told_apart(command: Command, bed: Bed) -> None:
    domain = bed.define(small("threads1").replace("<os>", "<iothreads>2</iothreads><os>"), paused=True)
    try:
        shown = json.loads(command("kvmwatch", "show", "threads1", "--json").out)
        assert {threads["kind"]: threads["count"] for threads in shown["threads"]} == {
            "vcpu": 1,
            "iothread": len(domain.ioThreadInfo()),
            "other": shown["processes"][0]["threads"] - 3,
        }
    finally:
        bed.remove("threads1")


def test_files_against_their_limit(command: Command, bed: Bed) -> None:
    pid = bed.qemu_pid("web1")
    opened = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (int(opened / 0.9), usual[1]))
    try:
        ran = command("check_kvm_process", "-d", "web1")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    assert ran.first.startswith("KVM_PROCESS WARNING - web1 files usage 9"), ran.out
    assert "% (over 80 %)" in ran.first
    after = command("check_kvm_process", "-d", "web1")
    assert conforming(after.out, after.code).status == "OK"


def test_process_that_libvirt_does_not_know(command: Command, stray: subprocess.Popen[bytes]) -> None:
    eventually("it has its name", lambda: b"by hand" in Path(f"/proc/{stray.pid}/cmdline").read_bytes())
    ran = command("check_kvm_process")
    output = conforming(ran.out, ran.code)
    assert output.status == "WARNING"
    assert f"QEMU process {stray.pid} (by hand,2) is not one of this libvirt's" in output.text
    alone = command("check_kvm_process", "-d", "web1")
    assert conforming(alone.out, alone.code).status == "OK", "asked only for web1"


def test_process_that_calls_itself_a_vm(command: Command, bed: Bed, tmp_path: Path) -> None:
    uuid_of_web1 = bed.connect().lookupByName("web1").UUIDString()
    program = tmp_path / "kvm-fake"
    program.symlink_to(sys.executable)
    code = "import time; print(flush=True); time.sleep(600)"
    arguments = [program, "-c", code, "-name", "guest=web1", "-uuid", uuid_of_web1]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as fake:
        try:
            assert fake.stdout is not None
            fake.stdout.readline()
            ran = command("check_kvm_process", "-v", "-d", "web1")
        finally:
            fake.kill()
    output = conforming(ran.out, ran.code)
    assert output.status == "WARNING"
    assert f"QEMU process {fake.pid} (web1) claims the UUID of web1, but libvirt did not start it" in output.text
    assert any(
        line.startswith("[OK] web1 ") and line.endswith(f"PID {bed.qemu_pid('web1')}") for line in output.lines
    )


def test_what_only_root_may_see_is_left_out(bed: Bed) -> None:
    state = WORK / "nobody"
    state.mkdir(mode=0o777)
    state.chmod(0o777)
    ran = as_nobody("check_kvm.process", "-d", "web1", "--state-dir", str(state))
    output = conforming(ran.stdout, ran.returncode)
    known = {label for label, value in output.perfdata.items() if not math.isnan(value)}
    assert known == {"cpu", "rss", "threads", "swap"}
    assert output.status == "OK"
    assert output.text.endswith("only root sees read, write and files"), output.text


def test_snapshots(command: Command, bed: Bed) -> None:
    name, image = "snap1", WORK / "snap1.qcow2"
    qcow2(image, "16M")
    domain = bed.define(guest(name, devices=disk(image, "vda")), start=False)
    try:
        domain.snapshotCreateXML("<domainsnapshot><name>before</name></domainsnapshot>")
        ran = command("check_kvm_snapshot", "-d", name)
        output = conforming(ran.out, ran.code)
        assert output.status == "OK"
        assert output.perfdata["count"] == 1
        assert output.perfdata["age"] < 60
        later = command("check_kvm_snapshot", "-d", name, env=bed.later(8 * 86400))
        assert conforming(later.out, later.code).status == "WARNING"
        assert f"{name} the oldest 8 d old (over 7 d)" in later.first
        none = command("check_kvm_snapshot", "-d", "web1", "-c", "count=1:")
        assert none.first.startswith("KVM_SNAPSHOT CRITICAL - web1 no snapshots (under 1)")
    finally:
        for snapshot in domain.listAllSnapshots():
            snapshot.delete()
        bed.remove(name)


def test_guest_agent(command: Command) -> None:
    ran = command("check_kvm_agent", "-v")
    output = conforming(ran.out, ran.code)
    assert output.status == "OK"
    assert "[OK] web1 guest agent connected" in output.lines
    assert "[OK] idle1 has no channel for a guest agent" in output.lines
    assert not any(ODD_NAME in line and "not connected" in line for line in output.lines)
    asked = command("check_kvm_agent", "-d", "web1", "--guest-agent", "-v")
    values = conforming(asked.out, asked.code).perfdata
    assert values, asked.out
    assert all(label.endswith(".filesystem") for label in values)
