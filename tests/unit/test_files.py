"""A file of definitions is replaced only by one that is accepted and loaded, and by nothing else than its text."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import psutil
import pytest
from nagios_kvm import files

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.reading.deadline import Deadline


def replace(path: Path, text: str = "new", validate: str | None = None, reload: str | None = None) -> bool:
    return files.replace(path, text, validate, reload, Deadline(20))


def nothing_is_left(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if path.name.startswith(".")]


@contextmanager
def at_work(file: Path, begun: Path) -> Iterator[None]:
    """Another run, that has a file which is not accepted yet; behind the block it is."""
    validate = f"sh -c 'touch {begun}; while [ -e {begun} ]; do sleep 0.05; done'"
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(replace, file, "new", validate)
        try:
            while not begun.exists():
                time.sleep(0.01)
            yield
        finally:
            begun.unlink()
        assert run.result()


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
            replace(file, validate=f"sh -c 'stat -c %a {tmp_path}/.kvm1* > {seen}; exit 1'")
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
    folder = tmp_path / "conf.d"
    folder.mkdir()
    busy = pytest.raises(KvmwatchError, match="another run of nagios_kvm config is still at work in ")
    with at_work(folder / "a.cfg", tmp_path / "begun"), busy:
        files.replace(folder / "b.cfg", "new", None, None, Deadline(0.3))
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
    files._keep(file, files._kept(file, "new"))
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert text(file) == before
    files._keep(file, files._kept(file, "new"))
    assert replace(file)
    assert text(file) == "new"
    assert nothing_is_left(tmp_path)


def test_a_machine_that_lost_its_power_is_made_up_for_by_the_next_run(file: Path, tmp_path: Path) -> None:
    before, kept = text(file), files._kept(file, "new")
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


#: what somebody does to a file, and what it says then (None: it is gone)
DOES = {
    "nothing": (lambda _file: None, ...),
    "copies a backup": (lambda file: file.write_text("theirs"), "theirs"),
    "edits it as sed -i does": (lambda file: files._write(file, "theirs"), "theirs"),
    "removes it": (lambda file: file.unlink(missing_ok=True), None),
}


@pytest.mark.parametrize("written", [True, False], ids=["after it wrote", "before it wrote"])
@pytest.mark.parametrize(("does", "says"), DOES.values(), ids=DOES)
def test_what_people_did_after_a_run_that_was_killed_stays(
    file: Path, does: Callable[[Path], object], says: str | None, written: bool
) -> None:
    before = text(file)
    files._keep(file, files._kept(file, "new"))
    if written:
        files._write(file, "new")
    does(file)
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, "newer", validate="false")
    assert text(file) == (before if says is ... else says)
    assert nothing_is_left(file.parent)


@pytest.mark.parametrize(("does", "says"), DOES.values(), ids=DOES)
def test_what_people_did_while_it_was_validated_stays(
    file: Path, does: Callable[[Path], object], says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = text(file)

    def refused(*_: object) -> str:
        does(file)
        raise KvmwatchError("is not accepted")

    monkeypatch.setattr(files, "_run", refused)
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="x")
    assert text(file) == (before if says is ... else says)
    assert nothing_is_left(file.parent)


@pytest.mark.parametrize("validate", [None, "true"])
@pytest.mark.parametrize("call", ["fsync", "replace", "symlink", "link"])
def test_a_full_disk_leaves_nothing_that_a_later_run_would_take_for_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str, validate: str | None
) -> None:
    before = text(file)

    def full(*_: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with suppress(KvmwatchError):  # what is kept meanwhile may be a copy, for which there is room
            replace(file, validate=validate)
    assert text(file) in (before, "new")
    assert nothing_is_left(file.parent)
    file.write_text("theirs")
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert text(file) == "theirs"


def test_a_guard_puts_back_what_was_written_only(file: Path, tmp_path: Path) -> None:
    """When somebody edits the file while it is validated, and then the run is killed."""
    begun = tmp_path / "begun"
    command = f"sh -c 'touch {begun}; while [ -e {begun} ]; do sleep 0.1; done'"
    code = (
        "from pathlib import Path; from nagios_kvm import files; from kvmwatch.reading.deadline import Deadline\n"
        f"files.replace(Path({str(file)!r}), 'new', {command!r}, None, Deadline(60))"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not begun.exists() and killed.poll() is None:
        time.sleep(0.01)
    file.write_text("theirs")
    killed.kill()
    killed.wait()
    with files._alone(tmp_path, Deadline(20)):
        assert text(file) == "theirs"
    begun.unlink()
    with pytest.raises(KvmwatchError, match="is not accepted"):
        replace(file, validate="false")
    assert text(file) == "theirs"
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("where", [".", "sites", "../elsewhere"], ids=["a file", "a link", "a link out of it"])
@pytest.mark.parametrize("steps", [{}, {"validate": "true"}, {"validate": "false"}, {"reload": "false"}], ids=str)
def test_other_files_change_where_they_are_and_go_back_with_it(
    tmp_path: Path, where: str, steps: dict[str, str]
) -> None:
    """Of each path one file is written: the one to which it leads."""
    folder = tmp_path / "conf.d"
    (folder / where).mkdir(parents=True, exist_ok=True)
    paths = [folder / f"kvm{number}.cfg" for number in (1, 2)]
    real = [(folder / where / f"kvm{number}.cfg").resolve() for number in (1, 2)]
    for path, target in zip(paths, real):
        target.write_text("old")
        if path != target:
            path.symlink_to(target)
    inodes = [target.stat().st_ino for target in real]
    accepted = "false" not in steps.values()
    with nullcontext() if accepted else pytest.raises(KvmwatchError, match="the old one stays"):
        files.replace(
            *(paths[0], "new", steps.get("validate"), steps.get("reload"), Deadline(20)),
            also=lambda: {paths[1]: "less"},
        )
    assert [path.is_symlink() for path in paths] == [where != "."] * 2
    assert [path.read_text() for path in paths] == (["new", "less"] if accepted else ["old", "old"])
    assert ([target.stat().st_ino for target in real] == inodes) is not accepted, "else the very files are back"
    assert nothing_is_left(folder)
    assert nothing_is_left(real[0].parent)


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "a file system without locks"])
def test_the_files_of_others_that_a_killed_run_left_are_put_back_by_whichever_run_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """Without locks nobody knows whether that run is still at work."""

    def none(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    if not locks:
        monkeypatch.setattr(files.fcntl, "flock", none)
    of_others = tmp_path / "kvm2.cfg"
    of_others.write_text("old")
    files._keep(of_others, files._kept(of_others, "less"))
    files._write(of_others, "less")
    assert replace(tmp_path / "kvm1.cfg")
    assert of_others.read_text() == ("old" if locks else "less")
    assert nothing_is_left(tmp_path) is locks


def test_two_paths_to_a_folder_are_one_to_be_alone_in(tmp_path: Path) -> None:
    """Whichever way they name it: by a link to a file in it, or by one to the folder."""
    real, links = tmp_path / "real", tmp_path / "links"
    real.mkdir()
    links.mkdir()
    (links / "a.cfg").symlink_to(real / "a.cfg")
    (tmp_path / "folder").symlink_to(real)
    with at_work(links / "a.cfg", tmp_path / "begun"):
        for other in (real / "b.cfg", tmp_path / "folder" / "b.cfg", links / "b.cfg"):
            with pytest.raises(KvmwatchError, match="another run of nagios_kvm config is still at work in "):
                files.replace(other, "new", None, None, Deadline(0.2))


def test_no_guard_is_left(file: Path) -> None:
    for validate in ("true", "false"):
        with suppress(KvmwatchError):
            replace(file, f"for {validate}", validate=validate)
    assert text(file) == "for true"
    assert not [child for child in psutil.Process().children() if "guard" in child.cmdline()]


def test_what_a_daemon_says_of_a_host_that_is_defined_twice_names_it() -> None:
    named = "Warning: Duplicate definition found for host 'db-1' (config file 'kvm1.cfg', starting on line 5)"
    said = f"Nagios Core 4.4.6\n{named}\nError: Could not add object property in file 'kvm1.cfg' on line 7.\n"
    assert files._errors(said)[0] == named
