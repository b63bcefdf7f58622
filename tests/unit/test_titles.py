"""The names that people know: where they are read from, and how a VM is called by both of its names."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from uuid import UUID

import libvirt
import pytest
from check_kvm import cpu, memory, state
from check_kvm.frame import output, plugin
from check_kvm.frame.plugin import Check
from check_kvm.frame.thresholds import Thresholds
from check_kvm.frame.verdict import Titles
from hanging import ALL_OVER
from hypothesis import given
from hypothesis import strategies as st
from testdriver import node

from kvmwatch.model import states, text
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.text import labelled
from kvmwatch.reading import titles
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.domain_xml import parse

NOVA = "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/{}'><n:name>{}</n:name></n:instance>"
ONE = "<one:vm xmlns:one='http://opennebula.org/xmlns/libvirt/1.0'><one:name>{}</one:name><one:uname>u</one:uname></one:vm>"  # fmt: skip
METADATA = "<metadata>{}</metadata>"


def title(titled: str, *metadata: str) -> str | None:
    return parse(f"<domain>{titled}<metadata>{''.join(metadata)}</metadata></domain>").title


@pytest.mark.parametrize(
    ("titled", "metadata", "known"),
    [
        ("", (), None),
        ("<title> Shop </title>", (), "Shop"),
        ("<title> </title>", (), None),
        ("", (NOVA.format("1.1", "shop-front"),), "shop-front"),
        ("", (NOVA.format("1.0", "shop-front"),), "shop-front"),
        ("", (NOVA.format("9.9", "shop-front"),), None),
        ("", (ONE.format("shop"),), "shop"),
        ("<title/>", (NOVA.format("1.1", " \n"), ONE.format("shop")), "shop"),
        ("<title>Mine</title>", (NOVA.format("1.1", "theirs"),), "Mine"),
        ("", (NOVA.format("1.1", "a\u202eb\nc"),), "ab c"),
    ],
)
def test_where_it_is_read_from(titled: str, metadata: tuple[str, ...], known: str | None) -> None:
    assert title(titled, *metadata) == known


OWNED = "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'><n:owner><n:user>u</n:user><n:project uuid='p'>{}</n:project></n:owner></n:instance>"  # fmt: skip
GROUP = "<one:vm xmlns:one='http://opennebula.org/xmlns/libvirt/1.0'><one:gname>{}</one:gname></one:vm>"
KUBEVIRT = "<k:kubevirt xmlns:k='http://kubevirt.io'><k:uid/></k:kubevirt>"


@pytest.mark.parametrize(
    ("name", "metadata", "project"),
    [
        ("web1", "", None),
        ("shop_web1", "", None),
        ("instance-2a", OWNED.format("shop"), "shop"),
        ("instance-2a", OWNED.format(" "), None),
        ("instance-2a", OWNED.format("a\u202eb\nc"), "ab c"),
        ("one-7", GROUP.format("oneadmin"), "oneadmin"),
        ("shop_web_1", KUBEVIRT, "shop"),
        ("web1", KUBEVIRT, None),
    ],
)
def test_the_project_in_its_cloud(name: str, metadata: str, project: str | None) -> None:
    assert parse(f"<domain><name>{name}</name><metadata>{metadata}</metadata></domain>").project == project


@pytest.mark.parametrize(
    ("metadata", "owner"), [(OWNED.format("shop"), "u"), (ONE.format("x"), "u"), (KUBEVIRT, None)]
)
def test_the_owner_in_its_cloud(metadata: str, owner: str | None) -> None:
    assert parse(f"<domain><metadata>{metadata}</metadata></domain>").owner == owner


@pytest.mark.parametrize(
    ("name", "known", "label"),
    [
        ("web1", None, "web1"),
        ("web1", "", "web1"),
        ("web1", "web1", "web1"),
        ("instance-0000002a", "shop", "instance-0000002a (shop)"),
        ("web1", "t" * 99, f"web1 ({'t' * 56}…)"),
        ("n" * 60, "shop", "n" * 60),
        ("n" * 99, "shop", "n" * 99),
    ],
)
def test_a_label_has_both_names_where_they_differ(name: str, known: str | None, label: str) -> None:
    assert labelled(name, known) == label


@given(st.text(min_size=1, max_size=90), st.text(max_size=200))
def test_a_label_begins_with_the_name_and_is_short(name: str, known: str) -> None:
    label = labelled(name, known)
    assert label.startswith(name)
    assert len(label) <= max(len(name), text.LONGEST_LABEL)


def test_those_that_are_asked_for_alone_are_read_alike(tmp_path: Path) -> None:
    """By libvirt itself: pieces of the metadata come without their namespaces."""
    described = {
        "none1": "",
        "title1": "<title>Mine</title>" + METADATA.format(NOVA.format("1.1", "theirs")),
        "nova1": METADATA.format(NOVA.format("1.1", "shop")),
        "old1": METADATA.format(NOVA.format("1.0", "shop")),
        "empty1": "<title> </title>" + METADATA.format(NOVA.format("1.1", " ") + ONE.format("a\u202eb")),
    }
    file = tmp_path / "node.xml"
    texts = node(described)
    for name, more in described.items():
        texts = texts.replace(f"<name>{name}</name>", f"<name>{name}</name>{more}")
    file.write_text(texts)
    connection = libvirt.open(f"test://{file}")
    domains = {domain.name(): domain for domain in connection.listAllDomains()}
    known = titles.read(connection, [domain.UUIDString() for domain in domains.values()] + [str(UUID(int=1))])
    wanted = {domain.UUIDString(): parse(domain.XMLDesc()).title for domain in domains.values()}
    assert known == {uuid: title for uuid, title in wanted.items() if title}
    assert sorted(known.values()) == ["Mine", "ab", "shop", "shop"]


class Told:
    """Gives everybody a title, and keeps who was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, uuids: Collection[str]) -> dict[str, str]:
        self.asked += uuids
        return {uuid: f"Shop {uuid}" for uuid in uuids}


