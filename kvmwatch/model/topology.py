"""What is connected to what: each interface of a VM, its bridge, its uplinks. A pure function of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Optional

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import InterfaceStats, UplinkStats, Value
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Domain, Interface, Netdev, Snapshot, Uplink

#: kinds of nodes; an interface without a device on the host has its kind in the XML: user, hostdev, vhostuser, ...
TAP, MACVTAP, PORT, BRIDGE, UPLINK = "tap", "macvtap", "port", "bridge", "uplink"

_WITH_TAP = (None, "bridge", "network", "ethernet")


class Node(Record):
    """One thing that VMs' traffic passes. What is not to be seen from here has no ``device``."""

    kind: Optional[str]  # None: of a VM whose interfaces are not known
    name: Optional[str]  # its device on the host
    domain: Optional[Domain] = None
    interface: Optional[Interface] = None
    device: Optional[Netdev | Uplink] = None
    bridge: Optional[str] = None  # that it is in; None: it is in none
    uplinks: Optional[tuple[str, ...]] = ()  # by which it leaves the host, sorted; None: not known
    networks: tuple[str, ...] = ()  # libvirt's, that are on it
    vms: Optional[frozenset[str]] = frozenset()  # UUIDs of the active VMs that can use it; None: not known

    @property
    def rates(self) -> InterfaceStats:
        """Per second, as the VMs see it: what they receive of a bridge is what the host sent into it."""
        if self.interface:
            return self.interface.rates
        if self.device is None:
            return InterfaceStats()
        host = self.device.rates
        if isinstance(self.device, Uplink):  # what comes in by it goes to the VMs
            return _rates(host, "rx", "tx")
        return _rates(host, "tx", "rx")

    @property
    def traffic(self) -> Value:
        """Bytes per second, both ways."""
        ways = (self.rates.rx_bytes, self.rates.tx_bytes)
        return None if None in ways else sum(way or 0 for way in ways)


def nodes(snapshot: Snapshot) -> tuple[Node, ...]:
    """All there are: the interfaces of the active VMs, other ports, bridges, uplinks; of each kind by name.

    The snapshot was read with INTERFACE, DEFINITION, NETWORKS, ADDRESSES, UPLINKS and BRIDGES.
    """
    return _Host(snapshot).nodes()


def through(all_nodes: Iterable[Node], called: str) -> tuple[Node, ...]:
    """The nodes that have this name, and those to which they are connected; none when nothing is called so.

    It may be the name or UUID of a VM, a device, a MAC, an IP address, or one of libvirt's networks.
    """
    listed = tuple(all_nodes)
    return _with_ways(listed, [is_called(node, called) for node in listed])


def ways_of(all_nodes: Iterable[Node], wanted: Callable[[Domain], bool]) -> tuple[Node, ...]:
    """The nodes of these VMs, and the bridges and uplinks that they use."""
    listed = tuple(all_nodes)
    return _with_ways(listed, [node.domain is not None and wanted(node.domain) for node in listed])


def _with_ways(listed: Sequence[Node], found: Sequence[bool]) -> tuple[Node, ...]:
    """Those that were found, and what they stand on or what stands on them."""
    chosen = [node for node, is_found in zip(listed, found) if is_found]
    bridges = {node.name for node in chosen if node.kind == BRIDGE}
    uplinks = {node.name for node in chosen if node.kind == UPLINK}
    below_bridges = {node.bridge for node in chosen}
    below_uplinks = {name for node in chosen for name in node.uplinks or ()}
    return tuple(
        node
        for node, is_found in zip(listed, found)
        if is_found
        or (node.kind == BRIDGE and node.name in below_bridges)
        or (node.kind == UPLINK and node.name in below_uplinks)
        or (node.bridge is not None and node.bridge in bridges)
        or not uplinks.isdisjoint(node.uplinks or ())
    )


def is_called(node: Node, called: str) -> bool:
    """Whether a node goes by this name."""
    if called in (node.name, *node.networks) or (node.domain and is_vm(node.domain, called)):
        return True
    interface = node.interface
    return interface is not None and (called == interface.source or _is_interface(interface, called))


def is_vm(domain: Domain, called: str) -> bool:
    """Whether this is the VM's name or UUID."""
    return called == domain.name or called.lower() == domain.uuid


def belongs_to(domain: Domain, called: str) -> bool:
    """Whether this is the VM, or one of its interfaces, running or not."""
    return is_vm(domain, called) or any(_is_interface(interface, called) for interface in domain.interfaces)


