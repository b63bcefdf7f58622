"""A guest's way to the network on the real thing: what somebody takes down or away on the host, and puts back.

It has a network and a guest of its own, so that what is broken here is nobody else's.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import pytest
from commands import Command

from kvmwatch.model.derived import LINKS

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("modular")

BRIDGE, OTHER = "virbr-way", "br-other"
NETWORK = (
    f"<network><name>way</name><forward mode='nat'/><bridge name='{BRIDGE}'/>"
    "<ip address='192.168.133.1' netmask='255.255.255.0'><dhcp>"
    "<range start='192.168.133.100' end='192.168.133.199'/></dhcp></ip></network>"
)
REMOTE = ("-u", "qemu+tcp://127.0.0.1/system")
OK, WARNING, CRITICAL = range(3)


class Way(NamedTuple):
    """The network "way" and the guest "way1" that hangs on it."""

    network: Any
    guest: Any

    @property
    def tap(self) -> str:
        """The guest's tap in this run."""
        target = ElementTree.fromstring(self.guest.XMLDesc(0)).find("devices/interface/target")
        assert target is not None
        return target.get("dev") or ""

    def attach(self) -> None:
        """Put the tap where it belongs."""
        ip("link", "set", self.tap, "master", BRIDGE, "up")


def ip(*arguments: str) -> None:
    """Call ip(8) in the lab's network namespace."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(bed: Bed) -> Iterator[Way]:
    from guests import guest, interface

    network = bed.connect().networkDefineXML(NETWORK)
    try:
        network.create()
        network.setAutostart(1)
        yield Way(network, bed.define(guest("way1", devices=interface("way", "52:54:00:00:02:01"))))
    finally:
        bed.remove("way1")
        if network.isActive():
            network.destroy()
        network.undefine()


@pytest.fixture
def way(made: Way, command: Command) -> Iterator[Way]:
    """The network and the guest, which are well before and after each test."""
    assert_well(command)
    yield made
    assert_well(command)


def assert_well(command: Command) -> None:
    """Assert that all who judge the two find nothing."""
    net = command("check_kvm_net", "-d", "way")
    assert (net.code, "way active, " in net.first) == (OK, True), net.out
    network = command("check_kvm_network", "-d", "way1", "-v")
    assert network.code < CRITICAL, network.out
    assert "its tap" not in network.out
    assert "its bridge" not in network.out
    assert zabbix(command) == ("up", 1)


def zabbix(command: Command) -> tuple[str, int | None]:
    """``link`` of the guest's interface and ``bridge_up`` of the network in the master item."""
    ran = command("zabbix_kvm", "collect", "-d", "way1")
    document = json.loads(ran.out)
    (domain,) = document["domains"]
    (network,) = (network for network in document["networks"] if network["name"] == "way")
    return LINKS[domain["interfaces"][0]["link"]], network.get("bridge_up")


def assert_cut_off(command: Command, why: str) -> None:
    """Assert that check_kvm_network names the guest, and no other guest; and that nobody can tell from elsewhere."""
    ran = command("check_kvm_network", "-v")
    assert (ran.code, ran.err) == (CRITICAL, "")
    broken = [
        line
        for line in ran.out.splitlines()
        if line.startswith("[") and ("its tap" in line or "its bridge" in line)
    ]
    assert len(broken) == 1, ran.out
    assert broken[0].startswith("[CRITICAL] way1 ")
    assert broken[0].endswith(why)
    remote = command("check_kvm_network", *REMOTE, "-d", "way1", "-v")
    assert remote.code != CRITICAL, remote.out
    assert why not in remote.out


def other_bridge(tap: str) -> None:
    ip("link", "add", OTHER, "type", "bridge")
    ip("link", "set", tap, "master", OTHER)


def own_bridge(tap: str) -> None:
    ip("link", "set", tap, "master", BRIDGE)
    ip("link", "del", OTHER)


#: what is done to a tap, how it is undone, and what the check says of it
TAPS: dict[str, tuple[Callable[[str], None], Callable[[str], None], str]] = {
    "down": (
        lambda tap: ip("link", "set", tap, "down"),
        lambda tap: ip("link", "set", tap, "up"),
        "its tap {tap} is down",
    ),
    "out of its bridge": (
        lambda tap: ip("link", "set", tap, "nomaster"),
        lambda tap: ip("link", "set", tap, "master", BRIDGE),
        f"its tap {{tap}} is not in bridge {BRIDGE} but in none",
    ),
    "in another bridge": (
        other_bridge,
        own_bridge,
        f"its tap {{tap}} is not in bridge {BRIDGE} but in {OTHER}",
    ),
}


