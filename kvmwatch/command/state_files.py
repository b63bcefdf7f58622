"""Small files that commands keep between runs (counters, lists): read whole or not at all, replaced as a whole.

What lies in the way costs what the file was to tell, and nothing else: reading never raises, hangs or follows a
link, replacing tells its problem as a text. Commands that run at once cannot mix or damage each other's files.
(nagiosplugin's Cookie truncates its file in place before it writes, so a crash or a second reader in between loses
the counters; hence not used.)

How a command keeps one::

    path = state_files.path(state_files.directory(options.state_dir), "kvm_cpu", uri, selection)
    text = state_files.read(path)            # None: nothing that can be used
    problem = state_files.replace(path, new)  # None: it is kept; else why not and what to do
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from zlib import crc32

from kvmwatch.model import users

SYSTEM_DIRECTORY = "/var/lib/kvmwatch"
LIMIT = 64 << 20  # bytes; no file of ours comes near

#: what is behind the kind in the name of a file
_BEHIND = r"[0-9a-f]{8}(\.json|[a-z0-9_]{8}\.tmp)"
_SUFFIX, _TEMPORARY = ".json", ".tmp"
_DAY = 86400
_FORGOTTEN_AFTER = 7 * _DAY  # seconds; files of command lines that nobody runs any more
#: kinds of what no run can find out again, as which VMs moved away: a machine may be off for a month, or its clock
#: be a year ahead when it boots
_NEVER_FORGOTTEN = ("kvm_homes", "kvm_told")
_LEFT_AFTER = 3600  # seconds; temporary files of a run that was killed
# a FIFO without a writer or a device would make open() wait
_CAREFULLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


def directory(asked_for: str | None) -> str:
    """Choose the folder: the one asked for, ``$KVMWATCH_STATE_DIR``, the system's if writable, the user's cache.

    It need not be there: :func:`replace` makes it.
    """
    return asked_for or os.environ.get("KVMWATCH_STATE_DIR") or _default_directory()


def path(folder: str, kind: str, *identity: object) -> str:
    """Name a file: its ``kind`` (kvm_CHECK, roster) and what it belongs to (URI, selection), as a checksum.

    It is this machine's as well: of machines that share a home each calls its own libvirt qemu:///system.
    """
    # all command lines are this user's own, so nobody makes two of them collide; hashlib would bring OpenSSL
    name = f"{kind}-{crc32(repr((os.uname().nodename, *identity)).encode()):08x}{_SUFFIX}"
    if not _is_kind(kind):
        raise ValueError(f"{name}: tidy() would not know it for ours; see _is_kind")
    return os.path.join(folder, name)


def _is_kind(kind: str) -> bool:
    """Whether it is a kind of our files; a pattern would cost every run of every check half a millisecond."""
    command = kind.removeprefix("kvm_")
    return kind == "roster" or (command != kind and command.isascii() and command.isalpha() and command.islower())


def read(file: str) -> str | None:
    """Read a file of ours. None when it is not there, or anything else than a regular file of this user's.

    Whoever can write into a shared folder can put a file there; what it says must not become figures.
    """
    try:
        number = os.open(file, _CAREFULLY)
    except OSError:
        return None
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > LIMIT:
            return None
        with open(number, "rb", closefd=False) as opened:
            return opened.read(LIMIT).decode("utf-8", "surrogatepass")
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        os.close(number)


def replace(file: str, text: str) -> str | None:
    """Put a file in the place of the old one, or tell in one line why that cannot be done and what to do.

    Once a day it tidies the folder.
    """
    try:
        folder = os.path.dirname(file)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not is_of_today(file):
            tidy(folder)
        _replace(file, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        return _problem(file, error)
    return None


def is_of_today(file: str) -> bool:
    """Whether it was written today. What is kept only when it has changed is kept once a day, or tidied away."""
    return _last_written(file) // _DAY == time.time() // _DAY


def tidy(folder: str) -> None:
    """Remove what is ours, old and no loss: files of command lines that nobody runs, and what a crash left.

    Ours is a regular file of this user's with such a name as :func:`path` gives, or a temporary one of it.
    """
    now, user = time.time(), os.geteuid()
    for file, temporary in _named_as_ours(folder):
        try:
            status = os.lstat(file)
            old = now - status.st_mtime > (_LEFT_AFTER if temporary else _FORGOTTEN_AFTER)
            if old and stat.S_ISREG(status.st_mode) and status.st_uid == user:
                os.unlink(file)
        except OSError:
            continue  # removed by another run just now


def _named_as_ours(folder: str) -> Iterator[tuple[str, bool]]:
    try:
        names = os.listdir(folder)
    except OSError:  # it may be written into and not listed
        return
    for name in names:
        kind, _, behind = name.rpartition("-")
        named = re.fullmatch(_BEHIND, behind)
        if named and _is_kind(kind) and (named[1] != _SUFFIX or kind not in _NEVER_FORGOTTEN):
            yield os.path.join(folder, name), named[1] != _SUFFIX


def _replace(file: str, content: bytes) -> None:
    # tempfile would do the same, and brings all kinds of compression and of chance
    made = f"{file.removesuffix(_SUFFIX)}{os.urandom(4).hex()}{_TEMPORARY}"
    # O_EXCL: so that nothing is written through a link that waits there
    number = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(number, "wb") as opened:
            opened.write(content)
        os.replace(made, file)
    except BaseException:
        with contextlib.suppress(OSError):  # it may have its place already; what ended us is not to be lost
            os.unlink(made)
        raise


def _last_written(file: str) -> float:
    try:
        return os.lstat(file).st_mtime
    except OSError:
        return 0.0


def _problem(file: str, error: OSError) -> str:
    owner = _owner(file)
    if owner not in (None, os.geteuid()):
        return f"{file} is of user {users.name(owner)}; give each user a --state-dir of its own"
    if error.errno == errno.EISDIR:
        return f"{file}: {error.strerror}; remove it"
    advice = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "make it writable"
    return f"{os.path.dirname(file)}: {error.strerror}; {advice} or give another --state-dir"


def _owner(file: str) -> int | None:
    try:
        return os.lstat(file).st_uid
    except OSError:
        return None


def _default_directory() -> str:
    own = os.path.join(SYSTEM_DIRECTORY, users.name())  # the packages make those of the users nagios and zabbix
    if os.access(own, os.W_OK) or os.access(SYSTEM_DIRECTORY, os.W_OK):
        return own
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # who has no home (a user without a name) would have one called ~ wherever this runs
    return os.path.join(cache, "kvmwatch") if os.path.isabs(cache) else own
