"""Which interfaces of the host carry VMs, and what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zabbix_kvm import discovery

from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import UplinkStats
from kvmwatch.model.snapshot import Domain, Interface, Network, Snapshot, Unread, Uplink
from kvmwatch.reading import uplinks
from kvmwatch.reading.links import Links


class Host:
    """A made /sys/class/net."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._path = folder

    def add(self, name: str, *below: str, card: bool = False, bridge: bool = False, tap: bool = False, master: str = "", state: str = "up", **files: Any) -> Host:  # fmt: skip
        path = self._path / name
        (path / "statistics").mkdir(parents=True)
        (path / "flags").write_text("0x1003\n")
        (path / "operstate").write_text(f"{state}\n")
        for lower in below:
            (path / f"lower_{lower}").symlink_to(f"../{lower}")
        for made, file in ((card, "device"), (bridge, "bridge")):
            if made:
                (path / file).mkdir()
        if tap:
            (path / "tun_flags").write_text("0x1002\n")
        if master:
            (path / "master").symlink_to(f"../{master}")
        for file, text in files.items():
            where = path / "statistics" if file[:3] in ("rx_", "tx_") else path
            (where / file).write_text(f"{text}\n")
        return self

    def read(self, *interfaces: Interface, networks: tuple[Network, ...] = ()) -> tuple[Uplink, ...] | None:
        vm = Domain("u", "web1", 1, 1, 1, 1000.0, interfaces=interfaces)
        snapshot = Snapshot("qemu:///system", 0, 0, domains=(vm,), networks=networks)
        return uplinks.with_uplinks(snapshot, Links(self.folder)).uplinks

    def names(self, *interfaces: Interface, networks: tuple[Network, ...] = ()) -> dict[str, tuple[str, ...]]:
        return {uplink.name: uplink.carries for uplink in self.read(*interfaces, networks=networks) or ()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def on_bridge(bridge: str, tap: str | None = None) -> Interface:
    return Interface("52:54:00:00:00:01", tap, "bridge", bridge=bridge)


def test_down_from_a_bridge_to_the_cards(host: Host) -> None:
    host.add("br0", "bond0.7", "vnet0", "veth1", bridge=True).add("bond0.7", "bond0").add("bond0", "eth0", "eth1")
    host.add("eth0", card=True).add("eth1", card=True).add("eth2", card=True).add("veth1")
    host.add("vnet0", tap=True, master="br0")
    expected = dict.fromkeys(("bond0", "bond0.7", "eth0", "eth1"), ("br0",))
    assert host.names(on_bridge("br0", "vnet0")) == expected
    assert host.names(on_bridge("br0")) == expected, "also of a VM that does not run"


def test_what_several_bridges_stand_on_is_told_once(host: Host) -> None:
    host.add("br0", "eth0", bridge=True).add("br7", "eth0.7", bridge=True)
    host.add("eth0.7", "eth0").add("eth0", card=True)
    assert host.names(on_bridge("br0"), on_bridge("br7")) == {"eth0": ("br0", "br7"), "eth0.7": ("br7",)}


def test_macvtaps_and_networks(host: Host) -> None:
    host.add("macvtap0", "eth0", tap=True).add("eth0", card=True).add("br3", "eth3", bridge=True)
    host.add("eth3", card=True).add("virbr0", "vnet1", bridge=True).add("vnet1", tap=True, master="virbr0")
    macvtap = Interface("52:54:00:00:00:01", "macvtap0", "direct")
    networks = tuple(
        Network(name, name, bridge, active, True, True)
        for name, bridge, active in (("lan", "br3", True), ("nat", "virbr0", True), ("off", "br9", False))
    )
    assert host.names(macvtap, networks=networks) == {"eth0": ("eth0",), "eth3": ("br3",)}
    assert host.names(Interface("m", None, "direct", device="eth0")) == {"eth0": ("eth0",)}


def test_open_vswitch_has_one_master_for_all_bridges(host: Host) -> None:
    host.add("ovs-system", "eth0", "vnet0").add("eth0", card=True, master="ovs-system").add("br-int")
    host.add("vnet0", tap=True, master="ovs-system")
    assert host.names(on_bridge("br-int", "vnet0")) == {"eth0": ("ovs-system",)}


def test_links_that_go_round_end(host: Host) -> None:
    host.add("br0", "a", bridge=True).add("a", "b").add("b", "a")
    assert host.names(on_bridge("br0")) == {"a": ("br0",), "b": ("br0",)}


def test_where_nothing_can_be_seen_nothing_is_known(host: Host) -> None:
    host.add("eth0", card=True)
    assert host.read(on_bridge("br0")) is None, "libvirtd is in another network namespace"
    assert host.read() == (), "no VM hangs on anything"
    remote = Snapshot("qemu+ssh://kvm2/system", 0, 0)
    assert uplinks.with_uplinks(remote, Links(host.folder)).uplinks is None


COUNTERS = {"rx_bytes": 1, "tx_bytes": 2, "rx_errors": 3, "tx_errors": 4, "rx_dropped": 5, "tx_dropped": 6}


@pytest.mark.parametrize(
    ("files", "stats"),
    [
        ({"state": "up", "speed": 10000, **COUNTERS}, UplinkStats(1, 10e9, 1, 2, 3, 4, 5, 6)),
        ({"state": "down"}, UplinkStats(up=0)),
        ({"state": "lowerlayerdown", "speed": -1}, UplinkStats(up=0)),
        ({"state": "unknown", "carrier": 1, "speed": -1}, UplinkStats(up=1)),
        ({"state": "unknown", "carrier": 0}, UplinkStats(up=0)),
        ({"state": "unknown"}, UplinkStats()),
        ({"state": "up", "rx_bytes": "x"}, UplinkStats(up=1)),
    ],
)
def test_figures(host: Host, files: dict[str, Any], stats: UplinkStats) -> None:
    host.add("br0", "eth0", bridge=True).add("eth0", card=True, **files)
    (uplink,) = host.read(on_bridge("br0")) or ()
    assert uplink.stats == stats


def test_the_list_is_given_only_when_all_are_known_that_hang_on_something() -> None:
    vm = Domain("u", "web1", 1, 1, 1, 1000.0)
    snapshot = Snapshot("qemu:///system", 0, 0, domains=(vm,), uplinks=())
    assert discovery.knows_uplinks(snapshot)
    for group in (Group.DEFINITION, Group.NETWORKS, Group.NONE):
        why = (Unread(group, "it", "why"),)
        less = snapshot._replace(domains=(vm._replace(unread=why),)) if group is Group.DEFINITION else snapshot._replace(unread=why)  # fmt: skip
        assert not discovery.knows_uplinks(less), group
    held = vm._replace(state=0, not_responding=5.0)
    assert not discovery.knows_uplinks(snapshot._replace(domains=(vm, held)))
