"""Which process is a VM's: real processes that say what they like, and what libvirt wrote of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from check_kvm.frame import output, plugin
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.process import CHECK

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import ProcessStats
from kvmwatch.model.rates import samples, with_rates
from kvmwatch.model.snapshot import Domain, Process, Snapshot, Unread
from kvmwatch.reading import emulators, pid_files
from kvmwatch.reading.listing import Survey
from kvmwatch.reading.processes import with_processes

# each looks at all processes of this machine, and would see those of another
pytestmark = pytest.mark.together
#: the processes of these tests alone have it, whatever else runs on this machine
UUID, OTHER = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {os.getpid()}")) for name in ("web1", "another"))
SLEEP = "import sys, time; print(flush=True); time.sleep(600)"
#: an emulator that is a script and waits for QEMU instead of becoming it
WRAP = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1], *sys.argv[2:]]); "
    "sys.exit(p.wait())"
)
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that does nothing, under a name and with arguments that can be anything."""
    started: list[subprocess.Popen[bytes]] = []

    def run(name: str, *arguments: str, code: tuple[str, ...] = (SLEEP,)) -> subprocess.Popen[bytes]:
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        if not program.exists():
            program.symlink_to(sys.executable)  # the kernel takes the process's name from the link's
        process = subprocess.Popen(
            [program, "-c", *code, *arguments], stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n", "it runs"
        return process

    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Listed:
    """A domain as libvirt's binding has it."""

    def __init__(self, name: str, its_uuid: str = UUID, number: int = 3) -> None:
        self.name, self.UUIDString, self.ID = lambda: name, lambda: its_uuid, lambda: number


class Libvirt:
    """A hypervisor whose domains are listed again when a process is missing."""

    def __init__(self, uri: str = "qemu:///system", later: list[Any] | None = None) -> None:
        self.uri = uri
        self._later = later

    def again(self) -> Survey:
        assert self._later is not None, "nothing was missing"
        return Survey(self._later, {})


def survey(*domains: Listed, state: int = states.RUNNING) -> list[Any]:
    return [(domain, {"state.state": state, "state.reason": 1}) for domain in domains]


def read(
    folder: Path,
    surveyed: list[Any],
    later: list[Any] | None = None,
    strays: bool = True,
    uri: str = "qemu:///system",
) -> Snapshot:
    looked_at = tuple(
        Domain(d.UUIDString(), d.name(), d.ID(), fields["state.state"], 1, 0.0) for d, fields in surveyed
    )
    snapshot = Snapshot(uri, 0, 0, domains=looked_at)
    hypervisor: Any = Libvirt(uri, surveyed if later is None else later)
    folders = (folder / "none", folder)
    return with_processes(hypervisor, snapshot, Survey(surveyed, {}), hypervisor.again, strays, folders)


def pids(snapshot: Snapshot, known: bool) -> list[int]:
    """The PIDs of our processes; others of this machine may run real QEMUs."""
    ours = (process for process in snapshot.processes if process.uuid in (UUID, OTHER))
    return [process.pid for process in ours if process.known is known]


def judged(snapshot: Snapshot) -> tuple[str, int]:
    """The check's output of what is ours."""
    ours = tuple(process for process in snapshot.processes if process.uuid in (UUID, OTHER))
    thresholds = plugin.checked_thresholds(CHECK, SiteConfig())
    verdict = plugin.judged(CHECK, snapshot._replace(processes=ours), thresholds)
    return output.render("process", verdict, output.Style(verbose=1))


@pytest.mark.parametrize("written", [str.lower, str.upper])
@pytest.mark.parametrize("emulator", ["qemu-system-x86_64", "kvm", "my-emulator", "python3"])
@pytest.mark.parametrize("name", ["web1", 'Büro VM "01"', "a" * 240, "-x", "..", "it's $(odd)"])
def test_what_libvirt_started_is_found_whatever_it_is_called(
    tmp_path: Path, start: Start, emulator: str, name: str, written: Callable[[str], str]
) -> None:
    process = start(emulator, "-name", f"guest={name},debug-threads=on", "-uuid", written(UUID))
    (tmp_path / f"{name}.pid").write_text(f"{process.pid}\n")
    snapshot = read(tmp_path, survey(Listed(name)))
    assert pids(snapshot, known=True) == [process.pid]
    assert pids(snapshot, known=False) == []
    (of_vm,) = (found for found in snapshot.processes if found.known)
    assert (of_vm.uuid, of_vm.name) == (UUID, name)
    assert of_vm.stats.rss == pytest.approx(psutil.Process(process.pid).memory_info().rss, rel=0.2)
    text, code = judged(snapshot)
    assert (code, f"PID {process.pid}" in text) == (0, True)


def test_one_that_says_it_is_a_vm_is_a_stray_and_its_figures_are_nobodys(tmp_path: Path, start: Start) -> None:
    real = start("my-emulator", "-name", "guest=web1", "-uuid", UUID)
    fake = start("kvm-fake", "-name", "guest=web1", "-uuid", UUID)
    (tmp_path / "web1.pid").write_text(str(real.pid))
    snapshot = read(tmp_path, survey(Listed("web1")))
    assert pids(snapshot, known=True) == [real.pid]
    assert pids(snapshot, known=False) == [fake.pid]
    text, code = judged(snapshot)
    assert code == 1
    assert f"QEMU process {fake.pid} (web1) claims the UUID of web1, but libvirt did not start it" in text
    assert f"PID {fake.pid}" not in text
    assert pids(read(tmp_path, survey(Listed("web1")), strays=False), known=False) == [fake.pid]


def test_one_that_claims_a_vm_which_is_not_looked_at_is_left_out(tmp_path: Path, start: Start) -> None:
    fake = start("kvm-fake", "-name", "guest=web1", "-uuid", OTHER)
    surveyed = survey(Listed("web1", number=3), Listed("db1", OTHER, 4))
    everything = read(tmp_path, surveyed)
    assert pids(everything, known=False) == [fake.pid]
    hypervisor: Any = Libvirt(later=surveyed)
    web1 = everything._replace(domains=everything.domains[:1])
    for strays in (True, False):
        found = with_processes(hypervisor, web1, Survey(surveyed, {}), hypervisor.again, strays, (tmp_path,))
        assert pids(found, known=False) == []


def test_one_without_a_name_is_told_and_one_that_is_only_asked_what_it_can_do_is_not(
    tmp_path: Path, start: Start
) -> None:
    stray = start("qemu-system-x86_64", "-S", "-display", "none")
    asked = start("qemu-system-x86_64", "-S", "-nodefaults", "-machine", "none,accel=kvm:tcg")
    found = {process.pid for process in read(tmp_path, []).processes}
    assert found & {stray.pid, asked.pid} == {stray.pid}


def test_a_stray_without_a_vm_is_told_unless_only_some_were_asked_for(tmp_path: Path, start: Start) -> None:
    stray = start("qemu-system-x86_64", "-name", "guest=by hand,,2,debug-threads=on", "-uuid", OTHER)
    found = read(tmp_path, [])
    assert pids(found, known=False) == [stray.pid]
    text, code = judged(found)
    assert code == 1
    assert (
        f"QEMU process {stray.pid} (by hand,2) is not one of this libvirt's: started by hand, by another" in text
    )
    assert pids(read(tmp_path, [], strays=False), known=False) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "libvirt has no pid file "),
        ("", " holds no PID"),
        ("12 34", " holds no PID"),
        ("-1", " holds no PID"),
        ("0", " holds no PID"),
        ("9" * 30, " holds no PID"),
        ("²", " holds no PID"),
        ("{ended}", " has ended"),
        ("{another}", " is another process, without -uuid "),
        ("{self}", " is another process, without -uuid "),
    ],
)
def test_a_running_vm_without_a_process_is_unknown_with_the_reason(
    tmp_path: Path, start: Start, content: str | None, why: str
) -> None:
    fake = start("kvm-fake", "-uuid", UUID)
    another = start("qemu-system-x86_64", "-uuid", OTHER)
    ended = subprocess.Popen(["true"])
    ended.wait()
    if content is not None:
        text = content.format(ended=ended.pid, another=another.pid, self=os.getpid())
        (tmp_path / "web1.pid").write_text(text)
    snapshot = read(tmp_path, survey(Listed("web1")))
    assert pids(snapshot, known=True) == []
    text, code = judged(snapshot)
    assert code == 3
    assert "web1 has no QEMU process that could be found: " in text
    assert why in text
    assert f"{fake.pid} ({UUID[:8]}" in text
    assert "claims the UUID of web1, and nothing shows that libvirt started it" in text


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda file: file.symlink_to("/dev/zero")])
def test_what_is_no_pid_file_does_not_hold_the_check(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "web1.pid")
    (domain,) = read(tmp_path, survey(Listed("web1"))).domains
    assert "web1.pid" in domain.unread[0].why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_pid_file_that_must_not_be_read_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # pytest's own is for this user alone
        file = Path(folder, "web1.pid")
        file.write_text("1")
        file.chmod(0o600)
        os.seteuid(65534)
        try:
            (domain,) = read(Path(folder), survey(Listed("web1"))).domains
        finally:
            os.seteuid(0)
    assert domain.unread[0].why.endswith(f"{file}: Permission denied")


