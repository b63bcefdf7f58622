"""kvmwatch net: what stands in its table, what is unknown in it, and with whom VMs have connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvmwatch_terminal import conntrack, net, net_peers
from kvmwatch_terminal.columns import NONE, NOT_KNOWN, Column, cell
from kvmwatch_terminal.conntrack import Flow, Flows
from kvmwatch_terminal.net_columns import BY_NAME, COLUMNS, thing
from kvmwatch_terminal.net_peers import pairs
from kvmwatch_terminal.order import in_order

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import InterfaceStats, UplinkStats
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Interface, Netdev, Network, Snapshot, Unread, Uplink
from kvmwatch.model.topology import BRIDGE, MACVTAP, TAP, Node, nodes
from kvmwatch.reading.deadline import Deadline

FIGURES = ("rx", "tx", "traffic", "rx_packets", "tx_packets", "errors", "drops")
SEEN = Snapshot("qemu:///system", 0, 0, uplinks=())
ELSEWHERE = SEEN._replace(uplinks=None)


def vm(
    *interfaces: Interface, state: int = 1, unread: tuple[Unread, ...] = (), hung: float | None = None
) -> Domain:
    return Domain("uuid-1", "web1", 1, state, 1, 1000.0, interfaces=interfaces, unread=unread, not_responding=hung)


def shown(node: Node, snapshot: Snapshot = SEEN) -> dict[str, str]:
    return {column.name: cell(column, thing(node, snapshot)) for column in COLUMNS}


def node_of(domain: Domain, snapshot: Snapshot = SEEN) -> Node:
    return nodes(snapshot._replace(domains=(domain,)))[0]


COUNTED = InterfaceStats(rx_bytes=1, tx_bytes=1, rx_packets=1, tx_packets=1, rx_errors=0, tx_errors=0, rx_drops=0, tx_drops=0, attached=1)  # fmt: skip
TAP0 = Interface("52:54:00:00:00:01", "vnet0", "bridge", bridge="br0", stats=COUNTED, rates=COUNTED)


def test_figures_of_a_tap() -> None:
    line = shown(node_of(vm(TAP0._replace(on="br0"))))
    assert [line[name] for name in ("name", "kind", "vm", "bridge", "link")] == [
        "vnet0",
        "tap",
        "web1",
        "br0",
        "up",
    ]
    assert [line[name] for name in ("rx", "tx", "traffic", "rx_packets", "errors")] == [
        *("8 bit/s", "8 bit/s", "16 bit/s", "1/s", "0/s")
    ]
    assert NOT_KNOWN not in line.values()


@pytest.mark.parametrize(
    "node",
    [
        node_of(vm(TAP0._replace(stats=InterfaceStats(), rates=InterfaceStats()))),
        node_of(vm(TAP0._replace(rates=InterfaceStats(), unread=(Unread(Group.INTERFACE, "", "no rate yet"),)))),
        node_of(vm(state=0, hung=5.0)),
        node_of(vm(unread=(Unread(Group.DEFINITION, "XML", "held"), Unread(Group.INTERFACE, "counters", "held")))),
        Node(BRIDGE, "br0"),
        Node(BRIDGE, "br0", device=Netdev("br0", None)),
        Node("uplink", "eth0", device=Uplink("eth0", (), unread=(Unread(Group.BRIDGES, "", "no rate yet"),))),
    ],
)
def test_figures_that_should_be_there_are_unknown_and_not_absent(node: Node) -> None:
    line = shown(node)
    assert {line[name] for name in FIGURES} == {NOT_KNOWN}
    assert thing(node, SEEN).unread, "JSON says why"


@pytest.mark.parametrize("kind", ["user", "hostdev", "vdpa"])
def test_an_interface_without_a_device_has_none(kind: str) -> None:
    line = shown(node_of(vm(Interface("52:54:00:00:00:01", None, kind))))
    assert {line[name] for name in (*FIGURES, "name", "bridge", "uplinks")} == {NONE}


def test_what_of_it_is_elsewhere_is_unknown() -> None:
    line = shown(node_of(vm(TAP0), ELSEWHERE), ELSEWHERE)
    assert (line["bridge"], line["uplinks"], line["rx"]) == ("br0", NOT_KNOWN, "8 bit/s")
    unknown = TAP0._replace(kind="network", bridge=None)
    assert shown(node_of(vm(unknown), ELSEWHERE), ELSEWHERE)["bridge"] == NOT_KNOWN, (
        "its network could not be read"
    )
    assert shown(node_of(vm(unknown._replace(on=""))))["bridge"] == NONE, "it is in none"
    macvtap = Interface("52:54:00:00:00:01", "macvtap0", "direct", device="eth0")
    assert shown(node_of(vm(macvtap), ELSEWHERE), ELSEWHERE)["uplinks"] == "eth0"
    bridge = shown(Node(BRIDGE, "br0", uplinks=None, vms=None), ELSEWHERE)
    assert {bridge[name] for name in (*FIGURES, "vms", "uplinks", "link")} == {NOT_KNOWN}


@pytest.mark.parametrize(
    ("up", "kind", "word"), [(1, BRIDGE, "up"), (0, BRIDGE, "set down"), (0, "uplink", "no link")]
)
def test_links_of_the_host(up: int, kind: str, word: str) -> None:
    stats = UplinkStats(up=up, speed=10**9)
    line = shown(Node(kind, "x", device=Netdev("x", None, stats)))
    assert (line["link"], line["speed"]) == (word, "1 Gbit/s")


def test_why_it_is_cut_off() -> None:
    cut = TAP0._replace(detached="its tap vnet0 is down", stats=COUNTED._replace(attached=0))
    assert shown(node_of(vm(cut)))["link"] == "its tap vnet0 is down"


SNAPSHOT = SEEN._replace(
    domains=(vm(TAP0), Domain("uuid-2", "off1", None, 5, 1, 1.0), Domain("uuid-3", "bare1", 1, 1, 1, 1.0)),
    networks=(
        Network("n", "default", "virbr0", True, True, True),
        Network("o", "idle", "virbr-idle", False, False, True),
        Network("p", "macvtaps", None, True, True, True),
    ),
)


def chosen(snapshot: Snapshot, what: str | None, *patterns: str) -> list[str | None]:
    return [node.name for node in net.chosen(snapshot, what, Selection.parse(patterns, []))]


def test_choice() -> None:
    assert chosen(SNAPSHOT, None) == ["vnet0", "br0", "virbr0"]
    assert chosen(SNAPSHOT, None, "web*") == ["vnet0", "br0"]
    assert chosen(SNAPSHOT, None, "off1") == []
    assert chosen(SNAPSHOT, "br0", "web1") == ["vnet0", "br0"]
    assert chosen(SNAPSHOT, "default") == ["virbr0"]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("off1", "off1 is shut off, and so on no network"),
        ("bare1", "bare1 has no network interface"),
        ("vnet7", "nothing here is called vnet7: no interface"),
        ("idle", "network idle is not active, and so nothing is on it"),
        ("virbr-idle", "network idle is not active, and so nothing is on it"),
        ("macvtaps", "no VM that runs is on network macvtaps, which has no bridge of its own"),
    ],
)
def test_why_there_is_nothing_of_that_name(what: str, says: str) -> None:
    with pytest.raises(KvmwatchError, match=says):
        chosen(SNAPSHOT, what)
    leases = Unread(Group.ADDRESSES, "addresses", "network default: no answer")
    unsure = SNAPSHOT._replace(domains=(vm(TAP0, unread=(leases,)),))
    with pytest.raises(
        KvmwatchError, match=r"; addresses could not be read: network default: no answer; 'kvmwatch"
    ):
        chosen(unsure, "192.168.122.7")
    held = SNAPSHOT._replace(domains=(*SNAPSHOT.domains, vm(state=0)))
    with pytest.raises(KvmwatchError, match="the interfaces of web1 are not known just now"):
        chosen(held, "vnet7")


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_has_values_of_one_kind(column: Column) -> None:
    """Of a bridge there was a list of networks, of a tap a word: to sort by it was an internal error."""
    tap, bridge = node_of(vm(TAP0._replace(source="br0"))), Node(BRIDGE, "virbr0", networks=("default", "lan"))
    things = [thing(node, SEEN) for node in (tap, bridge)]
    assert len({type(value) for value in map(column.of, things) if value is not None}) < 2
    assert len(in_order(things, column)) == 2


def test_columns_have_different_names() -> None:
    for columns in (COLUMNS, net_peers.COLUMNS):
        assert len({column.name for column in columns}) == len(columns)
        assert "traffic" in {column.name for column in columns}, "by which both are sorted"
    assert not {"unread"} & set(BY_NAME)


# --- connections

#: as kernel 6.18 and conntrack 1.4.7 write them
TCP = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.7 dst=198.51.100.9 sport=40000 dport=443 packets=3 bytes=1000 src=198.51.100.9 dst=192.0.2.1 sport=443 dport=61000 packets=2 bytes=5000 [ASSURED] mark=0 zone=0 use=2"
FORWARDED = "ipv4     2 tcp      6 300 ESTABLISHED src=203.0.113.5 dst=192.0.2.1 sport=50000 dport=8080 packets=1 bytes=70 src=10.0.0.7 dst=203.0.113.5 sport=80 dport=50000 packets=1 bytes=90 mark=0 use=1"
PING6 = "ipv6     10 icmpv6   58 29 src=2001:0db8:0000:0000:0000:0000:0000:0005 dst=2001:0db8:0000:0000:0000:0000:0000:0001 type=128 code=0 id=11006 packets=1 bytes=104 src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=2001:0db8:0000:0000:0000:0000:0000:0005 type=129 code=0 id=11006 packets=0 bytes=0 mark=0 zone=0 use=2"
UNCOUNTED = "ipv4     2 udp      17 29 src=10.0.0.7 dst=10.0.0.1 sport=5353 dport=53 [UNREPLIED] src=10.0.0.1 dst=10.0.0.7 sport=53 dport=5353 mark=0 zone=0 use=2"
OTHERS = TCP.replace("10.0.0.7", "10.0.0.70")
ADDRESSES = ("10.0.0.7", "2001:db8::5")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make the kernel's table of these lines, and its switches."""

    def make(*lines: str, accounting: str | None = "1", bridged: str | None = None) -> Path:
        for name, text in {
            "TABLE": "".join(f"{line}\n" for line in lines),
            "ACCOUNTING": accounting,
            "BRIDGED": bridged,
        }.items():
            path = tmp_path / name
            if text is not None:
                path.write_text(text)
            monkeypatch.setattr(conntrack, name, path)
        return tmp_path / "TABLE"

    return make


