"""Replacing a file of definitions: as a whole, only when it changed, and only by one that the daemon accepts."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
from pathlib import Path

from kvmwatch.command import programs
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.reading.deadline import Deadline

_MODE = 0o644


#: entries that may go at once, besides half of all
_FEW = 10


def refuse_loss(path: Path, text: str, entry: re.Pattern[str], empty: bool) -> None:
    """Raise KvmwatchError if *text* has not half of the entries of the file that it is to replace.

    So it is when libvirt shows no VMs though they are there. ``entry`` finds one; ``empty``: none of a VM is left,
    else a few may go.
    """
    try:
        # what is no file cannot have lost anything
        before = len(entry.findall(path.read_text(encoding="utf-8"))) if path.is_file() else 0
    except (OSError, UnicodeDecodeError):
        return  # which is said when it is replaced
    after = len(entry.findall(text))
    if after * 2 < before and (empty or before - after >= _FEW):
        raise KvmwatchError(
            f"{path} stays as it is: of its {before} entries {after} would be left; "
            "does libvirt list the VMs (virsh -r list --all)? If they are really gone, give --force"
        )


def replace(path: Path, text: str, validate: str | None, reload: str | None, deadline: Deadline) -> bool:
    """Give the file this text, and tell whether that changed it.

    ``validate`` is a command that judges the daemon's whole configuration with the new file in place, ``reload``
    is run after a change. When one of them fails, or we are ended meanwhile, the old file is put back, so that the
    next run tries again; one that was killed before it could do that leaves a copy, which the next run puts back
    first. A link stays a link, and the file keeps its owner, group and mode. Raises KvmwatchError.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise KvmwatchError(f"{path} is no file, so it is not replaced; name one with --output")
    kept = path.with_name(f".{path.name}.before")
    try:
        if kept.exists():
            _put_back(path, kept)
        before = path.read_text(encoding="utf-8") if path.exists() else None
        if before == text:
            return False
        if validate or reload:
            _write(kept, before or "")
        _write(path, text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text, so not one of ours"
        raise KvmwatchError(f"cannot write {path}: {reason}") from None
    try:
        for command, failed in ((validate, "is not accepted"), (reload, "could not be loaded")):
            if command:
                _run(command, deadline, f"the new {path} {failed}, the old one stays")
    except BaseException:
        _put_back(path, kept)
        raise
    kept.unlink(missing_ok=True)
    return True


def _put_back(path: Path, kept: Path) -> None:
    """Give the file the text that it had; none when there was no file."""
    text = kept.read_text(encoding="utf-8")
    if text:
        _write(path, text)
    else:
        path.unlink(missing_ok=True)
    kept.unlink()


def _write(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", suffix=".new", delete=False, encoding="utf-8"
    ) as file:
        try:
            file.write(text)
            file.flush()
            _become(file.fileno(), path)
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise


def _become(number: int, path: Path) -> None:
    """Give an open file the owner, group and mode of the one that it is to replace."""
    if not path.exists():
        os.fchmod(number, _MODE)
        return
    old = path.stat()
    with contextlib.suppress(PermissionError):  # root only; who may write it has a group in common with it
        os.fchown(number, old.st_uid, old.st_gid)
    os.fchmod(number, old.st_mode & 0o777)


def _run(command: str, deadline: Deadline, otherwise: str) -> None:
    """Run a command. Raises KvmwatchError that says what follows of its failure, and why it failed."""
    try:
        ran = programs.run(shlex.split(command), deadline)
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no command line"
        raise KvmwatchError(f"{otherwise}: cannot run {command!r}: {reason}") from None
    except DeadlineExceeded:
        why = f"{command!r} was not done within the time limit; give a longer -t"
        raise KvmwatchError(f"{otherwise}: {why}") from None
    if ran.code:
        raise KvmwatchError(f"{otherwise}: {command!r} exits with {ran.code}: {_why(ran.said)}")


def _why(said: str) -> str:
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line or "critical" in line]
    return (errors or lines[-1:] or ["it said nothing"])[0]
