"""kvmwatch list on libvirt's test driver, through pipes and on a terminal."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pages
import pytest
import testdriver
from commands import EXAMPLE_URI, Command
from kvmwatch_terminal.columns import BY_NAME
from kvmwatch_terminal.width import width
from terminals import on_terminal

RUNS = "in_process"

#: what does not follow the test driver's clock
STEADY = (
    "name,title,uuid,state,reason,vcpus,used,memory,rss,agent,expected,autostart,persistent,managed_save,snapshots"
)
ODD = 'Büro VM "01" 100% | it\'s=odd; ok'
NAMES = [ODD, "crashed1", "db1", "leave-me-alone", "must-run", "off1", "paused1", "suspended1", "web1"]


def test_table_of_the_example(command: Command, golden: Callable[[str, str], None]) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "-o", STEADY)
    assert (ran.code, ran.err) == (0, "")
    golden("kvmwatch_list_example.txt", ran.out)


def test_what_is_wrong_is_first(command: Command) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI)
    assert (ran.code, ran.err) == (0, ""), "what is wrong with a VM is no failure of the list"
    lines = ran.out.splitlines()
    assert len(lines) == 1 + len(NAMES)
    assert lines[0].split()[:3] == ["NAME", "STATUS", "STATE"]
    order = [re.split(r"\s{2,}", line)[1] for line in lines[1:]]
    assert order == sorted(order, key=["CRITICAL", "UNKNOWN", "WARNING", "left alone", "OK"].index)
    assert re.search(
        r"must-run +CRITICAL +shut off .*shut off though it should be running \(its metadata\)", ran.out
    )
    assert re.search(r"web1 \(Shop front end\) +WARNING .*cpu: usage \d+ % \(over 40 %\)", ran.out)
    assert "\x1b" not in ran.out


def test_csv_and_json_have_the_same_figures_in_base_units(command: Command) -> None:
    columns = STEADY + ",status"
    as_csv = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--format", "csv", "-o", columns)
    as_json = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--format", "json", "-o", columns)
    document = json.loads(as_json.out)
    lines = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert len(lines) == len(NAMES)
    for line, domain in zip(lines, document["domains"]):
        words = {True: "yes", False: "no", None: ""}
        assert line == {
            name: words.get(value, str(value)) if isinstance(value, (bool, type(None))) else str(value)
            for name, value in domain.items()
            if name in line
        }
    web1 = next(domain for domain in document["domains"] if domain["name"] == "web1")
    assert (web1["memory"], web1["vcpus"], web1["title"]) == (4 << 30, 2, "Shop front end")
    assert (web1["agent"], web1["unread"]) == (None, [])


def test_a_name_in_a_table_has_the_one_that_people_know(command: Command) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "-d", "web1", "-o", "name,state")
    assert ran.out.splitlines()[1].startswith("web1 (Shop front end)  running")


def test_names_are_for_scripts(command: Command) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--format", "names")
    assert (ran.code, ran.err, ran.out.splitlines()) == (0, "", NAMES)
    assert not list(command._state.glob("kvm_list-*")), "nothing is rated, so no second is waited for"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("--running", f"{ODD},db1,web1"),
        ("--shutoff", "must-run,off1"),
        ("--state-paused --inactive", "must-run,off1,paused1"),
        ("--other", "crashed1,leave-me-alone,suspended1"),
        ("--active -x ?b1", f"{ODD},crashed1,leave-me-alone,paused1,suspended1,web1"),
        ("--autostart", ""),
        ("--transient", ""),
        ("--persistent --no-autostart --without-snapshot --all -d web1", "web1"),
        ("-x *1", f"{ODD},leave-me-alone,must-run"),
        ("--reverse -d ?b1 -d web1", "web1,db1"),
        ("--sort vcpus -d db1 -d web1 -d off1 -o name", "db1,off1,web1"),
        ("--on images", "db1,off1,web1"),
        ("--on /var/lib/libvirt/images/db1.qcow2 --on /dev/vg0", "db1"),
        ("--on images --running -x db1", "web1"),
    ],
)
def test_choice_and_order(command: Command, options: str, kept: str) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--format", "names", *options.split())
    assert (ran.code, ran.out.splitlines()) == (0, kept.split(",") if kept else [])


def test_only_problems(command: Command) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--problems", "--format", "names")
    assert "off1" not in ran.out
    assert "leave-me-alone" not in ran.out
    assert "crashed1" in ran.out.splitlines()


@pytest.mark.parametrize(
    "options", ["", "-o name,status,problem", "--sort name", "--csv", "--csv --sort cpu --wide"]
)
def test_problems_are_those_of_the_host_too(command: Command, options: str) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--problems", *options.split())
    assert (ran.code, ran.err) == (0, "")
    (line,) = [line for line in ran.out.splitlines() if line.startswith("pool ")]
    assert re.match(r"pool images *,* *WARNING[ -]*,* *pool: usage 88 % \(over 85 %\)$", line)
    order = re.findall("CRITICAL|UNKNOWN|WARNING", ran.out)
    assert order == sorted(order, key=["CRITICAL", "UNKNOWN", "WARNING"].index) or "--sort" in options


def test_problems_of_the_host_in_json(command: Command) -> None:
    words = ("kvmwatch", "list", "-u", EXAMPLE_URI, "--json", "-o", "name,status")
    document = json.loads(command(*words, "--problems").out)
    of_host = "neither its CPU use nor its memory is known from here"  # the driver has made it up
    assert document["hypervisor"] == [
        {"status": "UNKNOWN", "check": "host", "thing": None, "text": of_host},
        {"status": "WARNING", "check": "pool", "thing": "images", "text": "usage 88 % (over 85 %)"},
    ]
    assert "hypervisor" not in json.loads(command(*words).out)


@pytest.mark.parametrize("choice", ["-d web1", "-x web1", "--running", "--on images"])
def test_who_chooses_vms_gets_vms(command: Command, choice: str) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--problems", "--csv", "-o", "name", *choice.split())
    assert ran.out.count("\n") > 1
    assert "pool images" not in ran.out


def test_no_problems(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "calm.xml"
    file.write_text(testdriver.node(["calm"], other={"calm": 5}))
    ran = command("kvmwatch", "list", "-u", f"test://{file}", "--problems", "-o", "name,problem", "-d", "calm")
    assert (ran.code, ran.out.splitlines()[1:]) == (0, ["no problems"])


@pytest.mark.parametrize("column", BY_NAME)
def test_each_column_alone(command: Command, column: str) -> None:
    """What it needs is read, and nothing else; those with rates from the counters of the first."""
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "-o", column, "-d", "web1")
    assert (ran.code, ran.err) == (0, "")
    header, value = ran.out.splitlines()
    assert header.strip() == BY_NAME[column].header
    assert value.strip() != "?"


def test_a_column_beside_the_others(command: Command) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "-d", "web1", "-o", "+uuid,addresses")
    words = ran.out.splitlines()[0].split()
    assert words[0] == "NAME"
    assert words[-3:] == ["UUID", "ADDRESSES", "PROBLEM"]


def test_thresholds_of_the_site(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "site.ini"
    config.write_text("[domain off1]\nexpect = running\n[domain crashed1]\nignore = yes\n")
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--config", str(config), "-o", "name,expected,status")
    assert re.search(r"off1 +running +CRITICAL", ran.out)
    assert re.search(r"crashed1 +any +left alone", ran.out)
    off1, must_run = "[domain off1]\nexpect = running\n", "[domain must-run]\nexpect = any\n"
    config.write_text(off1 + must_run)
    judged = command("check_kvm_state", "-u", EXAMPLE_URI, "--config", str(config), "-d", "off1", "-d", "must-run")
    assert "off1 shut off though it should be running (--config)" in judged.out
    assert "must-run shut off though it should be running (its metadata)" in judged.out
    config.write_text("[defaults]\ncpu.heat.warning = 1\n")
    bad = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--config", str(config))
    assert (bad.code, bad.out) == (3, "")
    assert "unknown metric 'heat'" in bad.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("nope",), "invalid choice: 'nope'"),
        (("list", "-o", "name,nope"), "no column 'nope'; there are name, title, "),
        (("list", "-o", ""), "no column ''; there are name"),
        (("list", "--sort", "nope"), "no column 'nope'"),
        (("list", "-n", "0"), "'0' is no number of lines from 1 on"),
        (("list", "--format", "xml"), "invalid choice: 'xml'"),
        (("list", "-t", "0"), "the time limit must be more than 0 seconds"),
        (("list", "-d", "re:("), "bad regular expression '('"),
        (("list", "web1"), "unrecognized arguments: web1"),
        (("list", "--config", "/nonexistent"), "/nonexistent"),
        (("list", "\x9b31m\n\x1b]0;x\x07y"), "unrecognized arguments:  31m  ]0;x y"),
    ],
)
def test_bad_options_are_one_line_and_a_line_of_usage(
    command: Command, arguments: tuple[str, ...], says: str
) -> None:
    ran = command("kvmwatch", *arguments)
    assert (ran.code, ran.out) == (3, "")
    message, usage, *rest = ran.err.splitlines()
    assert message.startswith("kvmwatch: ")
    assert says in message
    assert usage.startswith("usage: kvmwatch ")
    assert not rest


@pytest.mark.parametrize("uri", ["test:///no/such/file.xml", "nonsense", "qemu+tcp://127.0.0.1:1/system"])
def test_what_cannot_be_read_is_one_line(command: Command, uri: str) -> None:
    ran = command("kvmwatch", "list", "-u", uri)
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)


def test_nothing_there(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "empty.xml"
    file.write_text("<node/>")
    ran = command("kvmwatch", "list", "-u", f"test://{file}")
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == ["none here"]
    assert ran.err == f"kvmwatch: libvirt lists no VMs here (test://{file})\n"
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "-d", "web9", "-d", "web1", "--format", "names")
    assert (ran.code, ran.out, ran.err) == (0, "web1\n", "kvmwatch: no domain matches -d web9\n")


@pytest.mark.parametrize("what", ["list web1", "net --sort nope", "top", "top --sort nope", "show"])
def test_what_is_refused_has_the_usage_of_its_command(command: Command, what: str) -> None:
    ran = command("kvmwatch", *what.split())
    assert (ran.code, ran.out) == (3, "")
    name, _, _ = what.partition(" ")
    assert ran.err.splitlines()[1].startswith(f"usage: kvmwatch {name} [-h]")


def test_short_names_of_formats(command: Command) -> None:
    for name in ("csv", "json"):
        short, long = (
            command("kvmwatch", "list", "-u", EXAMPLE_URI, "-o", "name,vcpus", *words)
            for words in ((f"--{name}",), ("--format", name))
        )
        shown = [re.sub(r'"time": [0-9.]+', "", ran.out) for ran in (short, long)]
        assert shown[0] == shown[1] != ""


@pytest.mark.parametrize("what", ["top --json -n 1 --domain", "top -b -n 1 --domain", "export json -d", "net -d"])
def test_a_vm_that_is_misspelt_is_said(command: Command, what: str) -> None:
    """By the option as it is called there: -d of top is the delay."""
    ran = command("kvmwatch", *what.split(), "wbe1", "-u", EXAMPLE_URI)
    assert f"no domain matches {what.rsplit(maxsplit=1)[-1]} wbe1" in ran.out + ran.err


def test_what_the_host_has_promised_is_of_all_vms(command: Command) -> None:
    one, all_ = (command("check_kvm_host", "-u", EXAMPLE_URI, *words).out for words in (("-d", "db1"), ()))
    words = [[word for word in said.split() if "overcommit=" in word] for said in (one, all_)]
    assert words[0] == words[1] != []


def test_no_rates_are_not_known_and_said(within: Command) -> None:
    nowhere = {"KVMWATCH_STATE_DIR": "/proc/nowhere"}
    ran = within(
        "kvmwatch", "list", "-u", EXAMPLE_URI, "-t", "1", "-d", "db1", "-o", "name,cpu,read,rx", env=nowhere
    )
    assert (ran.code, ran.out.splitlines()[1].split()) == (0, ["db1", "?", "?", "?"])
    assert "no rates: -t 1 leaves no time for a second reading" in ran.err


@pytest.mark.parametrize(("age", "waits"), [(20, False), (100, True)])
def test_rates_are_not_of_long_ago(forked: Command, age: float, waits: bool) -> None:
    words = ("list", "-u", EXAMPLE_URI, "-d", "web1", "-o", "name,read")
    assert "two readings" in on_terminal(forked, 80, *words)
    (file,) = forked._state.glob("kvm_list-*.json")
    kept = json.loads(file.read_text())
    kept["samples"] = {key: [time - age, *rest] for key, (time, *rest) in kept["samples"].items()}
    file.write_text(json.dumps(kept))
    assert ("two readings" in on_terminal(forked, 80, *words)) == waits


def test_a_pool_that_there_is_not(command: Command) -> None:
    ran = command("kvmwatch", "list", "-u", EXAMPLE_URI, "--on", "imgaes")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("kvmwatch: no storage pool imgaes here; there are images, iso images")


def test_only_the_first_and_how_many_more_there_are(command: Command) -> None:
    words = ("kvmwatch", "list", "-u", EXAMPLE_URI)
    ran = command(*words, "-n", "3")
    assert (ran.code, len(ran.out.splitlines())) == (0, 5)
    assert re.fullmatch(r"\(6 more, of them 2 CRITICAL, 2 WARNING\)", ran.out.splitlines()[-1])
    assert len(command(*words, "--limit", "9", "-o", "name").out.splitlines()) == 1 + len(NAMES)
    last = command(*words, "--problems", "-n", "6").out.splitlines()[-1]
    assert last == "(3 more, of them 3 WARNING)", "what is no VM counts among those"
    for form in ("csv", "names"):
        some = command(*words, "-n", "2", "--format", form, "-o", "name")
        assert some.out.splitlines()[-1] == NAMES[1]
        assert some.err == "kvmwatch: 7 more\n", "and not among the data"
    document = json.loads(command(*words, "-n", "2", "--json", "-o", "name").out)
    assert ([domain["name"] for domain in document["domains"]], document["more"]) == (NAMES[:2], 7)
    assert "more" not in json.loads(command(*words, "--json", "-o", "name").out)


def test_help_and_version(command: Command) -> None:
    assert command("kvmwatch", "-h").out.startswith("usage: kvmwatch [-h]")
    assert "columns, with their units" in command("kvmwatch", "list", "-h").out
    assert command("kvmwatch", "-V").out == command("kvmwatch", "list", "-V").out


def test_many_vms(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "many.xml"
    file.write_text(testdriver.node([f"vm{number}" for number in range(200)], states=5))
    ran = command("kvmwatch", "list", "-u", f"test://{file}", "-t", "60")
    assert (ran.code, len(ran.out.splitlines())) == (0, 201)


# --- on a terminal


@pytest.mark.parametrize("columns", [20, 80, 130])
def test_lines_are_cut_and_not_wrapped(forked: Command, columns: int) -> None:
    seen = on_terminal(forked, columns, "list", "-u", EXAMPLE_URI)
    waits, *lines = seen.splitlines()
    assert waits == "kvmwatch: two readings, a second apart ..."
    assert "\x1b[31mCRITICAL\x1b[0m" in seen or columns < 30
    plain = [re.sub(r"\x1b\[[0-9]*m", "", line) for line in lines]
    assert max(map(width, plain)) <= columns
    assert len(plain) in (len(NAMES) + 1, len(NAMES) + 2)


def test_no_colour_where_nobody_wants_it(forked: Command) -> None:
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        seen = on_terminal(forked, 100, "list", "-u", EXAMPLE_URI, "-o", "name,status,problem", "-d", "c*", **env)
        assert "CRITICAL" in seen
        assert "\x1b" not in seen


def test_wide_is_not_cut(forked: Command) -> None:
    seen = on_terminal(forked, 40, "list", "-u", EXAMPLE_URI, "--wide", "-d", "web1", "-o", "name,uuid,title")
    assert "web1 (Shop front end)  11111111-0000-4000-8000-000000000001  Shop front end" in seen


def test_names_in_wide_characters_and_odd_titles(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "odd.xml"
    text = testdriver.node(["東京サーバ", "web1"])
    file.write_text(text.replace("<memory", "<title>two words\u202e</title><memory", 1), encoding="utf-8")
    ran = command("kvmwatch", "list", "-u", f"test://{file}", "-o", "name,vcpus")
    assert ran.out.splitlines() == [
        "NAME                    VCPUS",
        "web1                        1",
        "東京サーバ (two words)      1",
    ]


#: the commands of the page, and of README
COMMANDS = sorted(
    {
        step.command
        for page in ("docs/terminal.md", "README.md")
        for step in pages.steps(page)
        if step.command.startswith("kvmwatch ")
    }
)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_pages(command: Command, line: str) -> None:
    for name, there in pages.EXAMPLES:
        line = line.replace(name, there)
    words = shlex.split(re.split(r" [|>] ", line)[0])
    ran = command(*words, env={"LIBVIRT_DEFAULT_URI": EXAMPLE_URI})
    elsewhere = (
        "kvmwatch: bridges and uplinks cannot be seen from here; run 'kvmwatch net' on the hypervisor itself\n"
    )
    assert (ran.code, ran.err) == (0, elsewhere if words[1] == "net" else "")
