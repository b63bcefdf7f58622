"""Running another program: no longer than the command may take, and with no more output than can be used."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Sequence
from typing import IO

from kvmwatch.command import children
from kvmwatch.model.doing import doing
from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.record import Record
from kvmwatch.reading.deadline import Deadline

LIMIT = 1024 * 1024  # bytes of output that are kept, as a rule

_LOOK = 0.05  # seconds between looks whether it has ended and left its output to somebody else
_PIECE = 65536


class Ran(Record):
    """A program's exit code and what it said on stdout and stderr; ``cut``: it said more than is kept."""

    code: int
    said: str
    cut: bool


def run(
    arguments: Sequence[str], deadline: Deadline, given: bytes = b"", limit: int = LIMIT, errors: bool = True
) -> Ran:
    """Run a program with this on its stdin, and keep so many bytes of what it says, also on stderr (``errors``).

    It leads a session of its own; when the time is over, or this process is ended meanwhile, all of that is ended.
    Raises OSError when it cannot be started, DeadlineExceeded.
    """
    if not deadline.remaining():
        raise DeadlineExceeded("no time is left")
    with doing(f"running {arguments[0]}"):
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            start_new_session=True,
        )
        children.add(process.pid)
        try:
            said, cut = _conversation(process, given, deadline, limit)
            code = process.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            children.end(process.pid)
            raise DeadlineExceeded("it was not done in time") from None
        except BaseException:
            children.end(process.pid)
            raise
        finally:
            process.poll()
            for stream in (process.stdin, process.stdout):
                _close(stream)
        children.forget(process.pid)
        return Ran(code, said.decode(errors="replace"), cut)


def _conversation(
    process: subprocess.Popen[bytes], given: bytes, deadline: Deadline, limit: int
) -> tuple[bytes, bool]:
    """Write its input and read its output until that ends, or the program does. Raises DeadlineExceeded."""
    said, cut, left = bytearray(), False, memoryview(given)
    assert process.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while deadline.remaining():
            ready = selector.select(min(_LOOK, deadline.remaining()))
            if not ready and process.poll() is not None:
                return bytes(said), cut  # a daemon that it has started holds its stdout
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    left = _written(process.stdin, left)
                    if not left:
                        selector.unregister(process.stdin)
                        _close(process.stdin)
                    continue
                piece = os.read(process.stdout.fileno(), _PIECE)
                if not piece:
                    return bytes(said), cut
                cut = cut or len(said) + len(piece) > limit
                said += piece[: limit - len(said)]
    raise DeadlineExceeded("it was not done in time")


def _written(stdin: IO[bytes], left: memoryview) -> memoryview:
    """Write what there is room for, and give the rest; none when it does not want more."""
    try:
        return left[os.write(stdin.fileno(), left[:_PIECE]) :]
    except BlockingIOError:
        return left
    except OSError:
        return left[:0]


def _close(stream: IO[bytes] | None) -> None:
    if stream:
        stream.close()
