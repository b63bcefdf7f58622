"""Somebody who puts a file back when we are killed, and cannot do it ourselves."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

# $1: the old file, or a link where there was none; $2: its place; $3: how the SHA-256 of the new text begins. What
# has another one there is somebody else's, or was never written: the next run tidies up. Its input ends with the
# process that started it; SIGTERM comes when that has to end in a hurry
_GUARD = """
back() {
    case "$(sha256sum <"$2")" in "$3"*) ;; *) return ;; esac
    if [ -L "$1" ]; then rm -f "$2" "$1"; elif [ -e "$1" ]; then mv -f "$1" "$2"; fi
}
trap 'back "$@"; exit' TERM
read -r accepted || back "$@"
"""


@contextlib.contextmanager
def guarded(path: Path, kept: Path, digest: str, locks: Collection[int]) -> Iterator[None]:
    """Have *kept* put back to *path*, where the text of this digest is, if this process is killed in the block.

    ``digest``: how its SHA-256 begins. ``locks``: file descriptors that are held until that is done, too. What
    raises in the block has put it back itself. Raises OSError.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(kept), str(path), digest],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(locks),
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            assert guard.stdin
            with contextlib.suppress(OSError):  # somebody has ended it
                guard.stdin.write(b"accepted\n")
                guard.stdin.flush()
