"""What others name and how much of it: valid, unique and short wherever it goes."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from check_kvm import agent
from check_kvm.frame import output, plugin
from check_kvm.frame.thresholds import Thresholds
from conformance import conforming
from hypothesis import given
from hypothesis import strategies as st
from zabbix_kvm import discovery, master

from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError, UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Filesystem, Snapshot, Unread
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading import guest_agent, records
from kvmwatch.reading.domain_xml import parse
from kvmwatch.reading.titles import LONGEST_TITLE

UNKNOWN = 3
#: any text that a guest's root or an owner may write, lone surrogates among it
anything = st.text(st.characters(), max_size=300)
mountpoints = st.lists(anything | st.text('C:\\/"{}#2', min_size=1, max_size=4), max_size=12)


def fields(mounts: list[str], kind: str = "ext4") -> dict[str, Any]:
    made: dict[str, Any] = {"fs.count": len(mounts)}
    for number, mountpoint in enumerate(mounts):
        made |= {f"fs.{number}.mountpoint": mountpoint, f"fs.{number}.fstype": kind}
        made |= {f"fs.{number}.total-bytes": 100, f"fs.{number}.used-bytes": 50}
    return made


def found(mounts: list[str], kind: str = "ext4") -> list[Filesystem]:
    return list(records.filesystems(fields(mounts, kind)))


@given(anything, st.integers(1, 50))
def test_readable(text: str, most: int) -> None:
    made = readable(text, most)
    assert len(made) <= most
    assert (made[-1:] == "…") == (len(text) > most or text[-1:] == "…")
    made.encode()
    assert not {unicodedata.category(character) for character in made} & {"Cc", "Cs", "Zl", "Zp"}


@given(mountpoints)
def test_mount_points_can_be_keys_of_items(mounts: list[str]) -> None:
    keys = [filesystem.key for filesystem in found(mounts)]
    assert len(keys) == len([mount for mount in mounts if mount]) == len(set(keys))
    for key in keys:
        key.encode()
        assert not set(key) & set('\\"{}\n\0')
        assert len(key) <= 100


@given(mountpoints)
def test_every_row_of_file_systems_has_its_values(mounts: list[str]) -> None:
    domain = Domain("uuid", "win1", 1, 1, 1, 0, filesystems=tuple(found(mounts)))
    rows = [row["{#FS.MOUNTPOINT}"] for row in discovery.PARTS["filesystems"].rows(domain)]
    assert rows == [one["mountpoint"] for one in master._domain(domain, 0).get("filesystems", ())]
    json.dumps(rows, ensure_ascii=False).encode()


@given(mountpoints)
def test_labels_of_file_systems_are_legal_and_unique(mounts: list[str]) -> None:
    domain = Domain("uuid", "win1", 1, 1, 1, 0, agent_connected=True, filesystems=tuple(found(mounts)))
    verdict = plugin.judged(
        agent.CHECK, Snapshot("", 0, 0, domains=(domain,)), Thresholds("agent", agent.CHECK.metrics)
    )
    told = conforming(*output.render("agent", verdict, output.Style(verbose=1, limit=100_000)), limit=100_000)
    assert len(told.perfdata) == len([mount for mount in mounts if mount])


@pytest.mark.parametrize(
    ("mounts", "keys"),
    [
        (["C:\\", "D:\\"], ["C:/", "D:/"]),
        (["System Reserved", "System Reserved", "C:\\"], ["System Reserved", "System Reserved#2", "C:/"]),
        (["/mnt", "/mnt", "/mnt"], ["/mnt", "/mnt#2", "/mnt#3"]),
        (["/a", "/a#2", "/a"], ["/a", "/a#2", "/a#3"]),
        (["C:\\", "C:/"], ["C:/", "C:/#2"]),
        (["/a\nb\0", "/\ud800", "/{$X}"], ["/a b ", "/\ufffd", "/($X)"]),
    ],
)
def test_mount_points(mounts: list[str], keys: list[str]) -> None:
    assert [filesystem.key for filesystem in found(mounts)] == keys


def test_a_mount_point_of_600_kb_is_cut() -> None:
    first, second = (filesystem.mountpoint for filesystem in found(["/" + "x" * 600_000] * 2))
    assert first.endswith("x…")
    assert second == first + "#2"
    assert len(second) < 100


@pytest.mark.parametrize("kind", ["tmpfs", "devtmpfs", "overlay", "nfs4", "cifs", "fuse.sshfs", "squashfs", "UDF"])
def test_room_that_is_not_the_guests_is_left_out(kind: str) -> None:
    assert found(["/mnt"], kind) == []


@pytest.mark.parametrize("size", [{}, {"total-bytes": 0, "used-bytes": 0}, {"total-bytes": 100}])
def test_a_file_system_without_a_size_is_left_out(size: dict[str, int]) -> None:
    """A volume of Windows without a letter: it would be discovered, and never have a value."""
    told = fields(["C:\\"]) | {"fs.count": 2, "fs.1.mountpoint": "System Reserved", "fs.1.fstype": "NTFS"}
    told |= {f"fs.1.{field}": value for field, value in size.items()}
    assert [filesystem.mountpoint for filesystem in records.filesystems(told)] == ["C:\\"]


def test_an_agent_that_tells_no_sizes_at_all_is_not_ok() -> None:
    mounts = {field: value for field, value in fields(["/", "/boot"]).items() if not field.endswith("-bytes")}
    domain = guest_agent._with(Domain("uuid", "el7", 1, 1, 1, 0, agent_connected=True), mounts)
    snapshot = Snapshot("", 0, 0, domains=(domain,))
    text, code = output.render(
        "agent", plugin.judged(agent.CHECK, snapshot, Thresholds("agent", agent.CHECK.metrics))
    )
    assert code == UNKNOWN
    assert "the guest agent tells no sizes; one of QEMU 3.0 or later does" in text
    assert list(discovery.PARTS["filesystems"].rows(domain)) == []


def test_what_is_too_much_is_left_out_and_said() -> None:
    domain = Domain("uuid", "k8s1", 1, 1, 1, 0, agent_connected=True)
    told = guest_agent._with(domain, fields([f"/{number}" for number in range(500)]))
    assert len(told.filesystems or ()) == records.MOST_FILESYSTEMS
    (unread,) = told.unread
    assert unread.group is Group.FILESYSTEM
    assert "300 of its 500 file systems are left out" in unread.text


def test_titles_and_names_are_cut() -> None:
    long = "x" * 600_000
    xml = f"<domain><title>a\nb{long}</title><devices><interface type='bridge'><source bridge='{long}'/></interface></devices></domain>"
    defined = parse(xml)
    assert defined.title is not None
    assert defined.title.startswith("a bx")
    assert len(defined.title) == LONGEST_TITLE
    assert len(defined.interfaces[0].source or "") < 300


def test_messages_are_cut() -> None:
    unread = [Unread(Group.POLICY, f"metadata {n}", "no \udc80" + "x" * 600_000) for n in range(20)]
    assert len(unread[0].text) < 600
    document = master.document(Snapshot("", 0, 0, unread=(*unread, unread[0])))
    assert document["unread"]["count"] == 20
    assert len(json.dumps(document, ensure_ascii=False).encode()) < 5000
    assert len(json.dumps(master.failure("x" * 600_000))) < 5000


PASSWORDS = [
    ("https://user:secret@zabbix.example.com/zabbix", "https://user:***@zabbix.example.com/zabbix"),
    ("esx://root:se:c@ret/@esx1/?no_verify=1", "esx://root:***@esx1/?no_verify=1"),
    (
        "no way to 'qemu+ssh://kvm:secret@[2001:db8::1]:22/system': why",
        "no way to 'qemu+ssh://kvm:***@[2001:db8::1]:22/system': why",
    ),
    ("http://:secret@kvm1 and http://u:secret@kvm2", "http://:***@kvm1 and http://u:***@kvm2"),
]
PUBLIC = [
    "qemu:///system",
    "qemu+ssh://kvm@kvm1:22/system",
    "https://[::1]:5665",
    "user@kvm1: a:b",
    "https://kvm1:5665 a@b",
]


@pytest.mark.parametrize(("text", "shown"), [*PASSWORDS, *zip(PUBLIC, PUBLIC)])
def test_passwords_of_uris_are_not_shown(text: str, shown: str) -> None:
    assert without_password(text) == shown
    for error in (KvmwatchError(text), UsageError(text, "usage"), DeadlineExceeded(text)):
        assert str(error) == shown


@given(st.text(st.characters(blacklist_categories=("Z", "C")), min_size=1))
def test_no_password_is_left(password: str) -> None:
    word = f"<{password}>"
    assert word not in without_password(f"qemu+tls://kvm:{word}@kvm1/system: no such host")


@given(anything)
def test_what_is_said_of_an_error_is_one_line_for_a_terminal(text: str) -> None:
    """One's own arguments are in it, and what a driver says."""
    for error in (KvmwatchError, UsageError, DeadlineExceeded):
        said = str(error(f"no VM {text} here"))
        assert said.startswith("no VM ")
        assert not {unicodedata.category(character) for character in said} & {"Cc", "Cs", "Zl", "Zp"}
