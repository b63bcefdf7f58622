"""Where taps are, which bridges and ports there are, and what is connected to what."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from test_uplinks import Host

from kvmwatch.model import topology
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import InterfaceStats, UplinkStats
from kvmwatch.model.rates import lacking, samples, with_rates
from kvmwatch.model.snapshot import Domain, Interface, Netdev, Network, Snapshot, Unread, Uplink
from kvmwatch.model.topology import BRIDGE, MACVTAP, PORT, TAP, UPLINK, Node
from kvmwatch.reading.bridges import with_bridges
from kvmwatch.reading.links import Links
from kvmwatch.reading.uplinks import with_uplinks

NAT = Network("n", "default", "virbr0", True, True, True)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Two cards in a bond, a VLAN on it in br7 beside a container; a macvtap on a third; virbr0 that is routed."""
    made = Host(tmp_path).add("br7", "bond0.7", "vnet0", "vnet1", "veth1", bridge=True, state="down")
    made.add("bond0.7", "bond0").add("bond0", "eth0", "eth1").add("eth0", card=True).add("eth1", card=True)
    made.add("veth1", master="br7", rx_bytes=10, tx_bytes=20).add("eth3", card=True)
    for tap in ("vnet0", "vnet1"):
        made.add(tap, tap=True, master="br7")
    made.add("macvtap0", "eth3", tap=True)
    return made.add("virbr0", "vnet2", bridge=True).add("vnet2", tap=True, master="virbr0")


def interface(number: int, name: str | None, kind: str | None, *addresses: str, **more: str) -> Interface:
    return Interface(f"52:54:00:00:00:0{number}", name, kind, addresses=addresses, **more)  # type: ignore[arg-type]


def vm(name: str, *interfaces: Interface, state: int = 1, unread: tuple[Unread, ...] = ()) -> Domain:
    return Domain(f"uuid-{name}", name, 1, state, 1, 1000.0, interfaces=interfaces, unread=unread)


VMS = (
    vm("db1", interface(1, "vnet1", "bridge", bridge="br7"), interface(2, "macvtap0", "direct")),
    vm("nat1", interface(4, "vnet2", "network", "192.168.122.5", "2001:db8::5", source="default")),
    vm("user1", interface(5, None, "user")),
    vm("web1", interface(3, "vnet0", "bridge", "10.0.0.7", bridge="br0")),
)


def read(host: Host, *domains: Domain, uri: str = "qemu:///system") -> Snapshot:
    """These VMs alone, or VMS and a network."""
    snapshot = Snapshot(uri, 0, 0, domains=domains or VMS, networks=() if domains else (NAT,))
    links = Links(host.folder)
    return with_bridges(with_uplinks(snapshot, links), links)


def names(nodes: Iterable[Node]) -> list[str | None]:
    return [node.name for node in nodes]


def called(host: Host, name: str) -> list[str | None]:
    return names(topology.through(topology.nodes(read(host)), name))


def test_bridges_and_the_ports_that_are_no_vms(host: Host) -> None:
    found = read(host).netdevs
    assert [(each.name, each.bridge, each.stats.up) for each in found] == [
        ("br7", None, 1),  # without a carrier, and well
        ("veth1", "br7", 1),
        ("virbr0", None, 1),
    ]
    assert (found[1].stats.rx_bytes, found[1].stats.tx_bytes) == (10, 20)


def test_what_each_interface_is_on(host: Host) -> None:
    found = {node.interface.key[-1]: node for node in topology.nodes(read(host)) if node.interface}
    below = ("bond0", "bond0.7", "eth0", "eth1")
    told = {key: (node.kind, node.bridge, node.uplinks) for key, node in found.items()}
    assert told == {
        "1": (TAP, "br7", below),
        "2": (MACVTAP, None, ("eth3",)),
        "3": (TAP, "br7", below),  # where it is, not where its XML has it
        "4": (TAP, "virbr0", ()),
        "5": ("user", None, ()),
    }


def test_who_uses_a_bridge_or_an_uplink(host: Host) -> None:
    used = {node.name: node.vms for node in topology.nodes(read(host)) if node.kind in (BRIDGE, UPLINK)}
    both = frozenset({"uuid-db1", "uuid-web1"})
    assert used == {
        **dict.fromkeys(("br7", "bond0", "bond0.7", "eth0", "eth1"), both),
        "virbr0": frozenset({"uuid-nat1"}),
        "eth3": frozenset({"uuid-db1"}),
    }
    nodes = topology.nodes(read(host, *VMS, vm("held", state=0)))
    assert {node.vms for node in nodes if node.kind in (BRIDGE, UPLINK)} == {None}, "it may use any"


BELOW = ["bond0", "bond0.7", "eth0", "eth1"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vnet0", ["vnet0", "br7", *BELOW]),
        ("52:54:00:00:00:03", ["vnet0", "br7", *BELOW]),
        ("10.0.0.7", ["vnet0", "br7", *BELOW]),
        ("2001:DB8:0::5", ["vnet2", "virbr0"]),
        ("default", ["vnet2", "virbr0"]),
        ("virbr0", ["vnet2", "virbr0"]),
        ("db1", ["vnet1", "macvtap0", "br7", *BELOW, "eth3"]),
        ("uuid-db1", ["vnet1", "macvtap0", "br7", *BELOW, "eth3"]),
        ("br7", ["vnet1", "vnet0", "veth1", "br7", *BELOW]),
        ("veth1", ["veth1", "br7", *BELOW]),
        ("eth3", ["macvtap0", "eth3"]),
        ("bond0.7", ["vnet1", "vnet0", "veth1", "br7", "bond0.7"]),
        ("user1", [None]),
        ("vnet9", []),
        ("WEB1", []),
        ("br0", []),
    ],
)
def test_what_is_called_so_and_what_that_is_connected_to(host: Host, name: str, found: list[str | None]) -> None:
    assert called(host, name) == found


