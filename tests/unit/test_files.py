"""A file of definitions is replaced only by one that is accepted and loaded, and by nothing else than its text."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil
import pytest
from nagios_kvm import files

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.reading.deadline import Deadline

LEFT_OVER = ".before", ".new"


def replace(path: Path, text: str = "new", validate: str | None = None, reload: str | None = None) -> bool:
    return files.replace(path, text, validate, reload, Deadline(20))


def nothing_is_left(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if path.name.endswith(LEFT_OVER)]


@pytest.fixture(params=["old", None], ids=["there was one", "there was none"])
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "kvm1.cfg"
    if request.param:
        path.write_text(request.param)
    return path


def text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize(
    ("validate", "reload", "said"),
    [
        ("false", None, "is not accepted, the old one stays: 'false' exits with 1"),
        ("true", "false", "could not be loaded, the old one stays: 'false' exits with 1"),
        ("no-such-program", "true", "is not accepted, the old one stays: cannot run"),
        ("'", None, "it is no command line"),
    ],
)
def test_one_that_fails_leaves_the_old_one_and_is_tried_again(
    file: Path, validate: str, reload: str | None, said: str
) -> None:
    before = text(file)
    for _ in range(2):
        with pytest.raises(KvmwatchError, match=said):
            replace(file, validate=validate, reload=reload)
        assert text(file) == before
        assert nothing_is_left(file.parent)
    assert replace(file, validate="true", reload="true")
    assert text(file) == "new"
    assert not replace(file, validate="false"), "nothing has changed"
    assert nothing_is_left(file.parent)


@pytest.mark.parametrize("step", ["validate", "reload"])
def test_a_run_that_is_killed_is_made_up_for_by_the_next(file: Path, tmp_path: Path, step: str) -> None:
    before, begun = text(file), tmp_path / "begun"
    command = f"sh -c 'touch {begun}; while [ -e {begun} ]; do sleep 0.1; done'"
    code = (
        "from pathlib import Path; from nagios_kvm import files; from kvmwatch.reading.deadline import Deadline\n"
        f"commands = {{'validate': None, 'reload': None, {step!r}: {command!r}}}\n"
        f"files.replace(Path({str(file)!r}), 'new', deadline=Deadline(60), **commands)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not begun.exists() and killed.poll() is None:
        time.sleep(0.01)
    assert text(file) == "new"
    killed.kill()
    killed.wait()
    with files._alone(tmp_path, Deadline(20)):
        assert text(file) == before, "it is put back at once"
        assert nothing_is_left(tmp_path)
    begun.unlink()  # so that what it had started ends, too
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert text(file) == before, "nobody has accepted the new one"
    assert replace(file, validate="true")
    assert nothing_is_left(file.parent)


def test_a_link_stays_a_link_and_the_file_keeps_owner_group_and_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "file.cfg", tmp_path / "kvm1.cfg"
    file.write_text("old")
    link.symlink_to(file)
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
    file.chmod(0o640)
    before = file.stat()
    assert replace(link, validate="true")
    after = file.stat()
    assert link.is_symlink()
    assert file.read_text() == "new"
    for attribute in ("st_uid", "st_gid", "st_mode"):
        assert getattr(after, attribute) == getattr(before, attribute)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: object) -> None:
    path = tmp_path / "kvm1.cfg"
    make(path)  # type: ignore[operator]
    with pytest.raises(KvmwatchError, match="is no file, so it is not replaced"):
        replace(path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_text_that_is_made_of_the_old_one(file: Path) -> None:
    before = text(file)

    def refused(_: str) -> str:
        raise KvmwatchError("too much would be gone")

    with pytest.raises(KvmwatchError, match="too much"):
        files.replace(file, refused, None, None, Deadline(20))
    assert text(file) == before
    assert files.replace(file, lambda old: f"after {old}", None, None, Deadline(20))
    assert text(file) == f"after {before or ''}"


NAMES = re.compile("^(.+)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("before", "after", "empty", "let_go", "refused"),
    [
        (range(30), range(14), False, (), True),
        (range(30), range(15), False, (), False),
        (range(30), range(100, 130), False, (), True),  # as many, and all of them others: another hypervisor's
        (range(30), range(100), False, (), False),
        (range(9), range(1), False, (), False),  # a few may go
        (range(9), range(1), True, (), True),
        (range(30), range(0), True, range(30), False),
        (range(30), range(0), True, range(29), True),
        (range(0), range(0), True, (), False),
    ],
)
def test_who_loses_most_of_what_there_was_must_say_so(
    before: range, after: range, empty: bool, let_go: range, refused: bool
) -> None:
    old, new = ("\n".join(map(str, numbers)) for numbers in (before, after))
    with pytest.raises(KvmwatchError, match="give --force") if refused else nullcontext():
        files.refuse_loss(Path("x"), old, new, NAMES, empty, [str(number) for number in let_go])


def test_an_empty_file_is_one(tmp_path: Path) -> None:
    file = tmp_path / "kvm1.cfg"
    file.touch(0o600)
    before = file.stat()
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert file.read_text() == ""
    assert file.stat().st_ino == before.st_ino, "the very same file is back"
    assert nothing_is_left(tmp_path)


def test_what_is_kept_meanwhile_is_as_private_as_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, seen = tmp_path / "kvm1.cfg", tmp_path / "seen"
    file.write_text("old")
    file.chmod(0o600)

    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    for _ in range(2):
        with pytest.raises(KvmwatchError, match="is not accepted"):
            replace(file, validate=f"sh -c 'stat -c %a {tmp_path}/.*[wre] > {seen}; exit 1'")
        assert set(seen.read_text().split()) == {"600"}
        assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("old", 0o600)
        assert nothing_is_left(tmp_path)
        monkeypatch.setattr(os, "link", refused)  # a file system without hard links


def test_attributes_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "kvm1.cfg"
    file.write_text("old")
    try:
        os.setxattr(file, "user.kvmwatch", b"kept")
    except OSError:
        pytest.skip("this file system has no attributes")
    assert replace(file)
    assert os.getxattr(file, "user.kvmwatch") == b"kept"


def test_links_of_links_and_links_to_what_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    first, second, file = tmp_path / "a.cfg", tmp_path / "b.cfg", tmp_path / "sites" / "kvm1.cfg"
    first.symlink_to("b.cfg")
    second.symlink_to("sites/kvm1.cfg")
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(first, validate="false")
    assert not file.exists()
    assert replace(first, validate="true")
    assert (first.is_symlink(), second.is_symlink(), file.read_text()) == (True, True, "new")
    assert nothing_is_left(tmp_path)
    assert nothing_is_left(tmp_path / "sites")


def test_a_link_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "kvm1.cfg"
    path.symlink_to("kvm1.cfg")
    with pytest.raises(KvmwatchError, match="is no file"):
        replace(path)
    assert path.is_symlink()


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["binary", "very large"])
def test_what_cannot_be_ours_is_not_replaced(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "kvm1.cfg"
    path.write_bytes(content or b"")
    if content is None:
        os.truncate(path, 1 << 40)
    with pytest.raises(KvmwatchError, match="not one of ours"):
        replace(path, validate="true")
    assert path.stat().st_size == (len(content) if content else 1 << 40)


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    """Each is validated with all others accepted or put back, also when they write other files of the folder."""
    log = tmp_path / "log"
    folder = tmp_path / "conf.d"
    folder.mkdir()
    command = f"sh -c 'echo begin >> {log}; sleep 0.05; cat {folder}/* >> {log}; echo end >> {log}; exit {{}}'"

    def run(number: int) -> bool:
        # every other one is refused
        try:
            return replace(folder / f"{number % 2}.cfg", f"{number}\n", validate=command.format(number % 2))
        except KvmwatchError:
            return False

    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(run, range(8)))
    assert accepted == [True, False] * 4
    lines = log.read_text().split()
    assert lines[0::4].count("begin") + lines[1::4].count("begin") >= 1
    depth = 0
    for line in lines:
        depth += {"begin": 1, "end": -1}.get(line, 0)
        assert depth in (0, 1), "one validates at a time"
    assert [path.name for path in folder.iterdir()] == ["0.cfg"]


def test_who_waits_too_long_for_another_run_says_so(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    folder = tmp_path / "conf.d"
    folder.mkdir()
    validate = f"sh -c 'touch {begun}; while [ -e {begun} ]; do sleep 0.05; done'"
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(replace, folder / "a.cfg", "new", validate)
        try:
            while not begun.exists():
                time.sleep(0.01)
            with pytest.raises(KvmwatchError, match="another run of nagios_kvm config is still at work in "):
                files.replace(folder / "b.cfg", "new", None, None, Deadline(0.3))
        finally:
            begun.unlink()
        assert other.result()
    assert [path.name for path in folder.iterdir()] == ["a.cfg"]


def test_one_that_is_ended_puts_the_old_one_back(file: Path, tmp_path: Path) -> None:
    """By a signal that can be handled, as systemd sends it."""
    before, begun = text(file), tmp_path / "begun"
    code = (
        "from pathlib import Path; from nagios_kvm import files; from kvmwatch.reading.deadline import Deadline\n"
        "from kvmwatch.command import watchdog\n"
        f"watchdog.run(lambda: files.replace(Path({str(file)!r}), 'new', \"sh -c 'touch {begun}; sleep 600'\", None, "
        "Deadline(60)), watchdog.Said, 60)"
    )
    ended = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not begun.exists() and ended.poll() is None:
        time.sleep(0.01)
    ended.terminate()
    assert ended.wait(30) == -15
    assert text(file) == before
    begun.unlink()
    assert nothing_is_left(tmp_path)


def test_a_run_that_was_killed_before_it_wrote_anything(file: Path, tmp_path: Path) -> None:
    before = text(file)
    files._keep(file, tmp_path / f".{file.name}.before")
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert text(file) == before
    files._keep(file, tmp_path / f".{file.name}.before")
    assert replace(file)
    assert text(file) == "new"
    assert nothing_is_left(tmp_path)


def test_a_machine_that_lost_its_power_is_made_up_for_by_the_next_run(file: Path, tmp_path: Path) -> None:
    before, kept = text(file), tmp_path / f".{file.name}.before"
    files._keep(file, kept)
    files._write(file, "new")
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert text(file) == before
    files._keep(file, kept)
    files._write(file, "new")
    assert replace(file, validate="true"), "nobody has accepted or loaded it"
    assert text(file) == "new"
    assert nothing_is_left(tmp_path)


def test_no_guard_is_left(file: Path) -> None:
    for validate in ("true", "false"):
        with suppress(KvmwatchError):
            replace(file, f"for {validate}", validate=validate)
    assert text(file) == "for true"
    assert not [child for child in psutil.Process().children() if "guard" in child.cmdline()]
