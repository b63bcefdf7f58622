"""The path of a storage pool on this machine, with real directories and the mounts that there are."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvmwatch.model import pool_kinds, states
from kvmwatch.model.pool_kinds import KINDS
from kvmwatch.model.snapshot import Pool
from kvmwatch.reading import mounts, pool_paths, storage, zpools
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.mounts import Mount
from kvmwatch.reading.pool_paths import AtPath, Views, examine
from kvmwatch.reading.pool_questions import Described, Volumes
from kvmwatch.reading.pool_records import Local, Progress, record

LOCAL = [kind for kind in KINDS.values() if kind.local]
MOUNTED = [kind for kind in LOCAL if kind.path == pool_kinds.MOUNT]
ALONE = Views(None)  # libvirt's daemon is not to be seen


def here(path: Path) -> Path:
    path.mkdir()
    return path


def a_file(path: Path) -> Path:
    path.write_text("")
    return path


def a_link(path: Path, to: Path | str) -> Path:
    path.symlink_to(to)
    return path


#: how a path may be: made below an empty folder, and what is said of it (empty: it is a good directory)
SITUATIONS = {
    "there": (lambda folder: here(folder / "p"), ""),
    "with odd characters": (lambda folder: here(folder / "p \\040 |'\"\tü\u202e"), ""),
    "a symlink to a directory": (lambda folder: a_link(folder / "link", here(folder / "p")), ""),
    "gone": (lambda folder: folder / "gone", "is gone"),
    "gone with its parent": (lambda folder: folder / "gone" / "p", "is gone"),
    "a file": (lambda folder: a_file(folder / "p"), "is no directory"),
    "below a file": (lambda folder: a_file(folder / "f") / "p", "is no directory"),
    "a symlink to a file": (lambda folder: a_link(folder / "link", a_file(folder / "f")), "is no directory"),
    "a symlink to nothing": (lambda folder: a_link(folder / "link", "nothing"), "is a symlink to nothing"),
    "a symlink to itself": (lambda folder: a_link(folder / "link", "link"), "does not work: Too many levels"),
}


@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_found(tmp_path: Path, kind: pool_kinds.Kind, situation: str) -> None:
    make, said = SITUATIONS[situation]
    path = str(make(tmp_path))
    found = examine(path, kind, ALONE)
    if kind.path == pool_kinds.DIRECTORY and not said:
        assert found.fault is None
        assert found.figures
        assert found.figures.f_blocks == os.statvfs(tmp_path).f_blocks
        return
    assert found.figures is None, "never another file system's figures"
    assert found.fault
    assert path in found.fault
    assert said in found.fault
    if kind.path == pool_kinds.MOUNT and "does not work" not in said:
        assert found.fault.startswith(f"nothing is mounted at {path}")


def test_a_path_is_there_whatever_the_locale(tmp_path: Path) -> None:
    """libvirt's are UTF-8, and by LANG=de_DE, which is ISO 8859, one was gone and CRITICAL."""
    here(tmp_path / "büro")
    look = f"""from kvmwatch.reading.pool_paths import Views, examine
from kvmwatch.model.pool_kinds import KINDS
for name in ("b\\xfcro", "\\u65e5"):
    print(examine({str(tmp_path)!a} + "/" + name, KINDS["dir"], Views(None)).fault is None)"""
    plain = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False, env=plain)
    assert (ran.stdout.split(), ran.stderr) == (["True", "False"], "")


def test_who_may_open_no_more_files_does_not_take_that_for_what_is_looked_at(tmp_path: Path) -> None:
    """A pool was CRITICAL by it, and a bridge gone."""
    look = (
        "import resource\nfrom kvmwatch.model import errors, pool_kinds\n"
        "from kvmwatch.reading import links, pool_paths\nviews = pool_paths.Views(None)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        f"found = pool_paths.examine({str(tmp_path)!r}, pool_kinds.of('dir'), views)\n"
        "print(found.fault, found.figures, found.unread.text)\n"
        "try:\n    print(links.Links()['lo'])\nexcept OSError as error:\n    print(errors.what_ended(error))\n"
    )
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    pool, link = ran.stdout.splitlines()
    assert pool == f"None None {tmp_path} could not be read: Too many open files", ran.stderr
    assert link.startswith("Too many open files: raise the limits")


