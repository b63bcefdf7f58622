"""Publishing to Icinga 2's API: what it says of each result is what counts; one that it refuses stops no other."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hanging import Behaviour, Handler, api, late_api
from nagios_kvm import targets
from nagios_kvm.icinga_api import IcingaApi
from nagios_kvm.judging import Result
from nagios_kvm.turns import Turns
from test_publishing import OF_VMS, results
from urllib3.util.retry import Retry

from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline

PROCESSED = '{"results": [{"code": 200.0, "status": "Successfully processed check result for object"}]}'
REFUSED = '{"results": [{"code": 500.0, "status": "No such thing"}]}'
UNKNOWN = '{"error": 404.0, "status": "No objects found."}'


@pytest.fixture
def send(tmp_path: Path) -> Callable[..., targets.Taken]:
    """Send results to an API, and tell what it took."""

    def sent(
        url: str, told: list[Result] | None = None, seconds: float = 60, login: str = "user = u\npassword = p\n"
    ) -> targets.Taken:
        file = tmp_path / "credentials"
        file.write_text(login, encoding="utf-8")
        file.chmod(0o600)
        turns = Turns(str(tmp_path), (url,), told or results())
        try:
            return IcingaApi(url, str(file), None).send("kvm1", turns, Deadline(seconds))
        finally:
            turns.keep()

    return sent


class Icinga:
    """An API that answers as it is told for some services, and takes the others."""

    def __init__(self, odd: dict[str, Behaviour] | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.connections: set[int] = set()
        self.authorization: set[str] = set()
        self._odd = odd or {}

    def __call__(self, handler: Handler) -> None:
        service = handler.asked["service"].partition("!")[2]
        self.connections.add(handler.client_address[1])
        self.authorization.add(handler.headers["Authorization"])
        self.asked.append(handler.asked)
        self._odd.get(service, told(PROCESSED))(handler)


def told(body: str, code: int = 200, **headers: str) -> Behaviour:
    return lambda handler: handler.tell(body.encode(), code, **headers)


def hung_up(handler: Handler) -> None:
    handler.close_connection = True


def test_each_is_sent_once_by_its_name_over_a_few_connections(send: Callable[..., targets.Taken]) -> None:
    together = threading.Barrier(4)
    icinga = Icinga({result.service: lambda h: (together.wait(60), told(PROCESSED)(h)) for result in results(4)})  # type: ignore[misc,func-returns-value]
    told_of = [
        *results(4),
        *results(200)[4:],
        Result('KVM disk +2A. | "x"', 2, "KVM_DISK CRITICAL - a | 'b c'=1 d=2\nline\nlast"),
    ]
    with api(icinga) as url:
        assert send(url, told_of) == (201, [], "")
    assert len(icinga.connections) == 4, "the first four wait for each other"
    asked = {one["service"]: one for one in icinga.asked}
    assert sorted(asked) == sorted(f"kvm1!{result.service}" for result in told_of)
    assert len(icinga.asked) == 201
    odd = asked['kvm1!KVM disk +2A. | "x"']
    assert (odd["type"], odd["exit_status"]) == ("Service", 2)
    assert odd["plugin_output"] == "KVM_DISK CRITICAL - a\nline\nlast"
    assert odd["performance_data"] == ["'b c'=1", "d=2"]
    assert not {"filter", "filter_vars"} & odd.keys()


ODD: dict[str, tuple[Behaviour, str]] = {
    "an error inside of 200": (told(REFUSED), "Icinga refuses KVM state vm003: No such thing"),
    "an error": (told('{"error": 500.0, "status": "Internal"}', 500), "Icinga refuses KVM state vm003: Internal"),
    "another path": (told('{"error": 404.0, "status": "The requested path"}', 404), "The requested path"),
    "passive checks disabled": (told('{"results": [{"code": 403.0, "status": "off"}]}', 403), "off"),
    "while it loads": (told('{"error": 503.0, "status": "Icinga is reloading"}', 503), "Icinga is reloading"),
    "not JSON": (told("<html>"), "something with HTTP 200"),
    "nested too deep": (told("[" * 100_000), "something with HTTP 200"),
    "a list": (told("[]"), "something with HTTP 200"),
    "results of another kind": (told('{"results": [17]}'), "HTTP 200"),
    "nothing": (told(""), "something with HTTP 200"),
    "half of it": (told('{"results": [{"code": 200}, {"code": 500, "status": "half"}]}'), "HTTP 200"),
    "a redirect": (told("", 307, Location="http://192.0.2.1/"), "redirects to http://192.0.2.1/, which is not"),
    "a flood": (told("x" * 2_000_000), "answers with more than 1024 KiB"),
    "no answer": (hung_up, "no Icinga API answers: "),
}


@pytest.mark.parametrize(("behave", "said"), ODD.values(), ids=ODD)
def test_one_that_is_refused_stops_no_other(
    send: Callable[..., targets.Taken], behave: Behaviour, said: str
) -> None:
    icinga = Icinga({"KVM state vm003": behave})
    with api(icinga) as url:
        taken = send(url)
    assert (taken.number, list(taken.unknown)) == (19, [])
    assert said in taken.why
    assert taken.reasons() == [taken.why]
    assert len({one["service"] for one in icinga.asked}) == 20


@pytest.mark.parametrize(("behave", "said"), ODD.values(), ids=ODD)
def test_none_that_was_taken_is_an_error(send: Callable[..., targets.Taken], behave: Behaviour, said: str) -> None:
    with api(behave) as url, pytest.raises(KvmwatchError) as failed:
        send(url)
    assert said.rpartition("vm003")[2] in str(failed.value)
    assert len(str(failed.value).splitlines()) == 1


def test_services_that_it_does_not_know_are_named(send: Callable[..., targets.Taken]) -> None:
    unknown = [result.service for result in results()[::4]]
    with api(Icinga({service: told(UNKNOWN, 404) for service in unknown})) as url:
        taken = send(url)
    assert (taken.number, taken.unknown, taken.why) == (15, unknown, "")
    (reason,) = taken.reasons()
    assert reason.startswith(
        "it does not know 5 of the services (KVM state vm000, KVM state vm004, KVM state vm008, ...)"
    )


def test_a_connection_that_icinga_closes_is_made_again(send: Callable[..., targets.Taken]) -> None:
    """So it does when it loads another configuration."""
    closed: set[str] = set()

    def behave(handler: Handler) -> None:
        service = handler.asked["service"]
        if service in closed or not service.endswith("5"):
            return handler.tell(PROCESSED.encode())
        closed.add(service)
        return hung_up(handler)

    with api(behave) as url:
        assert send(url) == (20, [], "")
    assert len(closed) == 2


def test_it_is_waited_for_while_nobody_listens(
    send: Callable[..., targets.Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Icinga has its port again a second or two after it began to load another configuration."""
    refused = []
    one_at_a_time = threading.Lock()  # several connections are refused at once
    with late_api(Icinga()) as (url, listen):

        def sleep(*_retry: object) -> None:
            with one_at_a_time:
                if not refused:
                    listen()
                refused.append(1)

        monkeypatch.setattr(Retry, "sleep", sleep)
        assert send(url) == (20, [], "")
    assert refused