def test_a_vm_that_has_just_ended_is_no_fault(tmp_path: Path) -> None:
    surveyed = survey(Listed("web1"))
    for later in ([], survey(Listed("web1", number=-1), state=states.SHUTOFF)):
        snapshot = read(tmp_path, surveyed, later)
        assert [domain.active for domain in snapshot.domains] == [False] * len(later)
        assert judged(snapshot)[1] == 0


def test_a_vm_that_has_just_started_anew_is_looked_for_again(tmp_path: Path, start: Start) -> None:
    before, after = survey(Listed("web1", number=3)), survey(Listed("web1", number=4))
    hypervisor: Any = Libvirt()
    process = start("my-emulator", "-uuid", UUID)

    def again() -> Survey:
        (tmp_path / "web1.pid").write_text(str(process.pid))
        return Survey(after, {})

    snapshot = Snapshot("qemu:///system", 0, 0, domains=(Domain(UUID, "web1", 3, 1, 1, 0.0),))
    found = with_processes(hypervisor, snapshot, Survey(before, {}), again, folders=(tmp_path,))
    # the id stays that of the run whose statistics were read
    assert [(domain.id, domain.unread) for domain in found.domains] == [(3, ())]
    assert pids(found, known=True) == [process.pid]


@pytest.mark.parametrize("defined", [True, False], ids=["that was off", "that was not there"])
def test_a_vm_that_has_just_started_is_no_stray(tmp_path: Path, start: Start, defined: bool) -> None:
    process = start("qemu-system-x86_64", "-uuid", UUID)
    (tmp_path / "web1.pid").write_text(str(process.pid))
    before = survey(Listed("web1", number=-1), state=states.SHUTOFF) if defined else []
    snapshot = read(tmp_path, before, survey(Listed("web1")))
    assert [domain.active for domain in snapshot.domains] == [False] * len(before)
    assert pids(snapshot, known=False) == []
    assert judged(snapshot)[1] == 0


