"""What goes to NRDP, and what its answers mean."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from nagios_kvm.judging import Result
from nagios_kvm.nrdp import Nrdp, document, processed

from kvmwatch.model.errors import UsageError


def test_hostile_output_is_well_formed() -> None:
    (one,) = ET.fromstring(document("kvm1", [Result("KVM state a&b", 2, "<x> ]]> \x00\x1b ü")]))
    assert one.attrib == {"type": "service", "checktype": "1"}
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
    ],
)  # fmt: skip
def test_only_what_it_says_it_took_counts(body: str, code: int, number: int) -> None:
    found, why = processed(body.encode(), code)
    assert found == number
    assert bool(why) is not bool(number)


@pytest.mark.parametrize("text", ["token =\n", "", "user = a\n", "token\n"])
def test_a_file_without_a_token_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="it needs the line 'token = "):
        Nrdp("nrdp+https://nagios/nrdp/", str(file), None)