def test_a_refused_user_is_not_tried_for_each_result(send: Callable[..., targets.Taken]) -> None:
    icinga = Icinga({result.service: told('{"error": 401.0}', 401) for result in results()})
    with api(icinga) as url, pytest.raises(KvmwatchError, match="refuses the user or its password"):
        send(url)
    assert len(icinga.asked) <= 4


def test_one_that_hangs_holds_up_no_other_and_all_get_their_turn(send: Callable[..., targets.Taken]) -> None:
    over = threading.Event()
    stuck = {"KVM state vm001": lambda _handler: over.wait(60) and None}
    icinga = Icinga(stuck)  # type: ignore[arg-type]
    try:
        with api(icinga) as url:
            taken = send(url, seconds=2)
    finally:
        over.set()
    assert taken.number == 19
    assert taken.why


@pytest.mark.parametrize("password", ["p", "Größe:%&", "пароль", "密码🔑", "a b"])
def test_credentials_go_as_icinga_has_them(send: Callable[..., targets.Taken], password: str) -> None:
    icinga = Icinga()
    with api(icinga) as url:
        assert send(url, login=f"user = Jürgen\npassword = {password}\n").number == 20
    (given,) = icinga.authorization
    assert base64.b64decode(given.removeprefix("Basic ")).decode() == f"Jürgen:{password}"


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_bytes("user = Jürgen\npassword = geheim\n".encode("latin-1"))
    file.chmod(0o600)
    with pytest.raises(UsageError, match="it is no UTF-8 text") as refused:
        IcingaApi("https://icinga:5665", str(file), None)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["user = u\npasswort = geheim\n", "geheim\n", "user u\npassword: geheim", "[geheim"]
)
def test_a_file_without_credentials_is_told_without_what_is_in_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="it needs the two lines") as refused:
        IcingaApi("https://icinga:5665", str(file), None)
    assert "geheim" not in str(refused.value)


