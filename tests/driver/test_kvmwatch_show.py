"""kvmwatch show on libvirt's test driver."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import testdriver
from commands import EXAMPLE_URI, Command
from kvmwatch_terminal.width import width
from terminals import on_terminal
from test_kvmwatch_list import NAMES

RUNS = "in_process"

WEB1 = "11111111-0000-4000-8000-000000000001"


@pytest.mark.parametrize("name", NAMES)
def test_every_vm_by_its_name(command: Command, name: str) -> None:
    ran = command("kvmwatch", "show", name, "-u", EXAMPLE_URI)
    assert (ran.code, ran.err) == (0, "")
    assert ran.first.startswith(name)
    document = json.loads(command("kvmwatch", "show", name, "--json", "-u", EXAMPLE_URI).out)
    assert document["name"] == name


def test_what_it_says(command: Command) -> None:
    ran = command("kvmwatch", "show", WEB1.upper(), "-u", EXAMPLE_URI)
    assert ran.first == "web1 (Shop front end)"
    for line in (
        rf"  uuid +{WEB1}",
        "  status +WARNING",
        "  memory at most +8 GiB",
        r"  cpu +WARNING +usage \d+ % \(over 40 %\)",
        "  vda +disk +virtio .* /var/lib/libvirt/images/web1.qcow2",
        r"  testnet0 +52:54:00:00:00:01 +network +default",
        "  cpu.usage +- +40 +60 +its metadata",
    ):
        assert re.search(f"^{line}", ran.out, re.MULTILINE), line


def test_it_agrees_with_the_list(command: Command) -> None:
    listed = json.loads(command("kvmwatch", "list", "--format", "json", "-u", EXAMPLE_URI).out)["domains"]
    for domain in listed:
        shown = json.loads(command("kvmwatch", "show", domain["uuid"], "--json", "-u", EXAMPLE_URI).out)
        for key in (
            "title",
            "id",
            "status",
            "state",
            "vcpus",
            "memory",
            "rss",
            "expected",
            "autostart",
            "snapshots",
        ):
            assert shown[key] == domain[key], key


def test_by_the_id_unless_it_is_a_name(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "numbers.xml"
    file.write_text(testdriver.node(["one", "two", "1"]))
    listed = json.loads(command("kvmwatch", "list", "--json", "-o", "name,id", "-u", f"test://{file}").out)
    ids = {domain["name"]: domain["id"] for domain in listed["domains"]}
    assert sorted(ids.values()) == [1, 2, 3]
    for name, number in ids.items():
        ran = command("kvmwatch", "show", str(number), "-u", f"test://{file}")
        assert (ran.code, ran.first, ran.err) == (0, "1" if number == 1 else name, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("web9",), "kvmwatch: no VM web9 here; 'kvmwatch list --format names' tells which there are\n"),
        (("web1", "-u", "nonsense"), "is not a libvirt URI"),
        (("*1",), "kvmwatch: *1 matches 6 VMs: crashed1, db1, off1, paused1, suspended1, ...; name one of them\n"),
        ((), "kvmwatch: name one VM, or give --pid or --host\n"),
        (("web1", "--host"), "kvmwatch: name one VM, or give --pid or --host\n"),
        (("web1", "--pid", "1"), "kvmwatch: name one VM, or give --pid or --host\n"),
        (("--pid", "web1"), "argument --pid: 'web1' is no PID"),
        (("--pid", "0"), "argument --pid: '0' is no PID"),
        (("--pid", "1"), "a PID is known only on the hypervisor itself; run it there\n"),
        (("4711",), "kvmwatch: no VM 4711 here, neither a name nor an Id; 'kvmwatch list -o name,id' tells which"),
        (("web1", "-d", "x"), "unrecognized arguments: -d x"),
        (("",), "kvmwatch: name one VM, or give --pid or --host\n"),
    ],
)
def test_errors(command: Command, arguments: tuple[str, ...], says: str) -> None:
    ran = command("kvmwatch", "show", *arguments, env={"LIBVIRT_DEFAULT_URI": EXAMPLE_URI})
    assert (ran.code, ran.out) == (3, "")
    assert says in ran.err
    assert ran.err.count("\n") <= 2


def test_the_host(command: Command) -> None:
    ran = command("kvmwatch", "show", "--host", "-u", EXAMPLE_URI)
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"^  cpus +16$", ran.out, re.MULTILINE)
    assert re.search(r"^  pool +WARNING +images usage 88 % \(over 85 %\)", ran.out, re.MULTILINE)
    document = json.loads(command("kvmwatch", "show", "--host", "--json", "-u", EXAMPLE_URI).out)
    assert {pool["name"] for pool in document["pools"]} == {"images", "iso images"}
    assert document["vcpus_assigned"] == 11
    assert document["swap_used"] is None, "that of this machine is not the example's"


@pytest.mark.parametrize("columns", [40, 100])
def test_lines_fit_a_terminal(forked: Command, columns: int) -> None:
    seen = on_terminal(forked, columns, "show", "web1", "-u", EXAMPLE_URI)
    plain = [re.sub(r"\x1b\[[0-9]*m", "", line) for line in seen.splitlines()[1:]]
    assert max(map(width, plain)) <= columns
    assert "\x1b[33mWARNING" in seen
