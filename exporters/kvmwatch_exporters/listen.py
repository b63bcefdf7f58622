"""Prometheus over HTTP: one reading for all scrapes that wait at the same time, each answered in its own time."""

from __future__ import annotations

import argparse
import gzip
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, NoReturn, Optional

from kvmwatch.command import watchdog
from kvmwatch.command.apart import stay
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch_exporters import apart, prometheus, rows
from kvmwatch_exporters.reading import Reading

DEFAULT = "127.0.0.1:9477"
_FRESH = 1.0  # seconds for which a reading is given to others; two that are closer would give no rates
_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_SPARE = 0.5  # seconds of a scrape's time that are left for the answer
_PATH = "/metrics"
_PAGE = f'<html><body>kvmwatch: <a href="{_PATH}">{_PATH}</a></body></html>\n'.encode()


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, word: str) -> Address:
        """Read ADDRESS:PORT, [ADDRESS]:PORT, or PORT on the loopback. Raises ArgumentTypeError."""
        host, _, port = word.rpartition(":")
        if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise argparse.ArgumentTypeError(f"{word!r}: use ADDRESS:PORT, [IPV6]:PORT or PORT")
        return cls(host.strip("[]") or "127.0.0.1", int(port))


class Shared:
    """The answers of one reading at a time, shared among all who ask while it runs, or a moment after it."""

    def __init__(self, read: Callable[[float], str]) -> None:
        """``read`` gives the text within so many seconds, or raises KvmwatchError."""
        self._read = read
        self._lock = threading.Lock()
        self._running: Optional[Started[str]] = None
        self._ended: Optional[float] = None

    def get(self, seconds: float) -> str:
        """Give the text within so many seconds. Raises KvmwatchError."""
        with self._lock:
            if not self._running or (self._ended is not None and time.monotonic() - self._ended > _FRESH):
                self._ended = None
                self._running = Started(partial(self._timed, seconds))
            running = self._running
        return running.wait(Deadline(seconds, spare=0))

    def _timed(self, seconds: float) -> str:
        try:
            return self._read(seconds)
        finally:
            self._ended = time.monotonic()


def serve(options: argparse.Namespace) -> NoReturn:
    """Answer scrapes for ever. Raises KvmwatchError when the address is not to be had."""
    shared = Shared(partial(apart.read, options, text))
    address: Address = options.listen
    try:
        server = _Server(address, partial(_Handler, shared, options.timeout, _Complaint()))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--listen {address.host}:{address.port}: {why}") from None
    host, port = server.server_address[:2]
    print(f"listening on http://{f'[{host!s}]' if ':' in str(host) else host!s}:{port}{_PATH}", file=sys.stderr)
    sys.stderr.flush()
    server.timeout = 60
    stay()
    while True:
        watchdog.renew()
        server.handle_request()


def text(reading: Reading) -> str:
    """What a scrape gets."""
    return prometheus.text(rows.rows(reading))


class _Complaint:
    """Says on stderr what is wrong when it begins, and when it is over."""

    def __init__(self) -> None:
        self._now = ""
        self.number = 0

    def say(self, what: str) -> None:
        if what != self._now:
            print(f"kvmwatch export: {what or 'the hypervisor can be read again'}", file=sys.stderr, flush=True)
        self._now = what


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: Address, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without asking the name server for our own name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that has gone."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds in which a client has to say what it wants
    server_version = "kvmwatch"
    sys_version = ""

    def __init__(self, shared: Shared, most: float, complaint: _Complaint, *server: object) -> None:
        self._shared = shared
        self._most = most
        self._complaint = complaint
        super().__init__(*server)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == _PATH:
            self._answer(self._scraped().encode(), prometheus.CONTENT_TYPE)
        elif path == "/":
            self._answer(_PAGE, "text/html; charset=utf-8")
        else:
            self.send_error(404)

    def _scraped(self) -> str:
        try:
            made = self._shared.get(self._seconds())
        except KvmwatchError as error:
            self._complaint.say(str(error))
            return prometheus.text(rows.failed(), str(error))
        self._complaint.say("")
        return made

    def _seconds(self) -> float:
        """How long the answer may take: what Prometheus will wait for, less a bit, or -t."""
        try:
            asked = float(self.headers.get(_HEADER, ""))
        except ValueError:
            return self._most
        return min(self._most, max(0.1, asked - min(_SPARE, asked / 5))) if asked > 0 else self._most

    def _answer(self, body: bytes, kind: str) -> None:
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        if packed:
            body = gzip.compress(body, 1)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A scrape a minute is no news."""