def test_some_vms_with_their_ways(host: Host) -> None:
    nodes = topology.nodes(read(host))
    assert names(topology.ways_of(nodes, lambda domain: domain.name == "nat1")) == ["vnet2", "virbr0"]


def test_open_vswitch_has_one_switch_for_all_bridges(tmp_path: Path) -> None:
    host = Host(tmp_path).add("ovs-system", "vnet0", "eth0", "br-int").add("br-int")
    host.add("vnet0", tap=True, master="ovs-system").add("eth0", card=True, master="ovs-system")
    snapshot = read(host, vm("web1", interface(1, "vnet0", "bridge", bridge="br-int", virtualport="openvswitch")))
    tap, bridge, uplink = topology.nodes(snapshot)
    assert (tap.bridge, tap.uplinks) == ("br-int", ("eth0",))
    assert (bridge.name, bridge.uplinks, uplink.name) == ("br-int", ("eth0",), "eth0")
    assert bridge.device
    assert bridge.device.stats.up is None, "it works without being set up"


def test_a_tap_that_was_taken_out_of_its_bridge_is_in_none(host: Host) -> None:
    host.add("vnet8", tap=True)
    snapshot = read(host, vm("web1", interface(1, "vnet8", "bridge", bridge="br7")))
    tap, *others = topology.nodes(snapshot)
    assert (tap.bridge, tap.uplinks, snapshot.domains[0].interfaces[0].on) == (None, (), "")
    assert "vnet8" not in names(topology.through((tap, *others), "br7"))
    assert "br7" in names(others), "it belongs there"
    gone = read(host, vm("web1", interface(1, "vnet9", "bridge", bridge="br7")))
    assert topology.nodes(gone)[0].bridge == "br7", "of one that is not there that is all that is known"


def test_what_cannot_be_seen_is_not_known(host: Host) -> None:
    snapshot = read(host, uri="qemu+ssh://kvm2/system")
    assert snapshot.uplinks is None
    found = {node.name: node for node in topology.nodes(snapshot)}
    assert (found["vnet0"].bridge, found["vnet0"].uplinks) == ("br0", None), "the XML tells the bridge"
    assert found["vnet2"].bridge == "virbr0", "by its network"
    assert found["br0"].device is None
    assert found["br0"].traffic is None
    assert not any(node.kind in (PORT, UPLINK) for node in found.values())


def test_whose_bridge_is_not_known_is_on_uplinks_that_are_not(host: Host) -> None:
    lost = vm("lost", interface(9, "vnet9", "network", source="nobody knows"))
    found = topology.nodes(read(host, lost, vm("web1", interface(1, "vnet0", "bridge", bridge="br0"))))
    assert (found[0].bridge, found[0].uplinks) == (None, None)
    assert {node.vms for node in found if node.kind == UPLINK} == {None}


def test_a_vm_that_does_not_run_is_on_nothing(host: Host) -> None:
    off = vm("off1", interface(1, None, "bridge", bridge="br7"), state=5)
    assert names(topology.nodes(read(host, off))) == ["veth1", "vnet0", "vnet1", "br7", *BELOW]
    assert topology.nodes(read(host, off))[3].vms == frozenset()
    assert topology.belongs_to(off, "52:54:00:00:00:01")
    assert not topology.belongs_to(off, "web1")


def test_what_is_called_like_a_way_out_of_the_folder_is_none(host: Host) -> None:
    snapshot = read(host, vm("bad", interface(1, "../br7", "bridge", bridge="../../net")))
    assert [(node.name, node.device) for node in topology.nodes(snapshot)] == [
        ("../br7", None),
        ("../../net", None),
    ]


def test_directions_are_the_vms() -> None:
    host = UplinkStats(rx_bytes=1, tx_bytes=2, rx_packets=3, tx_packets=4, rx_errors=5, tx_errors=6, rx_drops=7, tx_drops=8)  # fmt: skip
    as_host = InterfaceStats(1, 3, 5, 7, 2, 4, 6, 8)
    swapped = InterfaceStats(2, 4, 6, 8, 1, 3, 5, 7)
    assert Node(UPLINK, "eth0", device=Uplink("eth0", (), rates=host)).rates == as_host
    assert Node(BRIDGE, "br0", device=Netdev("br0", None, rates=host)).rates == swapped
    assert Node(PORT, "veth1", device=Netdev("veth1", "br0", rates=host)).rates == swapped
    of_vm = Interface("m", rates=as_host)
    assert Node(TAP, "vnet0", interface=of_vm).rates == as_host
    assert Node(TAP, "vnet0", interface=of_vm).traffic == 3
    assert Node(TAP, "vnet0", interface=Interface("m", rates=InterfaceStats(rx_bytes=1))).traffic is None


def moment(time: float, octets: int) -> Snapshot:
    stats = UplinkStats(rx_bytes=octets, speed=10)
    uplinks = (Uplink("eth0", ("br0",), stats, time=time),)
    return Snapshot("", 0, 0, uplinks=uplinks, netdevs=(Netdev("br0", None, stats, time=time),))


def test_rates_of_the_hosts_devices() -> None:
    rated = with_rates(moment(110, 5000), samples(moment(100, 0)))
    assert rated.uplinks
    for each in (*rated.uplinks, *rated.netdevs):
        assert (each.rates.rx_bytes, each.rates.speed, each.unread) == (500, None, ())
    without = with_rates(moment(110, 5000))
    assert lacking(without, Group.BRIDGES) == {""}
    assert lacking(without, Group.UPLINKS) == frozenset(), "who takes their counters does not wait for rates"
    assert with_rates(Snapshot("", 0, 0)).uplinks is None
