"""What a proxy's external check may do: collect, from URIs that the proxy's own administrator has listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import EXAMPLE_URI
from zabbix_kvm import external

from kvmwatch.model.errors import KvmwatchError

LISTED = ("qemu+ssh://kvm@kvm1/system", "qemu+tls://kvm2/system", EXAMPLE_URI)
PROGRAMS = (
    *("qemu+ext://x/system?command=/bin/sh", "qemu+EXT://x/system", "qemu+ssh://x/system?command=/tmp/x"),
    *("qemu+ssh://x/system?no_verify=1&Command=%2Ftmp%2Fx", "qemu+ssh://x/system?a=b;command=/tmp/x"),
)


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "external-check.uris"
    file.write_text("# who may be asked\n\n" + "\n".join((*LISTED, *PROGRAMS)) + "\n#qemu+ssh://kvm9/system\n")
    monkeypatch.setattr(external, "ALLOWED", file)
    return file


@pytest.mark.parametrize("uri", LISTED)
def test_listed(allowed: Path, uri: str) -> None:
    external.check(uri, allowed)


@pytest.mark.parametrize(
    "uri",
    [
        *("", "#", "qemu:///system", "qemu+ssh://kvm@kvm1/system?command=/tmp/x", "qemu+ssh://kvm9/system"),
        *("#qemu+ssh://kvm9/system", f"{LISTED[0]}\nqemu:///system", f" {LISTED[0]}", LISTED[0][:-1], "# who may"),
    ],
)
def test_not_listed(allowed: Path, uri: str) -> None:
    with pytest.raises(KvmwatchError, match=r"is not in .*external-check\.uris"):
        external.check(uri, allowed)


@pytest.mark.parametrize("uri", PROGRAMS)
def test_no_program_even_if_it_is_listed(allowed: Path, uri: str) -> None:
    with pytest.raises(KvmwatchError, match="names a program to run"):
        external.check(uri, allowed)


def test_no_list_no_collection(tmp_path: Path) -> None:
    with pytest.raises(KvmwatchError, match="one a line"):
        external.check(LISTED[0], tmp_path / "none")


KEY = ("collect", "--for-agent", "--uri", EXAMPLE_URI, "--timeout", "25")


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            (*KEY, "--sender", "/bin/sh"),
            (*KEY, "--config", "/etc/shadow"),
            (*KEY, "--guest-agent"),
            (*KEY, "--pretty"),
        ),
        *(("send", *KEY[1:]), ("discover", "domains"), ("provision",), (*KEY[:2], *KEY[4:]), KEY[:4]),
        *((*KEY, "collect"), (*KEY[:4], "--timeout", "nan"), ("collect", "--for", *KEY[2:])),
    ],
    ids=" ".join,
)
def test_nothing_else_can_be_done(
    allowed: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["zabbix_kvm_external", *arguments])
    monkeypatch.setattr(external.cli, "main", lambda: pytest.fail("it went on"))
    with pytest.raises(SystemExit) as ended:
        external.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (3, "")
    assert len(said.err.splitlines()) == 1


def test_what_it_does(allowed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(external.cli, "main", lambda: ran.append(list(__import__("sys").argv)))
    monkeypatch.setattr("sys.argv", ["zabbix_kvm_external", *KEY])
    external.main()
    assert ran == [["zabbix_kvm", "collect", "--for-agent", "--uri", EXAMPLE_URI, "--timeout", "25.0"]]
    monkeypatch.setattr("sys.argv", ["zabbix_kvm_external", *KEY[:3], "qemu+ssh://other/system", *KEY[4:]])
    with pytest.raises(SystemExit) as ended:
        external.main()
    assert ended.value.code == 0
    assert "is not in" in json.loads(capsys.readouterr().out)["error"]
    assert len(ran) == 1
