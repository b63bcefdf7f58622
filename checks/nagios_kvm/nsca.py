"""NSCA, by the distribution's send_nsca: what it says it sent is what counts."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from check_kvm.frame.perfdata import FULL

from kvmwatch.command import programs
from kvmwatch.command.web import one_line
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.fitting import fitted
from nagios_kvm.judging import Result
from nagios_kvm.targets import Taken
from nagios_kvm.turns import Turns

_OUTPUT, _HOST, _SERVICE = 4095, 63, 127  # bytes in a packet of NSCA 2.9
_CONFIG = "/etc/send_nsca.cfg"
_END = "\x17"  # of a packet; send_nsca takes a line for a part of one
_SENT = re.compile(r"(\d{1,9}) data packet\(s\) sent to host successfully")


class Nsca:
    """A daemon nsca. It tells nothing of which services its Nagios has."""

    limit = _OUTPUT - 512  # for what is escaped
    words = "{to}: {number} of {total} results for host {host} sent"
    perfdata = FULL

    def __init__(self, url: str, config: str | None) -> None:
        """``url``: nsca://HOST[:PORT]; ``config``: of send_nsca."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 5667
        except ValueError:
            host, port = None, 0
        if not host or host.startswith("-"):
            raise UsageError("--to nsca://HOST[:PORT]: that is no host and port")
        self._command = ["send_nsca", "-H", host, "-p", str(port), "-c", config or _CONFIG]

    def send(self, host: str, results: Turns, deadline: Deadline) -> Taken:
        """Send all in one call of the program, which is ended when the time is over."""
        lines = [line for result in results if (line := packet(host, result))]
        if not lines:
            raise KvmwatchError("no name of a service or host is short enough for NSCA")
        try:
            ran = programs.run(self._command, deadline, b"".join(lines))
        except OSError as error:
            raise KvmwatchError(f"send_nsca: {error.strerror}; install nsca-client") from None
        except DeadlineExceeded:
            raise KvmwatchError("send_nsca was not done in time, and was ended") from None
        number = sent(ran.said)
        if ran.code or not number:
            raise KvmwatchError(f"send_nsca: {one_line(ran.said) or f'exit code {ran.code}'}")
        why = "" if number >= len(results) else "the others were not sent, or their names are too long for NSCA"
        return Taken(min(number, len(results)), (), why)


def packet(host: str, result: Result) -> bytes | None:
    """The packet of a result; None when its names do not fit, which NSCA would cut."""
    host = result.host or host
    if len(host.encode()) > _HOST or len(result.service.encode()) > _SERVICE:
        return None
    # in one line as others take it; the daemon escapes newlines and backslashes itself
    line = fitted(result.output, _OUTPUT) or ""
    output = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], line)
    return f"{host}\t{result.service}\t{result.code}\t{output}{_END}".encode()


def sent(said: str) -> int:
    """How many packets send_nsca says it sent."""
    found = _SENT.search(said)
    return int(found[1]) if found else 0
