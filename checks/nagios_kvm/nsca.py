"""NSCA, by the distribution's send_nsca: what it says it sent is what counts."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from collections.abc import Sequence
from itertools import islice
from math import ceil
from urllib.parse import urlsplit

from check_kvm.frame.perfdata import FULL

from kvmwatch.command import given, programs
from kvmwatch.command.web import one_line
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError, UsageError, advised
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.fitting import fitted
from nagios_kvm.judging import Result
from nagios_kvm.targets import Owners, Taken
from nagios_kvm.turns import Turns

_OUTPUT, _HOST, _SERVICE = 4095, 63, 127  # bytes in a packet of NSCA 2.9
_BATCH = 100  # results for a call: where it fails it does not say how many it had sent before
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian has it, and users do not look
_CONFIG = "/etc/send_nsca.cfg"
_END = "\x17"  # of a packet; send_nsca takes a line for a part of one
_SENT = re.compile(r"(\d{1,9}) data packet\(s\) sent to host successfully")


class Nsca:
    """A daemon nsca. It does not even tell whether it could decrypt what it got."""

    limit = _OUTPUT - 512  # for what is escaped
    words = "{to}: {number} of {total} results for host {host} sent"
    perfdata = FULL

    def __init__(self, url: str, config: str | None) -> None:
        """``url``: nsca://HOST[:PORT]; ``config``: of send_nsca. UsageError when others could read that."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 5667
        except ValueError:
            host, port = None, 0
        if not host or host.startswith("-"):
            raise UsageError("--to nsca://HOST[:PORT]: that is no host and port")
        if config:
            given.check_private("--credentials", config, UsageError)
        program = shutil.which("send_nsca", path=_PATH) or "send_nsca"
        self._command = [program, "-H", host, "-p", str(port), "-c", config or _CONFIG]

    def owners(self, _results: Sequence[Result], _deadline: Deadline) -> Owners:
        """None: it does not tell what its Nagios has."""
        return {}

    def send(self, host: str, results: Turns, deadline: Deadline) -> Taken:
        """Send results by calls of the program, each of which is ended when the time is over."""
        number, why = 0, ""
        long: list[str] = []  # names
        while deadline.remaining() and not why and (batch := list(islice(results, _BATCH))):
            packets = {result: line for result in batch if (line := packet(host, result))}
            long += [result.name for result in batch if result not in packets]
            if packets:
                went, why = self._called(list(packets.values()), deadline)
                number += went
                results.give_back(list(packets)[went:])
        reasons = [why] if why else []
        if long:
            what = "a name that is" if len(long) == 1 else f"{len(long)} names that are"
            limits = f"of a host {_HOST} bytes, of a service {_SERVICE}"
            reasons.append(f"{what} too long for NSCA ({limits}): {one_line(', '.join(long))}")
        if reasons and not number:
            raise KvmwatchError("; ".join(reasons))
        return Taken(number, (), "; ".join(reasons))

    def _called(self, lines: list[bytes], deadline: Deadline) -> tuple[int, str]:
        """How many of some packets the program says it sent, and else why not all."""
        # its own limit is for the whole call, too, and 10 s if nobody says otherwise
        command = [*self._command, "-to", str(max(1, ceil(deadline.remaining())))]
        try:
            ran = programs.run(command, deadline, b"".join(lines))
        except OSError as error:
            return 0, f"send_nsca: {advised(error, 'install nsca-client', errno.ENOENT)}"
        except DeadlineExceeded:
            return 0, "send_nsca was not done within the time limit, and was ended"
        number = min(sent(ran.said), len(lines))
        if ran.code or number < len(lines):
            return number, f"send_nsca: {one_line(ran.said) or _ended(ran.code)}"
        return number, ""


def _ended(code: int) -> str:
    """What the end of a send_nsca means that said nothing, as where its daemon hung up."""
    if code == -signal.SIGPIPE:
        return "the daemon hung up: password and encryption_method must be those of its nsca.cfg"
    return f"ended by signal {-code}" if code < 0 else f"exit code {code}"


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