def read(seconds: float = 10) -> conntrack.Flows:
    return conntrack.read(ADDRESSES, Deadline(seconds))


def test_connections_as_the_vm_sees_them(table: Callable[..., Path]) -> None:
    table(TCP, OTHERS, FORWARDED, PING6, UNCOUNTED, "", "src=10.0.0.7 dst=", "conntrack v1.4.7: src=10.0.0.7 x")
    flows = read()
    assert list(flows.found.values()) == [
        Flow("10.0.0.7", "198.51.100.9", "tcp/443", rx=5000, tx=1000),
        Flow("10.0.0.7", "203.0.113.5", "tcp/80", rx=70, tx=90),
        Flow("2001:db8::5", "2001:db8::1", "icmpv6", rx=0, tx=104),
        Flow("10.0.0.7", "10.0.0.1", "udp/53", rx=None, tx=None),
    ]
    assert not flows.cut


def test_a_connection_keeps_its_key(table: Callable[..., Path]) -> None:
    table(TCP)
    before = read().found
    table(TCP.replace("bytes=5000", "bytes=9000").replace("431999", "431990").replace("[ASSURED] ", ""))
    assert read().found.keys() == before.keys()
    table(TCP.replace("sport=40000", "sport=40001"))
    assert read().found.keys() != before.keys()