PASSWORD = "gehei/m+%"
#: how what an API got comes back: the header, what was in it, and what a URL would make of that
REPEATED = ("{basic}", "Basic {basic}", "{password}", "u:{password}", "{url}", "token={url}&cmd=x")
_TOLD_IN = {
    "an error": lambda said: told(json.dumps({"error": 500, "status": said}), 500),
    "a result": lambda said: told(json.dumps({"results": [{"code": 500, "status": said}]}), 500),
    "errors of a result": lambda said: told(json.dumps({"results": [{"code": 500, "errors": [said]}]}), 500),
    "a redirect": lambda said: told("", 302, Location=f"https://elsewhere/{said}"),
    "an encoding": lambda said: told("{}", Content_Encoding=said),
    "a long error": lambda said: told(json.dumps({"error": 500, "status": "x" * 190 + said * 5}), 500),
}


@pytest.mark.parametrize("repeated", REPEATED)
@pytest.mark.parametrize("told_in", _TOLD_IN.values(), ids=_TOLD_IN)
def test_what_icinga_repeats_of_the_credentials_is_not_said(
    send: Callable[..., targets.Taken], repeated: str, told_in: Callable[[str], Behaviour]
) -> None:
    basic = base64.b64encode(f"u:{PASSWORD}".encode()).decode()
    said = repeated.format(basic=basic, password=PASSWORD, url=quote(PASSWORD, safe=""))
    with api(told_in(said)) as url, pytest.raises(KvmwatchError) as failed:
        send(url, results(2), login=f"user = u\npassword = {PASSWORD}\n")
    line = str(failed.value)
    assert "***" in line
    for secret in (PASSWORD, PASSWORD[:6], basic, basic[:8]):
        assert secret not in line


def test_icinga_is_told_of_hosts_of_vms_own(send: Callable[..., targets.Taken]) -> None:
    icinga = Icinga()
    with api(icinga) as url:
        assert send(url, [Result("KVM cpu", 0, "OK", "web1"), Result("KVM host", 0, "OK")]).number == 2
    assert sorted(one["service"] for one in icinga.asked) == ["kvm1!KVM host", "web1!KVM cpu"]


@pytest.mark.parametrize(
    ("answer", "owners"),
    [
        (
            {"results": [{"attrs": {"host_name": "web2", "vars": {"kvm_domain": ["theirs"]}}}]},
            {"web2": {"theirs"}},
        ),
        ({"results": [{"attrs": {"host_name": "web2", "vars": None}}, 1, {"attrs": {}}]}, {}),
        ({"results": [{"attrs": {"host_name": "web2", "vars": {"kvm_domain": "web2"}}}]}, {}),
        ({"results": [{"attrs": {"host_name": ["web2"], "vars": {"kvm_domain": ["theirs"]}}}]}, {}),
        ({"error": 403.0, "status": "Missing permission: objects/query/service"}, {}),
        ({"error": 404.0, "status": "No objects found."}, {}),
        ([], {}),
    ],
    ids=[
        "known",
        "not of ours",
        "written by hand",
        "no name of a host",
        "not allowed",
        "none",
        "no answer of Icinga's",
    ],
)
def test_icinga_tells_whose_a_host_is(tmp_path: Path, answer: Any, owners: targets.Owners) -> None:
    (credentials := tmp_path / "credentials").write_text("user = u\npassword = p\n")
    credentials.chmod(0o600)
    asked: list[Any] = []

    def behave(handler: Handler) -> None:
        asked.append((handler.path, handler.headers["X-HTTP-Method-Override"], handler.asked["filter_vars"]))
        told(json.dumps(answer))(handler)

    with api(behave) as url:
        assert IcingaApi(url, str(credentials), None).owners(OF_VMS, Deadline(60)) == owners
    names = {"services": ["KVM cpu"], "hosts": ["web1", "web2", "web3"]}
    assert asked == [("/v1/objects/services", "GET", names)]


def test_with_too_little_time_all_get_their_turn(send: Callable[..., targets.Taken]) -> None:
    icinga = Icinga()

    def behave(handler: Handler) -> None:
        threading.Event().wait(0.05)
        icinga(handler)

    many, runs = results(60), 0
    with api(behave) as url:
        while len({one["service"] for one in icinga.asked}) < len(many) and runs < 100:
            runs += 1
            with contextlib.suppress(KvmwatchError):  # of so little time a busy machine may take it all
                assert send(url, many, seconds=0.5).number <= len(many)
    assert runs > 1
    assert len({one["service"] for one in icinga.asked}) == len(many)
