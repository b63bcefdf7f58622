"""kvmwatch net on libvirt's test driver: a hypervisor whose bridges and uplinks cannot be seen from here."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from commands import EXAMPLE_URI, Command, Ran
from kvmwatch_terminal.net_columns import BY_NAME
from kvmwatch_terminal.width import width
from terminals import on_terminal

RUNS = "in_process"

NOT_SEEN = "kvmwatch: bridges and uplinks cannot be seen from here; run 'kvmwatch net' on the hypervisor itself\n"


def net(command: Command, *words: str) -> Ran:
    return command("kvmwatch", "net", "-u", EXAMPLE_URI, *words)


def listed(ran: Ran) -> list[list[str]]:
    """The cells of the lines of a table."""
    assert (ran.code, ran.err) == (0, NOT_SEEN)
    return [re.split(r"\s{2,}", line) for line in ran.out.splitlines()[1:]]


def test_all_there_are(command: Command) -> None:
    lines = listed(net(command, "--sort", "vm"))
    assert [line[:6] for line in lines] == [
        ["testnet0", "tap", "db1", "-", "br0", "?"],
        ["testnet1", "user", "db1", "-", "-", "-"],
        ["testnet0", "tap", "web1 (Shop front end)", "-", "virbr0", "?"],
        ["br0", "bridge", "-", "1", "-", "?"],
        ["virbr0", "bridge", "-", "1", "-", "?"],
    ]
    assert [line[6] for line in lines] == ["set down", "set up", "set up", "?", "?"]
    # what the guests' own counters tell has a figure, what the host's would has none, and is never 0
    assert all(re.fullmatch(r"[0-9]+ kbit/s", line[7]) for line in (lines[0], lines[2]))
    assert [line[7] for line in (lines[1], *lines[3:])] == ["-", "?", "?"]


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("br0", [("db1", "tap"), (None, "bridge")]),
        ("default", [("web1", "tap"), (None, "bridge")]),
        ("52:54:00:00:00:01", [("web1", "tap"), (None, "bridge")]),
        ("11111111-0000-4000-8000-000000000002", [("db1", "tap"), ("db1", "user"), (None, "bridge")]),
        ("testnet1", [("db1", "user")]),
    ],
)
def test_what_is_it(command: Command, what: str, found: list[tuple[str | None, str]]) -> None:
    ran = net(command, what, "--format", "json", "--sort", "mac")
    document = json.loads(ran.out)
    assert [(device["vm"], device["kind"]) for device in document["devices"]] == found
    assert document["unread"] == []
    bridges = [device for device in document["devices"] if device["kind"] == "bridge"]
    assert all("it cannot be seen from here" in device["unread"] for device in bridges)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("vnet7",), "nothing here is called vnet7: no interface"),
        (("off1",), "off1 is shut off, and so on no network"),
        (("web1", "-d", "db1"), "web1 has nothing to do with the VMs that -d and -x choose"),
        (("virbr0", "-x", "web1"), "virbr0 has nothing to do with the VMs that -d and -x choose"),
        (("",), "name what to show, or nothing for all"),
        (("web1", "--peers"), "connections cannot be seen from here; run 'kvmwatch net' on the hypervisor itself"),
        (("--peers",), "--peers is of one VM; name it"),
        (("--sort", "nope"), "no column 'nope'; there are name, kind, "),
        (("web1", "--peers", "--sort", "vm"), "no column 'vm'; there are address, peer, "),
        (("--format", "names"), "invalid choice: 'names'"),
    ],
)
def test_what_cannot_be_told_is_one_line(command: Command, words: tuple[str, ...], says: str) -> None:
    ran = net(command, *words)
    assert (ran.code, ran.out) == (3, "")
    first, *usage = ran.err.splitlines()
    assert says in first
    assert len(usage) <= 1


def test_selection_and_order(command: Command) -> None:
    def vms(*words: str) -> list[tuple[str, str]]:
        return [(line[0], line[2]) for line in listed(net(command, *words))]

    ways = [("testnet0", "db1"), ("testnet1", "db1"), ("br0", "-")]
    assert vms("-d", "db*") == vms("-x", "web1") == ways
    assert vms("--sort", "name", "--reverse", "-d", "db1") == [ways[1], ways[0], ways[2]]
    ran = net(command, "-d", "nope")
    assert (ran.code, len(ran.out.splitlines())) == (0, 1)
    assert "no domain matches -d nope\n" in ran.err
    assert "kvmwatch: no VM that is chosen is on any network here" in ran.err


def test_csv_has_every_column_in_base_units(command: Command) -> None:
    ran = net(command, "web1", "--format", "csv")
    tap, bridge = csv.DictReader(io.StringIO(ran.out))
    assert list(tap) == list(BY_NAME)
    assert float(tap["traffic"]) == pytest.approx(float(tap["rx"]) + float(tap["tx"]), abs=0.01)
    assert (bridge["name"], bridge["rx"], bridge["vms"]) == ("virbr0", "", "1")


def test_the_second_run_need_not_wait(within: Command) -> None:
    net(within)
    (file,) = within._state.glob("kvm_net-*.json")
    kept = json.loads(file.read_text())
    kept["samples"] = {key: [time - 20, *rest] for key, (time, *rest) in kept["samples"].items()}
    file.write_text(json.dumps(kept))
    ran = net(within, "web1", "--format", "json", "-t", "1")  # which leaves no time for two readings
    assert json.loads(ran.out)["devices"][0]["rx"] > 0, "whatever is shown, the counters are those of all"


def test_on_a_terminal(forked: Command) -> None:
    seen = on_terminal(forked, 60, "net", "-u", EXAMPLE_URI)
    lines = [line for line in seen.splitlines() if not line.startswith("kvmwatch: ")]
    assert max(map(width, lines)) <= 60
    assert "--wide has more" in lines[-1]
    assert "52:54:00:00:00:01" in on_terminal(forked, 60, "net", "-u", EXAMPLE_URI, "--wide")
