"""Small files that the command line names: configurations and credentials."""

from __future__ import annotations

import os

from kvmwatch.model.doing import doing
from kvmwatch.model.errors import KvmwatchError

LIMIT = 1024 * 1024  # bytes: of a file that people write, or it is another one than they meant


def read(option: str, path: str, error: type[KvmwatchError] = KvmwatchError, private: bool = False) -> str:
    """Give the text of a file. It may be a pipe (``--config <(...)``), and then this waits for who writes it.

    ``private``: nobody else may be able to read it. Raises this kind of error with one line.
    """
    with doing(f"reading {option} {path}"):
        try:
            with open(path, "rb") as file:
                if private:
                    _check_private(path, os.fstat(file.fileno()).st_mode, error)
                content = file.read(LIMIT + 1)
            if len(content) > LIMIT:
                raise error(f"{option} {path} is larger than {LIMIT // 1024} KiB: is it the right file?")
            return content.decode("utf-8-sig")  # editors of Windows begin a file with a mark
        except OSError as failed:
            raise error(f"cannot read {path}: {failed.strerror}") from None
        except UnicodeDecodeError:
            raise error(f"{path}: it is no UTF-8 text") from None


def check_private(option: str, path: str, error: type[KvmwatchError] = KvmwatchError) -> None:
    """Check a file with secrets that another program reads, as :func:`read` does: nobody else may be able to."""
    with doing(f"looking at {option} {path}"):
        try:
            _check_private(path, os.stat(path).st_mode, error)
        except OSError as failed:
            raise error(f"cannot read {path}: {failed.strerror}") from None


def _check_private(path: str, mode: int, error: type[KvmwatchError]) -> None:
    if mode & 0o007:
        raise error(f"{path} can be read by everybody; chmod 600 it")
