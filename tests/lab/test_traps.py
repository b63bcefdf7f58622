"""libvirt's traps on the real thing: each shows that libvirt still misleads, and that we do not."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command

if TYPE_CHECKING:
    from bed import Bed


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
    assert "cpu_time" not in collected["never1"]


def test_balloon_without_driver_gives_no_guest_memory(collected: dict[str, Any]) -> None:
    for name in ("nodriver1", "noballoon1"):
        assert "memory_available" not in collected[name]
        assert collected[name]["memory_rss"] > 16 << 20


def test_stale_balloon_statistics(command: Command, bed: Bed) -> None:
    """A guest whose reports stopped: the period is taken away, and the clock of the check is moved."""
    assert "usage" in command("check_kvm_memory", "-d", "idle1", "-v").out
    late = command("check_kvm_memory", "-d", "idle1", "-v", env=bed.later(3600))
    assert "idle1.usage" not in late.out
    assert "guest stopped reporting its memory" in late.first
    assert late.code == 1


def test_pool_available_counts_only_what_can_be_written(command: Command, bed: Bed) -> None:
    from bed import WORK

    document = json.loads(command("zabbix_kvm", "collect").out)
    pools = {pool["name"]: pool for pool in document["pools"]}
    tiny = os.statvfs(WORK / "tiny")
    assert pools["tiny"]["available"] == tiny.f_bavail * tiny.f_frsize
    # libvirt's own figure is that of the pool's last refresh: an empty pool
    assert bed.connect().storagePoolLookupByName("tiny").info()[3] > pools["tiny"]["available"]
    assert "dead inactive though it should be active (autostart)" in command("check_kvm_pool").first


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
