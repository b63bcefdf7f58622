"""libvirt's traps on the real thing: each shows that libvirt still misleads, and that we do not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("libvirtd")


def domstats(domain: str, *arguments: str) -> dict[str, str]:
    """What virsh domstats prints, as a dictionary."""
    ran = subprocess.run(
        ["virsh", "-r", "domstats", *arguments, domain], capture_output=True, text=True, check=True
    )
    lines = (line.strip().split("=", 1) for line in ran.stdout.splitlines() if line.startswith("  "))
    return {line[0]: line[1] for line in lines}


@pytest.fixture
def collected(command: Command, bed: Bed) -> dict[str, Any]:
    document = json.loads(command("zabbix_kvm", "collect").out)
    return {domain["name"]: domain for domain in document["domains"]}


def test_shut_off_domain_reports_the_daemons_cpu_time(collected: dict[str, Any]) -> None:
    assert int(domstats("never1")["cpu.time"]) > 0, "libvirt reports a CPU time for a domain that never ran"
    assert "cpu_time_per_vcpu" not in collected["never1"]


def test_balloon_without_driver_gives_no_guest_memory(collected: dict[str, Any]) -> None:
    for name in ("nodriver1", "noballoon1"):
        assert "memory_usage" not in collected[name]
        assert collected[name]["memory_rss"] > 16 << 20


def test_stale_balloon_statistics(command: Command, bed: Bed) -> None:
    """A guest whose reports stopped: the period is taken away, and the clock of the check is moved."""
    assert "usage" in command("check_kvm_memory", "-d", "idle1", "-v").out
    late = command("check_kvm_memory", "-d", "idle1", "-v", env=bed.later(3600))
    assert " usage=U;" in late.first
    assert "guest stopped reporting its memory" in late.first
    assert late.code == 1


def pools(command: Command) -> dict[str, dict[str, Any]]:
    """The pools of the master item by name."""
    return {pool["name"]: pool for pool in json.loads(command("zabbix_kvm", "collect").out)["pools"]}


def test_pool_figures_are_those_of_now(command: Command, bed: Bed) -> None:
    from bed import WORK

    unknown_to_libvirt = WORK / "pool" / "grown"
    before = pools(command)["images"]
    unknown_to_libvirt.write_bytes(bytes(8 << 20))
    try:
        after = pools(command)["images"]
        assert after["used"] - before["used"] >= 8 << 20
        stale = bed.connect().storagePoolLookupByName("images").info()
        assert stale[3] > after["available"], "libvirt tells of the pool's last refresh"
    finally:
        unknown_to_libvirt.unlink()


def test_pool_available_does_not_count_reserved_blocks(command: Command, bed: Bed) -> None:
    """On a file system with blocks reserved for root, if the machine's own disk has such."""
    folder = Path(__file__).parent
    xml = f"<pool type='dir'><name>reserved</name><target><path>{folder}</path></target></pool>"
    pool = bed.connect().storagePoolCreateXML(xml)
    try:
        fs = os.statvfs(folder)
        # others write to this disk, too: near is enough to tell the two figures apart
        near = pytest.approx(fs.f_bavail * fs.f_frsize, rel=0.01)
        assert pools(command)["reserved"]["available"] == near
        if fs.f_bfree > fs.f_bavail * 1.02:
            assert pool.info()[3] > fs.f_bavail * fs.f_frsize * 1.01
    finally:
        pool.destroy()


def test_pool_that_should_be_active(command: Command, bed: Bed) -> None:
    ran = command("check_kvm_pool")
    assert ran.code == 2
    assert "dead inactive though it should be active (autostart)" in ran.first
    assert "tiny usage 98 % (over 95 %)" in ran.first


def test_host_memory_is_what_the_kernel_says(command: Command, bed: Bed) -> None:
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        total = next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemTotal"))
    document = json.loads(command("zabbix_kvm", "collect").out)
    assert document["host"]["memory_total"] == total


def test_one_entry_per_disk_with_a_backing_chain(command: Command, bed: Bed) -> None:
    from bed import WORK

    web1 = bed.lookup("web1")
    overlay = WORK / "overlay.qcow2"
    xml = (
        f"<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='{overlay}'/></disk>"
        "<disk name='vdb' snapshot='no'/></disks></domainsnapshot>"
    )
    import libvirt

    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    web1.snapshotCreateXML(xml, flags)
    chain = domstats("web1", "--backing", "--block")
    assert int(chain["block.count"]) > int(domstats("web1", "--block")["block.count"])
    document = json.loads(command("zabbix_kvm", "collect", "-d", "web1").out)
    assert [disk["name"] for disk in document["domains"][0]["disks"]] == ["vda", "vdb"]


def test_user_mode_interface_is_named_without_counters(command: Command, bed: Bed) -> None:
    from bed import ODD_NAME

    assert domstats(ODD_NAME, "--interface") == {"net.count": "1"}
    ran = command("check_kvm_network", "-d", ODD_NAME, "-v")
    assert "no counters (user interface)" in ran.out
    assert " | " not in ran.first


def test_allocation_is_what_the_image_takes(command: Command, bed: Bed) -> None:
    from bed import WORK

    document = json.loads(command("zabbix_kvm", "collect", "-d", "web1").out)
    vdb = document["domains"][0]["disks"][1]
    assert vdb["allocation"] == pytest.approx(os.stat(WORK / "web1.raw").st_blocks * 512, rel=0.05)
    assert vdb["capacity"] == 64 << 20