@pytest.mark.parametrize("what", TAPS)
def test_a_tap(command: Command, way: Way, what: str) -> None:
    harm, heal, says = TAPS[what]
    tap = way.tap
    harm(tap)
    try:
        assert_cut_off(command, says.format(tap=tap))
        assert zabbix(command) == ("cut off", 1)
        assert command("check_kvm_net").code == OK, "the network itself is well"
    finally:
        heal(tap)


def test_a_tap_that_is_removed(command: Command, way: Way) -> None:
    tap = way.tap
    ip("link", "del", tap)
    try:
        assert_cut_off(command, f"its tap {tap} is gone")
        assert zabbix(command) == ("cut off", 1)
    finally:
        way.guest.destroy()
        way.guest.create()


def test_a_bridge_that_is_down(command: Command, way: Way) -> None:
    ip("link", "set", BRIDGE, "down")
    try:
        ran = command("check_kvm_net", "-v")
        assert ran.code == CRITICAL
        assert f"\n[CRITICAL] way its bridge {BRIDGE} is down, " in ran.out
        assert "\n[OK] default active" in ran.out
        assert "\n[OK] idle inactive" in ran.out
        assert command("check_kvm_net", *REMOTE).code == OK, "over the network nobody can tell"
        assert_cut_off(command, f"its bridge {BRIDGE} is down")
        assert zabbix(command) == ("cut off", 0)
    finally:
        ip("link", "set", BRIDGE, "up")


def test_a_bridge_that_is_removed(command: Command, way: Way) -> None:
    tap = way.tap
    ip("link", "del", BRIDGE)
    try:
        ran = command("check_kvm_net")
        assert (ran.code, ran.err) == (CRITICAL, "")
        assert f"way its bridge {BRIDGE} is gone" in ran.first
        assert command("check_kvm_net", "-x", "way").code == OK
        assert_cut_off(command, f"its tap {tap} is not in bridge {BRIDGE} but in none")
        assert zabbix(command) == ("cut off", 0)
    finally:
        way.network.destroy()
        way.network.create()
        way.attach()


@pytest.mark.parametrize("autostart", [1, 0])
def test_a_network_that_is_stopped_while_a_guest_is_on_it(command: Command, way: Way, autostart: int) -> None:
    tap = way.tap
    way.network.setAutostart(autostart)
    way.network.destroy()
    try:
        ran = command("check_kvm_net", "-d", "way")
        assert ran.code == (CRITICAL if autostart else OK)
        assert ("way inactive though it should be active (autostart)" in ran.first) == bool(autostart)
        assert "way inactive" in ran.first
        assert_cut_off(command, f"its tap {tap} is not in bridge {BRIDGE} but in none")
        assert zabbix(command) == ("cut off", None)
    finally:
        way.network.create()
        way.network.setAutostart(1)
        way.attach()


def test_a_paused_guest_may_have_its_tap_down(command: Command, way: Way) -> None:
    tap = way.tap
    way.guest.suspend()
    ip("link", "set", tap, "down")
    try:
        assert "its tap" not in command("check_kvm_network", "-d", "way1", "-v").out
        assert zabbix(command) == ("set up", 1)
        way.guest.resume()
        # libvirt sets a macvtap up now, and leaves another as it is
        assert_cut_off(command, f"its tap {tap} is down")
    finally:
        ip("link", "set", tap, "up")
        with contextlib.suppress(Exception):  # it runs already
            way.guest.resume()


def test_from_another_network_namespace_nothing_is_missing(command: Command, way: Way, tmp_path: Path) -> None:
    """As in a container that has libvirt's socket and a network of its own: well or broken, there is no verdict."""

    def elsewhere(check: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        enter = ["unshare", "--net", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys && exec "$@"', "sh"]
        return subprocess.run(
            [*enter, command.bin / check, "--state-dir", tmp_path, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    ip("link", "set", BRIDGE, "down")
    try:
        net = elsewhere("check_kvm_net", "-v")
        assert (net.returncode, net.stderr) == (OK, "")
        assert "\n[OK] way active" in net.stdout
        network = elsewhere("check_kvm_network", "-d", "way1", "-v")
        assert network.returncode < CRITICAL, network.stdout
        assert "its bridge" not in network.stdout
        assert command("check_kvm_net").code == CRITICAL, "from here it is to be seen"
    finally:
        ip("link", "set", BRIDGE, "up")
