"""With whom a VM has connections: pairs of addresses, by what this host tracks, and what it cannot see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import Value as Figure
from kvmwatch.model.snapshot import Unread, Unreads
from kvmwatch.model.topology import MACVTAP, TAP, Node
from kvmwatch.reading.deadline import Deadline
from kvmwatch_terminal import conntrack
from kvmwatch_terminal.columns import ALWAYS, Column, Value
from kvmwatch_terminal.conntrack import Flow, Flows, Key

_SAMPLING = 1.0  # seconds between the two readings
_SERVICES = 3  # of a pair, that are named

NOT_COUNTED = (
    "the bytes of connections are not counted here; 'sysctl -w net.netfilter.nf_conntrack_acct=1' counts those of "
    "connections that begin from then on"
)


class Pair(NamedTuple):
    """An address of the VM and one with which it has connections, these summed up, as the VM sees them."""

    address: str
    peer: str
    connections: int
    services: tuple[str, ...]  # the most frequent first
    rx_bytes: Figure  # since each began; None: not counted
    tx_bytes: Figure
    rx: Figure = None  # bytes per second
    tx: Figure = None

    @property
    def unread(self) -> Unreads:
        """What of it is not known."""
        missing = None in (self.rx_bytes, self.tx_bytes, self.rx, self.tx)
        return (Unread(Group.INTERFACE, "", "bytes are not counted, or not yet"),) if missing else ()


class Told(NamedTuple):
    """The pairs of a VM, and what a reader has to know of them."""

    vm: str
    addresses: list[str]
    pairs: list[Pair]
    notes: list[str]


def read(vm: str, nodes: Sequence[Node], deadline: Deadline) -> Told:
    """Read the connections of these interfaces of a VM twice. Raises KvmwatchError that says why not."""
    accounted = conntrack.accounted()
    if accounted is None:
        raise KvmwatchError("this host tracks no connections (nf_conntrack is not loaded), so it knows of none")
    addresses = [address for node in nodes if node.interface for address in node.interface.addresses]
    notes = list(dict.fromkeys(_untracked(nodes)))
    if not addresses:
        asked = ", ".join(node.name or str(node.kind) for node in nodes)  # others of the VM may have some
        notes.append(
            f"no IP address of {asked} of {vm} is known here, by lease or ARP, so that connections are not either"
        )
        return Told(vm, [], [], notes)
    first = conntrack.read(addresses, deadline)
    begun = time.monotonic()
    seconds, flows = None, first
    if deadline.remaining() > 2 * _SAMPLING:
        deadline.sleep(_SAMPLING)
        flows, seconds = conntrack.read(addresses, deadline), time.monotonic() - begun
    else:
        notes.append(f"no rates: -t {deadline.seconds:g} leaves no time for a second reading; give a longer one")
    if first.cut or flows.cut:
        notes.append("there are more connections than could be looked at: pairs and sums are of a part of them")
    if not accounted:
        notes.append(NOT_COUNTED)
    if not flows.found:
        notes.append(f"no connection of {vm} ({', '.join(addresses)}) is tracked just now")
    return Told(vm, addresses, pairs(first, flows.found, seconds), notes)


def pairs(first: Flows, now: dict[Key, Flow], seconds: float | None) -> list[Pair]:
    """Sum up connections by their pair of addresses; rates are of those that still are there."""
    new = None if first.cut else 0  # what one had that was not there; or was it not looked at?
    before = first.found
    grouped: dict[tuple[str, str], list[Key]] = {}
    for key, flow in now.items():
        grouped.setdefault((flow.address, flow.peer), []).append(key)
    return [
        Pair(
            *(address, peer, len(keys)),
            services=tuple(name for name, _ in Counter(now[key].service for key in keys).most_common(_SERVICES)),
            rx_bytes=_sum(now[key].rx for key in keys),
            tx_bytes=_sum(now[key].tx for key in keys),
            rx=_rate([(before[key].rx if key in before else new, now[key].rx) for key in keys], seconds),
            tx=_rate([(before[key].tx if key in before else new, now[key].tx) for key in keys], seconds),
        )
        for (address, peer), keys in grouped.items()
    ]


def _sum(values: Iterator[int | None]) -> Figure:
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)


def _rate(changes: Sequence[tuple[int | None, int | None]], seconds: float | None) -> Figure:
    total = 0
    for before, now in changes:
        if before is None or now is None:
            return None
        total += now - before if now >= before else now  # another one that has taken its ports
    return total / seconds if seconds else None


def _untracked(nodes: Sequence[Node]) -> Iterator[str]:
    """What of the traffic of these interfaces connection tracking does not see."""
    for node in nodes:
        if node.kind == MACVTAP:
            yield f"the traffic of {node.name} passes connection tracking by: a macvtap is not tracked"
        elif node.kind != TAP:
            yield f"the traffic of an interface of kind {node.kind} is not tracked"
        elif node.interface and node.interface.virtualport:
            yield f"of the traffic of {node.name} only what {node.interface.virtualport} hands to it is tracked"
        elif node.bridge and not conntrack.bridged(node.bridge):
            yield (
                f"what bridge {node.bridge} passes from port to port is not tracked (no br_netfilter, or its "
                "bridge-nf-call-iptables is off): seen is what this host routes, or has to do with itself"
            )


def _of(name: str) -> Callable[[Any], Value]:
    def of(row: Any) -> Value:
        value: Value = getattr(row.of, name)
        return value

    return of


def _bits(name: str) -> Callable[[Any], Value]:
    def of(row: Any) -> Value:
        octets: Figure = getattr(row.of, name)
        return None if octets is None else octets * 8

    return of


def _traffic(row: Any) -> Value:
    return None if row.of.rx is None or row.of.tx is None else (row.of.rx + row.of.tx) * 8


_BYTES = Group.INTERFACE

COLUMNS = (
    Column("address", "ADDRESS", None, "the address of the VM", _of("address"), least=12, kept=ALWAYS),
    Column("peer", "PEER", None, "with whom it has connections", _of("peer"), least=12, kept=ALWAYS),
    Column("connections", "CONNECTIONS", "", "how many", _of("connections"), kept=6),
    Column("services", "SERVICES", None,
           "protocol and port of the side that did not begin them, the most frequent",
           lambda row: list(row.of.services), least=10, kept=5),
    Column("rx", "IN", "b/s", "bits per second to the VM", _bits("rx"), _BYTES, kept=ALWAYS),
    Column("tx", "OUT", "b/s", "bits per second from the VM", _bits("tx"), _BYTES, kept=ALWAYS),
    Column("traffic", "TRAFFIC", "b/s", "both ways together", _traffic, _BYTES, kept=1),
    Column("rx_bytes", "RECEIVED", "B", "bytes to the VM since these began", _of("rx_bytes"), _BYTES, kept=4),
    Column("tx_bytes", "SENT", "B", "bytes from the VM since these began", _of("tx_bytes"), _BYTES, kept=4),
)  # fmt: skip
