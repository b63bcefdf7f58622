"""Somebody who puts a file back when we are killed, and cannot do it ourselves."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

# $1: the old file, or a link where there was none; $2: its place. Its input ends with the process that started it;
# SIGTERM comes when that has to end in a hurry
_GUARD = """
back() { if [ -L "$1" ]; then rm -f "$2" "$1"; elif [ -e "$1" ]; then mv -f "$1" "$2"; fi; }
trap 'back "$1" "$2"; exit' TERM
read -r accepted || back "$1" "$2"
"""


@contextlib.contextmanager
def guarded(path: Path, kept: Path, lock: int) -> Iterator[None]:
    """Have *kept* put back to *path* if this process is killed before the end of the block.

    ``lock``: file descriptor of a lock, which is held until that is done, too. What raises in the block has put it
    back itself. Raises OSError.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(kept), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(lock,),
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            assert guard.stdin
            with contextlib.suppress(OSError):  # somebody has ended it
                guard.stdin.write(b"accepted\n")
                guard.stdin.flush()
