"""Requests with limits: what is within them is as ever. (tests/driver/test_time_limit.py has what is not.)"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
import requests
from hanging import Handler, api

from kvmwatch.command.web import Session, one_line

BODY = json.dumps({"name": "Büro", "values": [0] * 1000}).encode()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_an_answer_is_given_whole_however_it_comes(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    with api(lambda handler: handler.tell(pack(BODY), Content_Encoding=encoding)) as url:
        answer = Session(len(BODY)).post(url, json={}, timeout=60)
        assert answer.json() == json.loads(BODY)
        assert answer.text == BODY.decode()
        with pytest.raises(requests.RequestException, match="answers with more than"):
            Session(len(BODY) - 1).post(url, json={}, timeout=60)


def test_a_connection_is_kept() -> None:
    ports = set()

    def behave(handler: Handler) -> None:
        ports.add(handler.client_address[1])
        handler.tell(BODY, 500)

    with api(behave) as url:
        session = Session(len(BODY))
        assert {session.post(url, json={}, timeout=60).status_code for _ in range(5)} == {500}
    assert len(ports) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(code: int) -> None:
    asked = []

    def behave(handler: Handler) -> None:
        asked.append(handler.path)
        handler.tell(b"", code, Location="/elsewhere")

    with api(behave) as url, pytest.raises(requests.RequestException, match="redirects to /elsewhere"):
        Session(1000).post(f"{url}/here", json={}, timeout=60)
    assert asked == ["/here"]


def test_what_others_say_is_one_short_line() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x " * 1_000_000)) < 250
