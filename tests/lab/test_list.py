"""kvmwatch list beside virsh's list, dominfo and domstats, on real guests in every state, one of which hangs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from commands import Command
from guests import WORK, disk, qcow2, small

if TYPE_CHECKING:
    from bed import Bed

pytestmark = [pytest.mark.usefixtures("bed"), pytest.mark.daemons("libvirtd")]

#: of virsh's list, in our words
STATES = {"in shutdown": "shutdown", "shut off": "shutoff", "idle": "blocked", "pmsuspended": "pmsuspended"}


def virsh(*words: str) -> str:
    return subprocess.run(["virsh", "-r", *words], check=True, capture_output=True, encoding="utf-8").stdout


def listed(command: Command, *words: str) -> dict[str, dict[str, Any]]:
    ran = command("kvmwatch", "list", "--format", "json", *words)
    assert ran.code == 0, ran
    return {domain["name"]: domain for domain in json.loads(ran.out)["domains"]}


def test_all_that_virsh_lists(command: Command) -> None:
    ours = listed(command, "-o", "id,name,state,uuid")
    lines = [
        re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in virsh("list", "--all").splitlines()[2:] if line
    ]
    theirs = {}
    for number, rest in lines:
        name, state = re.split(r"\s{2,}", rest)
        theirs[name] = (None if number == "-" else int(number), STATES.get(state, state))
    assert {name: (domain["id"], domain["state"]) for name, domain in ours.items()} == theirs
    assert {domain["uuid"] for domain in ours.values()} == set(virsh("list", "--all", "--uuid").split())


@pytest.mark.parametrize(
    "options",
    ["--state-running", "--state-paused", "--state-shutoff", "--autostart", "--transient", "--with-snapshot"],
)
def test_filters_are_virshs(command: Command, options: str) -> None:
    ours = command("kvmwatch", "list", "--format", "names", options).out.splitlines()
    theirs = [line for line in virsh("list", "--all", "--name", options).splitlines() if line]
    assert sorted(ours) == sorted(theirs)


def test_dominfo(command: Command) -> None:
    for name, domain in listed(
        command, "-o", "name,uuid,state,vcpus,memory,autostart,persistent,managed_save"
    ).items():
        told = dict(
            re.split(r":\s+", line, maxsplit=1) for line in virsh("dominfo", name).splitlines() if ": " in line
        )
        assert domain["uuid"] == told["UUID"]
        assert domain["vcpus"] == int(told["CPU(s)"]), name
        assert domain["state"] == STATES.get(told["State"], told["State"]), name
        assert (domain["autostart"], domain["persistent"]) == (
            told["Autostart"] == "enable",
            told["Persistent"] == "yes",
        )
        assert domain["managed_save"] == (told["Managed save"] == "yes"), name
        if domain["state"] != "shutoff":
            assert domain["memory"] == int(told["Used memory"].split()[0]) * 1024, name


def test_whom_storage_would_hit(command: Command) -> None:
    """By the path of each disk, its folder and the device below, as domblklist has them."""
    of_vms = {
        name: [line.split(maxsplit=1)[1] for line in virsh("domblklist", name).splitlines()[2:] if line]
        for name in filter(None, virsh("list", "--all", "--name").splitlines())
    }
    path = next(path for path in of_vms["web1"] if path.startswith("/"))
    for place in (path, os.path.dirname(path)):
        ran = command("kvmwatch", "list", "--format", "names", "--on", place)
        assert ran.code == 0, ran
        theirs = {
            name
            for name, paths in of_vms.items()
            if any(f"{each}/".startswith(f"{place}/") for each in map(str.strip, paths))
        }
        assert "web1" in theirs
        assert theirs <= set(ran.out.splitlines()), "what is more has a backing image there"
    unknown = command("kvmwatch", "list", "--on", "no such pool")
    assert (unknown.code, unknown.out) == (3, "")
    for pool in filter(None, map(str.strip, virsh("pool-list", "--all", "--name").splitlines())):
        assert command("kvmwatch", "list", "--format", "names", "--on", pool).code in (0, 3)


class Seen(NamedTuple):
    """What virsh told of web1, and between which moments it was read."""

    begun: float
    figures: dict[str, float]
    done: float


def test_rates_of_a_guest_under_load(command: Command) -> None:
    """Each between the least and the most that it can be by what virsh reads around both readings."""
    command("kvmwatch", "list", "-d", "web1")
    first = seen()
    command("kvmwatch", "list", "-d", "web1")  # its counters are those that the next one compares with
    second = seen()
    time.sleep(5)
    third = seen()
    (domain,) = listed(command, "-d", "web1").values()
    fourth = seen()

    def bounds(of: str, factor: float) -> tuple[float, float]:
        one, two, three, four = (
            sum(value for name, value in each.figures.items() if re.fullmatch(of, name))
            for each in (first, second, third, fourth)
        )
        least = (three - two) / (fourth.done - first.begun)
        most = (four - one) / (third.begun - second.done)
        assert 0 < least < most
        return least * factor, most * factor

    for column, of, factor in (
        ("cpu", r"vcpu\.[01]\.time", 100 / 2 / 1e9),
        ("write", r"block\.\d+\.wr\.bytes", 1),
        ("rx", r"net\.0\.rx\.bytes", 8),
    ):
        least, most = bounds(of, factor)
        assert least * 0.99 <= domain[column] <= most * 1.01, column
    assert domain["rss"] == pytest.approx(fourth.figures["balloon.rss"] * 1024, rel=0.15)


def seen() -> Seen:
    begun = time.monotonic()
    lines = (line.strip().partition("=") for line in virsh("domstats", "--nowait", "web1").splitlines())
    figures = {name: float(value) for name, _, value in lines if re.fullmatch("[0-9]+", value)}
    return Seen(begun, figures, time.monotonic())


def test_one_that_hangs_says_so_and_the_others_are_told(command: Command, bed: Bed) -> None:
    pid = bed.qemu_pid("idle1")
    os.kill(pid, signal.SIGSTOP)
    try:
        command("kvmwatch", "list", "-t", "5")  # a QEMU that nobody has asked yet does not look hung
        ran = command("kvmwatch", "list", "-t", "10")
        found = listed(command, "-t", "10")
    finally:
        os.kill(pid, signal.SIGCONT)
        time.sleep(1)
    assert ran.code == 0
    assert ran.seconds < 11
    assert re.search(r"^idle1\b.* running, not responding .* \? ", ran.out, re.MULTILINE)
    assert any("not responding" in text for text in found["idle1"]["problem"])
    assert found["idle1"]["not_responding"] > 0
    assert found["web1"]["cpu"] > 0
    assert found["web1"]["not_responding"] is None


def test_show_beside_domblklist_domiflist_and_the_process(command: Command, bed: Bed) -> None:
    ran = command("kvmwatch", "show", "web1", "--json")
    assert ran.code == 0, ran
    shown = json.loads(ran.out)
    disks = {line.split()[0]: line.split()[1] for line in virsh("domblklist", "web1").splitlines()[2:] if line}
    assert {disk["name"]: disk["path"] or "-" for disk in shown["disks"]} == disks
    interfaces = {line.split()[4]: line.split()[0] for line in virsh("domiflist", "web1").splitlines()[2:] if line}
    assert {each["mac"]: each["name"] for each in shown["interfaces"]} == interfaces
    (process,) = shown["processes"]
    assert process["pid"] == str(bed.qemu_pid("web1"))
    assert process["files"] > 0
    assert {each["check"] for each in shown["checks"]} >= {"state", "cpu", "disk", "process"}
    words = command("kvmwatch", "show", "web1")
    assert (words.code, words.err) == (0, "")
    assert "not been had" not in words.out


def test_consoles_are_where_virsh_has_them(command: Command, bed: Bed) -> None:
    name = "screen1"
    devices = "<serial type='pty'/><graphics type='vnc' autoport='yes' listen='127.0.0.1'/>"
    try:
        bed.define(small(name, devices), paused=True)
        ran = command("kvmwatch", "show", name, "--json")
        assert ran.code == 0, ran
        vnc, serial = json.loads(ran.out)["consoles"]
        assert (vnc["kind"], vnc["address"], serial["kind"]) == ("vnc", "127.0.0.1", "serial")
        # virsh has the number of the display
        assert f"vnc://127.0.0.1:{int(vnc['port']) - 5900}" == virsh("domdisplay", name).strip()
        assert serial["path"] == virsh("ttyconsole", name).strip()
        assert serial["command"] == f"virsh console {name}"
    finally:
        bed.remove(name)


def test_a_job_that_runs_is_told(command: Command, bed: Bed) -> None:
    """A backup that waits to be fetched; a connection that may only read is told of it."""
    name = "backup1"
    image = WORK / f"{name}.qcow2"
    qcow2(image, "8M")

    def shown() -> dict[str, Any]:
        ran = command("kvmwatch", "show", name, "--json")
        assert ran.code == 0, ran
        told: dict[str, Any] = json.loads(ran.out)
        assert not [text for text in told["unread"] if text.startswith("job")]
        return told

    try:
        domain = bed.define(small(name, disk(image, "vda")), paused=True)
        assert shown()["job"] is None
        domain.backupBegin(
            "<domainbackup mode='pull'><server transport='tcp' name='127.0.0.1' port='10809'/><disks>"
            f"<disk name='vda' backup='yes' type='file'><scratch file='{WORK / name}.scratch'/></disk>"
            "</disks></domainbackup>",
            None,
            0,
        )
        told = shown()
        assert told["job"] == "backup"
        assert told["job_elapsed"] >= 0
        domain.abortJob()
    finally:
        bed.remove(name)


def test_show_by_its_id_and_by_its_process(command: Command, bed: Bed) -> None:
    pid = bed.qemu_pid("web1")
    (tid, *_) = (tid for tid in os.listdir(f"/proc/{pid}/task") if int(tid) != pid)
    for words in ((virsh("domid", "web1").strip(),), ("--pid", str(pid)), ("--pid", tid)):
        ran = command("kvmwatch", "show", *words, "--json")
        assert ran.code == 0, ran
        assert json.loads(ran.out)["name"] == "web1"
        assert (f"{tid} is the thread" in ran.err) == (words[-1] == tid)
    ran = command("kvmwatch", "show", "--pid", str(os.getpid()))
    assert (ran.code, ran.out) == (3, "")
    assert "is neither a QEMU process of a VM nor a thread of one" in ran.err


def test_the_host_beside_nodeinfo_and_the_pools(command: Command) -> None:
    ran = command("kvmwatch", "show", "--host", "--json")
    assert ran.code == 0, ran
    shown = json.loads(ran.out)
    told = dict(re.split(r":\s+", line, maxsplit=1) for line in virsh("nodeinfo").splitlines() if ": " in line)
    assert shown["cpus"] == int(told["CPU(s)"])
    # nodeinfo has what the machine was started with, without memory that was plugged since
    memory = re.search(r"total *: *([0-9]+) KiB", virsh("nodememstats"))
    assert memory
    assert shown["memory_total"] == pytest.approx(int(memory[1]) * 1024, rel=0.01)
    for node in shown["nodes"]:
        of_node = dict(re.findall(r"(\w+) *: *([0-9]+) KiB", virsh("nodememstats", str(node["node"]))))
        assert node["memory_total"] == pytest.approx(int(of_node["total"]) * 1024, rel=0.02)
        assert node["memory_free"] == pytest.approx(int(of_node["free"]) * 1024, rel=0.2)
    assert [node["node"] for node in shown["nodes"]] == list(range(int(told["NUMA cell(s)"])))
    for what in ("cpu", "memory", "io"):
        if Path(f"/proc/pressure/{what}").exists():
            assert 0 <= shown[f"pressure_{what}"] <= 101
    assert 0 < shown["fits"] <= shown["memory_available"]
    assert {pool["name"] for pool in shown["pools"]} == set(virsh("pool-list", "--all", "--name").split())
    assert {each["name"] for each in shown["networks"]} == set(virsh("net-list", "--all", "--name").split())
