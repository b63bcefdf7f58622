"""The names that people know: where they are read from, and how a VM is called by both of its names."""

from __future__ import annotations

import pytest
from check_kvm import cpu, memory
from check_kvm.frame import output, plugin
from check_kvm.frame.plugin import Check
from check_kvm.frame.thresholds import Thresholds
from hypothesis import given
from hypothesis import strategies as st

from kvmwatch.model import text
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.text import labelled
from kvmwatch.reading.domain_xml import parse

NOVA = "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/{}'><n:name>{}</n:name></n:instance>"
ONE = "<one:vm xmlns:one='http://opennebula.org/xmlns/libvirt/1.0'><one:name>{}</one:name><one:uname>u</one:uname></one:vm>"  # fmt: skip


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


@pytest.mark.parametrize("check", [cpu.CHECK, memory.CHECK], ids=lambda check: check.name)
def test_checks_that_read_the_xml_say_it_and_all_keep_their_labels(check: Check) -> None:
    """Whatever else was read: nagios_kvm judges all with one reading, and says what the single checks say."""
    vm = Domain("u", "instance-2a", 1, 1, 1, 1000.0, title="Shop", not_responding=40.0)
    snapshot = Snapshot("qemu:///system", 0, 0, domains=(vm,))
    verdict = plugin.judged(check, snapshot, Thresholds(check.name, check.metrics))
    said, _ = output.render(check.name, verdict)
    name = "instance-2a (Shop)" if Group.DEFINITION in check.groups else "instance-2a"
    assert f"- {name} not responding for 40 s" in said
    assert next(subject._label for subject in verdict.subjects) == "instance-2a"
