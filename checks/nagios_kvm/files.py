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

    ``validate`` is a command that judges the daemon's whole configuration with the new file in place: when it
    fails, or we are ended meanwhile, the old file is put back. ``reload`` is run after a change. Raises
    KvmwatchError.
    """
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else None
        if before == text:
            return False
        _write(path, text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text, so not one of ours"
        raise KvmwatchError(f"cannot write {path}: {reason}") from None
    if validate:
        try:
            _run(validate, deadline)
        except KvmwatchError as error:
            _restore(path, before)
            raise KvmwatchError(f"the new {path} is not accepted, the old one stays: {error}") from None
        except BaseException:
            _restore(path, before)
            raise
    if reload:
        _run(reload, deadline)
    return True


def _restore(path: Path, before: str | None) -> None:
    if before is None:
        path.unlink()
    else:
        _write(path, before)


def _write(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", suffix=".new", delete=False, encoding="utf-8"
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else _MODE)
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise


def _run(command: str, deadline: Deadline) -> None:
    try:
        ran = programs.run(shlex.split(command), deadline)
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no command line"
        raise KvmwatchError(f"cannot run {command!r}: {reason}") from None
    except DeadlineExceeded:
        raise KvmwatchError(f"{command!r} was not done within the time limit; give a longer -t") from None
    if ran.code:
        raise KvmwatchError(f"{command!r} exits with {ran.code}: {_why(ran.said)}")


def _why(said: str) -> str:
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line or "critical" in line]
    return (errors or lines[-1:] or ["it said nothing"])[0]
