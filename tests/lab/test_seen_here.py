"""What is seen on the hypervisor itself, past libvirt: on a real one, as root and as a user without rights."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from bed import as_nobody
from commands import Command
from guests import guest
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("libvirtd")

BRIDGE, CARRIER = "virbr0", "uplink0"
ADDRESS = "192.168.122.77"
REMOTE = ("-u", "qemu+tcp://127.0.0.1/system")


def ip(*arguments: str) -> None:
    """Call ip(8) in the lab's network namespace."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def collected(command: Command, *options: str, name: str = "web1") -> dict[str, Any]:
    ran = command("zabbix_kvm", "collect", "-d", name, *options)
    assert (ran.code, ran.err) == (0, "")
    document: dict[str, Any] = json.loads(ran.out)
    return document


@pytest.fixture
def neighbour(bed: Bed) -> Iterator[None]:
    """As if the hypervisor had talked to web1."""
    xml = bed.lookup("web1").XMLDesc(0)
    found = re.search(r"<mac address='([^']+)'", xml)
    assert found
    ip("neigh", "replace", ADDRESS, "lladdr", found[1], "dev", BRIDGE)
    try:
        yield
    finally:
        ip("neigh", "del", ADDRESS, "dev", BRIDGE)


@pytest.fixture
def carrier() -> Iterator[None]:
    """An interface of the host in the bridge, which stands on another one; this kernel has few kinds."""
    ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
    try:
        ip("link", "add", "link", "cable0", "name", CARRIER, "type", "macvlan", "mode", "bridge")
        for name in ("cable0", "cable1", CARRIER):
            ip("link", "set", name, "up")
        ip("link", "set", CARRIER, "master", BRIDGE)
        yield
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", "cable0")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_start_and_addresses(command: Command, bed: Bed, neighbour: None, user: str) -> None:
    if user == "root":
        document = collected(command)
    else:
        document = json.loads(as_nobody("zabbix_kvm.cli", "collect", "-d", "web1").stdout)
    (domain,) = document["domains"]
    assert abs(domain["started"] - psutil.Process(bed.qemu_pid("web1")).create_time()) < 2
    assert ADDRESS in domain["addresses"].split(", ")


def test_uptime_of_the_hypervisor(command: Command) -> None:
    with open("/proc/uptime", encoding="ascii") as file:
        earlier = float(file.read().split()[0])
    assert earlier - 1 < collected(command)["host"]["uptime"] < earlier + 60


def test_what_carries_the_guests(command: Command, carrier: None) -> None:
    document = collected(command)
    assert {"{#UPLINK.NAME}": CARRIER, "{#UPLINK.CARRIES}": BRIDGE} in document["discovery"]["uplinks"]
    (uplink,) = (uplink for uplink in document["uplinks"] if uplink["name"] == CARRIER)
    assert uplink["up"] == 1
    assert uplink["speed"] == 10_000_000_000
    ip("link", "set", CARRIER, "down")
    (uplink,) = (uplink for uplink in collected(command)["uplinks"] if uplink["name"] == CARRIER)
    assert uplink["up"] == 0


def test_from_elsewhere_none_of_it_is_known(command: Command, neighbour: None, carrier: None) -> None:
    document = collected(command, *REMOTE)
    (domain,) = document["domains"]
    assert "started" not in domain
    assert ADDRESS not in domain.get("addresses", "")
    assert "uptime" not in document["host"]
    assert "uplinks" not in document
    assert "uplinks" not in document["discovery"]
    assert document["unread"]["text"] == ""


def test_a_reboot_inside_shows_in_the_page_faults(bed: Bed) -> None:
    """The guest counts anew, in the same run. Of the two counts this one has no major faults: it has no disk."""
    domain = bed.define(guest("reboot1", args="lab.cpu=1"))

    def faults() -> int:
        return int(domain.memoryStats().get("minor_fault", 0))

    def settled() -> int:
        one = faults()
        time.sleep(5)  # the guest reports every two
        return one if one and faults() < one * 1.2 else 0

    try:
        run, before = domain.ID(), eventually("the guest has booted and reports", settled)
        domain.reset(0)
        eventually("it counts anew", lambda: 0 < faults() < before)
        assert domain.ID() == run
    finally:
        bed.remove("reboot1")
