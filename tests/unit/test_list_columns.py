"""kvmwatch list: its columns, how wide they are, what is shown of whom in which order, and what programs get."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from check_kvm.frame.judging import all_checks, of_hypervisor
from check_kvm.frame.siteconfig import SiteConfig
from hypothesis import example, given
from hypothesis import strategies as st
from judging import judged as check_output
from kvmwatch_terminal import beside, formats, net_columns, reading
from kvmwatch_terminal.columns import ASKED, BY_NAME, COLUMNS, DATA, TABLE, WIDE, Column, cell
from kvmwatch_terminal.filters import FILTERS, filtered
from kvmwatch_terminal.order import in_order
from kvmwatch_terminal.rows import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    Problem,
    Row,
    in_words,
    rows,
)
from kvmwatch_terminal.table import table
from kvmwatch_terminal.verdicts import hypervisor_problems, judged
from kvmwatch_terminal.width import cut, fill, width, wrapped
from test_golden_output import NOW, snapshot

from kvmwatch.model import states, topology
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DiskStats, DomainStats, InterfaceStats
from kvmwatch.model.policy import Policy
from kvmwatch.model.rates import samples, with_rates
from kvmwatch.model.snapshot import Disk, Domain, Interface, Network, Snapshot, Unread
from kvmwatch.model.units import human

CHECKS = tuple(check for check in all_checks() if check.of_each_domain)
IN_TABLE = tuple(column for column in COLUMNS if column.shown == TABLE)
HOSTILE = 'esc\x1b[31m c1\x9b bidi\u202e zw\u200b nul\x00 "q" , ; tab\t line\nend'


def vm(name: str = "web1", state: int = states.RUNNING, **more: Any) -> Domain:
    return Domain("00000000-0000-4000-8000-000000000001", name, 1, state, 1, 1000.0, **more)


def row(*problems: Problem, **more: Any) -> Row:
    return Row(vm(**more), NOW, problems)


@pytest.fixture(scope="module")
def seen() -> tuple[Snapshot, list[Row]]:
    """Every kind of VM, judged."""
    made = with_rates(snapshot(60), samples(snapshot(0)))
    return made, judged(made, CHECKS, SiteConfig())


# --- the whole of it


def worst_first(found: list[Row]) -> list[Row]:
    return in_order(found, BY_NAME["problem"])


def test_table_of_every_kind_of_vm(seen: tuple[Snapshot, list[Row]], golden: Callable[[str, str], None]) -> None:
    golden("kvmwatch_list.txt", table(worst_first(seen[1]), IN_TABLE) + "\n")


def test_wide_table(seen: tuple[Snapshot, list[Row]], golden: Callable[[str, str], None]) -> None:
    columns = [column for column in COLUMNS if column.shown <= WIDE]
    golden("kvmwatch_list_wide.txt", table(worst_first(seen[1]), columns) + "\n")


def test_narrow_table(seen: tuple[Snapshot, list[Row]], golden: Callable[[str, str], None]) -> None:
    golden("kvmwatch_list_narrow.txt", table(worst_first(seen[1]), IN_TABLE, room=80) + "\n")


def test_csv(seen: tuple[Snapshot, list[Row]], golden: Callable[[str, str], None]) -> None:
    columns = [column for column in COLUMNS if column.shown <= DATA]
    golden("kvmwatch_list.csv", formats.as_csv(worst_first(seen[1]), columns, str) + "\n")


def test_json(seen: tuple[Snapshot, list[Row]], golden: Callable[[str, str], None]) -> None:
    columns = [column for column in COLUMNS if column.shown <= DATA]
    text = formats.as_json(seen[0], worst_first(seen[1]), columns)
    golden("kvmwatch_list.json", text + "\n")
    assert len(json.loads(text)["domains"]) == len(seen[1])


# --- the table of columns


def test_columns_have_names_and_headers_of_their_own() -> None:
    for of in (lambda column: column.name, lambda column: column.header):
        texts = [of(column) for column in COLUMNS]
        assert len(set(texts)) == len(texts)
    assert COLUMNS[-1].judged, "the longest is the last"
    asked = [column.name for column in COLUMNS if column.shown == ASKED]
    assert asked == ["owner", "host_cpu", "cpu_time", "oldest_snapshot", "addresses", "disks"]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_nothing_that_is_not_known_is_a_figure(column: Column) -> None:
    """Of a VM of which nothing was read there is a name, a UUID and a state."""
    bare = Row(Domain("u", "web1", None, states.NOSTATE, 0, 1000.0), NOW)
    value = column.of(bare)
    assert value is None or column.name in ("name", "uuid", "state", "reason", "expected"), value


#: of which there is always a word
ALWAYS_SAID = ("state", "status", "expected")
UNSURE = [column for column in COLUMNS if column.needs and column.name not in ALWAYS_SAID]


@pytest.mark.parametrize("column", UNSURE, ids=lambda column: column.name)
def test_what_could_not_be_had_is_not_what_there_is_not(column: Column) -> None:
    group = next(group for group in Group if group and group in column.needs and group is not Group.DEFINED)
    bare = vm()
    assert cell(column, Row(bare, NOW)) == "-"
    assert cell(column, Row(bare._replace(unread=(Unread(group, "x", "why"),)), NOW)) == "?"
    asked = bool(column.needs & (Group.CPU | Group.MEMORY | Group.DISK | Group.INTERFACE))
    assert cell(column, Row(bare._replace(not_responding=9.0), NOW)) == ("?" if asked else "-"), (
        "what its QEMU tells"
    )
    held = bare._replace(state=states.NOSTATE, not_responding=9.0)
    assert cell(column, Row(held, NOW)) == "?", "that it is there is all that is known"
    other = Group.FILESYSTEM
    assert cell(column, Row(bare._replace(unread=(Unread(other, "x", "why"),)), NOW)) == "-"


def test_a_sum_of_what_is_not_known_is_not_known() -> None:
    rated = Disk("vda", device="disk", rates=DiskStats(read_bytes=5.0), stats=DiskStats(read_bytes=9))
    unrated = Disk(
        "vdb", device="disk", stats=DiskStats(read_bytes=9), unread=(Unread(Group.DISK, "", "no rate"),)
    )
    drive = Disk("hda", device="cdrom", rates=DiskStats(read_bytes=7.0))
    read = BY_NAME["read"]
    assert cell(read, row(disks=(rated, drive))) == "5 B/s", "a drive's medium is not the VM's storage"
    assert cell(read, row(disks=(rated, unrated))) == "?"
    assert cell(read, row(disks=(drive,))) == "-"


def test_networks_are_in_bits() -> None:
    one = Interface("m", "vnet0", "network", stats=InterfaceStats(rx_bytes=1), rates=InterfaceStats(rx_bytes=1e6))
    assert BY_NAME["rx"].of(row(interfaces=(one, one))) == 16e6
    assert cell(BY_NAME["rx"], row(interfaces=(one, one))) == "16 Mbit/s"


@pytest.mark.parametrize(
    ("state", "reason", "silent", "text"),
    [
        (states.RUNNING, 1, None, "running"),
        (states.RUNNING, 11, None, "running (post-copy failed)"),
        (states.PAUSED, 5, None, "paused (I/O error)"),
        (states.SHUTOFF, 3, None, "shut off (crashed)"),
        (states.CRASHED, 0, None, "crashed"),
        (states.RUNNING, 1, 40.0, "running, not responding"),
        (99, 0, None, "state 99 (reason 0)"),
    ],
)
def test_states(state: int, reason: int, silent: float | None, text: str) -> None:
    domain = vm(state=state)._replace(reason=reason, not_responding=silent)
    assert cell(BY_NAME["state"], Row(domain, NOW)) == text


@pytest.mark.parametrize(
    ("autostart", "policy", "text"),
    [
        (True, Policy(), "autostart"),
        (False, Policy(), "any"),
        (True, Policy(expect="shutoff"), "shutoff"),
    ],
)
def test_expected(autostart: bool, policy: Policy, text: str) -> None:
    assert cell(BY_NAME["expected"], row(autostart=autostart, policy=policy)) == text


def test_what_is_expected_is_not_known_without_autostart() -> None:
    unread = (Unread(Group.AUTOSTART, "autostart", "why"),)
    assert cell(BY_NAME["expected"], row(unread=unread)) == "?"


def test_figures_are_those_of_people_in_the_table_and_base_units_in_csv() -> None:
    one = row(stats=DomainStats(memory_current=3 << 30, started=NOW - 93_600))
    columns = (BY_NAME["memory"], BY_NAME["started"])
    assert table([one], columns).splitlines()[1].strip().split("  ") == [human(3 << 30, "B"), "1 d 2 h"]
    assert formats.as_csv([one], columns, str).splitlines()[1] == f"{3 << 30},{int(NOW) - 93_600}"


# --- what the checks find


def test_a_hung_vm_says_so_once_and_the_others_are_told(seen: tuple[Snapshot, list[Row]]) -> None:
    named = {row.domain.name: row for row in seen[1]}
    silent = [problem for problem in named["hung"].problems or () if "not responding" in problem.text]
    assert silent == [Problem(CRITICAL, "state", "not responding for 95 s")]
    assert named["hung"].status == CRITICAL
    assert named["alone"].problems is None
    assert cell(BY_NAME["status"], named["alone"]) == "left alone"
    assert named["off"].problems[0].text == "shut off (shutdown) though it should be running (autostart)"  # type: ignore[index]


def test_every_problem_does_without_the_name_of_the_vm(seen: tuple[Snapshot, list[Row]]) -> None:
    for one in seen[1]:
        for problem in one.problems or ():
            assert not problem.text.startswith(one.domain.name), problem


def test_problems_in_words() -> None:
    found = [
        Problem(CRITICAL, "state", "crashed"),
        Problem(WARNING, "network", "errors 2/s", "vnet0"),
        Problem(WARNING, "network", "drops 9/s", "vnet0"),
        Problem(WARNING, "memory", "usage 92 %"),
    ]
    assert in_words(found) == ["crashed", "network: vnet0 errors 2/s, drops 9/s", "memory: usage 92 %"]


def test_a_check_that_fails_is_told_of_that_vm(
    seen: tuple[Snapshot, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cpu,) = (check for check in CHECKS if check.name == "cpu")

    def broken(*_: object) -> None:
        raise RuntimeError("oops")

    found = judged(
        seen[0], [check._replace(judge=broken) if check is cpu else check for check in CHECKS], SiteConfig()
    )
    (problem,) = next(one.problems or () for one in found if one.domain.name == "asleep" if one.problems)[:1]
    assert problem.severity == UNKNOWN
    assert "oops" in problem.text


# --- what is wrong with what is no VM

OF_HOST = of_hypervisor(local=True)
WRONG = [
    Problem(WARNING, "host", "memory 92 % (over 90 %)"),
    Problem(CRITICAL, "host", "load 5 (over 4)"),
    Problem(WARNING, "pool", "usage 88 %", "images"),
    Problem(CRITICAL, "net", "inactive", "default"),
    Problem(UNKNOWN, "net", "networks could not be read: why"),
    Problem(WARNING, "process", "is not one of this libvirt's", "QEMU process 7 (x)"),
    Problem(WARNING, "process", "files usage 93 %", "WARNING"),
]


def test_problems_of_the_hypervisor_stand_among_those_of_vms() -> None:
    vms = [row(Problem(severity, "cpu", "usage"), name=severity) for severity in (WARNING, UNKNOWN, CRITICAL)]
    columns = [beside.with_them(BY_NAME[name]) for name in ("name", "status", "cpu", "problem")]
    lines = in_order([*vms, *beside.lines(WRONG, NOW)], columns[1])
    assert table(lines, columns).splitlines()[1:] == [
        "host                     CRITICAL    -  host: load 5 (over 4), memory 92 % (over 90 %)",
        "network default          CRITICAL    -  net: inactive",
        "CRITICAL                 CRITICAL    -  cpu: usage",
        "networks                 UNKNOWN     -  net: networks could not be read: why",
        "UNKNOWN                  UNKNOWN     -  cpu: usage",
        "QEMU process 7 (x)       WARNING     -  process: is not one of this libvirt's",
        "QEMU process of WARNING  WARNING     -  process: files usage 93 %",
        "pool images              WARNING     -  pool: usage 88 %",
        "WARNING                  WARNING     -  cpu: usage",
    ]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_what_is_no_vm_has_no_figures(column: Column) -> None:
    lines = beside.lines(WRONG, NOW)
    cells = {cell(beside.with_them(column), line) for line in lines}
    assert cells == {"-"} or column.name in ("name", "status", "problem")
    assert len(in_order([row(), *lines], beside.with_them(column))) == len(lines) + 1


def test_a_check_of_the_hypervisor_that_fails_costs_only_itself(seen: tuple[Snapshot, list[Row]]) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("oops")

    well = list(hypervisor_problems(seen[0], OF_HOST, SiteConfig()))
    for failing in OF_HOST:
        checks = [check._replace(judge=broken) if check is failing else check for check in OF_HOST]
        found = list(hypervisor_problems(seen[0], checks, SiteConfig()))
        assert [one for one in found if one.check != failing.name] == [o for o in well if o.check != failing.name]
        (one,) = (one for one in found if one.check == failing.name)
        assert (one.severity, "oops" in one.text) == (UNKNOWN, True)


def test_problems_of_the_hypervisor_are_what_its_checks_say(seen: tuple[Snapshot, list[Row]]) -> None:
    """Each line that is not OK in the output of the check's own command, and none more."""
    found = list(hypervisor_problems(seen[0], OF_HOST, SiteConfig()))
    for check in OF_HOST:
        text, code = check_output(check.name, seen[0])
        told = [one for one in found if one.check == check.name]
        assert bool(told) == bool(code), check.name
        for one in told:
            assert f"{one.thing} ".lstrip() in text
            assert one.text in text


