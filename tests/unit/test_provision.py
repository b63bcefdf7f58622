"""What provision decides without Zabbix: versions, whose a part is, what becomes of missing VMs, bad ones among many.

What it does to a real Zabbix is in tests/systems/test_zabbix_provision.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hanging import Handler, api
from zabbix_kvm import parts, sites, templates
from zabbix_kvm.api import Api, Credentials, Refused
from zabbix_kvm.changes import Change, Changes
from zabbix_kvm.gone import MARK, Gone, Patience, missing_since
from zabbix_kvm.guests import Names, Sighting
from zabbix_kvm.templates import Version

from kvmwatch.model.errors import KvmwatchError

FILES = list(templates.template_files(templates.default_templates()))


def test_versions_in_their_order() -> None:
    in_order = ("37176b2c8231", "0.1.0 37176b2c8231", "0.9.1 0", "0.10.0 0", "0.10.1 0", "1.0.0 0", "10.0 0")
    read = [Version.read(text if len(text) > 8 else text[:-1] + "0" * 12) for text in in_order]
    orders = [version.order for version in read if version]
    assert len(orders) == len(in_order)
    assert orders == sorted(orders)
    assert len(set(orders)) == len(orders)
    assert Version.read("") is None
    assert Version.read("somebody's own") is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_part_of_our_files_is_known_as_ours(path: Path) -> None:
    """What cannot be told from an administrator's would never be removed again."""
    file = templates.read(path)
    root = ElementTree.parse(path).getroot()
    found = dict(_parts(root, ""))
    assert len(found) > 50
    assert {number: "" for number, made in found.items() if parts.part_uuid(file.name, *made) != number} == {}
    known = {"group", "template"}  # which are not of a template
    others = {element.findtext("uuid") for tag in known for element in root.iter(tag)}
    assert file.uuids - found.keys() <= others


