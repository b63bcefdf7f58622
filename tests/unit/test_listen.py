"""The exporter over HTTP: whoever asks is answered, whatever others do with their connections."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPResponse

import pytest
from kvmwatch_exporters import listen
from kvmwatch_exporters.complaints import Complaints

TEXT = "kvm_up 1\n"


@contextmanager
def serving(read: Callable[[], str] = lambda: TEXT) -> Iterator[listen.Server]:
    """An exporter whose readings are made by this function."""
    handler = partial(listen.Handler, listen.Shared(read), 30.0, Complaints())
    with listen.Server(listen.Address("127.0.0.1", 0), handler) as server:
        serve = threading.Thread(target=server.serve_forever, args=(0.02,))
        serve.start()
        try:
            yield server
        finally:
            server.shutdown()
            serve.join()


def scraped(server: listen.Server) -> str:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        assert isinstance(answer, HTTPResponse)
        return answer.read().decode()


def connected(server: listen.Server, said: bytes) -> socket.socket:
    """A client that has said so much."""
    client = socket.create_connection(server.server_address[:2], timeout=30)
    client.sendall(said)
    return client


def is_ended(client: socket.socket) -> bool:
    """Whether the other side ends the connection without an answer."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_who_drips_has_no_more_time_than_who_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_ASKING", 0.4)
    with serving() as server, connected(server, b"GET /metrics HTTP/1.0\r\nX-Y:") as client:
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.02):
                try:
                    client.sendall(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert is_ended(client)
        over.set()
        dripping.join()


def test_who_has_said_nothing_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_MOST", 4)
    with serving() as server, ExitStack() as stack:
        silent = [stack.enter_context(connected(server, b"GET /metr")) for _ in range(8)]
        assert scraped(server) == TEXT
        assert is_ended(silent[0])
        silent[-1].sendall(b"ics HTTP/1.0\r\n\r\n")
        assert silent[-1].recv(15) == b"HTTP/1.0 200 OK", "the youngest ones are still heard"


def patiently(server: listen.Server) -> str:
    """Scrape, again where the place was given to another before one had said what one wants."""
    while True:
        try:
            return scraped(server)
        except ConnectionError:
            continue


def test_who_waits_for_an_answer_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_MOST", 3)
    go, begun = threading.Event(), threading.Event()

    def read() -> str:
        begun.set()
        assert go.wait(30)
        return TEXT

    with serving(read) as server, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(patiently, server) for _ in range(3)]
        assert begun.wait(30)
        refused = False
        while not refused:  # until all three have said what they want
            with connected(server, b"GET /metr") as late:
                late.settimeout(0.1)
                try:
                    refused = is_ended(late)
                except TimeoutError:
                    continue
        go.set()
        assert [one.result() for one in waiting] == [TEXT] * 3
        assert scraped(server) == TEXT


def test_connections_that_are_over_leave_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_MOST", 2)
    with serving() as server:
        for _ in range(10):
            assert scraped(server) == TEXT
            connected(server, b"\r\n").close()


@pytest.mark.parametrize(("path", "code"), [("/metrics", 200), ("/", 200), ("/other", 404)])
def test_head_is_answered_without_a_reading(path: str, code: int) -> None:
    def read() -> str:
        raise AssertionError("it reads")

    with serving(read) as server, closing(HTTPConnection(*server.server_address[:2], timeout=30)) as client:
        client.request("HEAD", path)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (code, b"")
        assert answer.headers["Content-Type"].startswith("text/")


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("gzip;q=0", None), ("identity", None)])
def test_an_answer_is_packed_for_who_takes_it(accepted: str, coding: str | None) -> None:
    with serving() as server:
        request = urllib.request.Request(f"{server.url}/metrics", headers={"Accept-Encoding": accepted})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["Content-Encoding"] == coding