# --- order and choice


def names(found: Sequence[Row]) -> str:
    return " ".join(one.domain.name for one in found)


def test_the_worst_are_first_and_what_is_left_alone_is_no_problem() -> None:
    bad = {word: Problem(word, "state", word) for word in (WARNING, UNKNOWN, CRITICAL)}
    found = [
        row(name="z-ok"),
        row(bad[WARNING], name="w"),
        row(bad[CRITICAL], name="c"),
        row(bad[UNKNOWN], name="u"),
        Row(vm(name="a-alone"), NOW),
    ]
    assert names(in_order(found, BY_NAME["problem"])) == "c u w a-alone z-ok"
    assert names(in_order(found, BY_NAME["status"], True)) == "a-alone z-ok w u c"


def test_figures_are_sorted_from_the_highest_and_the_unknown_is_last() -> None:
    found = [
        row(name=name, stats=DomainStats(memory_rss=rss))
        for name, rss in (("b", 2), ("a", 2), ("none", None), ("high", 9), ("zero", 0))
    ]
    rss = BY_NAME["rss"]
    assert names(in_order(found, rss)) == "high a b zero none"
    assert names(in_order(found, rss, True)) == "zero a b high none"
    assert names(in_order(found, BY_NAME["name"])) == "a b high none zero"


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_every_column_sorts(column: Column, seen: tuple[Snapshot, list[Row]]) -> None:
    assert len(in_order(seen[1], column)) == len(seen[1])


