"""Where passive results go: Nagios's command file or check-result spool, or Icinga 2's API."""

from __future__ import annotations

import errno
import os
import select
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.judging import Result, Taken

#: takes the results for a host and tells how many were taken. Raises KvmwatchError.
Target = Callable[[str, list[Result], Deadline], Taken]

_ATOMIC = select.PIPE_BUF  # what a pipe takes of a writer in one piece


def find(to: str, credentials: str | None, ca_file: str | None, allow_http: bool = False) -> Target:
    """The target that a file or URL names. Raises KvmwatchError, UsageError among them.

    Credentials go unencrypted to another machine only with ``allow_http``.
    """
    if is_icinga(to):
        from nagios_kvm.icinga_api import IcingaApi  # noqa: PLC0415 - brings requests

        return IcingaApi(to, credentials, ca_file, allow_http).send
    try:
        mode = os.stat(to).st_mode
    except OSError as error:
        raise KvmwatchError(
            f"--to {to}: {error.strerror}; is Nagios running, and is this its command_file?"
        ) from None
    if stat.S_ISFIFO(mode):
        return lambda host, results, deadline: to_command_file(Path(to), host, results, deadline)
    if stat.S_ISDIR(mode):
        return lambda host, results, _deadline: to_spool(Path(to), host, results)
    raise UsageError(f"--to {to} is neither a command file (a pipe), nor a check-result folder, nor a URL")


def is_icinga(to: str) -> bool:
    """Whether it is the URL of an Icinga."""
    return to.startswith(("https://", "http://"))


def to_command_file(path: Path, host: str, results: list[Result], deadline: Deadline) -> Taken:
    """Write PROCESS_SERVICE_CHECK_RESULT commands into Nagios's pipe.

    A pipe that is full (Nagios hangs) is waited for until the deadline.
    """
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise KvmwatchError(f"nobody reads {path}: Nagios is not running") from None
        raise KvmwatchError(f"cannot write to {path}: {error.strerror}; add the user to its group") from None
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    try:
        for number, line in enumerate(_commands(host, results)):
            left = line.encode()
            while left:
                if not poll.poll(deadline.remaining() * 1000):
                    raise KvmwatchError(f"Nagios does not read {path}: {number} of {len(results)} results written")
                try:
                    left = left[os.write(pipe, left) :]
                except BlockingIOError:
                    time.sleep(0.01)  # there is some room, but not for one atomic piece
    except BrokenPipeError:
        raise KvmwatchError(f"Nagios went away while {path} was written") from None
    finally:
        os.close(pipe)
    return Taken(len(results))


def _commands(host: str, results: Iterable[Result]) -> Iterator[str]:
    now = int(time.time())
    for result in results:
        head = f"[{now}] PROCESS_SERVICE_CHECK_RESULT;{host};{result.service};{result.code};"
        # longer lines could be torn apart by those of others
        yield head + _escaped(result.output, _ATOMIC - len(head.encode()) - 1) + "\n"


def to_spool(folder: Path, host: str, results: list[Result]) -> Taken:
    """Write one file into Nagios's check_result_path, with all results, and the .ok that releases it."""
    now = time.time()
    blocks = ["### kvmwatch ###\n", f"file_time={int(now)}\n\n"]
    blocks += [
        f"host_name={host}\nservice_description={result.service}\ncheck_type=1\ncheck_options=0\n"
        f"scheduled_check=0\nreschedule_check=0\nlatency=0.0\nstart_time={now:.6f}\nfinish_time={now:.6f}\n"
        f"early_timeout=0\nexited_ok=1\nreturn_code={result.code}\noutput={_escaped(result.output)}\n\n"
        for result in results
    ]
    try:
        # Nagios reads files whose names are a "c" with six characters
        number, name = tempfile.mkstemp(prefix="c", dir=folder)
        path = Path(name)
        wanted = path.with_name(f"c{path.name[-6:]}")
        with open(number, "w", encoding="utf-8") as file:
            file.write("".join(blocks))
            os.fchmod(file.fileno(), 0o644)
        path.rename(wanted)
        wanted.with_name(f"{wanted.name}.ok").touch()
    except OSError as error:
        raise KvmwatchError(f"cannot write into {folder}: {error.strerror}; add the user to its group") from None
    return Taken(len(results))


def _escaped(text: str, most: int | None = None) -> str:
    """Newlines as Nagios takes them within one line; whole characters only where it is cut."""
    line = text.replace("\\", "\\\\").replace("\n", "\\n")
    encoded = line.encode()
    if most is None or len(encoded) <= most:
        return line
    return encoded[:most].decode(errors="ignore").rstrip("\\")
