"""kvmwatch top on libvirt's test driver: in a terminal of its own, key by key, and as text for scripts."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import testdriver
from commands import EXAMPLE_URI, Command, together
from kvmwatch_terminal.top.keys import KEYS
from kvmwatch_terminal.top.views import VIEWS
from kvmwatch_terminal.width import width
from terminals import Terminal, fresh, terminal

HOME = "0 domains"  # on the last line while the table is shown
SIZE = (30, 150)
#: of the test driver's VMs, which have none
UNSEEN = "kvmwatch: processes can be seen only on the hypervisor itself: run it there\n"


@pytest.fixture
def top(command: Command) -> Iterator[Terminal]:
    """The example, read."""
    with terminal(command, *SIZE, "kvmwatch", "top", "-u", EXAMPLE_URI, "-d", "1") as shown:
        shown.until(lambda: "web1" in shown.text)
        yield shown


# --- batch


def test_batch(command: Command) -> None:
    ran = command("kvmwatch", "top", "-u", EXAMPLE_URI, "-b", "-n", "2", "-d", "1")
    assert (ran.code, ran.err) == (0, "")
    assert len(re.findall(r"^kvmwatch top  .*, every 1 s   ", ran.out, re.MULTILINE)) == 2
    assert len(re.findall(r"   9 VMs: 3 running, 1 paused, ", ran.out, re.MULTILINE)) == 2
    assert re.search(r"problems: \d CRITICAL, \d WARNING, host UNKNOWN, pool WARNING", ran.out)
    assert len(re.findall(r"^web1 \(Shop front end\) .* \d+ % ", ran.out, re.MULTILINE)) == 2
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("view", [view.name for view in VIEWS])
def test_each_view_as_csv_and_json(command: Command, view: str) -> None:
    words = ("kvmwatch", "top", "-u", EXAMPLE_URI, "--view", view, "-d", "1")
    as_csv, as_json = together(command, [(*words, "-n", "1", form) for form in ("--csv", "--json")])
    unseen = UNSEEN if view == "processes" else ""
    assert (as_csv.code, as_csv.err, as_json.code, as_json.err) == (0, unseen, 0, unseen)
    (document,) = map(json.loads, as_json.out.splitlines())
    lines = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert bool(lines) != bool(unseen)
    for line in document[view]:
        names = [name for name in line if name not in ("unread", "not_responding")]
        assert names == [name for name in as_csv.out.splitlines()[0].split(",") if name != "time"]
    assert all(line["uuid"] for line in lines if view not in ("pools", "problems"))


def test_a_column_for_the_time_and_one_header(command: Command) -> None:
    ran = command("kvmwatch", "top", "-u", EXAMPLE_URI, "--csv", "-n", "2", "-d", "1", "--domain", "web1")
    first, second = csv.DictReader(io.StringIO(ran.out))
    assert 0.5 < float(second["time"]) - float(first["time"]) < 10
    assert first["name"] == second["name"] == "web1"


@pytest.mark.parametrize("form", ["-b", "--csv"])
def test_how_long_each_reading_took(command: Command, form: str) -> None:
    ran = command("kvmwatch", "top", "-u", EXAMPLE_URI, form, "-n", "2", "-d", "1", "-vvv")
    assert (ran.code, ran.err.count("connected and listed in ")) == (0, 2), ran.err


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_what_cannot_be_seen_is_told_once_beside_figures_for_programs(command: Command, form: str) -> None:
    """CSV without lines is its header alone, and looks as if there were none."""
    words = ("kvmwatch", "top", "-u", EXAMPLE_URI, "--view", "processes", "-d", "1", "-n", "2", form)
    ran = command(*words, "--domain", "nope")
    assert ran.err == f"kvmwatch: no domain matches --domain nope\n{UNSEEN}"
    assert ran.out.count("\n") == (1 if form == "--csv" else 2)


def test_figures_are_in_base_units(command: Command) -> None:
    ran = command("kvmwatch", "top", "-u", EXAMPLE_URI, "--json", "-n", "1", "--domain", "web1")
    (domain,) = json.loads(ran.out)["domains"]
    assert (domain["memory"], domain["vcpus"]) == (4 << 30, 2)
    assert domain["cpu"] == pytest.approx(50, abs=1)
    assert domain["read"] == pytest.approx(50_000, rel=0.1)
    assert domain["rx"] == pytest.approx(800_000, rel=0.1)
    assert (domain["steal"], domain["unread"], domain["not_responding"]) == (None, [], None)


def test_choice_and_order(command: Command) -> None:
    words = ("kvmwatch", "top", "-u", EXAMPLE_URI, "--csv", "-n", "1")

    chosen = ("--domain", "?b1", "--domain", "off1", "--sort", "VCPUS")
    others = ("-x", "*1", "--active", "--sort", "name")
    made = together(command, [(*words, *more) for more in (chosen, (*chosen, "--reverse"), others)])
    assert [[line["name"] for line in csv.DictReader(io.StringIO(ran.out))] for ran in made] == [
        ["db1", "off1"],
        ["off1", "db1"],
        ['Büro VM "01" 100% | it\'s=odd; ok', "leave-me-alone"],
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-d", "0"), "the time between readings is 1 s at least"),
        (("-d", "web1"), "'web1' is not a number of seconds; VMs are chosen with --domain here"),
        (("-n", "0"), "'0' is no number of readings"),
        (("--sort", "nope"), "--sort 'nope': domains has the columns name, "),
        (("--sort", "", "-b"), "--sort '': domains has the columns name, "),
        (("--view", "nope"), "invalid choice: 'nope'"),
        (("--csv", "--json"), "not allowed with"),
        (("--config", "/nonexistent", "-b"), "/nonexistent"),
        (("--domain", "re:(", "-b"), "bad regular expression"),
        ((), "top needs a terminal; without one use -b, --csv or --json"),
    ],
)
def test_bad_options_are_one_line(command: Command, words: tuple[str, ...], says: str) -> None:
    ran = command("kvmwatch", "top", "-u", EXAMPLE_URI, *words)
    assert (ran.code, ran.out) == (3, "")
    assert says in ran.err.splitlines()[0]
    assert len(ran.err.splitlines()) <= 2


@pytest.mark.parametrize("uri", ["test:///no/such/file.xml", "qemu+tcp://127.0.0.1:1/system"])
def test_what_cannot_be_read_is_one_line(command: Command, uri: str) -> None:
    ran = command("kvmwatch", "top", "-u", uri, "-b")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)


def test_a_reading_that_fails_later_is_told_and_it_goes_on(started: Command, tmp_path: Path) -> None:
    file = tmp_path / "node.xml"
    file.write_text(testdriver.node(["web1"]))
    words = [started.bin / "kvmwatch", "top", "-u", f"test://{file}", "--csv", "-n", "4", "-d", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.readline()
        file.rename(tmp_path / "gone.xml")
        time.sleep(1.5)
        (tmp_path / "gone.xml").rename(file)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, "the last one succeeded"
    assert err.startswith("kvmwatch: ")
    assert "web1" in out


def test_nobody_reads_any_more(started: Command) -> None:
    line = f"{started.bin}/kvmwatch top -u {EXAMPLE_URI} -b -d 1 | head -n 1"
    ran = subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=30, check=False)
    assert ran.stdout.startswith("kvmwatch top ")
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("to", "why"), [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_what_cannot_be_written_is_one_line(started: Command, to: str, why: str) -> None:
    line = f"{started.bin}/kvmwatch top -u {EXAMPLE_URI} -b {to}"
    ran = subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (3, f"kvmwatch: the output could not be written: {why}\n")


# --- on a terminal


def test_every_view_and_key(top: Terminal) -> None:
    """None of them spoils the screen, and the next one is heard."""
    for number, view in enumerate(VIEWS):
        top.press(str(number))
        top.until(lambda view=view: f"sorted by {view.sort}" in top.text)  # type: ignore[misc]
        if view.name == "processes":
            top.until(lambda: "processes can be seen only on the hypervisor itself" in top.text)
    top.press("0")
    for key in (key for key in KEYS if key.shown not in ("q", "Enter", "?")):
        for name in key.names:
            top.press(
                {"KEY_UP": "up", "KEY_DOWN": "down", "KEY_HOME": "home", "KEY_END": "end"}.get(name, name[:1])
            )
            top.press("esc")
            top.read(0.05)  # else the terminal takes Esc and the next one for one key
    top.press("0", "P", "\x1b")
    top.until(lambda: HOME in top.text and "VMs: " in top.text)
    assert len(top.lines) == SIZE[0]


def test_sorting(top: Terminal) -> None:
    top.press("N")
    top.until(lambda: "sorted by id" in top.text)
    top.until(lambda: names(top)[0].startswith("leave-me"))
    top.press("I")
    top.until(lambda: names(top)[0].startswith("web1"))
    assert "sorted by id, the other way round" in top.text


def names(top: Terminal) -> list[str]:
    """The first words of the lines of the table."""
    head = next(number for number, line in enumerate(top.lines) if line.startswith(("NAME", "VM ")))
    return [line.split("  ")[0] for line in top.lines[head + 1 : -1] if line]


def test_filter_search_and_tag(top: Terminal) -> None:
    top.press("\\", *"shut off")
    top.until(lambda: "only lines with: shut off" in top.text)
    top.press("enter")
    top.until(lambda: names(top) in (["must-run", "off1"], ["off1", "must-run"]))
    top.press("esc")
    top.until(lambda: len(names(top)) == 9)
    top.press("/", *"off1")
    top.until(lambda: top.selected().startswith("off1"))
    top.press("enter", " ")
    top.until(lambda: names(top)[0] == "off1")
    top.press("3")
    top.until(lambda: names(top)[0] == "off1")


def test_the_page_of_a_vm(top: Terminal) -> None:
    top.press("/", *"web1", "enter", "enter")
    top.until(lambda: "11111111-0000-4000-8000-000000000001" in top.text)
    assert top.lines[0].startswith("web1 (Shop front end)   (q: back)")
    top.press("end")
    top.until(lambda: "Interfaces" in top.text)
    top.press("q")
    top.until(lambda: HOME in top.text)
    assert top.selected().startswith("web1")


def test_means_since_the_start_the_base_and_the_delay(top: Terminal) -> None:
    top.press("a")
    top.until(lambda: "means since the start" in top.text)
    top.until(lambda: re.search(r"^db1 .* (9\d|100) KiB/s +4\d KiB/s", top.text, re.MULTILINE))
    top.press("c")
    top.until(lambda: "CPU use is in % of one CPU" in top.text)
    top.until(lambda: re.search(r"^db1 .* 100 % ", top.text, re.MULTILINE))
    top.press("d", "5", "enter")
    top.until(lambda: "every 5 s" in top.text)
    top.press("Z")
    top.until(lambda: ", paused" in top.text)


def test_resize_while_running(top: Terminal) -> None:
    for height, columns in ((10, 40), (50, 220), (2, 12), (1, 1)):
        top.resize(height, columns)
        top.read(1)
        assert all(width(line) <= columns for line in top.lines)
        if height >= 10:
            top.until(lambda: "STATUS" in top.text and " 0 domains" in top.lines[-1])
        top.resize(*SIZE)
        top.until(lambda: "web1 (Shop front" in top.text and HOME in top.lines[-1])
    top.press("q")
    assert top.ended() == 0


def test_colours(command: Command) -> None:
    words = ("kvmwatch", "top", "-u", EXAMPLE_URI, "--sort", "name")
    with contextlib.ExitStack() as stack:
        coloured, unwanted, unable = (
            stack.enter_context(terminal(command, *SIZE, *words, **env))
            for env in ({}, {"NO_COLOR": "1"}, {"TERM": "vt100"})
        )
        for top in (coloured, unwanted, unable):
            # at first, without rates, there are fewer
            top.until(lambda top=top: "5 CRITICAL" in top.text and "pool WARNING" in top.text)
        assert coloured.colour("5 CRITICAL") == "red"
        assert coloured.colour("pool WARNING") == "brown"
        assert coloured.colour("9 VMs") == "default"
        assert unwanted.colour("5 CRITICAL") == "default"
        for top in (unwanted, unable):
            assert not re.search(rb"\x1b\[[0-9;]*3[1-7]m", top.raw)


@pytest.mark.parametrize("term", ["", "nonsense", "dumb"])
def test_a_terminal_that_cannot(command: Command, term: str) -> None:
    with terminal(command, *SIZE, "kvmwatch", "top", "-u", EXAMPLE_URI, TERM=term) as top:
        assert top.ended() == 3
        assert "try TERM=xterm kvmwatch top, or use -b" in top.text
        assert term in top.text
        assert len([line for line in top.lines if line]) <= 2


def test_wide_characters(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "wide.xml"
    file.write_text(testdriver.node(["東京サーバ", "web1"]), encoding="utf-8")
    words = ("kvmwatch", "top", "-u", f"test://{file}")
    with contextlib.ExitStack() as stack:
        wide, *others = (
            stack.enter_context(terminal(command, 24, 100, *words, LC_ALL=name))
            for name in ("C.UTF-8", "C", "xx_YY.UTF-8")  # the last of which there is not
        )
        wide.until(lambda: "東" in wide.text)
        (line,) = (line for line in wide.lines if "東" in line)
        assert "…" not in line.split("OK")[0]
        for top in others:
            top.until(lambda top=top: "web1" in top.text and "??" in top.text)
            top.press("q")
            assert top.ended() == 0


def test_a_vm_that_comes_and_goes(command: Command, tmp_path: Path) -> None:
    """Each reading reads the file of the test driver anew."""
    file = tmp_path / "node.xml"
    file.write_text(testdriver.node(["web1", "web2"]))
    with terminal(command, 24, 120, "kvmwatch", "top", "-u", f"test://{file}", "-d", "1", "--sort", "name") as top:
        top.until(lambda: names(top) == ["web1", "web2"] if "NAME" in top.text else False)
        top.press("F", "down")
        top.until(lambda: top.selected().startswith("web2"))
        (tmp_path / "new").write_text(testdriver.node(["alone1", "web1", "web2"]))
        (tmp_path / "new").rename(file)
        top.until(lambda: names(top) == ["alone1", "web1", "web2"])
        top.until(lambda: top.selected().startswith("web2"))
        (tmp_path / "new").write_text(testdriver.node(["alone1"]))
        (tmp_path / "new").rename(file)
        top.until(lambda: names(top) == ["alone1"])
        assert top.selected().startswith("alone1")


def test_a_daemon_that_goes_leaves_the_last_figures(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "node.xml"
    file.write_text(testdriver.node(["web1"]))
    with terminal(command, 24, 120, "kvmwatch", "top", "-u", f"test://{file}", "-d", "1") as top:
        top.until(lambda: "web1" in top.text)
        file.rename(tmp_path / "gone.xml")
        top.until(lambda: "no new figures for 2 s: " in top.text)
        assert "web1" in top.text
        (tmp_path / "gone.xml").rename(file)
        top.until(lambda: "no new figures" not in top.text)


# --- the end


def test_number(command: Command) -> None:
    with terminal(command, *SIZE, "kvmwatch", "top", "-u", EXAMPLE_URI, "-n", "2", "-d", "1") as top:
        assert top.ended() == 0


def test_q_gives_the_terminal_back(command: Command) -> None:
    with terminal(command, *SIZE, "kvmwatch", "top", "-u", EXAMPLE_URI, TERM="xterm") as top:
        top.until(lambda: "web1" in top.text)
        assert top.settings() != fresh(), "no echo meanwhile"
        top.press("q")
        assert top.ended() == 0
        assert given_back(top)


def given_back(top: Terminal) -> bool:
    """Whether the terminal is as it was: its settings, the screen of before, and the cursor."""
    shows = top.raw.rfind(b"\x1b[?25h") > top.raw.rfind(b"\x1b[?25l")
    return top.settings() == fresh() and b"\x1b[?1049l" in top.raw and shows


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_the_terminal_back_too(command: Command, number: signal.Signals) -> None:
    with terminal(command, *SIZE, "kvmwatch", "top", "-u", EXAMPLE_URI, TERM="xterm") as top:
        top.until(lambda: "web1" in top.text)
        children = descendants(top.process.pid)
        assert children
        os.kill(top.process.pid, number)
        assert top.ended() == -number
        assert given_back(top)
        top.read(0.5)
        assert not [cmdline for pid in children if (cmdline := running(pid))]


def test_a_terminal_that_goes_ends_it_even_when_it_hears_no_signal(command: Command) -> None:
    deaf = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = (str(command.bin / "kvmwatch"), "top", "-u", EXAMPLE_URI)
    with terminal(command, *SIZE, "python", "-c", deaf, *words) as top:
        top.until(lambda: "web1" in top.text)
        top.hang_up()
        top.ended()  # nobody is told its exit code


def test_ctrl_c(top: Terminal) -> None:
    top.press("\x03")
    assert top.ended() == -signal.SIGINT
    assert "Traceback" not in top.text


def test_an_error_of_ours_gives_it_back_and_is_one_line(command: Command) -> None:
    breaks = "import kvmwatch_terminal.top.screen as s; s.drawn = None; import sys; sys.argv[0] = 'kvmwatch'; "
    python = f"{breaks}from kvmwatch_terminal.cli import main; main()"
    with terminal(command, *SIZE, "python", "-c", python, "top", "-u", EXAMPLE_URI, TERM="xterm") as top:
        assert top.ended() == 3
        assert "kvmwatch: internal error, please report it: TypeError" in top.text
        assert given_back(top)


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    found = []
    for children in Path("/proc").glob(f"{pid}/task/*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found


def running(pid: int) -> bytes:
    """The command line of a process; empty: it is gone, or nobody has asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
