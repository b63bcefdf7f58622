"""Replacing a file that is somebody else's as well: as a whole, and what it was otherwise it stays."""

from __future__ import annotations

import contextlib
import os
import tempfile

from kvmwatch.model.errors import KvmwatchError

_MODE = 0o644  # of a new one
_MOST_LINKS = 40  # as many as Linux follows


def replace(path: str, content: bytes) -> None:
    """Put a file in the place of the old one at once, or make one that all may read.

    A link stays one, and the file keeps its owner, group, mode and attributes; what is no file is not replaced.
    Until then its name begins with a dot and ends with ".tmp", so that nobody reads half of it. Raises
    KvmwatchError, and OSError.
    """
    path = _followed(os.path.abspath(path))
    if os.path.lexists(path) and not os.path.isfile(path):
        raise KvmwatchError(f"{path} is no file, so it is not replaced")
    write(path, content, like=path)


def write(path: str, content: bytes, like: str) -> None:
    """The same at a place that is no link, with the owner, group, mode and attributes of a file ``like`` it."""
    folder, file = os.path.split(path)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{file}.", suffix=".tmp", delete=False) as made:
        try:
            made.write(content)
            made.flush()
            _become(made.fileno(), like)
            os.fsync(made.fileno())  # else a power failure could leave the name with nothing behind it
            os.replace(made.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(made.name)
            raise


def _followed(path: str) -> str:
    """Where a link leads. Raises KvmwatchError for another user's, who would choose what is overwritten."""
    for _ in range(_MOST_LINKS):
        if not os.path.islink(path):
            break
        if os.lstat(path).st_uid not in (0, os.geteuid()):
            raise KvmwatchError(f"{path} is another user's link, so it is not followed")
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return path


def _become(number: int, path: str) -> None:
    """Give an open file the owner, group, mode and attributes (SELinux, ACL) of the one that it is to replace."""
    if not os.path.exists(path):
        os.fchmod(number, _MODE)
        return
    old = os.stat(path)
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with contextlib.suppress(PermissionError):  # root only; who may write it has a group in common with it
            os.fchown(number, owner, group)
    os.fchmod(number, old.st_mode & 0o777)
    with contextlib.suppress(OSError):  # a file system without them
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):  # not everybody may set every one
                os.setxattr(number, name, os.getxattr(path, name))