@pytest.mark.parametrize("kind", MOUNTED, ids=lambda kind: kind.name)
def test_a_mount_is_found_also_through_a_symlink(tmp_path: Path, kind: pool_kinds.Kind) -> None:
    link = a_link(tmp_path / "link", "/proc")
    for path in ("/proc", "/proc/", str(link)):
        found = examine(path, kind, ALONE)
        assert found.figures is not None
        assert found.fault is None
    below = examine("/proc/self/..", kind, ALONE)
    assert below.fault is None, "it is the same directory"
    assert examine("/proc/sys/kernel", kind, ALONE).fault == "nothing is mounted at /proc/sys/kernel"


def raising(number: int) -> Any:
    def fail(*_arguments: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


# what no test can have for real: another user's directory (tests may run as root), a dead server, a dead disk
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_path_that_this_user_may_not_see_has_libvirts_figures(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(pool_paths, "_look", raising(number))
    found = examine("/srv/vms", KINDS["dir"], ALONE)
    assert found[:2] == (None, None)
    assert found.dated
    assert found.dated.startswith("/srv/vms cannot be looked into by user ")


@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT])
def test_a_path_that_does_not_work(monkeypatch: pytest.MonkeyPatch, kind: pool_kinds.Kind, number: int) -> None:
    monkeypatch.setattr(pool_paths, "_look", raising(number))
    assert examine("/srv/vms", kind, ALONE).fault == f"its directory /srv/vms does not work: {os.strerror(number)}"


class Other(Views):
    """libvirt's daemon has a mount of its own; namespaces are the lab's."""

    def __init__(self, point: Path | str) -> None:
        super().__init__(None)
        self.theirs = (*self.ours, Mount(999999, "0:999", "/", str(point), "nfs4"))  # type: ignore[misc]


@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("situation", ["there", "gone", "a symlink to a directory"])
def test_what_only_libvirt_sees_is_not_known(tmp_path: Path, kind: pool_kinds.Kind, situation: str) -> None:
    path = SITUATIONS[situation][0](tmp_path)
    for point in (path.resolve(), tmp_path):
        found = examine(str(path), kind, Other(point))
        assert found.figures is None
        assert found.fault is None
        assert found.unread
        assert "mount namespace" in found.unread.text


def test_what_libvirt_sees_alike_is_known(tmp_path: Path) -> None:
    found = examine(str(tmp_path), KINDS["netfs"], Other("/elsewhere"))
    assert found.fault == f"nothing is mounted at {tmp_path}"
    assert found.compared


def test_the_same_file_system_mounted_otherwise_is_the_same_place() -> None:
    ours = (Mount(1, "8:1", "/", "/", "ext4"),)
    theirs = (*ours, Mount(2, "8:1", "/home", "/home", "ext4"))  # ProtectHome=read-only
    assert mounts.place(ours, "/home/vms") == mounts.place(theirs, "/home/vms") == ("8:1", "/home/vms")


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/", ("8:1", "/")),
        ("/srv", ("8:1", "/srv")),
        ("/srv/nfs", ("0:50", "/")),
        ("/srv/nfs/a", ("0:50", "/a")),
        ("/srv/nfs2", ("8:1", "/srv/nfs2")),
        ("/var/x", ("8:2", "/@var/x")),
        ("/twice", ("0:61", "/")),
    ],
)
def test_place(path: str, where: tuple[str, str]) -> None:
    there = (
        Mount(1, "8:1", "/", "/", "ext4"),
        Mount(2, "0:50", "/", "/srv/nfs", "nfs4"),
        Mount(3, "8:2", "/@var", "/var", "btrfs"),
        Mount(4, "0:60", "/", "/twice", "tmpfs"),
        Mount(5, "0:61", "/", "/twice", "tmpfs"),
    )
    assert mounts.place(there, path) == where


def test_no_mounts_are_no_place() -> None:
    assert mounts.place((), "/srv") is None


def test_a_line_of_mountinfo() -> None:
    line = "36 35 98:0 /mnt1 /mnt\\0402/a\\134b rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"
    assert mounts._mount(line) == Mount(36, "98:0", "/mnt1", "/mnt 2/a\\b", "ext3", "/dev/root")
    assert any(mount.point == "/proc" for mount in mounts.table())
    assert mounts.table(os.getpid()) == mounts.table()


