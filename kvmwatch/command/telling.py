"""Output of commands that run for long: to a pipe that is read slowly, or not at all any more.

A pipe that nobody reads takes what it has room for, and then holds whoever writes, for ever: where no ``-t`` holds
for the whole process, that is a service which does nothing and says nothing.
"""

from __future__ import annotations

import os
import select
from typing import TextIO

from kvmwatch.model.errors import KvmwatchError

_PATIENCE = 60.0  # seconds; a monitoring system that takes nothing for so long does not read
_MOST = select.PIPE_BUF  # bytes that whatever has room takes without waiting


def tell(text: str, stream: TextIO | None, patience: float = _PATIENCE) -> bool:
    """Write all of it, and tell whether somebody still reads; nobody does where the stream is closed.

    ``patience`` is how many seconds pass in which not a byte is taken; with 0 nothing is waited for. Raises
    KvmwatchError when they have passed, or it cannot be written.
    """
    if stream is None:
        return False
    number = stream.fileno()
    left = memoryview(text.encode(errors="backslashreplace"))
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    try:
        while left:
            if not poll.poll(patience * 1000):
                raise KvmwatchError(f"nobody has read the output for {patience:g} s")
            left = left[os.write(number, left[:_MOST]) :]
    except BrokenPipeError:
        return False
    except OSError as error:
        raise KvmwatchError(f"the output could not be written: {error.strerror}") from None
    return True
