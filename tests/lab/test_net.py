"""kvmwatch net beside ip, bridge and /proc/net/dev, on real taps, a macvtap, a container's port and an uplink."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command
from guests import guest
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

pytestmark = [pytest.mark.usefixtures("bed"), pytest.mark.daemons("libvirtd")]

BRIDGE, UPLINK, CONTAINER = "virbr0", "uplink1", "container0"
MACVTAP_MAC = "52:54:00:00:03:01"
ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
TABLE = Path("/proc/net/nf_conntrack")
#: web1 talks to the host's first address all the time
GUEST, HOST = "192.168.122.2", "192.168.122.3"


def said(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout


@pytest.fixture(scope="module")
def wired(bed: Bed) -> Iterator[None]:
    """An uplink and a container's port in the bridge, and a guest with a macvtap on the other end of that uplink."""
    try:
        said("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
        said("ip", "link", "add", "link", "wire0", "name", UPLINK, "type", "macvlan", "mode", "bridge")
        said("ip", "link", "add", CONTAINER, "type", "veth", "peer", "name", "inside0")
        said("ip", "link", "add", "alone0", "type", "veth", "peer", "name", "alone1")
        for name in ("wire0", "wire1", UPLINK, CONTAINER, "inside0", "alone0", "alone1"):
            said("ip", "link", "set", name, "up")
        for name in (UPLINK, CONTAINER):
            said("ip", "link", "set", name, "master", BRIDGE)
        said("ip", "addr", "add", "192.0.2.1/24", "brd", "+", "dev", "wire1")
        said("ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)
        yield
    finally:
        for words in (
            *(("link", "del", "wire0"), ("link", "del", CONTAINER), ("link", "del", "alone0")),
            ("addr", "del", f"{HOST}/24", "dev", BRIDGE),
        ):
            with contextlib.suppress(subprocess.CalledProcessError):
                said("ip", *words)


def devices(command: Command, *words: str) -> dict[str, dict[str, Any]]:
    ran = command("kvmwatch", "net", "--format", "json", *words)
    assert (ran.code, ran.err) == (0, ""), ran
    return {device["name"]: device for device in json.loads(ran.out)["devices"]}


def counters() -> dict[str, list[int]]:
    """Of each device: bytes, packets received, and sent."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]
    split = (line.partition(":")[::2] for line in lines)
    numbers = {name.strip(): [int(number) for number in rest.split()] for name, rest in split}
    return {name: [each[0], each[1], each[8], each[9]] for name, each in numbers.items()}


def taps(vm: str) -> list[str]:
    lines = [line.split() for line in said("virsh", "-r", "domiflist", vm).splitlines()[2:] if line]
    return [line[0] for line in lines]


def test_what_is_in_the_bridge(command: Command, wired: None) -> None:
    found = devices(command, BRIDGE)
    listed = json.loads(said("ip", "-j", "link", "show", "master", BRIDGE))
    ports = {name for name, device in found.items() if device["kind"] != "bridge"}
    assert ports == {link["ifname"] for link in listed}
    linked = {
        line.split(": ")[1].partition("@")[0]
        for line in said("bridge", "link").splitlines()
        if f"master {BRIDGE}" in line
    }
    assert ports == linked
    assert {name: found[name]["kind"] for name in (BRIDGE, UPLINK, CONTAINER)} == {
        BRIDGE: "bridge",
        UPLINK: "uplink",
        CONTAINER: "port",
    }
    for tap in taps("web1"):
        assert (found[tap]["vm"], found[tap]["bridge"], found[tap]["uplinks"]) == ("web1", BRIDGE, [UPLINK])
    assert found[BRIDGE]["vms"] == found[UPLINK]["vms"] == len({each["vm"] for each in found.values()} - {None})


def test_whose_it_is(command: Command, wired: None) -> None:
    tap = taps("web1")[0]
    of_tap = devices(command, tap)
    assert set(of_tap) == {tap, BRIDGE, UPLINK}
    assert devices(command, of_tap[tap]["mac"].upper()).keys() == of_tap.keys()
    said("ip", "neigh", "replace", GUEST, "lladdr", of_tap[tap]["mac"], "dev", BRIDGE)
    assert devices(command, GUEST)[tap]["vm"] == "web1"
    assert set(devices(command, CONTAINER)) == {CONTAINER, BRIDGE, UPLINK}
    assert set(devices(command, "web1")) == {*taps("web1"), BRIDGE, UPLINK}
    kinds = {
        link["ifname"]: link["linkinfo"]["info_kind"]
        for link in json.loads(said("ip", "-d", "-j", "link"))
        if "linkinfo" in link
    }
    assert (kinds[tap], kinds[BRIDGE]) == ("tun", "bridge")


def test_rates_beside_the_kernels_counters(command: Command, wired: None) -> None:
    tap = taps("web1")[0]
    devices(command)  # its counters are those that the next one compares with
    before, begun = counters(), time.monotonic()
    time.sleep(5)
    found = devices(command)
    after, seconds = counters(), time.monotonic() - begun
    close = 0.2  # the readings are some 100 ms apart
    for name in (tap, BRIDGE):
        rx, rx_packets, tx, tx_packets = ((new - old) / seconds for new, old in zip(after[name], before[name]))
        told = found[name]
        # the host receives what the VM sends
        assert told["tx"] == pytest.approx(rx * 8, rel=close), name
        assert told["tx_packets"] == pytest.approx(rx_packets, rel=close, abs=1), name
        assert told["rx"] == pytest.approx(tx * 8, rel=close, abs=100), name
        assert told["rx_packets"] == pytest.approx(tx_packets, rel=close, abs=1), name
    assert found[tap]["tx"] > 0, "web1 is told to send"
    assert next(iter(found)) == max(
        (name for name in found if found[name]["vm"]), key=lambda name: found[name]["traffic"] or 0
    )


def test_an_uplink_that_floods(command: Command, wired: None) -> None:
    """What comes in by it goes to the VMs: the direction is theirs."""
    devices(command)
    sent = subprocess.Popen(["ping", "-q", "-b", "-i", "0.05", "-c", "60", "-s", "1000", "-I", "wire1", "192.0.2.255"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    before, begun = counters()[UPLINK], time.monotonic()
    sent.wait()
    found = devices(command)[UPLINK]
    after, seconds = counters()[UPLINK], time.monotonic() - begun
    received, transmitted = ((new - old) / seconds for new, old in zip(after[::2], before[::2]))
    assert received > 1000, "pings of 1000 bytes were sent"
    assert found["rx"] == pytest.approx(received * 8, rel=0.3, abs=200)
    assert found["tx"] == pytest.approx(transmitted * 8, rel=0.3, abs=200)


def test_a_macvtap(command: Command, bed: Bed, wired: None) -> None:
    xml = f"<interface type='direct'><mac address='{MACVTAP_MAC}'/><source dev='wire1' mode='bridge'/></interface>"
    bed.define(guest("macvtap1", devices=xml))
    try:
        found = devices(command, "macvtap1")
        (tap,) = taps("macvtap1")
        assert (found[tap]["kind"], found[tap]["bridge"], found[tap]["uplinks"]) == ("macvtap", None, ["wire1"])
        ran = command("kvmwatch", "net", "macvtap1", "--peers")
        assert f"{tap} passes connection tracking by" in ran.err
    finally:
        bed.remove("macvtap1")


@pytest.mark.parametrize(
    ("name", "xml", "sent_by_the_guest"),
    [
        ("ether1", "<interface type='ethernet'><target dev='ether0'/><model type='virtio'/></interface>", 1),
        (
            "macvtap2",
            "<interface type='direct'><source dev='alone0' mode='bridge'/><model type='virtio'/></interface>",
            3,
        ),
    ],
)
def test_directions_of_other_kinds(
    command: Command, bed: Bed, wired: None, name: str, xml: str, sent_by_the_guest: int
) -> None:
    """A guest that asks in vain for another's MAC sends, and receives nothing."""
    bed.define(guest(name, "lab.net=10 lab.ip=192.168.122.9/24", xml))
    try:
        (tap,) = taps(name)
        eventually("it asks", lambda: counters()[tap][sent_by_the_guest] > 5)
        devices(command)
        before, begun = counters()[tap], time.monotonic()
        time.sleep(5)
        found = devices(command)[tap]
        sent = (counters()[tap][sent_by_the_guest] - before[sent_by_the_guest]) / (time.monotonic() - begun)
        assert found["tx_packets"] == pytest.approx(sent, rel=0.3, abs=0.3)
        assert found["rx_packets"] < sent / 2
    finally:
        bed.remove(name)


def test_a_tap_in_another_bridge(command: Command, wired: None) -> None:
    tap = taps("web1")[1]
    said("ip", "link", "add", "br-else", "type", "bridge")
    try:
        said("ip", "link", "set", tap, "master", "br-else")
        found = devices(command, tap)
        assert set(found) == {tap, "br-else"}
        assert (found[tap]["bridge"], found[tap]["uplinks"]) == ("br-else", [])
        assert "is not in bridge virbr0 but in br-else" in found[tap]["link"]
    finally:
        said("ip", "link", "set", tap, "master", BRIDGE)
        said("ip", "link", "del", "br-else")


def test_from_elsewhere_it_is_said_what_cannot_be_seen(command: Command, wired: None) -> None:
    ran = command("kvmwatch", "net", "-u", "qemu+tcp://127.0.0.1/system", "web1", "--format", "json")
    assert ran.code == 0
    assert "bridges and uplinks cannot be seen from here" in ran.err
    found = {device["name"]: device for device in json.loads(ran.out)["devices"]}
    assert set(found) == {*taps("web1"), BRIDGE}
    assert found[taps("web1")[0]]["tx"] > 0
    assert (found[BRIDGE]["tx"], found[taps("web1")[0]]["uplinks"]) == (None, None)


@pytest.mark.skipif(not ACCOUNTING.exists(), reason="this kernel has no connection tracking")
def test_peers(command: Command, wired: None) -> None:
    mac = devices(command, taps("web1")[0])[taps("web1")[0]]["mac"]
    said("ip", "neigh", "replace", GUEST, "lladdr", mac, "dev", BRIDGE)
    ACCOUNTING.write_text("0")
    off = command("kvmwatch", "net", "web1", "--peers")
    assert off.code == 0, off
    assert "'sysctl -w net.netfilter.nf_conntrack_acct=1'" in off.err
    ACCOUNTING.write_text("1")
    # connections are tracked once something asks for it, as the rules of NAT do
    said("iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "ACCEPT")
    pinging = subprocess.Popen(["ping", "-q", "-i", "0.2", "-I", HOST, GUEST], stdout=subprocess.DEVNULL)
    try:
        eventually("the ping is tracked", lambda: f"src={HOST} dst={GUEST} " in TABLE.read_text(encoding="ascii"))
        ran = command("kvmwatch", "net", GUEST, "--peers", "--format", "json")
        before = tracked()
    finally:
        pinging.terminate()
        pinging.wait()
        ACCOUNTING.write_text("0")
    assert ran.code == 0, ran
    document = json.loads(ran.out)
    assert (document["vm"], document["addresses"]) == ("web1", [GUEST])
    pair = next(pair for pair in document["peers"] if pair["peer"] == HOST and "icmp" in pair["services"])
    assert pair["connections"] >= 1
    assert 0 < pair["rx_bytes"] <= before, "what the kernel counted a moment later"
    assert pair["rx"] > 0


def tracked() -> int:
    """Bytes that the kernel has seen go from the host to the guest."""
    lines = [
        line
        for line in TABLE.read_text(encoding="ascii").splitlines()
        if f"={GUEST} " in line and f"={HOST} " in line
    ]
    sent = [re.search(rf"src={HOST} dst={GUEST} .*?bytes=([0-9]+)", line) for line in lines]
    return sum(int(match[1]) for match in sent if match)