def _parts(element: ElementTree.Element, rule: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    kinds = {
        **{"item": ("item", "key"), "item_prototype": ("item", "key")},
        **{"trigger": ("trigger", "name"), "trigger_prototype": ("trigger", "name")},
        **{"graph": ("graph", "name"), "graph_prototype": ("graph", "name"), "host_prototype": ("host", "host")},
    }
    for child in element:
        number = child.findtext("uuid") or ""
        if child.tag in kinds and number:
            sort, title = kinds[child.tag]
            yield number, (sort, rule, child.findtext(title, ""))
        elif child.tag == "discovery_rule":
            yield number, ("rule", child.findtext("key", ""))
        elif child.tag in ("dashboard", "valuemap") and number:
            yield number, (child.tag, child.findtext("name", ""))
        yield from _parts(child, child.findtext("key", "") if child.tag == "discovery_rule" else rule)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_macro_of_our_files_is_known_as_unchanged(path: Path) -> None:
    file = templates.read(path)
    text = next(
        macro.findtext("description", "")
        for macro in ElementTree.parse(path).iterfind("templates/template/macros/macro")
        if macro.findtext("macro") == templates.VERSION_MACRO
    )
    found = templates._DEFAULTS.search(text)
    assert found
    prints = {
        templates.fingerprint(*macro) for macro in file.macros.items() if macro[0] != templates.VERSION_MACRO
    }
    assert {found[1][place : place + 6] for place in range(0, len(found[1]), 6)} == prints


@pytest.mark.parametrize(
    ("name", "own"),
    [
        *(("web1", "web1"), ("l" * 128, "l" * 128), ("l" * 129, "l" * 127 + "…"), ("ü" * 300, "ü" * 127 + "…")),
        *((" web1 ", "web1"), ("a\nb", "a b"), ("   ", "0f6e1c2a-0000-4000-8000-000000000000")),
    ],
)
def test_names_fit(name: str, own: str) -> None:
    names = Names.of(Sighting("0f6e1c2a-0000-4000-8000-000000000000", name, "kvm1", True, 1))
    assert names.own == own
    assert names.other.endswith(" (0f6e1c2a)")
    assert max(map(len, names)) <= 128


SINCE = "2026-11-25T10:00:00Z"
AT = 1795600800
GROUP = "KVM guests/kvm1"


def host(status: str = "0", mark: str | None = SINCE) -> dict[str, Any]:
    tags = [{"tag": "of", "value": "others"}, *([{"tag": MARK, "value": mark}] if mark else [])]
    return {
        "hostid": "7",
        "host": "u1",
        "name": "web1",
        "status": status,
        "tags": tags,
        "groups": [{"name": GROUP}],
    }


@pytest.mark.parametrize(
    ("found", "collected", "does"),
    [
        (host(mark=None), AT, "mark"),
        (host(), AT, None),  # the same collection
        (host(), AT + 899, None),
        (host(), AT + 900, "disable"),
        (host(), 0, None),  # its hypervisor has not been read since it is in Zabbix
        (host(mark="yesterday"), AT + 900, "mark"),  # somebody wrote into it
        (host("1"), AT + 900, None),
        (host("1"), AT + 30 * 86400 - 1, None),
        (host("1"), AT + 30 * 86400, "delete"),
        (host("0"), AT + 30 * 86400, "disable"),  # never deleted without having been disabled before
    ],
)
def test_what_becomes_of_the_host_of_a_missing_vm(found: dict[str, Any], collected: int, does: str | None) -> None:
    changes = Changes(None, dry_run=True)  # type: ignore[arg-type]
    Gone(changes, {GROUP: collected}, Patience()).settle([found])
    assert [line.split()[0] for line in changes.made] == ([does] if does else [])


def test_a_mark_is_the_time_of_the_collection_and_keeps_other_tags() -> None:
    asked: list[dict[str, Any]] = []

    class Recording(Changes):
        def each(self, method: str, changes: Any) -> list[dict[str, Any]]:
            asked.extend(change.record for change in changes)
            return []

    Gone(Recording(None), {GROUP: AT}, Patience()).settle([host(mark=None)])  # type: ignore[arg-type]
    assert asked == [{"hostid": "7", "tags": [{"tag": "of", "value": "others"}, {"tag": MARK, "value": SINCE}]}]
    assert missing_since({"tags": asked[0]["tags"]}) == AT


def test_one_bad_record_stops_no_other() -> None:
    """Of a thousand: in few requests, and each that fails may have another try."""
    made: list[str] = []
    requests = 0

    def behave(handler: Handler) -> None:
        nonlocal requests
        answer: dict[str, Any] = {"result": "6.0.0"}
        if handler.asked["method"] == "host.create":
            requests += 1
            names = [record["name"] for record in handler.asked["params"]]
            if bad := [name for name in names if "bad" in name]:
                error = {"code": -32602, "message": "Invalid params.", "data": f'"{bad[0]}" already exists.'}
                answer = {"error": error}
            else:
                made.extend(names)
        handler.tell(json.dumps({"jsonrpc": "2.0", "id": handler.asked["id"], **answer}).encode())

    def change(name: str, other: str | None = None) -> Change:
        again = (lambda: change(other)) if other else None
        return Change(f"make {name}", {"name": name}, again)

    with api(behave) as url:
        changes = Changes(Api(url, Credentials(token="t"), 60))
        wanted = [change(f"vm{number}") for number in range(1000)]
        wanted[500] = change("bad")
        wanted[501] = change("bad too", "good")
        refused = changes.each("host.create", wanted)
    assert len(made) == 999
    assert {"good", "vm0", "vm499", "vm502", "vm999"} <= set(made)
    assert refused == [{"name": "bad"}]
    assert changes.failed == ['cannot make bad: "bad" already exists.']
    assert requests < 80


@pytest.mark.parametrize(
    ("body", "method", "why"),
    [
        (b"<html>log in</html>", "apiinfo.version", "Unable to parse json: <html>log in</html>"),
        (b"", "host.create", "Received empty response"),
        (b"[]", "host.create", ""),
        (b'{"result": "6.0.9"}', "template.get", ""),
        (b'{"result": {"1": {}}}', "host.get", ""),
        (b'{"result": ["10084"]}', "host.get", ""),
        (b'{"result": {"sessionid": "x"}}', "user.login", ""),
    ],
)
def test_an_answer_that_is_none_of_zabbix_is_no_refusal(body: bytes, method: str, why: str) -> None:
    """What is refused is tried once more, in halves, and told for each record."""

    def behave(handler: Handler) -> None:
        begins = handler.asked["method"] == "apiinfo.version" != method
        handler.tell(json.dumps({"result": "6.0.9"}).encode() if begins else body)

    with api(behave) as url, pytest.raises(KvmwatchError) as raised:
        Api(url, Credentials(token="t"), 60).call(method)
    assert f"the answer to {method} is none of a Zabbix API" in str(raised.value)
    assert why in str(raised.value)
    assert not isinstance(raised.value, Refused)


def test_a_thousand_refusals_for_one_reason_are_told_in_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    class No:
        def each(self, method: str, records: list[Any]) -> Iterator[tuple[Any, str]]:
            return ((record, "No permissions.") for record in records)

    changes = Changes(No())  # type: ignore[arg-type]
    assert len(changes.each("host.create", [Change(f"make vm{n}", {"name": n}) for n in range(1000)])) == 1000
    assert changes.failed[-1] == "cannot do so 990 times more: No permissions."
    assert len(capsys.readouterr().err.splitlines()) == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[kvm1]\nidentity = a\nkey = 0011\n", "is not at least 32 hex digits"),
        ("[kvm1]\nidentity = a\nkey = " + "xy" * 32, "is not at least 32 hex digits"),
        ("[kvm1]\nkey = " + "00" * 32, "needs identity"),
        ("[kvm1]\nidentity = a\nkey = 00\nkey_file = /x\n", "needs identity"),
        ("[kvm1]\nidentity = a\n", "needs identity"),
        ("[kvm1]\n" + "ab" * 32 + "\n", "line 2 is neither"),
    ],
)
def test_bad_keys_are_told_without_the_key(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "psk.ini"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KvmwatchError, match=said) as refused:
        sites.keys_from_file(str(file))
    assert "0011" not in str(refused.value)
    assert "abab" not in str(refused.value)


def test_keys(tmp_path: Path) -> None:
    key, file = tmp_path / "kvm2.psk", tmp_path / "psk.ini"
    key.write_text("cd" * 32 + "\n")
    file.write_text(f"[kvm1]\nidentity = a\nkey = {'ab' * 16}\n[kvm2]\nidentity = b\nkey_file = {key}\n")
    for private in (key, file):
        private.chmod(0o600)
    assert sites.keys_from_file(str(file)) == {"kvm1": ("a", "ab" * 16), "kvm2": ("b", "cd" * 32)}
