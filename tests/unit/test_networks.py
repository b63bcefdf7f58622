"""Virtual networks of every kind on a made host; what of one cannot be read takes no other with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import libvirt
import pytest
from check_kvm import net
from check_kvm.frame import output, plugin
from check_kvm.frame.siteconfig import SiteConfig
from hanging import ALL_OVER
from sysfs import Made, Sysfs

from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import NetworkStats
from kvmwatch.model.snapshot import Network, Snapshot
from kvmwatch.reading import dnsmasq, networks
from kvmwatch.reading.deadline import Deadline

DHCP = (
    "<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>"
    "<range start='192.168.122.100' end='192.168.122.199'/></dhcp></ip>"
)
OK, WARNING, CRITICAL, UNKNOWN = range(4)
#: live XML of a network of each kind, and the bridge that it has on the host
KINDS: dict[str, tuple[str, Optional[str]]] = {
    "nat": (f"<forward mode='nat'/><bridge name='virbr0' stp='on'/>{DHCP}", "virbr0"),
    "route": ("<forward mode='route'/><bridge name='virbr1'/>", "virbr1"),
    "open": ("<forward mode='open'/><bridge name='virbr2'/>", "virbr2"),
    "isolated": ("<bridge name='virbr3'/>", "virbr3"),
    "host bridge": ("<forward mode='bridge'/><bridge name='br0'/>", "br0"),
    "openvswitch": ("<forward mode='bridge'/><bridge name='ovs0'/><virtualport type='openvswitch'/>", "ovs0"),
    "macvtap": ("<forward mode='bridge'><interface dev='eth0'/></forward>", None),
    "vepa": ("<forward mode='vepa'><interface dev='eth0'/></forward>", None),
    "private": ("<forward mode='private'><interface dev='eth0'/></forward>", None),
    "passthrough": ("<forward mode='passthrough'><pf dev='eth0'/></forward>", None),
    "hostdev": ("<forward mode='hostdev' managed='yes'><pf dev='eth0'/></forward>", None),
}
LEASES = [{"mac": f"52:54:00:00:00:0{number}", "ipaddr": f"10.0.0.{number}"} for number in (2, 3, 4)]
BRIDGED = [kind for kind, (_, bridge) in KINDS.items() if bridge]


def trouble(code: int, text: str = "it does not") -> libvirt.libvirtError:
    """libvirt's error, which only libvirt itself can make whole."""
    made = libvirt.libvirtError(text)
    made.err = (code, 0, text, 2, None, None, None, 0, 0)
    return made


class Handle:
    """Stands for a virNetwork; what it is asked gives a value or raises one."""

    def __init__(self, name: str, xml: str = "<bridge name='virbr0'/>", active: bool = True) -> None:
        self._name = name
        self.listed = active
        self.alive = True
        self.xml: str | Exception = f"<network><name>{name}</name>{xml}</network>"
        self.leases: list[Any] | Exception = list(LEASES)
        self.asked: Callable[[], Any] = lambda: active

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's names
        return f"uuid of {self._name}"

    def name(self) -> str:
        return self._name

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        return str(given(self.xml))

    def DHCPLeases(self) -> list[Any]:  # noqa: N802
        leases: list[Any] = given(self.leases)
        return leases

    def isActive(self) -> bool:  # noqa: N802
        return bool(given(self.asked()))

    def connect(self) -> Any:
        return SimpleNamespace(isAlive=lambda: self.alive)


