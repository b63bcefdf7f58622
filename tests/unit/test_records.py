"""From libvirt's fields to records: one test per trap, each with fields as libvirt 9.0 really gave them."""

from __future__ import annotations

from typing import Any

import pytest
from zabbix_kvm import discovery, master

from kvmwatch.model.snapshot import Domain
from kvmwatch.reading import records
from kvmwatch.reading.domain_xml import parse
from kvmwatch.reading.records import Reading

NOW = 1_795_450_700.0

WEB1: dict[str, Any] = {
    "state.state": 1,
    "state.reason": 1,
    "cpu.time": 61622944000,
    "cpu.user": 58169889000,
    "cpu.system": 3453055000,
    "balloon.current": 196608,
    "balloon.maximum": 196608,
    "balloon.unused": 117884,
    "balloon.available": 157832,
    "balloon.usable": 123384,
    "balloon.last-update": 1795450623,
    "balloon.rss": 275416,
    "vcpu.current": 2,
    "vcpu.maximum": 2,
    "vcpu.0.state": 1,
    "vcpu.0.time": 28440000000,
    "vcpu.0.delay": 35699342737,
    "vcpu.1.time": 27750000000,
    "vcpu.1.delay": 39793955263,
    "net.count": 1,
    "net.0.name": "vnet0",
    "net.0.rx.bytes": 17423228,
    "net.0.tx.bytes": 10390730,
    "block.count": 1,
    "block.0.name": "vda",
    "block.0.path": "/images/web1.qcow2",
    "block.0.rd.reqs": 1125,
    "block.0.rd.bytes": 36453888,
    "block.0.rd.times": 652071534,
    "block.0.allocation": 3604480,
    "block.0.capacity": 67108864,
    "block.0.physical": 3547136,
}


def domain(fields: dict[str, Any], xml: str | None = None, now: float = NOW, **reading: Any) -> Domain:
    defined = parse(f"<domain>{xml}</domain>") if xml is not None else None
    return records.domain(Reading("u", "web1", 1, 10.0, fields, defined, **reading), now)


def without(fields: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not name.startswith(prefix)}


def test_values_are_base_units() -> None:
    web1 = domain(WEB1)
    assert web1.stats.cpu_time == 61.622944
    assert web1.stats.memory_rss == 275416 * 1024
    assert web1.stats.cpu_delay == pytest.approx(75.493298)
    assert web1.vcpus[1].stats.time == 27.75
    assert web1.disks[0].stats.read_time == 0.652071534
    assert web1.disks[0].stats.read_requests == 1125


def test_shut_off_domain_has_no_cpu_time_though_libvirt_reports_the_daemons_own() -> None:
    # never started, on libvirt 9.0: exactly the utime and stime of libvirtd
    never1 = domain(
        {
            "state.state": 5,
            "state.reason": 0,
            "cpu.time": 1250000000,
            "cpu.user": 450000000,
            "cpu.system": 800000000,
            "vcpu.current": 1,
            "vcpu.maximum": 1,
            "block.count": 0,
        }
    )
    assert (never1.stats.cpu_time, never1.stats.cpu_user, never1.stats.cpu_system) == (None, None, None)
    assert not never1.active


def test_absent_field_is_none_and_never_zero() -> None:
    stats = domain(without(WEB1, "balloon.")).stats
    assert stats.memory_usable is None
    assert stats.swap_in is None


def test_user_mode_interface_is_counted_by_libvirt_but_has_no_fields() -> None:
    xml = "<devices><interface type='user'><mac address='52:54:00:00:00:09'/></interface></devices>"
    fields = without(WEB1, "net.") | {"net.count": 1}
    (interface,) = domain(fields, xml).interfaces
    assert interface.kind == "user"
    assert interface.stats.rx_bytes is None
    assert domain(fields).interfaces == ()


def test_interfaces_are_matched_by_tap_name_and_known_by_mac() -> None:
    xml = """<devices>
      <interface type='user'><mac address='52:54:00:00:00:01'/></interface>
      <interface type='network'><mac address='52:54:00:00:00:02'/><target dev='vnet0'/></interface>
    </devices>"""
    fields = without(WEB1, "net.") | {"net.count": 2, "net.1.name": "vnet0", "net.1.rx.bytes": 7}
    user, tap = domain(fields, xml).interfaces
    assert (user.key, user.stats.rx_bytes) == ("52:54:00:00:00:01", None)
    assert (tap.key, tap.stats.rx_bytes) == ("52:54:00:00:00:02", 7)


def test_two_interfaces_with_the_same_mac_stay_apart() -> None:
    nic = "<interface type='network'><mac address='52:54:00:00:00:02'/><target dev='vnet{}'/></interface>"
    both = domain(WEB1, f"<devices>{nic.format(0)}{nic.format(1)}</devices>").interfaces
    assert [interface.key for interface in both] == ["52:54:00:00:00:02", "52:54:00:00:00:02#1"]


