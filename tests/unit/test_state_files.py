"""Whatever lies where a file of ours should be: it costs what the file was to tell, never more."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from check_kvm.frame.judging import all_checks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvmwatch.command import state_files
from kvmwatch.command.history import History
from kvmwatch.command.watchdog import Stopped
from kvmwatch.model.rates import Sample, samples, with_rates
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot

NOBODY = 65534
SAMPLES = {"uuid": Sample(100.25, 1, {"cpu_time": 1.5}), "host": Sample(100.0, None, {"cpu_user": 7})}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def kept(folder: Path) -> History:
    return History(str(folder), "kvm_cpu", "test:///default", Selection())


def written(folder: Path) -> Path:
    """The file of :func:`kept`, with samples in it."""
    assert kept(folder).save(SAMPLES) is None
    (file,) = (path for path in folder.iterdir() if path.name.startswith("kvm_cpu-"))
    return file


def in_time(function: Callable[[], Any]) -> Any:
    """What a function gives; one that hangs fails, and is left behind."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(function()), daemon=True)
    thread.start()
    thread.join(30)
    assert given, "it hangs, or has raised"
    return given[0]


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may write into and, as /tmp, remove only its own from."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        yield Path(folder)


def _sparse(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(1 << 30)


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(file.parent)  # its path is too long for a socket's address
        made.bind(file.name)


def _folder_with_a_file(file: Path) -> None:
    file.mkdir()
    (file / "of somebody").touch()


def _device(file: Path) -> None:
    try:
        os.mknod(file, 0o020666, os.makedev(1, 5))  # /dev/zero, which has no end
    except PermissionError:
        pytest.skip("only root can make a device, and not in every container")


def _of_another_user(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    stored = json.dumps({"format": 2, "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()})
    file.write_text(stored[:-1] + ', "samples": {"uuid": [1, 1, {"cpu_time": 1}]}}')
    file.chmod(0o666)
    os.chown(file, NOBODY, NOBODY)


def _unreadable(file: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can read every file")
    file.touch(0o000)


IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "folder": lambda file: file.mkdir(),
    "folder with a file": _folder_with_a_file,
    "link to nothing": lambda file: file.symlink_to("nothing"),
    "link to itself": lambda file: file.symlink_to(file),
    "link to a folder": lambda file: file.symlink_to("/"),
    "link to a device without end": lambda file: file.symlink_to("/dev/zero"),
    "device": _device,
    "socket": _socket,
    "1 GiB": _sparse,
    "file of another user": _of_another_user,
    "file that cannot be read": _unreadable,
    "no UTF-8": lambda file: file.write_bytes(b"\xff\xfe{}"),
    "only zeros, as after a crash": lambda file: file.write_bytes(bytes(4096)),
    "no end": lambda file: file.write_text("[" * 100_000),
    "a number without end": lambda file: file.write_text("9" * 100_000),
}


@pytest.mark.parametrize("put", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_what_is_in_the_way_costs_the_rates_at_most(
    tmp_path: Path, put: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # and back
    file = written(tmp_path)
    file.unlink()
    put(file)
    assert in_time(kept(tmp_path).load) == {}
    problem = in_time(lambda: kept(tmp_path).save(SAMPLES))
    if file.is_dir():
        assert problem == f"counters are not kept: {file}: Is a directory; remove it"
    else:
        assert problem is None
        assert kept(tmp_path).load() == SAMPLES
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_nothing_is_read_or_written_through_a_link(tmp_path: Path) -> None:
    file = written(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    before = elsewhere.read_bytes()
    file.symlink_to(elsewhere)
    assert kept(tmp_path).load() == {}
    assert kept(tmp_path).save({}) is None
    assert elsewhere.read_bytes() == before
    assert not file.is_symlink()


@pytest.mark.parametrize("where", ["FIFO", "link to nothing", "1 GiB", "link to itself"])
def test_folder_that_is_none_is_told(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "state"
    IN_THE_WAY[where](folder)
    assert in_time(kept(folder).load) == {}
    assert "--state-dir" in in_time(lambda: kept(folder).save(SAMPLES))


@needs_root
def test_folder_that_must_not_be_written_is_told(shared: Path) -> None:
    shared.chmod(0o755)
    with as_nobody():
        problem = kept(shared).save(SAMPLES)
    assert problem == (
        f"counters are not kept: {shared}: Permission denied; make it writable or give another --state-dir"
    )


@needs_root
def test_users_who_share_a_folder_are_told_to_have_one_each(shared: Path) -> None:
    file = written(shared)
    file.chmod(0o666)
    with as_nobody():
        assert kept(shared).load() == {}
        problem = kept(shared).save(SAMPLES)
    assert problem == f"counters are not kept: {file} is of user root; give each user a --state-dir of its own"
    assert kept(shared).load() == SAMPLES
    assert len(list(shared.iterdir())) == 1


def test_no_room_is_told_and_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    written(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = {f"uuid{number}": Sample(1.0, 1, {"x": 1.0}) for number in range(10_000)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        problem = kept(tmp_path).save(many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert problem == (
        f"counters are not kept: {tmp_path}: File too large; make room there or give another --state-dir"
    )
    assert kept(tmp_path).load() == SAMPLES
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EDQUOT, "make room there"),
        (errno.EROFS, "make it writable"),
        (errno.EIO, "make it writable"),
        (errno.ESTALE, "make it writable"),
    ],
)
def test_every_refusal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    problem = kept(tmp_path).save(SAMPLES)
    assert problem == (
        f"counters are not kept: {tmp_path}: {os.strerror(number)}; {advice} or give another --state-dir"
    )
    assert list(tmp_path.iterdir()) == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
#: the ways to everything in a stored file that can be of another type
PLACES = (
    *((), ("format",), ("boot",), ("samples",), ("samples", "uuid"), ("samples", "uuid", 0)),
    *(("samples", "uuid", 1), ("samples", "uuid", 2), ("samples", "uuid", 2, "cpu_time"), ("samples", "host", 0)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_wrong_types_inside_give_no_wrong_figures(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    file = written(tmp_path)
    stored: Any = json.loads(file.read_text())
    if place:
        inner = stored
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    else:
        stored = value
    file.write_text(json.dumps(stored))
    loaded = kept(tmp_path).load()
    for sample in loaded.values():
        assert type(sample.time) in (int, float)
        assert all(type(counter) in (int, float) and 0 <= counter < 1e400 for counter in sample.counters.values())
    domain = Domain("uuid", "web1", 1, 1, 1, 160.25)
    snapshot = Snapshot("test:///default", 0, 0, domains=(domain,))
    with_rates(snapshot, loaded)
    samples(snapshot)


def test_what_ends_us_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes just when the file has its place."""
    rename = os.rename

    def ended(made: str, file: str) -> None:
        rename(made, file)
        raise Stopped(15, "ended")

    monkeypatch.setattr(os, "replace", ended)
    file = tmp_path / "roster-00000000.json"
    with pytest.raises(Stopped):
        state_files.replace(str(file), "new")
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(file, "new")]


def test_a_damaged_sample_costs_only_itself(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace("100.25", '"100.25"'))
    assert kept(tmp_path).load() == {"host": SAMPLES["host"]}


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "true", '"1"', "null", "[]"])
def test_what_is_no_figure_is_not_taken_for_one(tmp_path: Path, figure: str) -> None:
    file = written(tmp_path)
    for of_file in ("100.25", "1.5"):
        file.write_text(file.read_text().replace(of_file, figure))
        assert "uuid" not in kept(tmp_path).load()
        written(tmp_path)


HASH = "89abcdef"
OLD, JUST_NOW = 8 * 86400, 0


def _touch(file: Path) -> None:
    file.write_text("{}")


@pytest.mark.parametrize(
    ("name", "make", "age", "goes"),
    [
        (f"kvm_cpu-{HASH}.json", _touch, OLD, True),
        (f"kvm_publish-{HASH}.json", _touch, OLD, True),
        (f"roster-{HASH}.json", _touch, OLD, True),
        (f"kvm_cpu-{HASH}.json", _touch, 6 * 86400, False),
        (f"kvm_cpu-{HASH}abc_1234.tmp", _touch, 7200, True),
        (f"kvm_cpu-{HASH}abc_1234.tmp", _touch, JUST_NOW, False),
        # what cannot be found out again, by the clock of a machine that was off for long, or boots
        (f"kvm_homes-{HASH}.json", _touch, 400 * 86400, False),
        (f"kvm_told-{HASH}.json", _touch, 400 * 86400, False),
        (f"kvm_homes-{HASH}abc_1234.tmp", _touch, 7200, True),
        # other people's, whatever they are called
        ("kvm.json", _touch, OLD, False),
        ("kvm_cpu.json", _touch, OLD, False),
        ("kvm-inventory.json", _touch, OLD, False),
        ("kvm_guests.tmp", _touch, OLD, False),
        (f"kvm_cpu-{HASH}.json.bak", _touch, OLD, False),
        (f"my-kvm_cpu-{HASH}.json", _touch, OLD, False),
        (f"kvm_cpu-{HASH.upper()}.json", _touch, OLD, False),
        (f"kvm_cpu-{HASH}.json\n", _touch, OLD, False),
        # of our name, and not made by us
        (f"kvm_cpu-{HASH}.json", Path.mkdir, OLD, False),
        (f"kvm_cpu-{HASH}.json", os.mkfifo, OLD, False),
        (f"kvm_cpu-{HASH}.json", lambda file: file.symlink_to("/etc/passwd"), OLD, False),
        pytest.param(f"kvm_cpu-{HASH}.json", _of_another_user, OLD, False, marks=needs_root),
    ],
)
def test_only_our_own_old_files_are_removed(
    tmp_path: Path, name: str, make: Callable[[Path], object], age: float, goes: bool
) -> None:
    file = tmp_path / name
    make(file)
    then = time.time() - age
    os.utime(file, (then, then), follow_symlinks=False)
    assert History(str(tmp_path), "kvm_disk", "test:///default", Selection()).save({}) is None
    assert os.path.lexists(file) is not goes


def test_a_folder_is_tidied_again_on_another_day(tmp_path: Path) -> None:
    file, left = written(tmp_path), tmp_path / f"kvm_cpu-{HASH}abc_1234.tmp"
    left.touch()
    os.utime(left, (0, 0))
    assert kept(tmp_path).save({}) is None
    assert left.exists(), "looked through once a day, not in every run"
    os.utime(file, (time.time() - 86400,) * 2)
    assert kept(tmp_path).save({}) is None
    assert not left.exists()


def test_every_kind_of_file_is_known_as_ours() -> None:
    for kind in [*(f"kvm_{check.name}" for check in all_checks()), "kvm_publish", "roster"]:
        assert state_files.path("/x", kind, "qemu:///system").startswith(f"/x/{kind}-")
    with pytest.raises(ValueError, match="tidy"):
        state_files.path("/x", "notes", "qemu:///system")


def test_machines_that_share_a_home_do_not_take_each_others_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each calls its own libvirt qemu:///system, and found that of another boot: all was first seen just now."""
    name = os.uname()
    paths = set()
    for machine in ("kvm1", "kvm2"):
        monkeypatch.setattr(os, "uname", lambda called=machine: os.uname_result((name[0], called, *name[2:])))
        paths |= {state_files.path(str(tmp_path), kind, "qemu:///system") for kind in ("roster", "kvm_state")}
    assert len(paths) == 4