def test_a_table_too_large_is_read_in_part_and_says_so(
    table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    table(*([TCP] * 100))
    monkeypatch.setattr(conntrack, "_PIECE", 1000)
    monkeypatch.setattr(conntrack, "_MOST", 5000)
    assert (len(read().found), read().cut) == (1, True)
    assert conntrack.read(ADDRESSES, Deadline(0.0)).cut, "no time is left"


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "conntrack").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "conntrack").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_kernel_without_the_table_has_the_program(
    table: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table().unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(KvmwatchError, match="install conntrack"):
        read()
    script(tmp_path, monkeypatch, f"printf '{TCP[:40]}'; echo 'conntrack v1.4.7: shown.' >&2; echo '{TCP[40:]}'")
    assert [flow.peer for flow in read().found.values()] == ["198.51.100.9"]
    script(tmp_path, monkeypatch, f"echo '{TCP}'; echo 'conntrack v1.4.7: 1 flow entries have been shown.' >&2")
    assert [flow.peer for flow in read().found.values()] == ["198.51.100.9"]
    script(tmp_path, monkeypatch, "echo Operation not permitted >&2; exit 1")
    with pytest.raises(KvmwatchError, match="conntrack failed: Operation not permitted; run it as root"):
        read()
    script(tmp_path, monkeypatch, "exec sleep 30")
    begun = time.monotonic()
    with pytest.raises(KvmwatchError, match="not done in time"):
        read(0.5)
    assert time.monotonic() - begun < 2


def test_who_is_not_root_is_told(table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    table(TCP)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(KvmwatchError, match="only root may see connections"):
        read()


NUMBERS = st.integers(0, 10**12)
FLOWS = st.dictionaries(
    st.tuples(st.text(max_size=3)),
    st.builds(Flow, st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["tcp/1", "udp/2"]), NUMBERS, NUMBERS),
    max_size=8,
)  # fmt: skip


@given(FLOWS, FLOWS, st.floats(0.5, 100))
def test_pairs_have_all_connections_once(
    before: dict[tuple[str], Flow], now: dict[tuple[str], Flow], seconds: float
) -> None:
    found = pairs(Flows(before), now, seconds)
    assert sum(pair.connections for pair in found) == len(now)
    assert len({(pair.address, pair.peer) for pair in found}) == len(found)
    assert sum(pair.rx_bytes or 0 for pair in found) == sum(flow.rx or 0 for flow in now.values())
    grown = sum(
        new.rx - (old.rx if old and new.rx >= old.rx else 0)
        for key, new in now.items()
        for old in [before.get(key)]
        if new.rx is not None and (not old or old.rx is not None)
    )
    assert sum(pair.rx or 0 for pair in found) * seconds == pytest.approx(grown)
    assert all((pair.rx or 0) >= 0 for pair in found)
    assert all(not pair.unread for pair in found)


def test_what_is_not_counted_is_unknown() -> None:
    counted, uncounted = Flow("a", "x", "tcp/1", 5, 6), Flow("a", "x", "tcp/2", None, None)
    (pair,) = pairs(Flows({}), {("1",): counted, ("2",): uncounted}, 1.0)
    assert (pair.connections, pair.rx_bytes, pair.tx_bytes, pair.rx, pair.tx) == (2, None, None, None, None)
    assert pair.unread
    (pair,) = pairs(Flows({}), {("1",): counted}, None)
    assert (pair.rx_bytes, pair.rx) == (5, None)
    (pair,) = pairs(Flows({}, cut=True), {("1",): counted}, 1.0)
    assert (pair.rx_bytes, pair.rx) == (5, None), "it may be as old as the hills"


OF_WEB1 = Node(TAP, "vnet0", vm(), TAP0._replace(addresses=ADDRESSES), bridge="br0")


def told(*of: Node, seconds: float = 1) -> net_peers.Told:
    return net_peers.read("web1", of or (OF_WEB1,), Deadline(seconds))


def test_what_connection_tracking_cannot_tell_is_said(table: Callable[..., Path]) -> None:
    table(TCP, bridged="1")
    assert told().notes == ["no rates: -t 1 leaves no time for a second reading; give a longer one"]
    table(TCP, bridged="0")
    assert "what bridge br0 passes from port to port is not tracked" in told().notes[0]
    macvtap = OF_WEB1._replace(kind=MACVTAP, name="macvtap0")
    assert "macvtap0 passes connection tracking by" in told(macvtap).notes[0]
    assert "kind user" in told(OF_WEB1._replace(kind="user")).notes[0]
    switched = OF_WEB1._replace(interface=TAP0._replace(virtualport="openvswitch", addresses=ADDRESSES))
    assert "only what openvswitch hands to it" in told(switched).notes[0]


def test_accounting_off_and_nothing_tracked(table: Callable[..., Path]) -> None:
    table(UNCOUNTED, accounting="0", bridged="1")
    found = told()
    assert net_peers.NOT_COUNTED in found.notes
    assert [(pair.peer, pair.connections, pair.rx_bytes) for pair in found.pairs] == [("10.0.0.1", 1, None)]
    table(OTHERS, bridged="1")
    assert any(
        "no connection of web1 (10.0.0.7, 2001:db8::5) is tracked just now" in note for note in told().notes
    )
    unknown = told(OF_WEB1._replace(interface=TAP0))
    assert (unknown.pairs, "no IP address of vnet0 of web1 is known here" in unknown.notes[-1]) == ([], True)


def test_without_connection_tracking(table: Callable[..., Path]) -> None:
    table(accounting=None)
    with pytest.raises(KvmwatchError, match="tracks no connections"):
        told()


def test_rates_of_a_second(table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    table(TCP, bridged="1")
    monkeypatch.setattr(Deadline, "sleep", lambda *_: table(TCP.replace("bytes=5000", "bytes=9000"), bridged="1"))
    times = iter((100.0, 102.0))
    monkeypatch.setattr(net_peers, "time", SimpleNamespace(monotonic=lambda: next(times)))
    (pair,) = told(seconds=10).pairs
    assert (pair.rx, pair.tx, pair.rx_bytes) == (2000, 0, 9000)
