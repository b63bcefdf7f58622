"""What hangs, drips, floods and lies: for tests of what holds a command up."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

#: a regular expression, and a name that it is not done with for ages
REGEX, NAME = "re:(a+)+$", "a" * 60 + "!"
HYPERVISOR = f"""<node><domain type='test'><name>{NAME}</name><memory>1024</memory><os><type>hvm</type></os></domain>
<pool type='dir'><name>{NAME}</name><target><path>/tmp</path></target></pool>
<network><name>{NAME}</name></network></node>"""

#: set when the tests are over: no thread that hangs in them outlives them
ALL_OVER = threading.Event()

#: programs that do not end, alone or with children, and take SIGTERM or not
PROGRAMS = {
    "sleeps": "exec sleep 600",
    "has children": "sleep 600 & sleep 600",
    "ignores SIGTERM": "trap '' TERM; sleep 600 & while :; do sleep 600; done",
    "has closed its output": "exec >&- 2>&-; sleep 600",
    "floods": "while :; do echo processed; done",
}


#: the variable by which all processes of a test are known
MARK = "KVMWATCH_TEST_MARK"


def marked(value: str) -> list[int]:
    """Processes with this mark; what has ended and is not yet reaped has no environment any more."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={value}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def program(folder: Path, text: str) -> Path:
    """A shell script as a program."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


class Handler(BaseHTTPRequestHandler):
    """A request whose answer is that of the server's ``behave``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        self.asked: Any = parse_qsl(body.decode(), strict_parsing=True) if form else json.loads(body)
        try:
            self.server.behave(self)  # type: ignore[attr-defined]
        except OSError:
            self.close_connection = True  # it did not wait

    def tell(self, body: bytes, code: int = 200, **headers: str) -> None:
        """Answer."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


Behaviour = Callable[[Handler], None]


@contextmanager
def api(behave: Behaviour) -> Iterator[str]:
    """A server that behaves so. Gives its URL."""
    with late_api(behave) as (url, listen):
        listen()
        yield url


@contextmanager
def late_api(behave: Behaviour) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server that has its port, but refuses all until it is told to listen. Gives its URL, and what tells it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.server_bind()
    server.daemon_threads = True
    server.behave = behave  # type: ignore[attr-defined]
    serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)

    def listen() -> None:
        server.server_activate()
        serving.start()

    try:
        yield f"http://127.0.0.1:{server.server_port}", listen
    finally:
        if serving.is_alive():
            server.shutdown()
        server.server_close()


def _drip(handler: Handler, begin: bytes) -> None:
    handler.wfile.write(begin)
    while True:  # until the other side has gone
        handler.wfile.write(b" ")
        handler.wfile.flush()
        threading.Event().wait(0.05)


def _flood(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        handler.wfile.write(b" " * 65536)


@cache
def packed(layers: int) -> bytes:
    """200 MiB of nothing, packed so many times; that takes a second."""
    return gzip.compress(packed(layers - 1), 1) if layers else bytes(200 * 1024 * 1024)


def _bomb(handler: Handler, layers: int) -> None:
    encoding = ", ".join(["gzip"] * layers)
    handler.tell(packed(layers), Content_Encoding=encoding, Content_Type="application/json")


def _redirect(handler: Handler) -> None:
    handler.tell(b"", 307, Location=f"http://{handler.headers['Host']}/elsewhere")


#: APIs from which no answer can be had, and what is said of each
APIS: dict[str, tuple[Behaviour, str]] = {
    "says nothing": (lambda _: threading.Event().wait(60) and None, "no whole answer in time"),
    "drips headers": (lambda handler: _drip(handler, b"HTTP/1.1 200 OK\r\nX-Y:"), "no whole answer in time"),
    "drips its body": (lambda handler: _drip(handler, b"HTTP/1.1 200 OK\r\n\r\n"), "no whole answer in time"),
    "floods": (_flood, "answers with more than"),
    "is a gzip bomb": (lambda handler: _bomb(handler, 1), "answers with more than"),
    "is a bomb of bombs": (lambda handler: _bomb(handler, 2), "answers as gzip, gzip"),
    "redirects": (_redirect, "redirects to http://127.0.0.1:"),
}