def said(check: Check, *domains: Domain, titles: Titles) -> str:
    snapshot = Snapshot("qemu:///system", 0, 0, domains=domains)
    verdict = plugin.judged(check, snapshot, Thresholds(check.name, check.metrics))
    verdict.entitle(titles)
    before = [subject._label_parts for subject in verdict.subjects if subject.domain]
    assert before == [(domain.name,) for domain in domains]
    return output.render(check.name, verdict, output.Style(verbose=1))[0]


each_check = pytest.mark.parametrize("check", [state.CHECK, cpu.CHECK, memory.CHECK], ids=lambda check: check.name)


@each_check
@pytest.mark.parametrize("read", [None, "Shop"])
def test_a_vm_with_a_problem_is_called_by_both_names(check: Check, read: str | None) -> None:
    """Whoever read the XML: nagios_kvm judges all with one reading, and says what the single checks say."""
    vm = Domain("u", "instance-2a", 1, 1, 1, 1000.0, title=read, not_responding=40.0)
    told = Told()
    text = said(check, vm, titles=told)
    asked = read is None and Group.DEFINITION not in check.groups
    assert told.asked == ["u"] * asked
    known = read or ("Shop u" if asked else None)
    assert f"- {labelled('instance-2a', known)} " in text
    assert "not responding for 40 s" in text


def test_only_those_that_the_first_line_names_are_asked_for() -> None:
    told = Told()
    crashed = [Domain(f"u{number}", f"vm{number}", None, states.CRASHED, 1, 0.0) for number in range(5)]
    healthy = Domain("u9", "web1", 1, states.RUNNING, 1, 0.0, title="Known")
    text = said(state.CHECK, *crashed, healthy, titles=told)
    assert sorted(told.asked) == ["u0", "u1", "u2"]
    assert "vm2 (Shop u2) crashed" in text
    assert "vm3 crashed" in text
    assert "Known" not in text, "an OK line is the same whether the XML was read or not"


def test_one_that_somebody_holds_is_not_asked_for() -> None:
    told = Told()
    held = Domain("u", "vm1", None, states.NOSTATE, 0, 0.0, not_responding=40.0)
    assert "vm1 held for 40 s" in said(state.CHECK, held, titles=told)
    assert not told.asked


def test_a_title_that_does_not_come_costs_a_moment_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "node.xml"
    file.write_text(node(["web1"]))
    reader = Reader(f"test://{file}", Group.POLICY, Selection(), Deadline(0.4))
    asked = []

    def hangs(_connection: object, uuids: Collection[str]) -> dict[str, str]:
        asked.append(uuids)
        ALL_OVER.wait()
        return {}

    monkeypatch.setattr(titles, "read", hangs)
    for _ in range(3):
        assert reader.titles(["u"]) == {}
    assert asked == [["u"]]