def chosen(options: str, found: Sequence[Row]) -> str:
    filters = [each for each in FILTERS if set(each.options) & set(options.split())]
    return names(filtered(found, filters))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("", "on off held dead who"),
        ("--running", "on who"),
        ("--state-running --paused", "on held who"),
        ("--shutoff", "off who"),
        ("--inactive", "off who"),
        ("--other", "dead who"),
        ("--autostart", "off who"),
        ("--no-autostart", "on held dead who"),
        ("--autostart --no-autostart", "on off held dead who"),
        ("--running --no-autostart", "on who"),
        ("--running --autostart", "who"),
        ("--transient", "dead who"),
        ("--with-snapshot", "held who"),
        ("--with-checkpoint", "on who"),
        ("--without-checkpoint --running", "who"),
    ],
)
def test_filters(options: str, kept: str) -> None:
    """What nobody knows of a VM is no reason to keep it from who looks for it."""
    none = dict.fromkeys(("autostart", "persistent", "managed_save", "has_snapshots", "has_checkpoints"), False)
    found = [
        row(name="on", **none | {"persistent": True, "has_checkpoints": True}),
        row(name="off", state=states.SHUTOFF, **none | {"autostart": True, "persistent": True}),
        row(name="held", state=states.PAUSED, **none | {"has_snapshots": True, "persistent": True}),
        row(name="dead", state=states.CRASHED, **none),
        row(name="who", state=states.NOSTATE),
    ]
    assert chosen(options, found) == kept