@pytest.mark.parametrize(
    ("kind", "mounted", "options", "stopped"),
    [
        ("ext4", "rw,noatime", "rw,errors=remount-ro", False),
        ("ext4", "rw,noatime", "ro,errors=remount-ro", True),
        ("ext4", "rw", "rw,errors=remount-ro,emergency_ro", True),
        ("ext4", "rw", "rw,shutdown", True),
        ("btrfs", "rw,noatime", "ro,space_cache=v2,subvolid=5", True),
        ("ext4", "ro,noatime", "ro", False),  # mounted so, or remounted
        ("ext4", "ro", "rw", False),  # bound so
        ("iso9660", "rw", "ro", False),
        ("overlay", "rw", "ro,lowerdir=/a:/b", False),
    ],
)
def test_a_file_system_that_the_kernel_has_stopped(
    kind: str, mounted: str, options: str, stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 after an error: usage 0.1 %, OK, and no VM could write."""
    mount = mounts._mount(f"36 35 7:0 / {tmp_path} {mounted} - {kind} /dev/sdb {options}\n")
    monkeypatch.setattr(pool_paths, "_mount", lambda _handle, _views: mount)
    for of_pool in LOCAL:
        found = examine(str(tmp_path), of_pool, ALONE)
        assert found.figures
        assert ("takes no writes since an error" in (found.fault or "")) is stopped


def test_a_file_system_that_tells_its_size_and_is_shut_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", raising(errno.EIO))  # as XFS does
        found = examine(str(tmp_path), KINDS["dir"], ALONE)
    assert found.fault == f"its directory {tmp_path} does not work: {os.strerror(errno.EIO)}"


@pytest.mark.parametrize(
    ("state", "works"),
    [("ONLINE\n", True), ("DEGRADED\n", True), ("SUSPENDED\n", False), ("FAULTED\n", False), (None, True)],
)
def test_a_zfs_pool_that_does_no_io(
    state: str | None, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt called it running, with the figures of the last refresh, and df worked as well."""
    if state:
        here(tmp_path / "tank")
        (tmp_path / "tank" / "state").write_text(state)
    monkeypatch.setattr(zpools, "FOLDER", str(tmp_path))
    mount = Mount(36, "0:40", "/", str(tmp_path), "zfs", "tank/vms")
    monkeypatch.setattr(pool_paths, "_mount", lambda _handle, _views: mount)
    pool = Pool("uuid", "p1", "zfs", states.POOL_RUNNING, True, True, True)
    as_zfs = storage._look(Described(pool, "/dev/zvol/tank/vms", "tank/vms"), ALONE, Deadline(10)).at_path
    for found in (examine(str(tmp_path), KINDS["dir"], ALONE), as_zfs):
        assert (found.fault is None) is works
        assert works or "its ZFS pool tank is " in str(found.fault)


def test_a_fault_of_what_is_there_is_none_of_another_mount_namespace(tmp_path: Path) -> None:
    pool = Pool("uuid", "p1", "dir", states.POOL_RUNNING, True, True, True)
    progress = Progress(pool)
    progress.described, progress.volumes = Described(pool, str(tmp_path)), Volumes(listed=1, there=1)
    progress.local = Local(AtPath(os.statvfs(tmp_path), "takes no writes"))  # libvirt's daemon is not to be seen
    found = record(progress, of_files=True)
    assert found
    assert (found.fault, found.unread) == ("takes no writes", ())


def test_the_mount_that_a_directory_is_in(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        found = pool_paths._mount(handle, ALONE)
    finally:
        os.close(handle)
    assert found
    assert str(tmp_path).startswith(found.point)


def test_a_mount_point_that_somebody_calls_oddly_costs_nothing(tmp_path: Path) -> None:
    names = ["a\rb", "a\r", "\x0b\x0c\x1c\u2028", "\udcff", "-", "a - b"]
    written = [name.replace(" ", "\\040") for name in names]
    lines = [f"36 35 98:0 / /{name} rw shared:7 - fuse.x {name} rw\n" for name in written]
    (tmp_path / "mountinfo").write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
    assert [mount.point for mount in mounts.table(f"..{tmp_path}")] == [f"/{name}" for name in names]


@pytest.mark.parametrize("session", [True, False])
def test_the_daemon_is_found_by_its_pid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: bool
) -> None:
    name = Path("/proc/self/comm").read_text("utf-8").rstrip("\n")
    monkeypatch.setattr(pool_paths, "_DAEMONS", ("no-such-daemon", name))
    folder = here(tmp_path / "libvirt") if session else tmp_path
    assert pool_paths.daemon(str(tmp_path), session) is None
    (folder / "no-such-daemon.pid").write_text(f"{os.getpid()}\n")  # another program has its number by now
    (folder / f"{name}.pid").write_text("nonsense")
    assert pool_paths.daemon(str(tmp_path), session) is None
    (folder / f"{name}.pid").write_text(f"{os.getpid()}\n")
    assert pool_paths.daemon(str(tmp_path), session) == os.getpid()
    assert Views(os.getpid()).differ("/proc") is False


def test_a_daemon_that_ended_meanwhile_is_not_compared_with() -> None:
    assert Views(2**31 - 1).theirs is None
