"""CPU times that the kernel tells are those of this run of the domain; what is not as expected is left to libvirt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kvmwatch.reading import cpu_times
from kvmwatch.reading.cpu_times import CpuTimes

PID, NUMBER = 4711, 3
GROUP = "machine.slice/machine-qemu\\x2d3\\x2dweb1.scope/libvirt"
TICKS = 100  # in a second


class Machine:
    """A copy in files of what a kernel and libvirt show of one domain, with vCPUs 0 and 5."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.root, self.run = folder / "proc", folder / "cgroup", folder / "run"
        self.group = self.root / GROUP
        self.write(self.run / "web1.pid", f"{PID}\n")
        self.write(self.root / "cgroup.controllers", "cpu\n")
        self.of_process(f"1:cpu:/elsewhere\n0::/{GROUP}/emulator\n")
        self.write(self.group / "cpu.stat", "usage_usec 90\nuser_usec 60\nsystem_usec 30\nnr_periods 0\n")
        (self.group / "emulator").mkdir()
        self.vcpu(0, "CPU 0/KVM", 31, [1, 2])
        self.vcpu(5, "CPU 5/KVM", 32, [30, 40])

    def write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def of_process(self, cgroup: str) -> None:
        self.write(self.proc / str(PID) / "cgroup", cgroup)

    def vcpu(self, number: int, name: str, thread: int, ticks: list[int]) -> None:
        threads = self.group / f"vcpu{number}" / "cgroup.threads"
        self.write(threads, (threads.read_text() if threads.exists() else "") + f"{thread}\n")
        task = self.proc / str(PID) / "task" / str(thread)
        self.write(task / "stat", f"{thread} ({name}) S {'0 ' * 10}{ticks[0]} {ticks[1]} {'0 ' * 37}\n")
        self.write(task / "schedstat", f"1 {thread * 1000} 7\n")

    def told(self, uri: str = "qemu:///system", name: str = "web1", number: int = NUMBER) -> dict[str, int] | None:
        return CpuTimes(uri, self.proc, (self.root / "unified", self.root), (self.run,)).of(name, number)


TOLD = {
    "cpu.time": 90_000,
    "cpu.user": 60_000,
    "cpu.system": 30_000,
    "vcpu.current": 2,
    "vcpu.0.time": 3 * 1_000_000_000 // TICKS,
    "vcpu.0.delay": 31_000,
    "vcpu.5.time": 70 * 1_000_000_000 // TICKS,
    "vcpu.5.delay": 32_000,
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_fields_are_those_of_libvirt(machine: Machine) -> None:
    assert machine.told() == TOLD


@pytest.mark.parametrize("name", ["kvm-nx-lpage-re", "iou-wrk-31", "a) S 1 (b"])
def test_a_helper_of_the_kernel_beside_a_vcpu_is_none(machine: Machine, name: str) -> None:
    machine.vcpu(0, name, 77, [1000, 1000])
    assert machine.told() == TOLD


def test_what_was_found_once_is_as_it_is_now(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    # not every file system counts what is in a folder, as the kernel's own do
    monkeypatch.setattr(cpu_times, "_links", lambda group: len(os.listdir(group)))
    machine.told()
    machine.vcpu(6, "CPU 6/KVM", 33, [5, 0])  # plugged
    plugged = {"vcpu.current": 3, "vcpu.6.time": 50_000_000, "vcpu.6.delay": 33_000}
    assert machine.told() == TOLD | plugged
    shutil.rmtree(machine.group / "vcpu6")
    assert machine.told() == TOLD
    (machine.proc / str(PID)).rename(
        machine.proc / "4712"
    )  # its libvirtd counts from 1 again, and so it got the same number
    machine.write(machine.run / "web1.pid", "4712\n")
    assert machine.told() == TOLD


def _of_version_1(machine: Machine) -> None:
    (machine.root / "cgroup.controllers").unlink()


def _elsewhere(machine: Machine) -> None:
    machine.of_process("0::/user.slice/machine-qemu\\x2d3\\x2dweb1.scope\n")


def _of_the_next_run(machine: Machine) -> None:
    machine.of_process(f"0::/{GROUP.replace('2d3', '2d4')}/emulator\n")


def _in_lines(machine: Machine) -> None:
    machine.of_process("0::/user.slice/x\r0::/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope\n")


def _of_a_wrapper(machine: Machine) -> None:
    shutil.rmtree(machine.proc / str(PID) / "task")


def _without_groups_of_vcpus(machine: Machine) -> None:
    shutil.rmtree(machine.group / "vcpu0")
    shutil.rmtree(machine.group / "vcpu5")


def _a_vcpu_that_ended(machine: Machine) -> None:
    (machine.group / "vcpu5" / "cgroup.threads").write_text("")


def _in_no_namespace_of_ours(machine: Machine) -> None:
    (machine.group / "vcpu5" / "cgroup.threads").write_text("0\n0\n")


def _old_kernel(machine: Machine) -> None:
    (machine.group / "cpu.stat").write_text("nr_periods 0\n")


def _no_pid(machine: Machine) -> None:
    (machine.run / "web1.pid").write_text("x\n")


def _ended(machine: Machine) -> None:
    shutil.rmtree(machine.group)


@pytest.mark.parametrize(
    "changed",
    [
        _of_version_1, _elsewhere, _of_the_next_run, _in_lines, _of_a_wrapper, _without_groups_of_vcpus,
        _a_vcpu_that_ended, _in_no_namespace_of_ours, _old_kernel, _no_pid, _ended,
    ],
)  # fmt: skip
def test_what_is_not_as_expected_is_left_to_libvirt(machine: Machine, changed: Callable[[Machine], None]) -> None:
    changed(machine)
    assert machine.told() is None


@pytest.mark.parametrize("uri", ["qemu+ssh://kvm2/system", "test:///default", "lxc:///system", "xen:///system"])
def test_another_machine_or_driver_is_left_to_libvirt(machine: Machine, uri: str) -> None:
    assert machine.told(uri) is None


def test_another_domain_is_left_to_libvirt(machine: Machine) -> None:
    assert machine.told(name="web2") is None