def _is_interface(interface: Interface, called: str) -> bool:
    return called == interface.name or _canonical(called) in (interface.mac, *interface.addresses)


def _canonical(called: str) -> str:
    try:
        return str(ip_address(called))
    except ValueError:
        return called.lower()


class _Host:
    """What a snapshot knows of the host, and the nodes that follow from it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._seen = {netdev.name: netdev for netdev in snapshot.netdevs if not netdev.bridge}
        active = [network for network in snapshot.networks if network.active and network.bridge]
        self._of_network = {network.name: network.bridge for network in active}
        vms = (node for domain in snapshot.domains if domain.active for node in self._of_vm(domain))
        self._vms = tuple(vms)
        self._all_known = all(
            node.kind is not None and (node.uplinks is not None or snapshot.uplinks is None) for node in self._vms
        )

    def nodes(self) -> tuple[Node, ...]:
        ports = (
            Node(PORT, each.name, device=each, bridge=each.bridge, uplinks=self._below(each.bridge))
            for each in self._snapshot.netdevs
            if each.bridge
        )
        uplinks = (
            Node(
                *(UPLINK, each.name),
                device=each,
                vms=self._users(node for node in self._vms if each.name in (node.uplinks or ())),
            )
            for each in self._snapshot.uplinks or ()
        )
        return (*self._vms, *ports, *self._bridges(), *uplinks)

    def _of_vm(self, domain: Domain) -> Iterator[Node]:
        untold = domain.state == states.NOSTATE or any(
            part.group in (Group.INTERFACE, Group.DEFINITION) for part in domain.unread
        )
        if untold and not domain.interfaces:
            yield Node(None, None, domain, uplinks=None)
        for interface in domain.interfaces:
            if interface.kind == "direct":
                yield Node(MACVTAP, interface.name, domain, interface, uplinks=self._stands_on(interface))
            elif interface.kind in _WITH_TAP and interface.name:
                bridge = self._bridge(interface)
                on = bridge if interface.on is None else interface.on
                # where a tap is in a bridge that nobody tells, what that stands on is not known either
                below = None if on is None and interface.kind != "ethernet" else self._below(on)
                yield Node(TAP, interface.name, domain, interface, bridge=bridge, uplinks=below)
            else:
                yield Node(interface.kind, interface.name, domain, interface)

    def _bridge(self, interface: Interface) -> Optional[str]:
        """Where its tap is, else where it belongs: of Open vSwitch only the latter tells the bridge."""
        if interface.on in self._seen or interface.on == "":
            return interface.on or None
        of_network = self._of_network.get(interface.source or "") if interface.kind == "network" else None
        return interface.bridge or of_network

    def _stands_on(self, macvtap: Interface) -> Optional[tuple[str, ...]]:
        device = macvtap.on or macvtap.device
        return self._below(device) or ((device,) if device else None)

    def _below(self, top: Optional[str]) -> Optional[tuple[str, ...]]:
        uplinks = self._snapshot.uplinks
        return None if uplinks is None else tuple(each.name for each in uplinks if top in each.carries)

    def _bridges(self) -> Iterator[Node]:
        on_it: dict[str, list[Node]] = {name: [] for name in (*self._seen, *self._of_network.values()) if name}
        for node in self._vms:
            if node.bridge:
                on_it.setdefault(node.bridge, []).append(node)
        for name, taps in sorted(on_it.items()):
            yield Node(
                *(BRIDGE, name),
                device=self._seen.get(name),
                # of Open vSwitch the taps tell it
                uplinks=next((tap.uplinks for tap in taps if tap.uplinks), self._below(name)),
                networks=tuple(network for network, bridge in self._of_network.items() if bridge == name),
                vms=self._users(taps),
            )

    def _users(self, nodes_of_vms: Iterable[Node]) -> Optional[frozenset[str]]:
        if not self._all_known:
            return None
        return frozenset(node.domain.uuid for node in nodes_of_vms if node.domain)


def _rates(host: UplinkStats, rx: str, tx: str) -> InterfaceStats:
    counted = ("bytes", "packets", "errors", "drops")
    return InterfaceStats(
        **{f"rx_{what}": getattr(host, f"{rx}_{what}") for what in counted},
        **{f"tx_{what}": getattr(host, f"{tx}_{what}") for what in counted},
    )
