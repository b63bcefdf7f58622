"""What goes to NRDP, and what its answers mean."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hanging import Handler, api
from nagios_kvm.judging import Result
from nagios_kvm.nrdp import Nrdp, document, processed
from nagios_kvm.turns import Turns
from nrdp import TOKEN, Receiver

from kvmwatch.command.web import Secrets
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline


def test_hostile_output_is_well_formed() -> None:
    (one,) = ET.fromstring(document("kvm1", [Result("KVM state a&b", 2, "<x> ]]> \x00\x1b ü")]))
    assert one.attrib == {"type": "service", "checktype": "1"}
    assert [field.text for field in ET.fromstring(document("kvm1", [Result("s", 0, "C:\\new")]))[0]][
        3
    ] == "C:\\\\new"
    assert [field.text for field in one] == ["kvm1", "KVM state a&b", "2", "<x> ]]>    ü"]


@pytest.mark.parametrize(
    ("body", "code", "number"),
    [
        ("<result><status>0</status><message>OK</message><meta><output>5 checks processed.</output></meta></result>", 200, 5),
        ('{"result": {"status": 0, "message": "OK", "meta": {"output": "5 checks processed."}}}', 200, 5),
        ("<result><status>-1</status><message>BAD TOKEN</message></result>", 200, 0),
        ("<result><status>0</status><message>OK</message></result>", 200, 0),
        ("<html>", 200, 0),
        ("<result><status>0</status></result>", 500, 0),
        ("<?xml version='1.0' encoding='utf-8'?>\n<result>\n <status> 0 </status><meta>\n<output>1 check processed</output></meta></result>\n", 200, 1),
        ("\ufeff<result><status>0</status><meta><output>5 checks processed</output></meta></result>", 200, 5),
        ("<response><status>0</status><meta><output>5 checks processed</output></meta></response>", 200, 0),
        ("<result><status>0</status><meta><output>5 checks processed", 200, 0),
        ('<!DOCTYPE r [<!ENTITY a "5 checks processed">]><result><status>0</status><meta><output>&a;</output></meta></result>', 200, 0),
        ("<result>" * 100_000, 200, 0),
        ('{"result": ' * 100_000, 200, 0),
        ('{"result": {"status": 0, "meta": ["5 checks processed"]}}', 200, 0),
        ('{"result": "status"}', 200, 0),
        ("[0]", 200, 0),
        ("", 200, 0),
    ],
)  # fmt: skip
def test_only_what_it_says_it_took_counts(body: str, code: int, number: int) -> None:
    found, why = processed(body.encode(), code, Secrets(TOKEN))
    assert found == number
    assert bool(why) is not bool(number)


@pytest.mark.parametrize("text", ["token =\n", "", "user = a\n", "token\n"])
def test_a_file_without_a_token_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="it needs the line 'token = "):
        Nrdp("nrdp+https://nagios/nrdp/", str(file), None)


def test_a_batch_without_an_answer_has_its_turn_in_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"token = {TOKEN}\n")
    file.chmod(0o600)
    told = [Result(f"KVM state vm{number:03}", 0, "OK") for number in range(120)]
    receiver = Receiver()

    def one_batch(handler: Handler) -> None:
        if receiver.batches:
            handler.close_connection = True
        else:
            receiver(handler)

    with api(one_batch) as url:
        turns = Turns(str(tmp_path), (), told)
        taken = Nrdp(f"nrdp+{url}/", str(file), None).send("kvm1", turns, Deadline(60))
    assert taken.number == 50
    assert taken.why.startswith("no NRDP answers: ")
    assert turns.keep() == "KVM state vm050"
    assert [one.service for one in receiver.taken] == [one.service for one in told[:50]]


def test_a_certificate_that_cannot_be_verified_is_told_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"token = {TOKEN}\n")
    file.chmod(0o600)
    turns = Turns(str(tmp_path), (), [Result("KVM host", 0, "OK")])
    with (
        api(Receiver()) as url,
        pytest.raises(KvmwatchError, match=r"verified \(.*\); name its CA with --ca-file$"),
    ):
        Nrdp(f"nrdp+{url.replace('http', 'https')}/", str(file), None).send("kvm1", turns, Deadline(60))
