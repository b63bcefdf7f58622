"""The way of each kind of interface to the network, as a made host has it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest
from commands import EXAMPLE_URI
from sysfs import Made, Sysfs

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import InterfaceStats, NetworkStats
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Interface, Network, Snapshot
from kvmwatch.reading import domain_xml, links, ways
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.links import Link, Links
from kvmwatch.reading.listing import Survey

TAP = "<target dev='vnet0'/>"
#: live XML of an interface of each kind that has a device of its own on the host, and the host on which it is well
WITH_TAP: dict[str, tuple[str, dict[str, Made]]] = {
    "bridge": (
        f"<interface type='bridge'><source bridge='br0'/>{TAP}</interface>",
        {"vnet0": Made(master="br0"), "br0": Made()},
    ),
    "network": (
        f"<interface type='network'><source network='default' portid='p' bridge='virbr0'/>{TAP}</interface>",
        {"vnet0": Made(master="virbr0"), "virbr0": Made()},
    ),
    "network of a host bridge": (
        f"<interface type='bridge'><source network='lan' portid='p' bridge='br0'/>{TAP}</interface>",
        {"vnet0": Made(master="br0"), "br0": Made()},
    ),
    "direct": (
        "<interface type='direct'><source dev='eth0' mode='bridge'/><target dev='macvtap0'/></interface>",
        {"macvtap0": Made(on="eth0"), "eth0": Made()},
    ),
    "network of macvtaps": (
        "<interface type='direct'><source network='lan' portid='p' dev='eth1' mode='vepa'/><target dev='macvtap0'/>"
        "</interface>",
        {"macvtap0": Made(on="eth1"), "eth1": Made()},
    ),
    "802.1Qbh": (
        "<interface type='direct'><source dev='eth0' mode='private'/><virtualport type='802.1Qbh'/>"
        "<target dev='macvtap0'/></interface>",
        {"macvtap0": Made(on="eth0"), "eth0": Made()},
    ),
    "ethernet": (f"<interface type='ethernet'>{TAP}</interface>", {"vnet0": Made()}),
    "openvswitch": (
        f"<interface type='bridge'><source bridge='ovsbr0'/><virtualport type='openvswitch'/>{TAP}</interface>",
        {"vnet0": Made(master="ovs-system"), "ovs-system": Made(up=False), "ovsbr0": Made(up=False)},
    ),
    "openvswitch without the kernel": (
        f"<interface type='bridge'><source bridge='ovsbr0'/><virtualport type='openvswitch'/>{TAP}</interface>",
        {"vnet0": Made(), "ovs-netdev": Made(up=False), "ovsbr0": Made(up=False)},
    ),
    "midonet": (
        f"<interface type='bridge'><source bridge='x'/><virtualport type='midonet'/>{TAP}</interface>",
        {"vnet0": Made()},
    ),
    "network that does not name its bridge": (
        f"<interface type='network'><source network='default'/>{TAP}</interface>",
        {"vnet0": Made(master="virbr0")},
    ),
    "bridge by another of its names": (
        f"<interface type='bridge'><source bridge='enp0s31f6.altname'/>{TAP}</interface>",
        {"vnet0": Made(master="br0"), "br0": Made()},
    ),
    "device by another of its names": (
        "<interface type='direct'><source dev='enp0s31f6'/><target dev='macvtap0'/></interface>",
        {"macvtap0": Made(on="eth0"), "eth0": Made()},
    ),
}
#: of these kinds nothing on the host is known to be theirs, whatever target they have
WITHOUT = ("user", "vhostuser", "server", "client", "mcast", "udp", "internal", "hostdev", "vdpa", "null", "vds")


def interface(xml: str, counted: bool = False) -> Interface:
    """What is read of an interface; with counters, if libvirt sees its tap."""
    (found,) = domain_xml.parse(f"<domain><devices>{xml}</devices></domain>").interfaces
    return found._replace(stats=InterfaceStats(rx_bytes=1)) if counted else found


def looked_at(tmp_path: Path, xml: str, host: dict[str, Made], counted: bool = False) -> tuple[Any, Optional[str]]:
    found = ways.way(interface(xml, counted), Links(Sysfs(tmp_path / "net", **host).folder))
    return found.stats.attached, found.detached


@pytest.mark.parametrize("kind", WITH_TAP)
def test_each_kind_that_is_well(tmp_path: Path, kind: str) -> None:
    xml, host = WITH_TAP[kind]
    attached, why = looked_at(tmp_path, xml, host)
    assert (attached, why) == (None if kind.startswith("bridge by another") else 1, None)


@pytest.mark.parametrize("kind", WITH_TAP)
def test_each_kind_whose_tap_is_down(tmp_path: Path, kind: str) -> None:
    xml, host = WITH_TAP[kind]
    tap = next(iter(host))
    down = host | {tap: host[tap]._replace(up=False)}
    assert looked_at(tmp_path, xml, down) == (0, f"its tap {tap} is down")


@pytest.mark.parametrize("kind", WITH_TAP)
def test_each_kind_whose_tap_is_gone(tmp_path: Path, kind: str) -> None:
    xml, host = WITH_TAP[kind]
    tap, *others = host
    gone = {name: host[name] for name in others}
    assert looked_at(tmp_path, xml, gone) == (0, f"its tap {tap} is gone")
    assert looked_at(tmp_path, xml, gone, counted=True) == (None, None), "libvirt counts what we cannot see"


@pytest.mark.parametrize(
    ("kind", "changed", "why"),
    [
        ("bridge", {"vnet0": Made()}, "its tap vnet0 is not in bridge br0 but in none"),
        ("bridge", {"vnet0": Made(master="br1")}, "its tap vnet0 is not in bridge br0 but in br1"),
        ("bridge", {"br0": Made(up=False)}, "its bridge br0 is down"),
        ("bridge", {"vnet0": Made(), "br0": None}, "its tap vnet0 is not in bridge br0 but in none"),
        ("network", {"vnet0": Made()}, "its tap vnet0 is not in bridge virbr0 but in none"),
        ("network", {"virbr0": Made(up=False)}, "its bridge virbr0 is down"),
        ("network of a host bridge", {"vnet0": Made()}, "its tap vnet0 is not in bridge br0 but in none"),
        (
            "direct",
            {"macvtap0": Made(on="eth1"), "eth1": Made()},
            "its tap macvtap0 is not on eth0 but on eth1",
        ),
        ("direct", {"eth0": Made(up=False)}, "its device eth0 is down"),
        ("network of macvtaps", {"eth1": Made(up=False)}, "its device eth1 is down"),
        ("openvswitch", {"vnet0": Made()}, "its tap vnet0 is in no bridge"),
    ],
)
def test_ways_that_are_broken(tmp_path: Path, kind: str, changed: dict[str, Optional[Made]], why: str) -> None:
    xml, host = WITH_TAP[kind]
    broken = {name: made for name, made in {**host, **changed}.items() if made}
    assert looked_at(tmp_path, xml, broken, counted=True) == (0, why)


@pytest.mark.parametrize("kind", WITHOUT)
@pytest.mark.parametrize("up", [True, False, None])
def test_kinds_without_a_tap_have_no_verdict(tmp_path: Path, kind: str, up: Optional[bool]) -> None:
    xml = f"<interface type='{kind}'><source dev='eth0' bridge='br0'/>{TAP}</interface>"
    assert looked_at(tmp_path, xml, {} if up is None else {"vnet0": Made(up)}) == (None, None)


@pytest.mark.parametrize("kind", WITH_TAP)
def test_an_interface_that_has_no_tap_yet_has_no_verdict(tmp_path: Path, kind: str) -> None:
    xml = WITH_TAP[kind][0].replace("<target", "<link").replace(" dev='vnet0'/>", "/>")
    shut_off = interface(xml)._replace(name=None)
    assert ways.way(shut_off, Links(Sysfs(tmp_path / "net").folder)).stats.attached is None


@pytest.mark.parametrize("name", ["", ".", "..", "../net", "a/b", "/etc", "\0", "x" * 300])
def test_names_that_are_none_are_not_there(tmp_path: Path, name: str) -> None:
    made = Sysfs(tmp_path / "net", br0=Made())
    assert Links(made.folder)[name] is None
    assert not Links(str(tmp_path / "nothing"))["br0"]


def test_this_machine_has_the_loopback_where_it_has_sysfs() -> None:
    if not Path(links.FOLDER, "lo").exists():
        pytest.skip("no sysfs here")
    assert Links()["lo"] is not None


# -- a whole snapshot ------------------------------------------------------------------------------------------------


class Libvirt:
    """Stands for a hypervisor that is asked again about domains with a fault; ``meanwhile`` happens before it answers."""

    def __init__(self, *domains: Domain, uri: str = "qemu:///system") -> None:
        self.uri = uri
        self.provider = self
        self.domains = {domain.uuid: domain for domain in domains}
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    def with_ways(self, snapshot: Snapshot, host: Sysfs) -> Snapshot:
        return ways.with_ways(self, snapshot, self.again, Deadline(0.5), Links(host.folder))  # type: ignore[arg-type]

    def again(self) -> Survey:
        self.asked += 1
        self.meanwhile()
        return Survey([(self.handle(domain), self.fields(domain)) for domain in self.domains.values()], {})

    @staticmethod
    def handle(domain: Domain) -> Any:
        return SimpleNamespace(UUIDString=lambda: domain.uuid, ID=lambda: domain.id)

    def read(self, handles: list[Any], _groups: Any) -> list[tuple[Any, dict[str, Any]]]:
        self.answers.wait()
        return [(handle, self.fields(self.domains[handle.UUIDString()])) for handle in handles]

    @staticmethod
    def fields(domain: Domain) -> dict[str, Any]:
        names = {f"net.{number}.name": found.name for number, found in enumerate(domain.interfaces)}
        return {"state.state": domain.state, "net.count": len(names), **names}


def domain(state: int = states.RUNNING, tap: str = "vnet0", counted: bool = False, uuid: str = "1") -> Domain:
    xml = WITH_TAP["network"][0].replace("vnet0", tap)
    return Domain(uuid, f"web{uuid}", 1, state, 1, 0, interfaces=(interface(xml, counted),))


def of(*domains: Domain, networks: tuple[Network, ...] = ()) -> Snapshot:
    return Snapshot("qemu:///system", 0, 0, domains=domains, networks=networks)


def attached(snapshot: Snapshot) -> list[Any]:
    return [found.stats.attached for domain in snapshot.domains for found in domain.interfaces]


@pytest.fixture
def host(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "net", virbr0=Made(), vnet0=Made(master="virbr0"))


@pytest.mark.parametrize("state", range(len(states.NAMES)))
def test_only_domains_that_run_are_judged(host: Sysfs, state: int) -> None:
    host.set("vnet0", Made(up=False))
    made = domain(state)
    found = Libvirt(made).with_ways(of(made), host)
    running = state in (states.RUNNING, states.BLOCKED)
    assert attached(found) == [0 if running else None]
    assert (found.domains[0].interfaces[0].detached is not None) == running


def test_who_is_well_costs_libvirt_no_question(host: Sysfs) -> None:
    libvirtd = Libvirt(domain())
    assert attached(libvirtd.with_ways(of(domain()), host)) == [1]
    assert libvirtd.asked == 0


MEANWHILE = {
    "nothing": 0,
    "stopped": None,
    "vanished": None,
    "paused": None,
    "started anew": None,
    "unplugged": None,
    "mended": 1,
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_a_fault_is_told_when_it_is_still_there(host: Sysfs, what: str) -> None:
    host.remove("vnet0")
    made = domain()
    libvirtd = Libvirt(made)

    def happens() -> None:
        if what == "vanished":
            libvirtd.domains.clear()
        elif what == "mended":
            host.set("vnet0", Made(master="virbr0"))
        else:
            libvirtd.domains["1"] = {
                "nothing": made,
                "stopped": made._replace(state=states.SHUTOFF, id=-1),
                "paused": made._replace(state=states.PAUSED),
                "started anew": made._replace(id=2),
                "unplugged": made._replace(interfaces=()),
            }[what]

    libvirtd.meanwhile = happens
    assert attached(libvirtd.with_ways(of(made), host)) == [MEANWHILE[what]]


def test_a_fault_of_one_that_somebody_holds_just_then_is_not_known(host: Sysfs) -> None:
    well, gone = domain(), domain(tap="vnet1", uuid="2")
    libvirtd = Libvirt(well, gone)
    libvirtd.answers.clear()
    found = libvirtd.with_ways(of(well, gone), host)
    libvirtd.answers.set()
    assert attached(found) == [1, None]
    assert [[part.what for part in domain.unread] for domain in found.domains] == [[], ["way to the network"]]


def test_one_fault_stays_where_it_is(host: Sysfs) -> None:
    well, gone = domain(), domain(tap="vnet1", uuid="2")
    found = Libvirt(gone).with_ways(of(well, gone), host)
    assert attached(found) == [1, 0]


NETWORKS = (
    Network("n1", "default", "virbr9", True, True, True, False, NetworkStats(leases=3, bridge_up=0)),
    Network("n2", "lan", None, True, True, True),
)


def test_where_nothing_of_libvirts_is_to_be_seen_nothing_is_missing(tmp_path: Path) -> None:
    """libvirtd in another network namespace; a container has an eth0, too."""
    elsewhere = Sysfs(tmp_path / "net", lo=Made(), eth0=Made())
    macvtap = Domain("2", "db1", 1, states.RUNNING, 1, 0, interfaces=(interface(WITH_TAP["direct"][0]),))
    made = of(domain(), macvtap, networks=NETWORKS)
    found = Libvirt(*made.domains).with_ways(made, elsewhere)
    assert attached(found) == [None, None]
    assert [(network.bridge_found, network.stats.bridge_up) for network in found.networks] == [(None, None)] * 2
    assert found.networks[0].stats.leases == 3


@pytest.mark.parametrize("state", [states.RUNNING, states.PAUSED])
@pytest.mark.parametrize("defined", [True, False])
def test_one_that_is_seen_makes_a_missing_one_missing(host: Sysfs, state: int, defined: bool) -> None:
    host.remove("virbr0")
    made = domain(state, counted=True)
    if not defined:  # as check_kvm_net reads it
        made = made._replace(interfaces=(Interface("vnet0", "vnet0"),))
    found = Libvirt(made).with_ways(of(made, networks=NETWORKS), host)
    assert found.networks == NETWORKS


def test_a_bridge_that_is_seen_makes_a_missing_tap_missing(tmp_path: Path) -> None:
    nothing = Sysfs(tmp_path / "net")
    seen = NETWORKS[1]._replace(bridge="br7", bridge_found=True, stats=NetworkStats(bridge_up=1))
    found = Libvirt(domain()).with_ways(of(domain(), networks=(*NETWORKS, seen)), nothing)
    assert attached(found) == [0]
    assert found.networks[0] == NETWORKS[0]


@pytest.mark.parametrize("again", [False, True])
def test_every_reading_looks(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Through the reader, on the test driver's domains as if they were this machine's."""
    down: list[str] = []
    monkeypatch.setattr(ways, "is_local", lambda _uri: True)
    monkeypatch.setattr(links, "_read", lambda _folder, name: Link(name not in down, "br0", ()))
    reader = Reader(EXAMPLE_URI, Group.INTERFACE | Group.DEFINITION, Selection.parse(["db1"], []), Deadline(30))
    snapshot = reader.read()
    assert attached(snapshot) == [1, None], "a bridge's, and a user-mode one"
    down.append(snapshot.domains[0].interfaces[0].name or "")
    after = reader.read_again(snapshot, [snapshot.domains[0].uuid]) if again else reader.read()
    assert attached(after) == [0, None]


@pytest.mark.parametrize("uri", ["qemu+ssh://kvm2/system", "qemu+tcp://127.0.0.1/system", "test:///default"])
def test_another_machine_is_not_judged_by_this_one(host: Sysfs, uri: str) -> None:
    host.remove("vnet0")
    made = of(domain(), networks=NETWORKS)
    assert Libvirt(domain(), uri=uri).with_ways(made, host) is made
