"""Passive results by NRDP, to a receiver of ours that takes what Nagios's documents and nothing else."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from commands import EXAMPLE_SERVICES, EXAMPLE_URI, Command
from hanging import Handler, api
from nrdp import TOKEN, Receiver
from testdriver import node

RUNS = "in_process"

PUBLISH = ("nagios_kvm", "publish", "--host", "kvm1", "-u", EXAMPLE_URI)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "nrdp.ini"
    file.write_text(f"token = {TOKEN}\n")
    file.chmod(0o600)
    return file


def test_every_result_arrives_once_and_whole(command: Command, token: Path, tmp_path: Path) -> None:
    receiver = Receiver()
    with api(receiver) as url:
        ran = command(*PUBLISH, "--to", f"nrdp+{url}/nrdp/", "--credentials", str(token))
        assert ran.code == 0, ran.err
        assert ran.out.endswith(f"took {EXAMPLE_SERVICES} of {EXAMPLE_SERVICES} results for host kvm1\n")
    assert {one.host for one in receiver.taken} == {"kvm1"}
    assert len({one.service for one in receiver.taken}) == len(receiver.taken) == EXAMPLE_SERVICES
    assert max(receiver.batches) > 1, "many in a request"
    state = next(one for one in receiver.taken if one.service == "KVM host")
    alone = command("check_kvm_host", "-u", EXAMPLE_URI)
    assert state.output.split(" - ")[0] == alone.out.split(" - ")[0]
    assert state.code == alone.code
    assert any("\n" in one.output for one in receiver.taken), "of several lines"


def test_a_wrong_token_is_told_and_printed_nowhere(command: Command, token: Path) -> None:
    token.write_text("token = s3cr3t\n")
    with api(Receiver()) as url:
        ran = command(*PUBLISH, "--to", f"nrdp+{url}/nrdp/", "--credentials", str(token))
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.endswith("NRDP refuses: BAD TOKEN\n")
    assert "s3cr3t" not in ran.err


@pytest.mark.parametrize("repeated", ["{0}", "token={1}&cmd=submitcheck", "Basic {2}"])
def test_what_a_receiver_repeats_of_the_token_is_not_said(command: Command, token: Path, repeated: str) -> None:
    secret = "s3cr3t/t0k&n"
    token.write_text(f"token = {secret}\n")
    forms = (secret, quote(secret, safe=""), b64encode(secret.encode()).decode())
    said = repeated.format(*forms)
    xml = f"<result><status>-1</status><message>BAD TOKEN {escape(said)}</message></result>".encode()
    for behave in (
        lambda handler: handler.tell(xml),
        lambda handler: handler.tell(json.dumps({"result": {"status": -1, "message": said}}).encode()),
        lambda handler: handler.tell(b"", 302, Location=f"/elsewhere?{said}"),
    ):
        with api(behave) as url:
            to = ("--to", f"nrdp+{url}/nrdp/", "--credentials", str(token), "--check", "state")
            ran = command(*PUBLISH, *to, "-vv")
        assert (ran.code, ran.out) == (3, "")
        assert "***" in ran.err
        for form in (*forms, "s3cr3t", forms[2][:8]):
            assert form not in ran.err


def test_what_was_refused_on_the_way_is_counted(command: Command, token: Path, tmp_path: Path) -> None:
    receiver, answered = Receiver(), []
    file = tmp_path / "node.xml"
    file.write_text(node(f"vm{number:02}" for number in range(60)))

    def first_alone(handler: Handler) -> None:
        if answered:
            handler.tell(b"<html>Bad gateway</html>", 502)
            return
        answered.append(handler)
        receiver(handler)

    with api(first_alone) as url:
        to = ("--to", f"nrdp+{url}/nrdp/", "--credentials", str(token), "--check", "state")
        ran = command(*PUBLISH[:-1], f"test://{file}", *to)
    assert (ran.code, ran.out) == (2, "")
    assert f"took {len(receiver.taken)} of 61 results" in ran.err
    assert "something with HTTP 502" in ran.err
    left = (f"KVM state vm{number:02}" for number in range(60))
    assert f"the next run begins with {next(one for one in left if one not in taken_by(receiver))}\n" in ran.err


def taken_by(receiver: Receiver) -> set[str]:
    return {one.service for one in receiver.taken}
