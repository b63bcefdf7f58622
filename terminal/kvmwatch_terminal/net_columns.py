"""The columns of ``kvmwatch net``, and what could not be had of each node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvmwatch.model import measured
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import Value as Figure
from kvmwatch.model.snapshot import Snapshot, Unread, Unreads
from kvmwatch.model.topology import BRIDGE, PORT, TAP, UPLINK, Node
from kvmwatch_terminal.columns import ALWAYS, DATA, WIDE, Column, Value, link
from kvmwatch_terminal.rows import Thing

_HOST_KINDS = (PORT, BRIDGE, UPLINK)
#: what these columns need, by which ``unread`` says that it is missing
_WHO, _TRAFFIC, _WAY = Group.DEFINITION, Group.INTERFACE, Group.UPLINKS
_BRIDGE, _USERS = Group.NETWORKS, Group.CONTROL

NOT_SEEN = "cannot be seen from here"


def thing(node: Node, snapshot: Snapshot) -> Thing:
    """A node as a line of a table, with what of it is not known."""
    domain = node.domain
    silent = domain is not None and domain.not_responding is not None
    return Thing(node, snapshot.time, _unread(node), silent)


def _unread(node: Node) -> Unreads:
    found: list[Unread] = []
    if node.domain:
        found += (part for part in node.domain.unread if part.group in _WHO | _TRAFFIC)
        if node.kind is None and not found:  # somebody holds it
            found += (Unread(group, "interfaces", "libvirt gives no answer for it") for group in (_WHO, _TRAFFIC))
        found += (part for part in node.domain.unread if part.group is Group.ADDRESSES)
    if node.interface:
        found += node.interface.unread
        if node.kind == TAP and node.bridge is None and node.interface.on is None:
            found.append(Unread(_BRIDGE, "", "the bridge of its network is not known"))
        if node.domain and measured.missing(node.domain, node.interface):
            found.append(Unread(_TRAFFIC, "", "libvirt gives no counters of it"))
    elif node.device:
        found += (part._replace(group=_TRAFFIC) for part in node.device.unread)
        if not found and node.traffic is None:
            found.append(Unread(_TRAFFIC, "", "the kernel gives no counters of it"))
    elif node.kind:
        found.append(Unread(_TRAFFIC, "", f"it {NOT_SEEN}"))
    if node.vms is None:
        found.append(Unread(_USERS, "", "there is a VM whose interfaces are not known"))
    if node.uplinks is None:
        found.append(Unread(_WAY, "", f"what it stands on {NOT_SEEN}"))
    return tuple(dict.fromkeys(found))


def figures(node: Node) -> dict[str, Figure]:
    """What passes a node per second, as the VMs see it: bits, packets, errors, drops."""
    rates = node.rates
    return {
        "rx": _bits(rates.rx_bytes),
        "tx": _bits(rates.tx_bytes),
        "rx_packets": rates.rx_packets,
        "tx_packets": rates.tx_packets,
        "errors": _sum(rates.rx_errors, rates.tx_errors),
        "drops": _sum(rates.rx_drops, rates.tx_drops),
        "traffic": _bits(node.traffic),
    }


def _bits(octets: Figure) -> Figure:
    return None if octets is None else octets * 8


def _sum(one: Figure, other: Figure) -> Figure:
    return None if one is None or other is None else one + other


def _of(value: Callable[[Node], Value]) -> Callable[[Any], Value]:
    return lambda row: value(row.of)


def _figure(name: str) -> Callable[[Any], Value]:
    return _of(lambda node: figures(node)[name])


def _vm(node: Node) -> Value:
    return node.domain.name if node.domain else None


def _whose(thing: Any) -> str:
    return thing.of.domain.label if thing.of.domain else ""


def _carries(node: Node) -> Value:
    return len(node.vms) if node.kind in (BRIDGE, UPLINK) and node.vms is not None else None


def _link(node: Node) -> Value:
    if node.interface:
        return link(node.interface)
    up = node.device.stats.up if node.device else None
    return None if up is None else "up" if up else "set down" if node.kind == BRIDGE else "no link"


def _mac(node: Node) -> Value:
    # one whose XML could not be had is known by its tap
    return node.interface.mac if node.interface and node.interface.kind else None


def _network(node: Node) -> Value:
    source = node.interface.source if node.interface else None
    return list(node.networks) or ([source] if source else None)


def _uuid(node: Node) -> Value:
    return node.domain.uuid if node.domain else None


def _addresses(node: Node) -> Value:
    return list(node.interface.addresses) or None if node.interface else None


def _speed(node: Node) -> Value:
    return node.device.stats.speed if node.device and node.kind in _HOST_KINDS else None


COLUMNS = (
    Column("name", "INTERFACE", None, "the device on the host: a VM's tap or macvtap, a bridge, an uplink",
           _of(lambda node: node.name), _WHO, kept=ALWAYS),
    Column("kind", "KIND", None,
           "tap, macvtap, bridge, uplink, port (of a bridge, no VM's: a container's); or libvirt's word for one "
           "without a device on the host",
           _of(lambda node: node.kind), _WHO, kept=8),
    Column("vm", "VM", None, "whose it is; in a table with the name that people know, in brackets",
           _of(_vm), text=_whose, least=12, kept=ALWAYS),
    Column("uuid", "UUID", None, "the UUID of the VM", _of(_uuid), shown=DATA),
    Column("vms", "VMS", "", "of a bridge or an uplink: active VMs that can use it",
           _of(_carries), _USERS, kept=5),
    Column("mac", "MAC", None, "its MAC address in the VM", _of(_mac), _WHO, shown=WIDE),
    Column("network", "NETWORK", None, "libvirt's network that it is on, else what its XML names as its source",
           _of(_network), _WHO, shown=WIDE, least=8),
    Column("bridge", "BRIDGE", None, "the bridge that it is in now, as far as can be seen; else where it belongs",
           _of(lambda node: node.bridge), _WHO | _BRIDGE, kept=9),
    Column("uplinks", "UPLINKS", None, "the host's interfaces below it: VLANs, bonds, network cards",
           _of(lambda node: None if node.uplinks is None else list(node.uplinks)), _WAY, least=8, kept=7),
    Column("link", "LINK", None, "whether it is up, and why it has no way to the network",
           _of(_link), needs=_WHO | _TRAFFIC, least=8, kept=8),
    Column("speed", "SPEED", "b/s", "the speed of an uplink's link", _of(_speed), shown=WIDE),
    Column("rx", "IN", "b/s", "bits per second to the VM; of a bridge what the host itself sends into it",
           _figure("rx"), _TRAFFIC, kept=ALWAYS),
    Column("tx", "OUT", "b/s", "bits per second from the VM; of a bridge what the host itself takes out of it",
           _figure("tx"), _TRAFFIC, kept=ALWAYS),
    Column("traffic", "TRAFFIC", "b/s", "both ways together", _figure("traffic"), _TRAFFIC, shown=DATA),
    Column("rx_packets", "PACKETS IN", "/s", "packets per second, the same way",
           _figure("rx_packets"), _TRAFFIC, kept=3),
    Column("tx_packets", "PACKETS OUT", "/s", "packets per second, the same way",
           _figure("tx_packets"), _TRAFFIC, kept=3),
    Column("errors", "ERRORS", "/s", "errors per second, both ways", _figure("errors"), _TRAFFIC, kept=6),
    Column("drops", "DROPS", "/s", "packets dropped per second, both ways", _figure("drops"), _TRAFFIC, kept=6),
    Column("addresses", "ADDRESSES", None, "its IP addresses, of leases and this host's ARP table",
           _of(_addresses), Group.ADDRESSES, least=8, kept=4),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}
