"""When a QEMU was started: told of the process that libvirt's pid file names, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain
from kvmwatch.reading import pid_files, starts

BOOT = 1_795_000_000
TICKS = 100
URI = "qemu:///system"


@pytest.fixture(autouse=True)
def hertz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: TICKS if name == "SC_CLK_TCK" else 0)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "stat").write_text(f"cpu  1 2 3\nintr 0\nbtime {BOOT}\nprocesses 9\n")
    return folder


def process(proc: Path, pid: int, name: str, second: float, cgroup: str = "0::/user.slice\n") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    rest = " ".join(["S", *["0"] * 18, str(int(second * TICKS)), *["0"] * 30])
    (folder / "stat").write_text(f"{pid} ({name}) {rest}\n")
    (folder / "cgroup").write_text(cgroup)


def pid_file(tmp_path: Path, text: str, name: str = "web1") -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / f"{name}.pid").write_text(text)
    return folder


def domain(state: int = states.RUNNING) -> Domain:
    return Domain("u", "web1", 3 if state != states.SHUTOFF else None, state, 1, 1000.0)


def started(proc: Path, run: Path, uri: str = URI, state: int = states.RUNNING) -> Domain:
    (found,) = starts.with_starts((domain(state),), uri, proc, (run,))
    return found


OURS = "0::/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope/libvirt/emulator\n"


@pytest.mark.parametrize(
    ("name", "cgroup"),
    [("qemu-system-x86", "0::/"), ("CPU 0/KVM) (odd", OURS), ("kvm", "0::/"), ("renamed", OURS)],
    ids=["by its name", "by its group, with a name like this", "kvm", "renamed"],
)
def test_of_a_running_domain(proc: Path, tmp_path: Path, name: str, cgroup: str) -> None:
    process(proc, 4711, name, 86_400.5, cgroup)
    found = started(proc, pid_file(tmp_path, "4711\n"))
    assert (found.stats.started, found.unread) == (BOOT + 86_400, ())


def test_a_process_of_another_pid_namespace_is_not_taken_for_it(proc: Path, tmp_path: Path) -> None:
    process(proc, 4711, "bash", 10)
    assert started(proc, pid_file(tmp_path, "4711\n")) == domain()


@pytest.mark.parametrize("text", [None, "4711\n"], ids=["no pid file", "the process is hidden or has ended"])
def test_what_cannot_be_seen_is_not_known_and_no_fault(proc: Path, tmp_path: Path, text: str | None) -> None:
    run = tmp_path / "nothing" if text is None else pid_file(tmp_path, text)
    assert started(proc, run) == domain()


@pytest.mark.parametrize("text", ["", "x\n", "-1\n", "99999999999\n"])
def test_a_damaged_pid_file_is_said(proc: Path, tmp_path: Path, text: str) -> None:
    found = started(proc, pid_file(tmp_path, text))
    assert found.stats.started is None
    (unread,) = found.unread
    assert unread.group is Group.STARTED
    assert "holds no PID" in unread.text


@pytest.mark.parametrize("stat", ["cpu 1\n", "cpu 1\nbtime x\n", None])
def test_without_the_time_of_the_boot_it_is_said(proc: Path, tmp_path: Path, stat: str | None) -> None:
    process(proc, 4711, "qemu-kvm", 10)
    (proc / "stat").unlink()
    if stat is not None:
        (proc / "stat").write_text(stat)
    found = started(proc, pid_file(tmp_path, "4711\n"))
    assert found.stats.started is None
    assert [unread.group for unread in found.unread] == [Group.STARTED]


@pytest.mark.parametrize("uri", ["qemu+ssh://kvm2/system", "test:///default", "lxc:///system"])
def test_nothing_is_looked_at_for_what_is_no_qemu_of_this_machine(proc: Path, tmp_path: Path, uri: str) -> None:
    process(proc, 4711, "qemu-kvm", 10)
    assert started(proc, pid_file(tmp_path, "4711\n"), uri) == domain()


def test_one_that_is_shut_off_has_none(proc: Path, tmp_path: Path) -> None:
    process(proc, 4711, "qemu-kvm", 10)
    found = started(proc, pid_file(tmp_path, "4711\n"), state=states.SHUTOFF)
    assert found == domain(states.SHUTOFF)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("web1", "web1"),
        ("""VM "01" it's <a> & b""", "VM &quot;01&quot; it&apos;s &lt;a&gt; &amp; b"),  # as libvirt 9.0 writes it
        ("""VM "01" it's <a> & b""", """VM "01" it's <a> & b"""),
        ("a&quot;b", "a&amp;quot;b"),
    ],
)
def test_the_pid_file_of_a_name_that_xml_would_escape(tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / f"{file}.pid").write_text("4711\n")
    (tmp_path / "a&quot;b.pid").write_text("1\n")  # of a"b
    assert pid_files.pid_file(name, (tmp_path,))[1] == 4711
