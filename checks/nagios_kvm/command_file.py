"""Nagios's command file: a pipe that takes a command a line."""

from __future__ import annotations

import errno
import os
import select
import time

from kvmwatch.model.errors import DENIED, KvmwatchError, advised
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.fitting import fitted
from nagios_kvm.judging import Result
from nagios_kvm.nagios_objects import OfNagios
from nagios_kvm.targets import Taken
from nagios_kvm.turns import Turns

#: bytes that a pipe takes of a writer in one piece: a longer line could be torn apart by those of others
LINE = select.PIPE_BUF
_HEAD = 512  # of these for what stands before the output, and for what is escaped in it


class CommandFile(OfNagios):
    """A command_file. What is written there is read by Nagios, which tells nobody what it makes of it."""

    limit = LINE - _HEAD

    def send(self, host: str, results: Turns, deadline: Deadline) -> Taken:
        """Write PROCESS_SERVICE_CHECK_RESULT commands.

        A pipe that is full (Nagios hangs) is waited for until the deadline. Raises KvmwatchError.
        """
        known = self._objects and self._objects.services
        pipe = self._opened()
        poll = select.poll()
        poll.register(pipe, select.POLLOUT)
        written, unknown, why = 0, [], ""
        try:
            for result in results:
                line = command(int(time.time()), result.host or host, result)
                if line is None:
                    why = f"the name of a service is too long for a line of {LINE} bytes: {result.service[:60]}..."
                    continue
                try:
                    self._write(pipe, line, poll, deadline, f"{written} of {len(results)}")
                except (KvmwatchError, OSError):
                    results.give_back([result])
                    raise
                written += 1
                if known is not None and (result.host or host, result.service) not in known:
                    unknown.append(result.name)
        except BrokenPipeError:
            raise KvmwatchError(f"Nagios went away while {self._path} was written") from None
        finally:
            os.close(pipe)
        return Taken(written, unknown, why)

    def _opened(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise KvmwatchError(f"nobody reads {self._path}: Nagios is not running") from None
            why = advised(error, "add the user to its group", *DENIED)
            raise KvmwatchError(f"cannot write to {self._path}: {why}") from None

    def _write(self, pipe: int, line: bytes, poll: select.poll, deadline: Deadline, written: str) -> None:
        while line:
            if not poll.poll(deadline.remaining() * 1000):
                raise KvmwatchError(f"Nagios does not read {self._path}: {written} results written")
            try:
                line = line[os.write(pipe, line) :]
            except BlockingIOError:
                time.sleep(0.01)  # there is some room, but not for one atomic piece


def command(now: int, host: str, result: Result) -> bytes | None:
    """The line of a result, as much of its output as goes into one. None when not even the names do."""
    head = f"[{now}] PROCESS_SERVICE_CHECK_RESULT;{host};{result.service};{result.code};"
    output = fitted(result.output, LINE - len(head.encode()) - 1)
    return None if output is None else f"{head}{output}\n".encode()
