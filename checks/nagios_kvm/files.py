"""Replacing a file of definitions: as a whole, only when it changed, and only by one that the daemon accepts."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kvmwatch.command import programs, replacing
from kvmwatch.model.doing import doing
from kvmwatch.model.errors import DENIED, DeadlineExceeded, KvmwatchError, advised
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.guard import guarded
from nagios_kvm.manifest import LIMIT

_LOOK = 0.05  # seconds between looks whether another run has ended
_DIGITS = 16  # of a text's SHA-256, in hexadecimal
#: the old file while the new one is not accepted: the name of the file, and the digits of the new text
_KEPT = re.compile(rf"\.(.+)\.before-([0-9a-f]{{{_DIGITS}}})")

#: so many entries are too many to go at once when they are more than half of all; of a small site a few may
_FEW = 10

#: of a host that is defined twice, Nagios's error has the line alone, and a warning before it the name
_OF_ERRORS = ("rror", "critical", "Duplicate definition found for host")


class Failed(KvmwatchError):
    """A command failed: ``why`` in one line, and what it ``said``, of that the lines that tell of errors."""

    def __init__(self, message: str, why: str, said: Sequence[str]) -> None:
        super().__init__(message)
        self.why = why
        self.said = said


class NotAccepted(Failed):
    """The command that judges the new file refuses it."""


class _Lock(NamedTuple):
    """A folder's: its file descriptor, and whether that keeps other runs out."""

    number: int
    locked: bool


def refuse_loss(
    path: Path,
    before: str,
    text: str,
    entry: re.Pattern[str],
    empty: bool,
    let_go: Collection[str] = (),
) -> None:
    """Raise KvmwatchError if more than half of the entries of *before* are not in *text*, which is to replace it.

    So it is when libvirt shows no VMs though they are there. ``entry`` finds the name of one; ``empty``: none of a
    VM is left, else a few may go. ``let_go``: hosts of VMs that are known to have moved to another hypervisor.
    """
    there, left = (_entries(entry, content, let_go) for content in (before, text))
    gone = there - left
    if len(gone) * 2 > len(there) and (empty or len(gone) >= _FEW):
        raise KvmwatchError(
            f"{path} stays as it is: of its {len(there)} entries {len(there) - len(gone)} would be left; "
            "does libvirt list the VMs (virsh -r list --all)? If they are really gone or renamed, give --force"
        )


def _entries(entry: re.Pattern[str], text: str, but: Collection[str]) -> set[tuple[str, ...]]:
    names = (tuple(part.strip('"') for part in found.groups(default="")) for found in entry.finditer(text))
    return {name for name in names if not set(name) & set(but)}


def replace(
    path: Path,
    text: str | Callable[[str], str],
    validate: str | None,
    reload: str | None,
    deadline: Deadline,
    also: Callable[[], Mapping[Path, str]] = dict,
    hear: Callable[[str], object] = len,
) -> bool:
    """Give the file this text, and tell whether that changed it.

    A text that depends on the old one (empty: there is none), or on other files of the folder, is a function of
    the old one; it is called while nobody else writes there, and raises where the old text must stay.

    ``validate`` is a command that judges the daemon's whole configuration with the new file in place, ``reload``
    is run after a change. When one of them fails, or we are ended meanwhile, the old file is put back, so that the
    next run tries again. When we are killed a guard does that; when the guard is, too (a power failure), the old
    file is still beside the new one, and the next run in the folder puts it back first. What somebody else has
    written there meanwhile stays.

    ``also`` gives other files of the folder that are to change with it, and texts for them; they are put back
    with it. ``hear`` is given what ``validate`` said of what it accepts.

    A link stays a link, and the file keeps its owner, group, mode and attributes. Raises KvmwatchError.
    """
    folder, path = path.parent, _resolved(path)
    try:
        with contextlib.ExitStack() as held:
            locks: dict[tuple[int, int], _Lock] = {}
            # first where all look for the files of others, then where those are that links lead to
            for place in (folder, path.parent):
                alone = _hold(held, locks, place, deadline)
                _recover(place, path, alone)
            before = _text(path)
            if callable(text):
                text = text(before or "")
            if before == text:
                return False
            others = {_resolved(other): new for other, new in also().items()}
            for other in others:
                _hold(held, locks, other.parent, deadline)
            kept, digest = _kept(path, text), _digest(text.encode())
            steps = validate or reload  # else there is no time in which we could be killed
            numbers = [lock.number for lock in locks.values()]
            guard = guarded(path, kept, digest, numbers) if steps else contextlib.nullcontext()
            with guard, _changed(path, text), _others_changed(others):
                if validate:
                    refused = f"the new {path} is not accepted, the old one stays"
                    hear(_run(validate, deadline, refused, NotAccepted))
                if reload:
                    _run(reload, deadline, f"the new {path} could not be loaded, the old one stays")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text, so not one of ours"
        raise KvmwatchError(f"cannot write {path}: {reason}") from None
    return True


def _resolved(path: Path) -> Path:
    """Where a file is that may be a link: what is written anywhere else would take the link's place.

    Raises KvmwatchError for what is no file, nor can become one.
    """
    real = Path(os.path.realpath(path))
    if os.path.lexists(real) and not real.is_file():  # what is a link still leads in circles
        raise KvmwatchError(f"{real} is no file, so it is not replaced; name one with --output")
    return real