def test_a_vm_that_is_off_is_not_looked_for(tmp_path: Path) -> None:
    off = survey(Listed("web1", number=-1), state=states.SHUTOFF)
    (domain,) = read(tmp_path, off).domains
    assert domain.unread == ()


def test_the_qemu_of_an_emulator_that_is_a_script(tmp_path: Path, start: Start) -> None:
    script = start("emulator.sh", SLEEP, "-name", "guest=web1", "-uuid", UUID, code=(WRAP,))
    (tmp_path / "web1.pid").write_text(str(script.pid))
    (qemu,) = psutil.Process(script.pid).children()
    snapshot = read(tmp_path, survey(Listed("web1")))
    assert pids(snapshot, known=True) == [qemu.pid]
    assert pids(snapshot, known=False) == []


def test_the_control_group_tells_where_there_is_no_pid_file(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = start("my-emulator", "-uuid", UUID), start("kvm-fake", "-uuid", UUID)
    monkeypatch.setattr(emulators, "run_of", {real.pid: 3, fake.pid: None}.get)
    snapshot = read(tmp_path, survey(Listed("web1", number=3)))
    assert pids(snapshot, known=True) == [real.pid]
    assert pids(snapshot, known=False) == [fake.pid]
    assert pids(read(tmp_path, survey(Listed("web1", number=4))), known=True) == [], "of an earlier run"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"0::/machine.slice/machine-qemu\x2d3\x2dweb1.scope/libvirt/emulator", 3),
        (r"0::/machine.slice/machine-qemu\x2d12\x2dweb1.scope", 12),
        (r"0::/machine.slice/machine-production.slice/machine-qemu\x2d3\x2dweb1.scope/libvirt", 3),
        ("12:cpu,cpuacct:/user.slice\n5:memory:/machine/qemu-3-web1.libvirt-qemu/emulator", 3),
        ("5:memory:/machine/production.partition/qemu-3-web1.libvirt-qemu", 3),
        # whoever was given a part of the tree may call what is in it anything
        (r"0::/user.slice/user-1000.slice/machine.slice/machine-qemu\x2d3\x2dweb1.scope", None),
        (r"0::/user.slice/user-1000.slice/machine-qemu\x2d3\x2dweb1.scope", None),
        (r"0::/machine.slice/machine-lxc\x2d3\x2dweb1.scope", None),
        (r"0::/machines/machine-qemu\x2d3\x2dweb1.scope", None),
        ("0::/user.slice/mine\r0::/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope", None),
        ("0::/user.slice/mine\x850::/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope", None),
        ("0::/init.scope", None),
        ("", None),
    ],
)
def test_number_of_the_run_in_a_control_group(text: str, number: int | None, tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_bytes(text.encode())
    assert pid_files.run_of(7, tmp_path) == number


def test_who_has_ended_is_in_no_control_group(tmp_path: Path) -> None:
    assert pid_files.run_of(7, tmp_path) is None


def test_other_drivers_cannot_have_one(tmp_path: Path, start: Start) -> None:
    process = start("my-emulator", "-uuid", UUID)
    (tmp_path / "web1.pid").write_text(str(process.pid))
    snapshot = read(tmp_path, survey(Listed("web1")), uri="lxc:///system")
    text, code = judged(snapshot)
    assert (code, "web1 cannot have a QEMU process" in text) == (0, True)
    with pytest.raises(KvmwatchError, match="only on their own machine"):
        read(tmp_path, [], uri="qemu+ssh://kvm1/system")


def test_pid_files_of_a_user_are_in_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/a/.cache")
    assert list(pid_files.run_folders("qemu:///session")) == [
        "/run/user/1000/libvirt/qemu/run",
        "/home/a/.cache/libvirt/qemu/run",
    ]
    assert pid_files.run_folders("qemu+unix:///system?socket=/x")[0] == "/run/libvirt/qemu"


def test_start_tells_a_process_from_a_later_one_and_has_rates(tmp_path: Path, start: Start) -> None:
    process = start("my-emulator", "-uuid", UUID)
    (tmp_path / "web1.pid").write_text(str(process.pid))

    def ours() -> Process:
        (found,) = (found for found in read(tmp_path, survey(Listed("web1"))).processes if found.known)
        return found

    first, second = ours(), ours()
    assert first.started == second.started
    assert 0 < first.started <= time.clock_gettime(time.CLOCK_BOOTTIME)
    before = Snapshot("qemu:///system", 0, 0, processes=(first._replace(time=100.0),))
    for started, rated in ((first.started, True), (first.started + 0.01, False)):
        after = Snapshot("qemu:///system", 0, 0, processes=(second._replace(time=110.0, started=started),))
        assert (with_rates(after, samples(before)).processes[0].rates.cpu_time is not None) is rated


@pytest.mark.skipif(shutil.which("bash") is None, reason="exec -a is bash's")
def test_name_that_is_only_in_the_arguments_makes_no_qemu(tmp_path: Path) -> None:
    """What another user's process calls itself in argv[0] alone is not looked at: neither name nor executable."""
    command = ["bash", "-c", f"exec -a qemu-system-x86_64 {sys.executable} -c '{SLEEP}' -uuid {OTHER}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            assert pids(read(tmp_path, []), known=False) == []
        finally:
            process.kill()


def of_web1(*unread: Unread, **stats: float) -> Snapshot:
    domain = Domain(UUID, "web1", 3, states.RUNNING, 1, 0.0)
    process = Process(10, 1.0, UUID, "web1", 1.0, ProcessStats(**stats), ProcessStats(cpu_time=0.5), unread=unread)
    return Snapshot("qemu:///system", 0, 0, domains=(domain,), processes=(process,))


@pytest.mark.parametrize(("opened", "code"), [(0, 0), (800, 0), (801, 1), (950, 1), (951, 2), (1000, 2)])
def test_files_are_judged_against_their_limit(opened: int, code: int) -> None:
    text, found = judged(of_web1(open_files=opened, files_limit=1000))
    assert (found, f"files usage {opened // 10}" in text or code > 0) == (code, True)


def test_files_without_a_limit_are_never_too_many() -> None:
    text, code = judged(of_web1(open_files=10**6))
    assert (code, "files usage" in text) == (0, False)


@pytest.mark.parametrize(
    ("warning", "code"),
    [
        ((), 0),
        (("files=100",), 3),
        (("write=1M",), 3),
        (("files_usage=50",), 3),
        (("files_usage=80",), 0),  # the default, of which nobody is sure to have thought
        (("files_usage=",), 3),  # the default for critical is still there
        (("rss=1G",), 0),
    ],
)
def test_what_only_root_sees_is_unknown_to_who_has_a_threshold_on_it(warning: tuple[str, ...], code: int) -> None:
    hidden = Unread(Group.PROCESSES, "what it reads, writes and has open", "the kernel shows it to root only")
    thresholds = plugin.checked_thresholds(CHECK, SiteConfig(), warning)
    text, found = output.render("process", plugin.judged(CHECK, of_web1(hidden, rss=1 << 29), thresholds))
    assert found == code
    assert "only root sees read, write and files" in text.splitlines()[0]
    unkept = of_web1(hidden)._replace(note="counters are not kept")
    assert plugin.judged(CHECK, unkept, thresholds).note == (
        "only root sees read, write and files; counters are not kept"
    )