# --- width


TEXTS = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60)


@pytest.mark.parametrize(
    ("text", "columns"),
    [("web1", 4), ("Büro", 4), ("u\u0308", 1), ("東京", 4), ("\u200d", 0), ("🖥", 2 - 1), ("", 0)],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@given(TEXTS, st.integers(0, 80), st.booleans())
def test_filled_text_takes_exactly_its_columns(text: str, columns: int, right: bool) -> None:
    assert width(fill(text, columns, right)) == columns
    assert width(cut(text, columns)) <= columns
    if width(text) <= columns:
        assert text in fill(text, columns, right)


@given(TEXTS, st.integers(2, 80))
def test_wrapped_text_is_all_there_and_fits(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert max(map(width, lines)) <= columns
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines == [text] or width(text) > columns


@given(
    st.lists(st.text(max_size=50), min_size=1, max_size=4), st.integers(1, 200), st.sets(st.sampled_from(IN_TABLE))
)
def test_no_line_is_wider_than_the_terminal(called: list[str], room: int, asked: set[Column]) -> None:
    found = [row(Problem(CRITICAL, "disk", text), name=text + HOSTILE, title=text) for text in called]
    lines = table(found, IN_TABLE, room, asked).split("\n")
    assert all(width(line) <= room for line in lines)
    assert len(lines) - len(found) in (1, 2), "what others wrote makes no line of its own"
    shown = "".join(lines)
    assert not [character for character in shown if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")]


def test_a_narrow_terminal_has_what_matters_and_says_what_it_has_not() -> None:
    one = row(Problem(CRITICAL, "state", "crashed"))
    header, line, more = table([one], IN_TABLE, 80).split("\n")
    assert header.split()[:3] == ["NAME", "STATUS", "STATE"]
    assert line.endswith("crashed")
    assert more.startswith("(--wide has more: ")
    assert "read" not in more or "write" in more, "what belongs together goes together"


def test_columns_that_nobody_has_a_value_for_are_left_out_where_they_say_so() -> None:
    assert "PROJECT" not in table([row()], IN_TABLE)
    assert "PROJECT" in table([row(), row(project="shop")], IN_TABLE)
    assert "PROJECT" in table([row()], IN_TABLE, asked=(BY_NAME["project"],))


def test_what_was_asked_for_is_not_left_out() -> None:
    asked = (BY_NAME["agent"],)
    assert "AGENT" not in table([row()], IN_TABLE, 60).split()
    assert "AGENT" in table([row()], IN_TABLE, 60, asked).split()


@pytest.mark.parametrize(
    ("room", "asked", "shown", "first_left_out"),
    [
        (60, "", "NAME STATUS STATE PROBLEM", "cpu"),
        (40, "", "NAME STATUS PROBLEM", "state"),
        (20, "", "NAME STATUS", "problem"),
        (60, "write", "NAME STATUS STATE WRITE PROBLEM", "cpu"),
        (40, "write", "NAME STATUS WRITE", "problem"),
        (20, "write", "NAME WRITE", "status"),
        (40, "write agent rss", "NAME RSS WRITE AGENT", "status"),
        (20, "write agent rss", "NAME RSS", "write"),
        (5, "write", "NAME", "write"),
    ],
)
def test_what_gives_way_on_a_narrow_terminal(room: int, asked: str, shown: str, first_left_out: str) -> None:
    """What was asked for stays longest, the state says least; and nothing goes without a word."""
    found = [
        row(Problem(CRITICAL, "state", "x" * 60), name="n" * 30, state=states.PAUSED),
        row(name="other", agent_connected=True, stats=DomainStats(memory_rss=1 << 30)),
    ]
    columns = [column for column in IN_TABLE if column.name != "vcpus"]
    named = [BY_NAME[name] for name in asked.split()]
    header, *lines, more = table(found, columns, room, named).split("\n")
    assert header.split() == shown.split()
    assert room < 20 or all(line.startswith(("nnnnnnn", "other  ")) for line in lines)
    assert more.startswith(f"(--wide has more: {first_left_out}"[: room - 1])


def test_colour_is_on_the_status_alone() -> None:
    bad = row(Problem(CRITICAL, "state", "crashed"), name="CRITICAL")
    _, line, fine = table([bad, row()], IN_TABLE, coloured=True).split("\n")
    assert line.startswith("CRITICAL  \x1b[31mCRITICAL\x1b[0m  running")
    assert line.count("\x1b") == 2
    assert "\x1b" not in fine
    for room in range(1, 60):
        painted = table([bad], IN_TABLE, room, coloured=True).split("\n")[1]
        assert painted.count("\x1b") in (0, 2)
        assert width(painted.replace("\x1b[31m", "").replace("\x1b[0m", "")) <= room


# --- for programs


@given(
    name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    title=st.text('a",; \r\n\t', min_size=1),
)
@example(HOSTILE, 'a"b,c')
@example("a\rb", " \r")
def test_csv_holds_every_text(name: str, title: str) -> None:
    text = formats.as_csv([row(name=name, title=title)], (BY_NAME["name"], BY_NAME["title"]), str)
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["name", "title"], [name, title]]


@given(st.text())
def test_json_is_the_same_text_again_and_nothing_that_a_terminal_acts_upon(name: str) -> None:
    made = Snapshot("qemu:///system", NOW, 0.0)
    text = formats.as_json(made, [row(name=name)], (BY_NAME["name"],))
    assert json.loads(text)["domains"][0]["name"] == name
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    assert not bad


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.00008)
@example(0.9996)
def test_a_figure_for_programs_is_never_another_one(figure: float) -> None:
    """80 us were 0 in JSON and CSV, and 500 us were 0.001."""
    short = formats.rounded(figure)
    assert short == pytest.approx(figure, rel=0.006, abs=0)
    assert isinstance(short, int) == (short == int(short))


def test_json_says_why_something_is_null() -> None:
    unread = Unread(Group.MEMORY, "memory", "no answer")
    twice = (unread, unread._replace(group=Group.CPU))
    made = Snapshot("qemu:///system", NOW, 0.0, unread=(Unread(Group.AUTOSTART, "autostart", "refused"),))
    disk = Disk("vda", unread=(Unread(Group.DISK, "statistics", "refused"),))
    found = rows(made._replace(domains=(vm(unread=twice, disks=(disk,)),)))
    document = json.loads(formats.as_json(made, found, (BY_NAME["rss"], BY_NAME["read"])))
    assert document["unread"] == ["autostart could not be read: refused"]
    whys = ["memory could not be read: no answer", "statistics could not be read: refused"]
    assert document["domains"] == [{"rss": None, "read": None, "unread": whys, "not_responding": None}]


LEASES = Unread(Group.NETWORKS, "DHCP leases", "no UTF-8")
DEFAULT = Network("n", "default", "virbr0", True, True, True)


@pytest.mark.parametrize(
    ("networks", "unread", "shown"),
    [
        ((DEFAULT,), (), "-"),
        ((DEFAULT._replace(unread=(LEASES,)),), (), "?"),
        ((DEFAULT._replace(name="other", unread=(LEASES,)),), (), "-"),
        ((), (Unread(Group.NETWORKS, "networks", "virtnetworkd does not run"),), "?"),
        ((), (Unread(Group.NETWORKS, "networks", "it has no such thing", absent=True),), "-"),
    ],
)
def test_addresses_are_not_known_where_leases_are_not(
    networks: tuple[Network, ...], unread: tuple[Unread, ...], shown: str
) -> None:
    """A guest may call itself so that libvirt's Python cannot read the leases of its network."""
    on_it = vm(interfaces=(Interface("52:54:00:00:00:01", "vnet0", "network", "default"),))
    made = Snapshot("qemu:///system", NOW, 0.0, domains=(on_it,), networks=networks, unread=unread)
    made = reading._with_untold_addresses(made)
    (found,) = rows(made)
    assert cell(BY_NAME["addresses"], found) == shown
    (node,) = (net_columns.thing(node, made) for node in topology.nodes(made) if node.domain)
    assert cell(net_columns.BY_NAME["addresses"], node) == shown
    document = json.loads(formats.as_json(made, [found], (BY_NAME["addresses"],)))
    assert bool(document["domains"][0]["unread"]) == (shown == "?")


def test_status_of_one_with_nothing_wrong_is_ok() -> None:
    assert row().status == OK
    assert Row(vm(), NOW).status is None


#: of virsh help list, without those that choose what is printed of a domain
VIRSH = """--inactive --all --transient --persistent --with-snapshot --without-snapshot --with-checkpoint
--without-checkpoint --state-running --state-paused --state-shutoff --state-other --autostart --no-autostart
--with-managed-save --without-managed-save"""


def test_filters_are_those_of_virsh() -> None:
    assert set(VIRSH.split()) <= {"--all", *(option for each in FILTERS for option in each.options)}
