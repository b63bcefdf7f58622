"""A process that reads again and again asks seldom for what seldom changes, and tells the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import libvirt
import pytest
from testdriver import node

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DiskStats, InterfaceStats
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading import bulk, classic, descriptions, domain_xml, domains, kept, statistics
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.descriptions import Description
from kvmwatch.reading.kept import Kept
from kvmwatch.reading.records import Reading
from kvmwatch.reading.statistics import Statistics

GROUPS = Group.DEFINITION | Group.SIZE | Group.CPU | Group.MEMORY | Group.DISK | Group.INTERFACE | Group.SHUT_OFF
UNIX = 1_795_000_000
DOMAIN = SimpleNamespace(UUIDString=lambda: "uuid", ID=lambda: 1)
RUN, OFF = ("uuid", 1), ("uuid", -1)
ANSWERED = {"balloon.rss": 5, "block.0.rd.reqs": 1}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Both clocks, at ``now`` seconds."""
    made = SimpleNamespace(now=0.0, monotonic=lambda: 1000 + made.now, time=lambda: UNIX + made.now)
    for module in (kept, domains):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the XML and the memory of each domain were asked for, as "XML web1"."""
    found: Counter[str] = Counter()

    def counting(what: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def call(domain: Any, *arguments: Any) -> Any:
            found[f"{what} {domain.name()}"] += 1
            return really(domain, *arguments)

        return call

    # as if the test driver had bulk statistics
    for name in ("answered", "PREFIXES"):
        monkeypatch.setattr(classic, name, getattr(bulk, name), raising=False)
    monkeypatch.setattr(statistics, "bulk", classic)
    monkeypatch.setattr(descriptions, "_xml", counting("XML", descriptions._xml))
    monkeypatch.setattr(libvirt.virDomain, "memoryStats", counting("memory", libvirt.virDomain.memoryStats))
    return found


def write(folder: Path, text: str) -> str:
    """A hypervisor of the test driver; gives its URI."""
    (folder / "node.xml").write_text(text)
    return f"test://{folder}/node.xml"


def read(uri: str, goes_on: bool = True) -> dict[str, Domain]:
    """By name, without what the clock changes."""
    domains = Reader(uri, GROUPS, Selection(), Deadline(60), goes_on=goes_on).read().domains
    steady = (
        domain._replace(
            time=0,
            stats=domain.stats._replace(cpu_time=None, vcpu_time=None),
            vcpus=(),
            disks=tuple(disk._replace(stats=DiskStats()) for disk in domain.disks),
            interfaces=tuple(part._replace(stats=InterfaceStats()) for part in domain.interfaces),
        )
        for domain in domains
    )
    return {domain.name: domain for domain in steady}


def test_what_seldom_changes_is_asked_seldom(tmp_path: Path, clock: SimpleNamespace, asked: Counter[str]) -> None:
    uri = write(tmp_path, node(["web1", "db1"]))
    whole = read(uri, goes_on=False)
    assert whole["web1"].stats.memory_rss, "there is something to be told"
    asked.clear()
    for clock.now in range(0, 60, 3):
        assert read(uri) == whole
    assert asked == {"XML web1": 2, "XML db1": 2, "memory web1": 7, "memory db1": 7}


def test_a_command_that_reads_once_asks_for_all(tmp_path: Path, asked: Counter[str]) -> None:
    uri = write(tmp_path, node(["web1"]))
    read(uri, goes_on=False)
    read(uri, goes_on=False)
    assert asked == {"XML web1": 2, "memory web1": 2}


def test_the_second_sample_of_a_reading_is_one(tmp_path: Path, asked: Counter[str]) -> None:
    """What stood still for a second would be a rate of 0."""
    uri = write(tmp_path, node(["web1"]))
    reader = Reader(uri, GROUPS, Selection(), Deadline(60), goes_on=True)
    first = reader.read()
    for uuids in ([first.domains[0].uuid], [""]):
        reader.read_again(first, uuids)
    assert asked == {"XML web1": 3, "memory web1": 3}


def test_another_disk_is_seen_at_once(tmp_path: Path, clock: SimpleNamespace, asked: Counter[str]) -> None:
    one = node(["web1"])
    uri = write(tmp_path, one)
    read(uri)
    write(tmp_path, one.replace("</devices>", "<disk type='file'><source file='/x'/><target dev='vdb'/></disk></devices>"))  # fmt: skip
    clock.now = 3
    assert [disk.name for disk in read(uri)["web1"].disks] == ["vda", "vdb"]
    write(tmp_path, one)
    clock.now = 6
    assert [disk.name for disk in read(uri)["web1"].disks] == ["vda"]
    assert asked["XML web1"] == 3


def test_one_that_was_shut_off_keeps_nothing_of_its_run(tmp_path: Path, clock: SimpleNamespace) -> None:
    uri = write(tmp_path, node(["web1"]))
    assert read(uri)["web1"].stats.memory_rss
    write(tmp_path, node(["web1"], other={"web1": libvirt.VIR_DOMAIN_SHUTOFF}))
    clock.now = 3
    assert read(uri)["web1"].stats.memory_rss is None


@pytest.mark.parametrize(
    ("updated", "period", "good_for"),
    [
        pytest.param(-4, 10, 6, id="a new report is due"),
        pytest.param(-30, 10, 0, id="it was due long ago"),
        pytest.param(0, 60, 9, id="what QEMU itself knows of it changes as well"),
        pytest.param(0, 2, 2, id="it reports often"),
        pytest.param(0, 0, 9, id="it has told once, when it booted"),
        pytest.param(None, 10, 9, id="it has told nothing"),
    ],
)
def test_a_report_is_good_until_the_next(
    clock: SimpleNamespace, updated: int | None, period: int, good_for: int
) -> None:
    fields = ANSWERED | ({} if updated is None else {"balloon.last-update": UNIX + updated})
    of_it = Kept()
    of_it.keep(RUN, fields, Description(), 1000)
    good = 0
    for clock.now in range(20):
        of_it.forget()
        good += of_it.report(RUN, period) is not None
    assert good == good_for


def test_nothing_is_kept_of_a_definition_that_is_not_whole(clock: SimpleNamespace) -> None:
    """It could not be read, or names other parts than the statistics, which are a moment younger."""
    definition = domain_xml.parse("<domain><devices><disk><target dev='vda'/></disk></devices></domain>")
    fields = {"block.count": 1, "block.0.name": "vda", "net.count": 0}
    unread = (Unread(Group.DEFINITION, "XML", "it cannot be parsed"),)
    of_it = Kept()
    for description, told in (
        (Description(), fields),
        (Description(definition, unread=unread), fields),
        (Description(definition), fields | {"net.count": 1}),
        (Description(definition), fields | {"block.count": 2, "block.1.name": "vdb"}),
        (Description(definition), {}),
    ):
        of_it.keep(RUN, told, description, 1000)
        assert of_it.description(RUN) is None
    of_it.keep(RUN, fields, Description(definition), 1000)
    assert of_it.description(RUN) == Description(definition)
    assert of_it.is_of(RUN, fields)
    assert not of_it.is_of(RUN, fields | {"block.0.path": "/another.img"})
    assert of_it.description(("uuid", 2)) is None, "another run"
    of_it.keep(OFF, {}, Description(definition), 1000)
    assert of_it.description(OFF) == Description(definition), "of what is shut off there are no statistics"


def test_what_a_call_brings_that_took_long_is_as_old_as_that(clock: SimpleNamespace) -> None:
    """It was left behind; others have read since."""
    definition = domain_xml.parse("<domain/>")
    fields = ANSWERED | {"net.count": 0}
    of_it = Kept()
    clock.now = 600
    of_it.keep(RUN, fields, Description(definition), 1000)
    assert of_it.description(RUN) is None
    assert of_it.report(RUN, 0) is None
    newer = Description(definition._replace(title="Shop"))
    of_it.keep(RUN, fields | {"balloon.rss": 7}, newer, 1599)
    of_it.keep(RUN, fields, Description(definition), 1595)
    assert of_it.report(RUN, 0) == {"balloon.rss": 7}
    assert of_it.description(RUN) == newer


def test_a_report_is_kept_where_the_disks_will_show_an_answer(clock: SimpleNamespace) -> None:
    """Those of vhost-user have no counters: each answer would be taken for none."""
    of_it = Kept()
    of_it.keep(RUN, {"balloon.rss": 5, "block.count": 1}, Description(), 1000)
    assert of_it.report(RUN, 0) is None


#: what else becomes of a reading for which there is a report of rss 5 and maximum 9: statistics to what is told
OUTCOMES = [
    pytest.param(1, {"block.count": 1, "block.0.rd.reqs": 1}, {"rss": 5, "maximum": 9}, id="it answered"),
    pytest.param(1, {"block.count": 1}, {"maximum": 9}, id="it did not: what libvirt knows is told"),
    pytest.param(1, {"cpu.unread": "refused"}, {"maximum": 9, "unread": "refused"}, id="libvirt refused"),
    pytest.param(2, {"block.count": 1, "block.0.rd.reqs": 1}, {}, id="that was another run"),
]


@pytest.mark.parametrize(("number", "fields", "told"), OUTCOMES)
def test_what_is_kept_is_told_of_its_run_alone(
    clock: SimpleNamespace, number: int, fields: dict[str, Any], told: dict[str, Any]
) -> None:
    of_it = Kept()
    of_it.keep(RUN, ANSWERED | {"balloon.maximum": 9}, Description(), 1000)
    disk = "<domain><devices><disk><target dev='vda'/></disk></devices></domain>"
    provider = SimpleNamespace(read=lambda domains, _groups: [(domain, fields) for domain in domains])
    hypervisor: Any = SimpleNamespace(uri="qemu+ssh://kvm1/system", provider=bulk)
    asked = Statistics(hypervisor, GROUPS, of_it)
    listed: Any = [(DOMAIN, {"state.state": libvirt.VIR_DOMAIN_RUNNING})]
    with patch.object(bulk, "read", provider.read):
        asked.read(listed, {"uuid": Description(domain_xml.parse(disk))})
    readings = {"uuid": Reading("uuid", "web1", number, 0, fields)}
    asked.complete(listed, (), readings)
    found = {name: value for name, value in readings["uuid"].fields.items() if name.startswith("balloon.")}
    assert found == {f"balloon.{name}": value for name, value in told.items()}
