"""QEMU processes that are no domain's, by a /proc and pid files of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from zabbix_kvm import master

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.reading.listing import Survey
from kvmwatch.reading.strays import with_strays

QEMU = "qemu-system-x86"
NO_GROUP = "/user.slice/session-3.scope"


class Listed:
    """A domain as libvirt's binding has it."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.UUIDString, self.ID = lambda: name, lambda: name, lambda: number


class Machine:
    """Processes and pid files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.run = folder / "proc", folder / "run"
        self.domains: list[Any] = []
        self.held: dict[str, tuple[str, float]] = {}
        for made in (self.proc, self.run, self.proc / "self"):
            made.mkdir()

    def process(self, pid: int, name: str = QEMU, parent: int = 1, cgroup: str = NO_GROUP) -> None:
        (self.proc / str(pid)).mkdir()
        before, behind = " 0" * 17, " 0" * 30
        (self.proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent}{before} 4200{behind}\n")
        (self.proc / str(pid) / "cgroup").write_bytes(f"0::{cgroup}\n".encode())

    def domain(self, name: str, number: int, pid: int | None = None, state: int = states.RUNNING) -> None:
        self.domains.append((Listed(name, number), {"state.state": state, "state.reason": 1}))
        if pid is not None:
            (self.run / f"{name}.pid").write_text(str(pid))

    def strays(self, uri: str = "qemu:///system") -> tuple[list[tuple[int, str | None]] | None, Snapshot]:
        survey = Survey(self.domains, {}, self.held)
        snapshot = with_strays(Snapshot(uri, 0, 0), survey, self.proc, (self.run,))
        if any(part.group is Group.STRAYS for part in snapshot.unread):
            return None, snapshot
        return [(process.pid, process.name) for process in snapshot.processes], snapshot


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.process(1, "systemd", 0)
    made.process(77, "kvm-nx-lpage-recovery", 2)
    return made


def test_by_pid_file_and_by_control_group(machine: Machine) -> None:
    machine.process(10)
    machine.domain("web1", 3, 10)
    machine.process(11, cgroup="/machine.slice/machine-qemu\\x2d4\\x2ddb1.scope")
    machine.domain("db1", 4)
    machine.process(12)
    found, snapshot = machine.strays()
    assert found == [(12, QEMU)]
    assert master.document(snapshot)["strays"] == f"PID 12 ({QEMU})"


def test_nobody_can_call_his_control_group_like_one_of_libvirts(machine: Machine) -> None:
    machine.domain("db1", 4)
    machine.process(11, cgroup="/machine.slice/machine-qemu\\x2d4\\x2ddb1.scope")
    machine.process(12, cgroup="/user.slice/mine\r0::/machine.slice/machine-qemu\\x2d4\\x2ddb1.scope")
    assert machine.strays()[0] == [(12, QEMU)]


@pytest.mark.parametrize(("name", "is_one"), [
    ("qemu-system-x86", True), ("qemu-kvm", True), ("kvm", True), ("kvm-spice", True),
    ("kvmwatch", False), ("kvmwatch-exporter", False), ("check_kvm_state", False), ("qemu-ga", False), ("qemu-img", False),
])  # fmt: skip
def test_what_is_called_as_a_qemu_is(machine: Machine, name: str, is_one: bool) -> None:
    machine.process(14, name)
    assert machine.strays()[0] == ([(14, name)] if is_one else [])


def test_none_is_said_to_be_none(machine: Machine) -> None:
    machine.domain("off1", -1, state=states.SHUTOFF)
    found, snapshot = machine.strays()
    assert found == []
    assert master.document(snapshot)["strays"] == ""


def test_what_a_qemu_or_its_script_has_started_is_none(machine: Machine) -> None:
    machine.process(10)
    machine.process(13, parent=10)
    machine.domain("web1", 3, 10)
    machine.process(20, "bash")
    machine.process(21, parent=20)
    machine.domain("wrapped", 4, 20)
    assert machine.strays()[0] == []


@pytest.mark.parametrize("pid", [None, 1, 999])
def test_while_one_is_not_found_nothing_is_said(machine: Machine, pid: int | None) -> None:
    machine.process(10)
    machine.domain("web1", 3, pid)
    found, snapshot = machine.strays()
    assert found is None
    document = master.document(snapshot)
    assert "strays" not in document
    assert document["unread"]["count"] == 0


def test_one_that_is_held_has_its_process(machine: Machine) -> None:
    machine.process(10)
    (machine.run / "held1.pid").write_text("10")
    machine.held["1"] = ("held1", 5.0)
    assert machine.strays()[0] == []


@pytest.mark.parametrize("uri", ["qemu+ssh://kvm@other/system", "test:///default"])
def test_elsewhere_nothing_is_said(machine: Machine, uri: str) -> None:
    machine.process(12)
    found, snapshot = machine.strays(uri)
    assert found is None
    assert json.dumps(master.document(snapshot)).find("strays") < 0
