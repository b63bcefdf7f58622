"""A domain whose lock libvirt holds (a destroy that waits, a hook that hangs) makes nobody else's figures wait."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import inside
import libvirt
import pytest
from bed import grows
from commands import CHECKS, Command
from daemons import URI
from guests import small, uuid_of
from waiting import eventually, eventually_equal

from kvmwatch.command.roster import Roster
from kvmwatch.model.policy import NAMESPACE
from kvmwatch.reading.collect import Known

if TYPE_CHECKING:
    from bed import Bed

TIMEOUT = 10
DEFINE = ("nagios_kvm", "config", "--format", "nagios", "--host", "kvm1", "-t", str(TIMEOUT))


def held_up(bed: Bed) -> bool:
    """Whether libvirt's list waits just now."""
    listing = subprocess.Popen(["virsh", "-r", "-c", URI, "list", "--all"], stdout=subprocess.DEVNULL)
    try:
        listing.wait(1)
    except subprocess.TimeoutExpired:
        return True
    else:
        return False
    finally:
        listing.kill()
        listing.wait()


@contextlib.contextmanager
def destroyed(bed: Bed, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have the domain destroyed while its QEMU is stopped: libvirt waits until it kills that, some 15 s."""
    os.kill(bed.qemu_pid(name), signal.SIGSTOP)
    destroying = subprocess.Popen(["virsh", "-c", URI, "destroy", name], stdout=subprocess.DEVNULL)
    try:
        yield destroying
    finally:
        destroying.wait(120)


@contextlib.contextmanager
def hooked(bed: Bed, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have the domain started with a hook that ends only with the test."""
    bed.lookup(name).destroy()
    hold = inside.WORK / f"hold-{name}"
    hold.touch()
    starting = subprocess.Popen(["virsh", "-c", URI, "start", name], stdout=subprocess.DEVNULL)
    try:
        yield starting
    finally:
        hold.unlink()
        starting.wait(120)


@pytest.fixture
def guest(bed: Bed) -> Iterator[str]:
    """A domain to hold."""
    bed.define(f"<domain type='qemu'><uuid>{uuid_of('held1')}</uuid>" + small("held1").partition(">")[2])
    yield "held1"
    bed.remove("held1")


def collected(command: Command) -> dict[str, dict[str, Any]]:
    """The domains of a master item by name."""
    ran = command("zabbix_kvm", "collect", "-t", str(TIMEOUT))
    assert ran.code == 0, ran.err
    assert ran.seconds <= TIMEOUT
    return {domain["name"]: domain for domain in json.loads(ran.out)["domains"]}


def assert_only_one_is_missing(
    run: dict[str, dict[str, Any]], healthy: dict[str, dict[str, Any]], name: str
) -> None:
    """It is named and nothing is known of it; of all others everything is."""
    held = run.pop(name)
    assert held["not_responding"] > 0
    assert "memory_rss" not in held
    assert run.keys() == healthy.keys() - {name}
    for other, domain in run.items():
        assert domain.keys() == healthy[other].keys(), other
        assert not domain.get("not_responding"), other


def test_the_others_are_told_while_one_is_destroyed(command: Command, bed: Bed, guest: str) -> None:
    healthy = collected(command)
    with destroyed(bed, guest) as destroying:
        eventually("the list waits", lambda: held_up(bed))
        runs = []
        while destroying.poll() is None and len(runs) < 10:
            runs.append(collected(command))
        if destroying.poll() is not None:
            runs.pop()  # it may have been over before that one began
    assert runs
    for run in runs:
        assert_only_one_is_missing(run, healthy, guest)


def test_one_that_is_to_be_left_alone_is_so_while_it_is_held(command: Command, bed: Bed, guest: str) -> None:
    wish, both = "<watch ignore='yes'/>", libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    bed.lookup(guest).setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, wish, "kvmwatch", NAMESPACE, both)
    well, alone = command("check_kvm_state", "-v"), collected(command)[guest]
    with hooked(bed, guest):
        eventually("the list waits", lambda: held_up(bed))
        held, of_it = command("check_kvm_state", "-v", "-t", str(TIMEOUT)), collected(command)[guest]
        defined = command(*DEFINE)
    assert guest not in well.out + held.out
    assert "2 left alone" in well.out
    assert "2 left alone" in held.out
    assert of_it["ignore"] == alone["ignore"] == 1
    assert (defined.code, guest in defined.out) == (0, False), defined.err

    def known(check: str) -> Known:
        command(check)
        return Roster(str(command._state), URI).load()

    eventually("the list is asked again", lambda: not known("check_kvm_state").waits)
    bed.lookup(guest).destroy()
    assert uuid_of(guest) in known("check_kvm_cpu").ignored, "one that asks running VMs does not forget the others"
    bed.lookup(guest).setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, "kvmwatch", NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    )
    assert uuid_of(guest) not in known("check_kvm_state").ignored


def test_the_others_are_told_while_a_hook_hangs(command: Command, bed: Bed, guest: str) -> None:
    healthy = collected(command)
    for check in CHECKS:
        command(f"check_kvm_{check}")  # their counters
    with hooked(bed, guest):
        eventually("the list waits", lambda: held_up(bed))
        runs = [collected(command) for _ in range(10)]
        checked = {check: command(f"check_kvm_{check}", "-t", str(TIMEOUT), "-v") for check in CHECKS}
        defined = command(*DEFINE)
        workers = bed.daemon.admin("srv-threadpool-info")
    for run in runs:
        assert_only_one_is_missing(run, healthy, guest)
    # who is told of it stands in its metadata, and what was defined for it stays
    assert (defined.code, defined.out) == (3, "")
    assert f"the metadata of {guest} cannot be read: held for " in defined.err
    values = [run["web1"]["cpu_time_per_vcpu"] for run in runs]
    assert grows(values), values
    for check, ran in checked.items():
        assert ran.seconds <= TIMEOUT + 1, check
        assert "gave no answer" not in ran.out, check
        if check not in ("host", "net", "pool"):
            assert re.search(rf"^\[.*\] {guest} .*held for .* by a start, a stop", ran.out, re.MULTILINE), ran.out
            assert ran.code >= 1
    assert re.search(r"'web1.usage'=[0-9]", checked["cpu"].out)
    # libvirtd has 20 of them; each list that waits keeps one
    assert workers["nWorkers"] - workers["freeWorkers"] <= 10
    eventually_equal("it is told again", lambda: collected(command)[guest].get("not_responding", 0), 0)


def test_a_list_that_nobody_known_holds_up_is_told(command: Command, bed: Bed, guest: str) -> None:
    """Without a list of the last run only those are known whose QEMU is seen."""
    with hooked(bed, guest):
        eventually("the list waits", lambda: held_up(bed))
        # on a busy machine steal would be worse than what is not known
        ran = command("check_kvm_cpu", "-t", str(TIMEOUT), "-w", "steal=", "-c", "steal=")
        assert ran.seconds <= TIMEOUT + 1
        assert "list of VMs could not be read" in ran.out
        assert re.search(r"'web1.usage'=[0-9]", ran.out)
        assert ran.code == 3
        document = json.loads(command("zabbix_kvm", "collect", "-t", str(TIMEOUT)).out)
        assert "domains" not in document["discovery"]
        assert document["unread"]["count"] >= 1
