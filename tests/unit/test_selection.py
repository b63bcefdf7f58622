"""Domain patterns."""

from __future__ import annotations

from fnmatch import fnmatchcase

import libvirt
import pytest
from check_kvm.frame.siteconfig import SiteConfig
from commands import EXAMPLE_URI
from hypothesis import given
from hypothesis import strategies as st

from kvmwatch.command.roster import Roster
from kvmwatch.model.errors import DeadlineExceeded, UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.model.selection import Pattern, Selection
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading.bulk import Listed
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.domains import DomainReader, Readings

UUID = "5bf3becf-b79c-559e-ad83-005b778b469f"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("web1", "web1", True),
        ("web1", "web10", False),
        ("web*", "web10", True),
        ("WEB*", "web1", False),
        ("web[12]", "web2", True),
        ("web[12]", "web[12]", True),
        ("re:^web\\d+$", "web10", True),
        ("re:eb", "web10", True),
        ("re:^eb", "web10", False),
        (UUID, "web1", True),
        (UUID.upper(), "web1", True),
        (UUID[:-1] + "*", "web1", False),
        ('Büro VM "01"', 'Büro VM "01"', True),
    ],
)
def test_pattern(pattern: str, name: str, matches: bool) -> None:
    assert Selection.parse([pattern], []).matches(name, UUID, {UUID}) is matches


def test_excluded_wins_over_included() -> None:
    selection = Selection.parse(["web*"], ["web2"])
    assert selection.matches("web1", UUID, {UUID})
    assert not selection.matches("web2", UUID, {UUID})
    assert not selection.matches("db1", UUID, {UUID})


def test_no_pattern_is_all() -> None:
    assert Selection().matches("anything", UUID, {UUID})
    assert not Selection.parse([], ["any*"]).matches("anything", UUID, {UUID})


@pytest.mark.parametrize("pattern", ["", "re:("])
def test_bad_patterns_are_usage_errors(pattern: str) -> None:
    with pytest.raises(UsageError):
        Selection.parse([pattern], [])


UUIDS = st.uuids().map(str)


@st.composite
def machines(draw: st.DrawFn) -> dict[str, str]:
    """UUID to name of a few domains; names can be the UUIDs of others, of nobody, in large or small letters."""
    known = draw(st.lists(UUIDS, min_size=1, max_size=4, unique=True))
    of_anybody = st.sampled_from(known) | UUIDS
    names = st.sampled_from(["web1", "web2", "db[1]"]) | of_anybody | of_anybody.map(str.upper)
    return {uuid: draw(names) for uuid in known}


@given(machines(), st.data())
def test_a_uuid_selects_its_domain_and_no_other(names: dict[str, str], data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from(list(names)))
    text = data.draw(st.sampled_from([wanted, wanted.upper(), wanted.title()]))
    included, excluded = Selection.parse([text], []), Selection.parse([], [text])
    assert [uuid for uuid in names if included.matches(names[uuid], uuid, names)] == [wanted]
    assert [uuid for uuid in names if not excluded.matches(names[uuid], uuid, names)] == [wanted]
    domains = tuple(Domain(uuid, name, 1, 1, 1, 0.0) for uuid, name in names.items())
    config = SiteConfig(domains=((Pattern.parse(text), Policy(ignore=True)),))
    # one VM is looked at, all are known
    for domain in domains:
        snapshot = Snapshot("qemu:///system", 0, 0, domains=(domain,), uuids=frozenset(names))
        (applied,) = config.applied(snapshot).domains
        assert bool(applied.policy.ignore) is (domain.uuid == wanted)


@given(machines(), st.data())
def test_what_is_no_uuid_there_selects_by_name(names: dict[str, str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(list(names.values())) | UUIDS | st.sampled_from(["*", "web*", "web1", "*-*"]))
    matched = [uuid for uuid in names if Pattern.parse(text).matches(names[uuid], uuid, names)]
    if text.lower() not in names:
        assert matched == [uuid for uuid, name in names.items() if text == name or fnmatchcase(name, text)]
    else:
        assert matched == [text.lower()]


@given(machines())
def test_patterns_other_than_a_uuid_are_of_the_name_alone(names: dict[str, str]) -> None:
    """A part of a UUID selects nothing by it; who asks for names by re: gets them, whatever they look like."""
    name = "c2ecba83-f6ed-4e5f-8a3b-9d1c1b6f7a55"
    for text in (f"re:^{name}$", name[:-1] + "*", "[" + name[0] + "]" + name[1:]):
        pattern = Pattern.parse(text)
        known = names | {UUID: name}
        assert [uuid for uuid in known if pattern.matches(known[uuid], uuid, known)] == [UUID]


@pytest.mark.parametrize("expression", ["(", "a{4294967296}", "(" * 3000 + "a" + ")" * 3000])
def test_an_expression_that_cannot_be_used_is_said(expression: str) -> None:
    with pytest.raises(UsageError, match="bad regular expression"):
        Pattern.parse(f"re:{expression}")


@pytest.mark.parametrize("error", [DeadlineExceeded("no time is left"), libvirt.libvirtError("it is locked")])
def test_what_is_left_out_costs_only_what_was_promised_to_all(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DomainReader.read

    def read(reader: DomainReader, surveyed: Listed) -> Readings:
        if reader._groups == Group.SIZE:
            raise error
        return whole(reader, surveyed)

    monkeypatch.setattr(DomainReader, "read", read)
    deadline, roster = Deadline(10), Roster("/proc/nowhere", EXAMPLE_URI)
    reader = Reader(EXAMPLE_URI, Group.HOST | Group.SIZE, Selection.parse(["db1"], []), deadline, roster)
    snapshot = reader.read()
    assert [domain.stats.vcpu_count for domain in snapshot.domains] == [4]
    assert snapshot.host
    assert (snapshot.host.stats.vcpus_assigned, snapshot.host.stats.memory_assigned) == (None, None)
    assert snapshot.host.stats.memory_total
    assert any(str(error) in part.text for part in snapshot.host.unread)
