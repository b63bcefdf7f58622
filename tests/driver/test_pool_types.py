"""Storage pools of libvirt's test driver, which plays every type, counted as local: their paths are real ones here."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from judging import CRITICAL, OK, judged

from kvmwatch.model.groups import Group
from kvmwatch.model.pool_kinds import KINDS, MOUNT
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Pool, Snapshot
from kvmwatch.reading import storage
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

RUNS = "in_process"

#: what libvirt wants to know of a pool's source, by type
SOURCES = {
    "fs": "<device path='/dev/vdz'/>",
    "netfs": "<host name='nfs.example.com'/><dir path='/export/vms'/>",
    "vstorage": "<name>cluster</name>",
    "logical": "<name>vg</name><device path='/dev/vdz'/>",
    "disk": "<device path='/dev/vdz'/>",
    "iscsi": "<host name='192.0.2.9'/><device path='iqn.2024-01.com.example:t1'/>",
    "iscsi-direct": "<host name='192.0.2.9'/><device path='iqn.2024-01.com.example:t1'/>"
    "<initiator><iqn name='iqn.2024-01.com.example:i1'/></initiator>",
    "scsi": "<adapter name='host0'/>",
    "rbd": "<name>rbd</name><host name='mon.example.com'/>",
    "sheepdog": "<name>sheep</name><host name='sheep.example.com'/>",
    "gluster": "<name>vol</name><host name='gluster.example.com'/><dir path='/'/>",
    "zfs": "<name>tank</name>",
}
#: the test driver gives every pool this size
CAPACITY = 100 << 30


def read(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, target: Path) -> Pool:
    """Read a pool of this type and target, with a volume of 97 GiB."""
    file = folder / "hypervisor.xml"
    file.write_text(
        f"<node><pool type='{kind}'><name>p1</name><source>{SOURCES.get(kind, '')}</source>"
        f"<target><path>{escape(str(target))}</path></target><volume><name>web1</name>"
        "<capacity unit='GiB'>97</capacity><allocation unit='GiB'>97</allocation></volume></pool></node>",
        encoding="utf-8",
    )
    monkeypatch.setattr(storage, "is_local", lambda _uri: True)
    (pool,) = Reader(f"test://{file}", Group.POOLS, Selection(), Deadline(60)).read().pools
    return pool


def verdict(pool: Pool) -> tuple[str, int]:
    return judged("pool", Snapshot("test:///default", 0, 0, pools=(pool,)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sheepdog"])  # libvirt 8.8 removed it
def test_every_type_by_where_its_storage_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    there = tmp_path / "there"
    there.mkdir()
    good, gone, mounted = (
        read(tmp_path, monkeypatch, kind, path) for path in (there, tmp_path / "gone", Path("/proc"))
    )
    assert {pool.kind for pool in (good, gone, mounted)} == {kind}
    if not KINDS[kind].local:
        for pool in (good, gone, mounted):
            assert (pool.fault, pool.unread, pool.stats.capacity) == (None, (), CAPACITY)
        return
    assert verdict(gone)[1] == CRITICAL
    assert f"{tmp_path}/gone is gone" in verdict(gone)[0]
    assert verdict(mounted)[1] == OK
    if KINDS[kind].path == MOUNT:
        assert f"nothing is mounted at {there}" in verdict(good)[0]
        assert verdict(good)[1] == CRITICAL
        assert good.stats.capacity is None
    else:
        assert good.stats.capacity not in (None, CAPACITY), "the file system's own"


def test_a_directory_that_is_renamed_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "images & <more>"
    target.mkdir()
    pool = read(tmp_path, monkeypatch, "dir", target)
    assert pool.fault is None
    target.rename(tmp_path / "moved")
    pool = read(tmp_path, monkeypatch, "dir", target)
    assert pool.fault == f"its directory {target} is gone"
    (tmp_path / "moved").rename(target)
    pool = read(tmp_path, monkeypatch, "dir", target)
    assert pool.fault is None


def test_from_afar_libvirts_word_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(tmp_path, monkeypatch, "netfs", tmp_path)
    monkeypatch.undo()
    (pool,) = Reader(f"test://{tmp_path}/hypervisor.xml", Group.POOLS, Selection(), Deadline(60)).read().pools
    assert (pool.fault, pool.stats.capacity) == (None, CAPACITY)
    assert verdict(pool)[1] == CRITICAL  # 97 %
