"""kvmwatch list --on: which VMs have a disk in a pool, below a path, on a device; what storage stands on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kvmwatch_terminal import storage
from kvmwatch_terminal.columns import BY_NAME, cell
from kvmwatch_terminal.devices import Devices
from kvmwatch_terminal.filters import filtered
from kvmwatch_terminal.rows import rows

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Disk, Domain, Pool, Snapshot, Unread
from kvmwatch.reading import domain_xml

NO_XML = (Unread(Group.DEFINITION, "XML", "somebody's job or question holds the domain"),)


def vm(name: str, *disks: Disk, **more: Any) -> Domain:
    return Domain(name, name, 1, states.RUNNING, 1, 0.0, disks=disks, **more)


def pool(name: str, kind: str = "dir", path: str | None = None, source: str | None = None, **more: Any) -> Pool:
    return Pool(
        f"uuid of {name}", name, kind, states.POOL_RUNNING, True, True, True, path=path, source=source, **more
    )


VMS = (
    vm("file", Disk("vda", "/srv/images/a.qcow2", "disk"), Disk("hda", None, "cdrom")),
    vm("beside", Disk("vda", "/srv/images2/a.qcow2")),
    vm("deep", Disk("vda", "/tmp/top.qcow2", backing=("/tmp/mid.qcow2", "/srv/images/base/b.qcow2"))),
    vm("iso", Disk("vda", "/tmp/x"), Disk("hda", "/srv/iso/debian.iso", "cdrom")),
    vm("volume", Disk("vda", "v.qcow2", kind="volume", pool="images")),
    vm("ceph", Disk("vda", "rbd/v1", kind="network")),
    vm("lun", Disk("vda", "/dev/disk/by-path/ip-x", kind="block")),
    vm("named lun", Disk("vda", "unit:0:0:1", kind="volume", pool="san")),
    vm("diskless"),
)
POOLS = (
    pool("images", path="/srv/images"),
    pool("ceph pool", "rbd", source="rbd"),
    pool("san", "iscsi", "/dev/disk/by-path", "iqn.x"),
)


def on(what: str, vms: tuple[Domain, ...] = VMS, devices: Devices | None = None, **more: Any) -> str:
    made = Snapshot("qemu:///system", 0, 0, domains=vms, **{"pools": POOLS, **more})
    each, _ = storage.chosen(what, made, devices)
    return ", ".join(row.domain.name for row in filtered(rows(made), [each]))


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("images", "file, deep, volume"),
        ("uuid of images", "file, deep, volume"),
        ("/srv/images", "file, deep, volume"),
        ("/srv/images/", "file, deep, volume"),
        ("//srv/./images/a.qcow2", "file"),
        ("/srv/images/v.qcow2", "volume"),
        ("/srv/images/base", "deep"),
        ("/srv", "file, beside, deep, iso, volume"),
        ("/nowhere", ""),
        ("ceph pool", "ceph"),
        ("rbd", "ceph"),
        ("rbd/v1", "ceph"),
        ("san", "named lun"),
        ("/dev/disk/by-path/ip-x", "lun"),
    ],
)
def test_what_is_there(what: str, found: str) -> None:
    assert on(what) == found


def test_a_pool_of_luns_says_what_it_cannot_tell() -> None:
    made = Snapshot("qemu:///system", 0, 0, domains=VMS, pools=POOLS)
    assert "pool san has no folder of its own" in (storage.chosen("san", made, None)[1] or "")
    assert storage.chosen("images", made, None)[1] is None


@pytest.mark.parametrize(
    ("what", "more", "says"),
    [
        ("imgaes", {}, "no storage pool imgaes here; there are images, ceph pool, san, and a path begins with /"),
        ("images", {"pools": ()}, "no storage pool images here; there is none, and a path begins with /"),
        (
            "images",
            {"pools": (), "unread": (Unread(Group.POOLS, "storage pools", "refused"),)},
            "whether there is a pool images is not known: storage pools could not be read: refused",
        ),
        (
            "images",
            {"pools": (pool("images", "", unread=(Unread(Group.POOLS, "XML", "refused"),)),)},
            "where pool images is could not be read: XML could not be read: refused",
        ),
    ],
)
def test_what_is_no_place_is_said(what: str, more: Mapping[str, Any], says: str) -> None:
    with pytest.raises(KvmwatchError, match=f"^{re.escape(says)}$"):
        on(what, **more)


def test_of_whom_nobody_knows_is_shown() -> None:
    """Who looks for those that would be hit is not to miss one that cannot be asked."""
    unsure = (
        vm("no XML", unread=NO_XML),
        vm("held")._replace(state=states.NOSTATE, not_responding=9.0),
        vm("lost pool", Disk("vda", "v", kind="volume", pool="gone")),
        vm("elsewhere", Disk("vda", "/x", pool="gone")),
    )
    assert on("/srv/images", unsure) == "no XML, held, lost pool"


def test_the_pool_of_a_volume_is_in_the_xml_and_the_list() -> None:
    (disk,) = domain_xml.parse(
        "<domain><devices><disk type='volume' device='disk'><source pool='images' volume='v.qcow2'/>"
        "<target dev='vda'/></disk></devices></domain>"
    ).disks
    assert (disk.pool, disk.path) == ("images", "v.qcow2")
    (row,) = rows(Snapshot("qemu:///system", 0, 0, domains=(vm("v", disk, Disk("vdb", "/b"), Disk("hda")),)))
    assert cell(BY_NAME["disks"], row) == "vda images/v.qcow2; vdb /b"


# --- what it stands on


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    """A LUN sdb with a partition sdb1, a volume group of that with two volumes, one of which is mounted."""
    sys, dev = tmp_path / "sys", tmp_path / "dev"
    for name in ("sda", "sdb", "sdb/sdb1", "dm-0", "dm-1"):
        (sys / "devices" / name / "slaves").mkdir(parents=True)
    (sys / "devices/sdb/sdb1/partition").write_text("1\n")
    (sys / "class/block").mkdir(parents=True)
    for name in ("sda", "sdb", "sdb/sdb1", "dm-0", "dm-1"):
        (sys / "class/block" / Path(name).name).symlink_to(sys / "devices" / name)
    for volume in ("dm-0", "dm-1"):
        (sys / "devices" / volume / "slaves/sdb1").symlink_to(sys / "devices/sdb/sdb1")
    (sys / "dev/block").mkdir(parents=True)
    (sys / "dev/block/253:0").symlink_to(sys / "devices/dm-0")
    (dev / "vg0").mkdir(parents=True)
    (dev / "mapper").mkdir()
    for name in ("sda", "sdb", "sdb1", "dm-0", "dm-1"):
        (dev / name).write_text("")
    for link, name in (("vg0/images", "dm-0"), ("vg0/db", "dm-1"), ("mapper/vg0-db", "dm-1")):
        (dev / link).symlink_to(dev / name)
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        f"20 1 0:30 / / rw - btrfs {dev}/sda rw\n"
        f"21 20 253:0 / /srv/my\\040images rw,noatime shared:1 - ext4 {dev}/mapper/vg0-images rw\n"
        "22 20 0:50 / /srv/nfs rw - nfs4 nas:/export rw\n"
        "23 20 0:51 / /srv/a\r\u2028b rw - nfs4 nas:/odd rw\n".encode()
    )
    return Devices(str(mounts), str(sys), str(dev))


def test_what_storage_stands_on(devices: Devices, tmp_path: Path) -> None:
    dev = tmp_path / "dev"
    assert devices.below("/srv/my images/a.qcow2") == {"dm-0", "sdb1", "sdb"}
    assert devices.below(f"{dev}/mapper/vg0-db") == {"dm-1", "sdb1", "sdb"}
    assert devices.below("/var/a.qcow2") == {"sda"}, "what btrfs says of itself is no device"
    assert devices.below("/srv/nfs/a.qcow2") == set()
    assert devices.named(f"{dev}/vg0") == {"dm-0", "dm-1"}
    assert devices.named(f"{dev}/none") == devices.named("/srv") == set()
    assert devices.mounted_from("nas:/export") == ["/srv/nfs"]
    assert devices.mounted_from("nas:/odd") == ["/srv/a\r\u2028b"]
    assert Devices(str(tmp_path / "none")).below("/srv") == set()


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("{dev}/sdb", "image, mapped, raw"),
        ("{dev}/sdb1", "image, mapped, raw"),
        ("{dev}/vg0/db", "mapped, raw"),
        ("{dev}/mapper/vg0-db", "mapped, raw"),
        ("{dev}/vg0/images", "image"),
        ("{dev}/sda", "root"),
        ("vg0", "image, mapped, raw"),
        ("nas:/export", "nfs"),
    ],
)
def test_whom_a_device_would_hit(what: str, found: str, devices: Devices, tmp_path: Path) -> None:
    dev = f"{tmp_path}/dev"
    vms = (
        vm("image", Disk("vda", "/srv/my images/a.qcow2")),
        vm("mapped", Disk("vda", f"{dev}/mapper/vg0-db")),
        vm("raw", Disk("vda", f"{dev}/vg0/db")),
        vm("root", Disk("vda", "/var/a.qcow2")),
        vm("nfs", Disk("vda", "/srv/nfs/a.qcow2")),
    )
    pools = (pool("vg0", "logical", f"{dev}/vg0", "vg0"),)
    assert on(what.format(dev=dev), vms, devices, pools=pools) == found
