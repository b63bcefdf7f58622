"""Prometheus over HTTP: one reading for all scrapes that wait at the same time, each answered in its own time."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, NoReturn, Optional

from kvmwatch.command import watchdog
from kvmwatch.command.telling import tell
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch_exporters import apart, prometheus, rows
from kvmwatch_exporters.complaints import READABLE, Complaints
from kvmwatch_exporters.reading import Reading

DEFAULT = "127.0.0.1:9477"
_FRESH = 1.0  # seconds for which a reading is given to others; two that are closer would give no rates
_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_SPARE = 0.5  # seconds of a scrape's time that are left for the answer
_ASKING = 10.0  # seconds in which a client has to say all that it wants, and then to take the answer
_MOST = 32  # connections at a time; of what ulimit gives, reading needs the rest
_REFUSED = 0.1  # seconds until the next try, when a connection is not to be had
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
    """The answers of one reading at a time, shared among all who ask while it runs, or a moment after it.

    Each reading has the whole time of ``-t``, whoever began it, so what it comes to is true for all of them; who
    has less time is told that there was no answer, and nobody else is.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        """``read`` gives the text, or raises KvmwatchError."""
        self._read = read
        self._lock = threading.Lock()
        self._running: Optional[Started[str]] = None
        self._ended: Optional[float] = None

    def get(self, seconds: float) -> str:
        """Give the text within so many seconds. Raises KvmwatchError."""
        with self._lock:
            if not self._running or (self._ended is not None and time.monotonic() - self._ended > _FRESH):
                self._running = self._ended = None  # also when no thread is to be had, or it would be the last one
                self._running = Started(self._timed)
            running = self._running
        return running.wait(Deadline(seconds, spare=0))

    def _timed(self) -> str:
        try:
            return self._read()
        finally:
            self._ended = time.monotonic()


def serve(options: argparse.Namespace) -> NoReturn:
    """Answer scrapes for ever. Raises KvmwatchError when the address is not to be had, or an option is wrong."""
    apart.stay(options)
    complaints = Complaints()
    shared = Shared(partial(apart.read, options, text, complaints, options.timeout))
    address: Address = options.listen
    try:
        server = Server(address, partial(Handler, shared, options.timeout, complaints))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--listen {address.host}:{address.port}: {why}") from None
    with contextlib.suppress(KvmwatchError):  # nobody hears it
        tell(f"listening on {server.url}{_PATH}\n", sys.stderr, patience=0)
    while True:
        watchdog.renew()
        server.handle_request()


def text(reading: Reading) -> str:
    """What a scrape gets."""
    return prometheus.text(rows.rows(reading))


class Server(ThreadingHTTPServer):
    """Answers all who ask, and has no more connections than it can have."""

    daemon_threads = True
    request_queue_size = 64
    timeout = 60  # seconds of a call of handle_request

    def __init__(self, address: Address, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__(address, handler)
        self._lock = threading.Lock()
        #: whether each connection has said what it wants; the oldest first
        self._connections: dict[socket.socket, bool] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        return f"http://{f'[{host!s}]' if ':' in str(host) else host!s}:{port}"

    def server_bind(self) -> None:
        """Without asking the name server for our own name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # no file descriptor is left: the connection goes on waiting, and so do we
            time.sleep(_REFUSED)
            raise

    def verify_request(self, request: Any, _address: object) -> bool:
        """Make room for one more: who has long been saying what it wants goes, not who waits for an answer."""
        with self._lock:
            if len(self._connections) >= _MOST:
                slow = next((one for one, has_asked in self._connections.items() if not has_asked), None)
                if not slow:
                    return False
                del self._connections[slow]
                with contextlib.suppress(OSError):
                    slow.shutdown(socket.SHUT_RDWR)  # its thread closes it then
            self._connections[request] = False
        return True

    def has_asked(self, request: socket.socket) -> None:
        """Keep a connection until it is answered."""
        with self._lock:
            if request in self._connections:
                self._connections[request] = True

    def close_request(self, request: Any) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().close_request(request)

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that has gone."""


class _InTime(io.RawIOBase):
    """What a connection says, within so many seconds in all, however slowly it drips."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Handler(BaseHTTPRequestHandler):
    """One request, and its answer."""

    server_version = "kvmwatch"
    sys_version = ""
    server: Server

    def __init__(self, shared: Shared, most: float, complaints: Complaints, *server: Any) -> None:
        self._shared = shared
        self._most = most
        self._complaints = complaints
        super().__init__(*server)

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_InTime(self.connection, _ASKING))

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        self.server.has_asked(self.connection)
        self.connection.settimeout(_ASKING)  # of the answer as a whole
        return parsed

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == _PATH:
            self._answer(self._scraped().encode(), prometheus.CONTENT_TYPE)
        elif path == "/":
            self._answer(_PAGE, "text/html; charset=utf-8")
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        """Answer as to a GET, without what would have to be read for it."""
        kinds = {_PATH: prometheus.CONTENT_TYPE, "/": "text/html; charset=utf-8"}
        kind = kinds.get(self.path.partition("?")[0])
        if not kind:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _scraped(self) -> str:
        client, seconds = self.client_address[0], self._seconds()
        try:
            made, problem = self._shared.get(seconds), ""
        except KvmwatchError as error:
            problem = str(error)
            made = prometheus.text(rows.failed(), problem)
        wrong = f"scrape of {client}: {problem}" if problem else ""
        self._complaints.say(f"{client} {seconds}", wrong, READABLE)  # an impatient one says nothing of the others
        return made

    def _seconds(self) -> float:
        """How long the answer may take: what Prometheus will wait for, less a bit, or -t."""
        try:
            asked = float(self.headers.get(_HEADER, ""))
        except ValueError:
            return self._most
        return min(self._most, max(0.1, asked - min(_SPARE, asked / 5))) if asked > 0 else self._most

    def _answer(self, body: bytes, kind: str) -> None:
        packed = takes_gzip(self.headers.get("Accept-Encoding", ""))
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


def takes_gzip(accepted: str) -> bool:
    """Whether such an Accept-Encoding takes gzip: by its name, else by ``*``, unless its weight is 0."""
    weights = {}
    for coding in accepted.lower().split(","):
        name, *parameters = (word.strip() for word in coding.split(";"))
        weights[name] = not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", word) for word in parameters)
    return weights.get("gzip", weights.get("*", False))
