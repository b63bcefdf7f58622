"""Requests with limits: what is within them is as ever. (tests/driver/test_time_limit.py has what is not.)"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
import requests
from hanging import Handler, api
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmwatch.command.web import Secrets, Session, check_private, one_line
from kvmwatch.model.errors import KvmwatchError

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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", r"Failed to establish a new connection: \[Errno 111\] Connection refused"),
        ("https://[::1]:1", r"Failed to establish a new connection: \[Errno \d+\] [\w ]+"),
    ],
)
def test_why_there_is_no_answer_stands_without_what_wraps_it(url: str, said: str) -> None:
    with pytest.raises(requests.RequestException) as failed:
        Session(1000).get(url, timeout=60)
    told = Secrets().reason(failed.value)
    assert re.fullmatch(said, told), told


def test_why_says_what_was_not_wrapped() -> None:
    assert Secrets().reason(requests.Timeout("no whole answer in time")) == "no whole answer in time"
    assert Secrets().reason(requests.ConnectionError(requests.ConnectionError())) == "ConnectionError"


def test_what_others_say_is_one_short_line() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x " * 1_000_000)) < 250
    assert one_line("a\x1b[2J\u202eb\x9b31m\ud800") == "a [2Jb 31m\ufffd"


#: how an API can repeat a secret
REPEATS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in Base64": lambda word: base64.b64encode(word.encode()).decode(),
    "in Base64 of URLs, without its end": lambda word: (
        base64.urlsafe_b64encode(word.encode()).decode().rstrip("=")
    ),
    "in a URL": lambda word: quote(word, safe=""),
    "in a URL with small letters": lambda word: re.sub("%..", lambda of: of[0].lower(), quote(word, safe="")),
    "in a form": quote_plus,
    "in JSON": lambda word: json.dumps(word)[1:-1],
    "in JSON of PHP": lambda word: json.dumps(word)[1:-1].replace("/", "\\/"),
    "in JSON, in Base64": lambda word: json.dumps(base64.b64encode(word.encode()).decode())[1:-1].replace(
        "/", "\\/"
    ),
    "in HTML": html.escape,
    "in a list of Python's": lambda word: str([word])[2:-2],
}


@pytest.mark.parametrize("repeat", REPEATS.values(), ids=REPEATS)
@settings(max_examples=50)
@given(word=st.text("aZ09%/+=&<\"'\\:;é密🔑~", min_size=8, max_size=60), before=st.integers(0, 250))
def test_a_secret_is_never_said_however_it_is_repeated_and_wherever_it_is_cut(
    repeat: Callable[[str], str], word: str, before: int
) -> None:
    both = f"user:{word}"
    said = Secrets(word, both).one_line(f"{'.' * before} {repeat(both)} {'.' * before}")
    known = repeat(word) if repeat(both).endswith(repeat(word)) else repeat(both)
    for at in range(len(known) - 3):
        assert known[at : at + 4] not in said


def test_half_of_a_secret_is_never_said() -> None:
    """Where so much came that not all of it is looked through, and most of that is blanks."""
    word = "s3cr3t" * 20
    for length in range(19_800, 20_010):
        said = Secrets(word).one_line(" " * length + word * 3)
        assert not said.replace("***", ""), length


@pytest.mark.parametrize(
    ("word", "said", "shown"),
    [
        ("p", "no p here: stop", "no *** here: stop"),
        ("abc", "abcd abc", "abcd ***"),
        ("abcd", "xabcdx", "x***x"),
        ("", "nothing", "nothing"),
    ],
)
def test_what_is_short_does_not_spoil_words(word: str, said: str, shown: str) -> None:
    assert Secrets(word).one_line(said) == shown


@pytest.mark.parametrize(
    "url",
    [
        *("https://zabbix.example.com/zabbix", "HTTPS://192.0.2.1:5665", "https://[2001:db8::1]/"),
        *("http://localhost/zabbix", "http://LOCALHOST:8080", "http://127.0.0.1:8088", "http://127.1.2.3/"),
        *("http://[::1]:5665", "http://user@[::1]/"),
    ],
)
def test_credentials_go_encrypted_or_to_this_machine(url: str) -> None:
    check_private(url, allowed=False)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://zabbix.example.com/zabbix",
            "HTTP://192.0.2.1:5665",
            "http://[2001:db8::1]/",
            "ftp://example.com",
        ),
        # this machine's name only at first sight
        *("http://localhost.example.com/", "http://127.0.0.1.example.com/", "http://localhost@example.com/"),
        *("http://127.0.0.1@example.com/", "http://example.com#@localhost/", "http://example.com/\\@localhost/"),
        *("http://example.com?@127.0.0.1", "http:///zabbix", "http://0x7f000001/"),
    ],
)
def test_credentials_go_to_others_in_clear_only_when_asked(url: str) -> None:
    with pytest.raises(KvmwatchError, match=r"use https://, or give --allow-http") as refused:
        check_private(url, allowed=False)
    assert len(str(refused.value).splitlines()) == 1
    check_private(url, allowed=True)


def test_no_url() -> None:
    with pytest.raises(KvmwatchError, match="is not a URL"):
        check_private("http://localhost:port", allowed=True)


def test_no_proxy_is_asked_about_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)

    def proxies(url: str) -> object:
        return Session(1).merge_environment_settings(url, {}, None, None, None)["proxies"]

    assert proxies("http://localhost:8088/api") == {}
    assert proxies("http://zabbix.example.com/api") == {"http": "http://192.0.2.1:3128"}