@contextlib.contextmanager
def _changed(path: Path, text: str) -> Iterator[None]:
    """Give a file this text, and the very file that was there its place back when the block raises."""
    kept = _kept(path, text)
    try:
        _keep(path, kept)
        _write(path, text)
        yield
    except BaseException:
        _put_back(path, kept)
        raise
    kept.unlink(missing_ok=True)


@contextlib.contextmanager
def _others_changed(others: Mapping[Path, str]) -> Iterator[None]:
    """The same for other hypervisors' files. Raises KvmwatchError that says which."""
    with contextlib.ExitStack() as stack:
        for path, text in others.items():
            try:
                stack.enter_context(_changed(path, text))
            except OSError as error:
                why = advised(error, "the same user must write it", *DENIED)
                raise KvmwatchError(f"cannot take a VM's host out of {path}: {why}") from None
        yield


def _hold(
    held: contextlib.ExitStack, locks: dict[tuple[int, int], _Lock], folder: Path, deadline: Deadline
) -> _Lock:
    """Have a folder alone, once, until the stack is left; *locks* are by device and inode."""
    found = os.stat(folder)
    of = found.st_dev, found.st_ino
    if of not in locks:
        locks[of] = held.enter_context(_alone(folder, deadline))
    return locks[of]


@contextlib.contextmanager
def _alone(folder: Path, deadline: Deadline) -> Iterator[_Lock]:
    """Wait until no other run has a file in this folder that is not accepted yet: a daemon judges all of them.

    The lock is the folder's, so it leaves nothing behind and ends with the process. Raises OSError, KvmwatchError.
    """
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with doing(f"waiting for another run that has {folder}"):
            while (locked := _locked(number)) is False:
                if not deadline.remaining():
                    raise KvmwatchError(f"another run of nagios_kvm config is still at work in {folder}")
                deadline.sleep(_LOOK)
        yield _Lock(number, bool(locked))
    finally:
        os.close(number)


def _locked(number: int) -> bool | None:
    """Whether the lock is ours now; None: there are none."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # a file system without locks for folders (NFS) is no reason to write nothing
        return False if error.errno in (errno.EWOULDBLOCK, errno.EINTR) else None
    return True


def _text(path: Path) -> str | None:
    if not path.exists():
        return None
    if path.stat().st_size > LIMIT:
        raise KvmwatchError(f"{path} is larger than {LIMIT >> 20} MiB, so not one of ours; name another --output")
    return path.read_text(encoding="utf-8")


def _kept(path: Path, text: str) -> Path:
    """What the old file is called while this text has its place."""
    return path.with_name(f".{path.name}.before-{_digest(text.encode())}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _keep(path: Path, kept: Path) -> None:
    """Have the old file under another name, or a link that leads nowhere where there is none."""
    if not path.exists():
        kept.symlink_to("none")
        return
    try:
        os.link(path, kept)
    except OSError:  # a file system without hard links
        _write(kept, path.read_text(encoding="utf-8"), like=path)


def _put_back(path: Path, kept: Path) -> None:
    """Give the file its old place; none when there was no file.

    Where the text in place is not the one for which it was kept, that was not written, or somebody has changed it
    since: then it is theirs, and stays.
    """
    found = _KEPT.fullmatch(kept.name)
    there = os.path.lexists(kept) and path.is_file() and not path.is_symlink()
    if found and there and _digest(path.read_bytes()) == found[2]:
        if kept.is_symlink():
            path.unlink()
        else:
            os.replace(kept, path)
    kept.unlink(missing_ok=True)


def _recover(folder: Path, path: Path, alone: _Lock) -> None:
    """Put back what runs that were killed have left in a folder, of whichever file: a daemon reads them all.

    Of others only where none of these can be at work, and not what another user alone may read.
    """
    for kept in sorted(folder.iterdir()):
        found = _KEPT.fullmatch(kept.name)
        if found and found[1] == path.name:
            _put_back(folder / found[1], kept)
        elif found and alone.locked:
            with contextlib.suppress(PermissionError):
                _put_back(folder / found[1], kept)


def _write(path: Path, text: str, like: Path | None = None) -> None:
    replacing.write(str(path), text.encode(), str(like or path))


def _run(command: str, deadline: Deadline, otherwise: str, failure: type[Failed] = Failed) -> str:
    """Run a command, give what it said. Raises KvmwatchError that says what follows of its failure, and why."""
    try:
        ran = programs.run(shlex.split(command), deadline)
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no command line"
        raise KvmwatchError(f"{otherwise}: cannot run {command!r}: {reason}") from None
    except DeadlineExceeded:
        why = f"{command!r} was not done within the time limit; give a longer -t"
        raise KvmwatchError(f"{otherwise}: {why}") from None
    if ran.code:
        errors = _errors(ran.said)
        why = f"{command!r} exits with {ran.code}: {errors[0]}"
        raise failure(f"{otherwise}: {why}", why, errors)
    return ran.said


def _errors(said: str) -> list[str]:
    """The lines that tell of errors, else the last; there is always one."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if any(word in line for word in _OF_ERRORS)]
    return errors or lines[-1:] or ["it said nothing"]