def given(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def read(host: Sysfs, *handles: Handle, uri: str = "network:///system") -> tuple[Network, ...]:
    def listed(flag: int) -> list[Handle]:
        return [one for one in handles if one.listed or flag != libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE]

    by_uuid = {one.UUIDString(): one for one in handles}
    connection = SimpleNamespace(
        listAllNetworks=listed,
        networkLookupByUUIDString=by_uuid.__getitem__,
        isAlive=lambda: all(one.alive for one in handles),
    )
    hypervisor: Any = SimpleNamespace(uri=uri, connection=connection, another=lambda: connection)
    return networks.read(hypervisor, Deadline(2), host.folder, host.folder)


def test_a_network_that_hangs_is_told_and_no_other(host: Sysfs) -> None:
    hanging = Handle("lan")
    hanging.asked = hanging.XMLDesc = lambda *_: ALL_OVER.wait()  # type: ignore[assignment]
    found = {one.name: one for one in read(host, hanging, Handle("wan"))}
    assert judged(found["lan"])[1] == 3
    assert found["lan"].unread
    assert found["wan"].unread == ()


def judged(*found: Network) -> tuple[str, int]:
    snapshot = Snapshot("qemu:///system", 0, 0, networks=found)
    return output.render(
        "net", plugin.judged(net.CHECK, snapshot, plugin.checked_thresholds(net.CHECK, SiteConfig()))
    )


@pytest.fixture
def host(tmp_path: Path) -> Sysfs:
    # the interface that Open vSwitch makes of a bridge is down for ever
    bridges = {bridge: Made(up=bridge != "ovs0") for _, bridge in KINDS.values() if bridge}
    return Sysfs(tmp_path / "net", **bridges)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_that_is_well(host: Sysfs, kind: str) -> None:
    xml, bridge = KINDS[kind]
    (found,) = read(host, Handle("lan", xml))
    assert (found.bridge, found.bridge_found) == (bridge, True if bridge else None)
    assert found.stats.bridge_up == (1 if bridge else None)
    text, code = judged(found)
    assert (code, "lan active" in text) == (OK, True)


@pytest.mark.parametrize("kind", BRIDGED)
def test_each_kind_whose_bridge_is_gone(host: Sysfs, kind: str) -> None:
    xml, bridge = KINDS[kind]
    host.remove(bridge or "")
    (found,) = read(host, Handle("lan", xml))
    assert (found.bridge_found, found.stats.bridge_up) == (False, 0)
    text, code = judged(found)
    assert (code, f"lan its bridge {bridge} is gone" in text) == (CRITICAL, True)


@pytest.mark.parametrize("kind", BRIDGED)
def test_each_kind_whose_bridge_is_down(host: Sysfs, kind: str) -> None:
    xml, bridge = KINDS[kind]
    host.set(bridge or "", Made(up=False))
    text, code = judged(*read(host, Handle("lan", xml)))
    works = kind == "openvswitch"
    assert code == (OK if works else CRITICAL)
    assert (f"lan its bridge {bridge} is down" in text) == (not works)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autostart", [True, False])
def test_one_that_is_not_active_is_not_looked_at(host: Sysfs, kind: str, autostart: bool) -> None:
    xml, bridge = KINDS[kind]
    host.remove(bridge or "none")
    (found,) = read(host, Handle("lan", xml, active=False))
    assert (found.bridge, found.bridge_found, found.stats) == (bridge, None, NetworkStats())
    text, code = judged(found._replace(autostart=autostart))
    assert code == (CRITICAL if autostart else OK)
    assert ("inactive though it should be active (autostart)" in text) == autostart


@pytest.mark.parametrize(("active", "up"), [(True, 0), (False, None)])
def test_a_network_that_stops_meanwhile_has_no_bridge_that_is_missing(
    host: Sysfs, active: bool, up: Optional[int]
) -> None:
    host.remove("virbr0")
    handle = Handle("lan")
    handle.asked = lambda: active
    (found,) = read(host, handle)
    assert found.stats.bridge_up == up


def test_a_bridge_of_which_libvirt_does_not_say_whether_it_should_be_there(host: Sysfs) -> None:
    host.remove("virbr0")
    handle = Handle("lan")
    handle.asked = lambda: trouble(libvirt.VIR_ERR_INTERNAL_ERROR)
    (found,) = read(host, handle)
    assert (found.stats.bridge_up, [part.what for part in found.unread]) == (None, ["bridge"])
    assert judged(found)[1] == UNKNOWN


def test_a_network_that_is_started_anew_meanwhile_is_well(host: Sysfs) -> None:
    host.remove("virbr0")
    handle = Handle("lan")

    def started() -> bool:
        host.set("virbr0", Made())
        return True

    handle.asked = started
    assert read(host, handle)[0].stats.bridge_up == 1


@pytest.mark.parametrize(
    ("looks", "active", "found"),
    [
        ([True], True, True),
        ([None], True, None),
        ([False, False], True, False),
        ([False, True], True, True),  # the network was started anew meanwhile
        ([False], False, None),  # or stopped
        ([False], trouble(1), None),
    ],
)
def test_a_dnsmasq_that_has_ended_is_looked_at_twice(
    host: Sysfs, monkeypatch: pytest.MonkeyPatch, looks: list[Optional[bool]], active: Any, found: Optional[bool]
) -> None:
    left = list(looks)
    monkeypatch.setattr(dnsmasq, "runs", lambda *_: left.pop(0))
    lan = Handle("lan")
    lan.asked = lambda: active
    (network,) = read(host, lan)
    assert (network.stats.dnsmasq_up, left) == (found, [])
    assert bool(network.unread) is isinstance(active, Exception)


@pytest.mark.parametrize("uri", ["qemu+ssh://kvm2/system", "test:///default"])
def test_the_bridges_of_another_machine_are_not_to_be_seen(host: Sysfs, uri: str) -> None:
    host.remove("virbr0")
    (found,) = read(host, Handle("lan", KINDS["nat"][0]), uri=uri)
    assert (found.bridge_found, found.stats.bridge_up, found.stats.leases) == (None, None, 3)
    assert judged(found)[1] == OK


@pytest.mark.parametrize("ask", ["xml", "leases"])
@pytest.mark.parametrize(
    ("code", "unread"),
    [
        (libvirt.VIR_ERR_INTERNAL_ERROR, True),
        (libvirt.VIR_ERR_ACCESS_DENIED, True),
        (libvirt.VIR_ERR_NO_SUPPORT, False),
        (libvirt.VIR_ERR_OPERATION_UNSUPPORTED, False),
    ],
)
def test_what_of_one_cannot_be_read_is_its_own(host: Sysfs, ask: str, code: int, unread: bool) -> None:
    handle, other = Handle("broken", KINDS["nat"][0]), Handle("well", KINDS["nat"][0])
    setattr(handle, ask, trouble(code))
    broken, well = read(host, handle, other)
    assert (well.unread, well.stats.leases, well.stats.bridge_up) == ((), 3, 1)
    assert broken.stats.leases == (3 if ask == "xml" else None)
    assert [(part.group, part.why) for part in broken.unread] == (
        [(Group.NETWORKS, "it does not")] if unread else []
    )
    text, state = judged(broken, well)
    assert state == (UNKNOWN if unread else OK)
    assert ("broken " in text.split("|")[0] and "could not be read: it does not" in text) == unread


@pytest.mark.parametrize("xml", ["no XML", KINDS["nat"][0].replace("192.168.122.199", "nonsense")])
def test_xml_that_is_none_is_told(host: Sysfs, xml: str) -> None:
    handle = Handle("broken", xml)
    handle.xml = xml if xml == "no XML" else handle.xml
    (found,) = read(host, handle)
    assert [part.what for part in found.unread] == ["XML"]
    assert judged(found)[1] == UNKNOWN


@pytest.mark.parametrize("ask", ["xml", "leases"])
def test_one_that_vanishes_is_left_out(host: Sysfs, ask: str) -> None:
    gone = Handle("gone", KINDS["nat"][0])
    setattr(gone, ask, trouble(libvirt.VIR_ERR_NO_NETWORK))
    assert [found.name for found in read(host, gone, Handle("well"))] == ["well"]


def test_a_lost_connection_is_nobodys_own(host: Sysfs) -> None:
    handle = Handle("lan")
    handle.xml, handle.alive = trouble(libvirt.VIR_ERR_RPC), False
    with pytest.raises(libvirt.libvirtError):
        read(host, handle)


@pytest.mark.parametrize(
    ("ranges", "addresses", "usage"),
    [
        ("<dhcp><range start='10.0.0.2' end='10.0.0.5'/></dhcp>", 4, 75),
        ("<dhcp><range start='10.0.0.2' end='10.0.0.2'/><range start='10.0.0.8' end='10.0.0.9'/></dhcp>", 3, 100),
        ("<dhcp><range start='10.0.0.9' end='10.0.0.9'/><host mac='52:54:00:00:00:01' ip='10.0.0.3'/></dhcp>", 1, 300),
        ("<dhcp><host mac='52:54:00:00:00:01' ip='10.0.0.3'/></dhcp>", None, None),
        ("<dhcp><range start='fd00::2' end='fd00::ffff'/></dhcp>", None, None),
        ("<dhcp><range start='fd00::2' end='fd00::9'/><range start='10.0.0.2' end='10.0.0.4'/></dhcp>", 3, 100),
    ],
)  # fmt: skip
def test_leases_of_the_addresses_there_are(
    host: Sysfs, ranges: str, addresses: Optional[int], usage: Optional[float]
) -> None:
    lan = Handle("lan", f"<bridge name='virbr0'/><ip>{ranges}</ip>")
    lan.leases = [*LEASES, {"mac": "52:54:00:00:00:04", "ipaddr": "fd00::4"}, {"mac": None, "ipaddr": "fd00::5"}]
    (found,) = read(host, lan)
    leases = 3 if addresses else 5
    assert (found.stats.leases, found.stats.addresses, derived.network_usage(found)) == (leases, addresses, usage)


def test_a_network_without_dhcp_has_no_leases(host: Sysfs) -> None:
    handle = Handle("lan", KINDS["isolated"][0])
    handle.leases = AssertionError("asked in vain")
    assert read(host, handle)[0].stats.leases is None