def test_stale_balloon_statistics_are_no_values() -> None:
    # without <stats period> the guest reports once at boot, and the values stand still for ever
    fresh, stale = domain(WEB1), domain(WEB1, now=NOW + 3600)
    assert fresh.stats.memory_usable == 123384 * 1024
    assert stale.stats.memory_usable is None
    assert stale.stats.memory_available is None
    assert stale.stats.balloon_updated == 1795450623
    assert stale.stats.memory_rss == fresh.stats.memory_rss


def test_long_balloon_period_is_not_stale() -> None:
    xml = "<devices><memballoon model='virtio'><stats period='600'/></memballoon></devices>"
    assert domain(WEB1, xml, now=NOW + 1000).stats.memory_usable is not None
    assert domain(WEB1, xml, now=NOW + 2000).stats.memory_usable is None


def test_guest_that_never_reported_has_no_values() -> None:
    fields = without(WEB1, "balloon.") | {"balloon.last-update": 0, "balloon.current": 1, "balloon.rss": 1}
    stats = domain(fields).stats
    assert stats.balloon_updated == 0
    assert stats.memory_available is None


def test_backing_chain_counts_the_layer_that_the_guest_uses_once() -> None:
    chain = {
        "block.count": 2,
        "block.1.name": "vda",
        "block.1.path": "/images/base.qcow2",
        "block.1.backingIndex": 2,
        "block.1.rd.reqs": 5,
    }
    (disk,) = domain(WEB1 | chain).disks
    assert disk.path == "/images/web1.qcow2"
    assert disk.stats.read_requests == 1125


def test_empty_cdrom_drive_has_no_size_and_is_removable() -> None:
    xml = """<devices><disk type='file' device='disk'><target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='cdrom'><target dev='hda' bus='ide'/></disk></devices>"""
    empty = {"block.count": 2, "block.1.name": "hda", "block.1.rd.reqs": 0, "block.1.rd.bytes": 0}
    vda, hda = domain(WEB1 | empty, xml).disks
    assert not vda.removable
    assert hda.removable
    assert hda.stats.capacity is None
    assert hda.path is None


def test_allocation_of_an_untouched_raw_image_is_unknown() -> None:
    # QEMU says 0 bytes on disk; libvirt then puts the file's length there, which looks like 100 %
    raw = {"block.0.allocation": 0, "block.0.capacity": 33554432, "block.0.physical": 33554432}
    assert domain(WEB1 | raw).disks[0].stats.allocation is None
    assert domain(WEB1).disks[0].stats.allocation == 3547136


def test_disks_of_a_shut_off_domain_come_from_its_definition() -> None:
    xml = "<devices><disk type='file' device='disk'><source file='/i'/><target dev='vda' bus='virtio'/></disk></devices>"
    (disk,) = domain({"state.state": 5, "block.count": 0}, xml).disks
    assert (disk.name, disk.path, disk.stats.read_requests) == ("vda", "/i", None)


def test_disk_errors_are_named() -> None:
    held = domain(WEB1, disk_errors={"vda": 2}).disks[0]
    assert (held.error, held.stats.errors) == ("no space", 1)
    assert domain(WEB1, disk_errors={}).disks[0].stats.errors == 0
    assert domain(WEB1).disks[0].stats.errors is None


def test_unplugged_vcpus_leave_gaps() -> None:
    fields = without(WEB1, "vcpu.") | {"vcpu.maximum": 4, "vcpu.current": 2, "vcpu.0.time": 1, "vcpu.3.time": 1}
    each = "".join(f"<vcpu id='{number}' enabled='{'yes' if number in (0, 3) else 'no'}'/>" for number in range(4))
    web1 = domain(fields, f"<vcpu current='2'>4</vcpu><vcpus>{each}</vcpus>")
    assert [vcpu.number for vcpu in web1.vcpus] == [0, 3]
    assert web1.defined_vcpus == 2
    rows = [row["{#VCPU.ID}"] for row in discovery.PARTS["vcpus"].rows(web1)]
    assert rows == [vcpu["id"] for vcpu in master._domain(web1, NOW)["vcpus"]], "discovered is what has values"


@pytest.mark.parametrize(
    ("xml", "numbers"), [("", [0]), ("<vcpu>2</vcpu>", [0, 1]), ("<vcpu current='1'>4</vcpu>", [0])]
)
def test_vcpus_that_the_xml_gives(xml: str, numbers: list[int]) -> None:
    assert list(domain(WEB1, xml).vcpu_numbers or ()) == numbers
