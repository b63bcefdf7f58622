"""A file of definitions is replaced only by one that is accepted and loaded, and by nothing else than its text."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

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
