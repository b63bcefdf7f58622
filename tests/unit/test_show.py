"""kvmwatch show: what stands in its sections, for people and as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import pytest
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from kvmwatch_terminal import host_details, show, show_host
from kvmwatch_terminal.columns import cell
from kvmwatch_terminal.details import CHECKS, SECTIONS, WHOLE, Pinned, Wanted
from kvmwatch_terminal.process_sections import Alike
from kvmwatch_terminal.rows import OK, Said, Thing
from kvmwatch_terminal.sections import Shown, things
from kvmwatch_terminal.verdicts import judged, said
from kvmwatch_terminal.width import width
from test_golden_output import snapshot

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DomainStats
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.rates import samples, with_rates
from kvmwatch.model.snapshot import VCPU, Disk, Domain, Interface, Network, Pool, Process, Snapshot, Unread, Vcpu
from kvmwatch.reading import domain_xml

OF_THE_HOST = tuple(check for check in all_checks() if not check.of_each_domain)
JUDGING = tuple(check for check in all_checks() if check.of_each_domain or check.name == "process")


@pytest.fixture(scope="module")
def rated() -> Snapshot:
    return with_rates(snapshot(60), samples(snapshot(0)))


def shown(rated: Snapshot, name: str, metadata: Policy | None = None) -> tuple[Shown, list[Said]]:
    domain = next(domain for domain in rated.domains if domain.name == name)
    (row,) = judged(rated._replace(domains=(domain,)), JUDGING, SiteConfig())
    own = domain.policy if metadata is None else metadata
    return Shown(row, rated, own), list(said(rated, JUDGING, SiteConfig(), domain))


Pages = dict[str, Callable[[Optional[int]], str]]


@pytest.fixture(scope="module")
def pages(rated: Snapshot) -> Pages:
    """What makes the page of each for a terminal of so many columns."""
    verdicts = list(said(rated, OF_THE_HOST, SiteConfig()))
    made: Pages = {"host": partial(show_host.in_words, rated, verdicts)}
    for name in ("web1", "hung", "tuned"):
        made[name] = partial(show.in_words, *shown(rated, name))
    return made


@pytest.mark.parametrize("name", ["web1", "hung", "off", "tuned"])
def test_in_words(name: str, rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    golden(f"kvmwatch_show_{name}.txt", show.in_words(*shown(rated, name)) + "\n")


@pytest.mark.parametrize("room", [40, 80, 132])
def test_on_a_terminal(room: int, rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    golden(f"kvmwatch_show_web1_{room}.txt", show.in_words(*shown(rated, "web1"), room) + "\n")


@given(room=st.integers(23, 300), name=st.sampled_from(["web1", "hung", "tuned", "host"]))
@settings(max_examples=60)
def test_nothing_is_cut_or_left_out_on_a_terminal(room: int, name: str, pages: Pages) -> None:
    """Every column and every word of the page is there, however narrow, and no line is wider."""
    wide, narrow = pages[name](None), pages[name](room)
    assert max(map(width, narrow.split("\n"))) <= room
    assert "…" not in narrow
    whole = Counter("".join(narrow.split()))
    whole.subtract("".join(wide.split()))
    assert min(whole.values()) >= 0, "what is more are the headers and names of further tables"
    for line in wide.split("\n"):
        for word in line.split():
            assert word in narrow or len(word) > (room / 2 if room >= 40 else 1), word


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8, 13, 40, 80])
def test_colours_take_no_room(room: int, rated: Snapshot) -> None:
    of_web1 = shown(rated, "web1")
    coloured = show.in_words(*of_web1, room, coloured=True)
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == show.in_words(*of_web1, room)


def test_as_json(rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    text = show.as_json(*shown(rated, "web1"))
    golden("kvmwatch_show_web1.json", text + "\n")
    assert json.loads(text)["processes"][0]["pid"] == "4001"


def test_no_two_things_have_the_same_key() -> None:
    keys = [column.name for column in WHOLE] + [section.name for section in SECTIONS]
    keys += ["uri", "time", "name", "not_responding", "checks", "unread"]
    assert len(set(keys)) == len(keys)
    for columns in (CHECKS, *(section.columns for section in SECTIONS)):
        assert len({column.name for column in columns}) == len(columns)


def test_what_is_wanted_and_where_it_comes_from(rated: Snapshot) -> None:
    own, site = OwnThreshold("cpu.usage", "1", None), OwnThreshold("cpu.steal", None, "2")
    metadata = Policy(thresholds=(own,))
    merged = Policy(expect="running", thresholds=(site, own))
    vm, _ = shown(rated, "web1", metadata)
    vm = vm._replace(row=vm.row._replace(domain=vm.domain._replace(policy=merged)))
    wanted = [thing.of for thing in things(SECTIONS[-1], vm)]
    assert wanted == [
        Wanted("expect", "running", None, None, "--config"),
        Wanted("cpu.steal", None, None, "2", "--config"),
        Wanted("cpu.usage", None, "1", None, "its metadata"),
    ]


EVERYTHING = tuple(Unread(group, "", "no answer") for group in Group)
PROCESS = Process(4001, 0.0, None, None, 0.0, unread=EVERYTHING)
#: a record of each section of which nothing is known
BARE: dict[str, Any] = {
    "vcpu": Pinned(Vcpu(0), None),
    "disks": Disk("vda"),
    "interfaces": Interface("52:54:00:00:00:01", "vnet0"),
    "processes": PROCESS,
    "threads": Alike(PROCESS, VCPU, ()),
    "pools": Pool("u", "nfs", "", 2, True, True, True, unread=EVERYTHING),
    "networks": Network("u", "default", None, True, True, True, unread=EVERYTHING),
}
OF_BARE = [section for section in (*SECTIONS, *host_details.SECTIONS) if section.name in BARE]


@pytest.mark.parametrize("section", OF_BARE, ids=lambda section: section.name)
def test_what_could_not_be_had_is_not_what_there_is_not(section: Any) -> None:
    """Also latencies and errors, which a disk has none of as a rule."""
    thing = Thing(BARE[section.name], 0.0, EVERYTHING)
    # a pool may have no folder, and is known to when its type is
    assert [each.name for each in section.columns if cell(each, thing) in ("", "-") and each.name != "path"] == []


def test_nothing_is_known_of_a_pool_whose_storage_does_not_answer() -> None:
    (section,) = (each for each in host_details.SECTIONS if each.name == "pools")
    pool = Pool("u", "nfs", "netfs", 2, True, True, True)
    for answered, shown_as in ((True, "-"), (False, "?")):
        made = Snapshot("qemu:///system", 0, 0, pools=(pool._replace(answered=answered),))
        (thing,) = host_details.things(section, made)
        texts = {each.name: cell(each, thing) for each in section.columns}
        figures = ("usage", "capacity", "used", "available", "provisioned", "volumes")
        assert {texts[name] for name in figures} == {shown_as}
        assert texts["kind"] == "netfs"


def test_verdicts_have_what_is_well_too(rated: Snapshot) -> None:
    _, verdicts = shown(rated, "web1")
    by_check = {each.check: each for each in verdicts}
    assert by_check["state"].severity == OK
    assert by_check["state"].lines[0].startswith("running (booted)")
    assert not any(line.startswith("web1") for each in verdicts for line in each.lines)


def test_the_one_vm(rated: Snapshot) -> None:
    domain = rated.domains[0]
    assert show._the_one(rated, domain.name) == domain
    assert show._the_one(rated._replace(domains=(domain,)), "d*") == domain
    with pytest.raises(
        KvmwatchError, match=r"no VM nix here; 'kvmwatch list --format names' tells which there are"
    ):
        show._the_one(rated._replace(domains=()), "nix")
    with pytest.raises(KvmwatchError, match="no VM web1 here"):
        show._the_one(rated._replace(domains=()), domain.uuid, "web1")
    with pytest.raises(KvmwatchError, match=r"matches 14 VMs: .*, \.\.\.; name one of them"):
        show._the_one(rated, "*")


def test_the_host_in_words_and_as_json(rated: Snapshot, golden: Callable[[str, str], None]) -> None:
    verdicts = list(said(rated, OF_THE_HOST, SiteConfig()))
    golden("kvmwatch_show_host.txt", show_host.in_words(rated, verdicts) + "\n")
    golden("kvmwatch_show_host.json", show_host.as_json(rated, verdicts) + "\n")


def test_a_host_that_could_not_be_read_has_no_figures(rated: Snapshot) -> None:
    unread = (Unread(Group.HOST, "host", "no answer"),)
    nothing = rated._replace(host=None, pools=(), networks=(), uplinks=None, unread=unread)
    text = show_host.in_words(nothing, [])
    assert text.startswith("qemu:///system\n")
    assert "host could not be read: no answer" in text
    document = json.loads(show_host.as_json(nothing, []))
    assert document["cpu"] is None
    assert document["unread"] == ["host could not be read: no answer"]


def test_what_would_be_promised_is_not_known_while_one_vm_is_not() -> None:
    def promised(*domains: Domain) -> float | None:
        made = Snapshot("qemu:///system", 0, 0, domains=domains)
        return host_details._promised(made, lambda domain: domain.stats.memory_maximum)

    def vm(state: int, autostart: bool | None, memory: float | None) -> Domain:
        return Domain("u", "v", None, state, 0, 0.0, autostart=autostart, stats=DomainStats(memory_maximum=memory))

    runs, waits, off = vm(1, False, 4.0), vm(5, True, 2.0), vm(5, False, 100.0)
    assert promised(runs, waits, off) == 6
    assert promised(runs, vm(5, True, None)) is None
    assert promised(runs, vm(5, None, 2.0)) is None
    assert promised() == 0


def test_no_two_things_of_the_host_have_the_same_key() -> None:
    keys = [column.name for column in host_details.WHOLE] + [section.name for section in host_details.SECTIONS]
    keys += ["uri", "time", "checks", "unread"]
    assert len(set(keys)) == len(keys)


XML = """<domain><name>web1</name><vcpu {}>4</vcpu><cputune>{}</cputune><devices><disk type='file' device='disk'>
<source file='/i/top.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='/i/mid.qcow2'/>
<backingStore type='block'><source dev='/dev/base'/><backingStore/></backingStore></backingStore>
<target dev='vda'/><iotune><total_bytes_sec>1000</total_bytes_sec><read_iops_sec>0</read_iops_sec>
<group_name>12</group_name><write_iops_sec>7</write_iops_sec></iotune></disk></devices></domain>"""


@pytest.mark.parametrize(
    ("cpuset", "pins", "pinned"),
    [
        ("", "", ()),
        ("", "<vcpupin vcpu='1' cpuset='4-5'/>", ((1, "4-5"),)),
        ("cpuset='0-3'", "<vcpupin vcpu='1' cpuset='4-5'/>", ((0, "0-3"), (1, "4-5"), (2, "0-3"), (3, "0-3"))),
    ],
)
def test_what_vcpus_are_pinned_to(cpuset: str, pins: str, pinned: tuple[tuple[int, str], ...]) -> None:
    assert domain_xml.parse(XML.format(cpuset, pins)).pinned == pinned


def test_backing_chain_and_limits_of_a_disk() -> None:
    (disk,) = domain_xml.parse(XML.format("", "")).disks
    assert disk.backing == ("/i/mid.qcow2", "/dev/base")
    assert dict(disk.limits) == {"total_bytes_sec": 1000, "write_iops_sec": 7}
