"""Storage pools that cannot be read, in part or at all: each is told as such, and takes no other with it.

libvirt is played, because a real one fails only where its storage does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import libvirt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judging import CRITICAL, OK, UNKNOWN, judged

from kvmwatch.model import states
from kvmwatch.model.metrics import PoolStats
from kvmwatch.model.snapshot import Pool, Snapshot
from kvmwatch.reading import pool_paths, storage, thin_pools
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.lanes import Crew
from kvmwatch.reading.pool_questions import count_volumes
from kvmwatch.reading.thin_pools import Use

GIB = 1 << 30
REMOTE, LOCAL, PLAYED = "qemu+tcp://kvm2/system", "qemu:///system", "test:///played"


def error(code: int, number: int = 0) -> libvirt.libvirtError:
    """libvirt's error, which only libvirt itself can make whole."""
    made = libvirt.libvirtError("it fails\nover two lines")
    made.err = (code, 0, "it fails", 2, None, None, None, number, 0)
    return made


BROKEN = error(libvirt.VIR_ERR_OPERATION_FAILED)
NO_POOL = error(libvirt.VIR_ERR_NO_STORAGE_POOL)
NO_VOLUME = error(libvirt.VIR_ERR_NO_STORAGE_VOL)
NO_FILE = error(libvirt.VIR_ERR_SYSTEM_ERROR, 2)  # ENOENT
NO_RIGHT = error(libvirt.VIR_ERR_SYSTEM_ERROR, 13)  # EACCES


class Volume:
    """A volume of 10 GiB, or one that cannot be asked."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self._trouble = trouble

    def info(self) -> list[int]:
        if self._trouble:
            raise self._trouble
        return [0, 10 * GIB, GIB]


class Played:
    """A pool of libvirt's; ``trouble`` is by the call that fails with it, an Event is waited for."""

    def __init__(self, number: int, kind: str = "dir", path: str = "/nowhere", volumes: int = 2) -> None:
        self.uuid, self.kind, self.path = f"uuid{number}", kind, path
        self.figures = [states.POOL_RUNNING, 100 * GIB, 50 * GIB, 50 * GIB]
        self.volumes = [Volume() for _ in range(volumes)]
        self.trouble: dict[str, Exception | threading.Event] = {}
        self.xml = ""

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's
        return self.uuid

    def name(self) -> str:
        return f"pool of {self.uuid}"

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's
        self.meet("XMLDesc")
        return self.xml or (
            f"<pool type='{self.kind}'><source><name>vg</name></source><target><path>{self.path}</path></target></pool>"
        )

    def info(self) -> list[int]:
        self.meet("info")
        return self.figures

    def listAllVolumes(self, _flags: int) -> list[Volume]:  # noqa: N802 - libvirt's
        self.meet("listAllVolumes")
        return self.volumes

    def meet(self, call: str) -> None:
        trouble = self.trouble.get(call)
        if isinstance(trouble, threading.Event):
            trouble.wait()
        elif trouble:
            raise trouble


class Connection:
    """libvirt with these pools, all active with autostart."""

    def __init__(self, pools: list[Played]) -> None:
        self.pools = pools

    def listAllStoragePools(self, _flags: int) -> list[Played]:  # noqa: N802 - libvirt's
        return self.pools

    def storagePoolLookupByUUIDString(self, uuid: str) -> Played:  # noqa: N802 - libvirt's
        (found,) = (pool for pool in self.pools if pool.uuid == uuid)
        found.meet("lookup")
        return found


class Hypervisor(NamedTuple):
    """One hypervisor of the played libvirt."""

    uri: str
    connection: Connection

    def crew(self, lanes: int) -> Crew:
        return Crew(lambda: self.connection, lanes)


def read(pools: list[Played], uri: str = REMOTE, seconds: float = 60) -> dict[str, Pool]:
    hypervisor: Any = Hypervisor(uri, Connection(pools))
    return {pool.uuid: pool for pool in storage.read(hypervisor, Deadline(seconds))}


def code_of(pool: Pool) -> int:
    return judged("pool", Snapshot(REMOTE, 0, 0, pools=(pool,)))[1]


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What never comes back, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def spoil_xml(pool: Played) -> None:
    pool.xml = "<pool type='dir'><name>\x01"


def fail(call: str, trouble: Exception) -> Callable[[Played], None]:
    return lambda pool: pool.trouble.update({call: trouble})


def fail_volume(number: int, trouble: Exception) -> Callable[[Played], None]:
    def do(pool: Played) -> None:
        pool.volumes[number] = Volume(trouble)

    return do


#: what goes wrong with a pool, and what it then loses
LOSSES: dict[str, Callable[[Played], None]] = {
    "lookup": fail("lookup", BROKEN),
    "XMLDesc": fail("XMLDesc", BROKEN),
    "XML that does not parse": spoil_xml,
    "info": fail("info", BROKEN),
    "volumes": fail("listAllVolumes", BROKEN),
    "a volume": fail_volume(0, BROKEN),
    "another volume": fail_volume(1, NO_RIGHT),
}
GONE: dict[str, Callable[[Played], None]] = {
    "the pool": fail("lookup", NO_POOL),
    "the pool after a look at it": fail("info", NO_POOL),
}
HARMLESS: dict[str, Callable[[Played], None]] = {
    "a removed volume": fail_volume(0, NO_VOLUME),
    "a volume whose file is gone": fail_volume(1, NO_FILE),
}
TROUBLES = LOSSES | GONE | HARMLESS
COUNT = 4
WELL = PoolStats(100 * GIB, 50 * GIB, 50 * GIB, 20 * GIB, 2)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sets(st.sampled_from(sorted(TROUBLES))), min_size=COUNT, max_size=COUNT))
def test_any_combination_of_failures_leaves_the_other_pools_as_they_are(troubles: list[set[str]]) -> None:
    played = [Played(number) for number in range(COUNT)]
    for pool, names in zip(played, troubles):
        for name in sorted(names):
            TROUBLES[name](pool)
    found = read(played)
    for pool, names in zip(played, troubles):
        # where the lookup fails otherwise, nobody sees that the pool is gone
        if "the pool" in names or ("the pool after a look at it" in names and "lookup" not in names):
            assert pool.uuid not in found
        elif names & LOSSES.keys():
            assert found[pool.uuid].unread
            assert code_of(found[pool.uuid]) == UNKNOWN
        else:
            lost = len(names & HARMLESS.keys())
            assert found[pool.uuid].unread == ()
            assert found[pool.uuid].stats == WELL._replace(provisioned=(2 - lost) * 10 * GIB, volumes=2 - lost)
            assert code_of(found[pool.uuid]) == OK


@pytest.mark.parametrize("name", LOSSES)
def test_a_full_pool_stays_critical_whatever_else_of_it_is_lost(name: str) -> None:
    played = Played(0)
    played.figures = [states.POOL_RUNNING, 100 * GIB, 99 * GIB, GIB]
    LOSSES[name](played)
    (pool,) = read([played]).values()
    lost = name in ("lookup", "XMLDesc", "XML that does not parse", "info")
    assert code_of(pool) == (UNKNOWN if lost else CRITICAL)


@pytest.mark.parametrize("name", ["volumes", "a volume", "another volume"])
def test_volumes_that_are_not_counted_make_no_overcommit(name: str) -> None:
    played = Played(0)
    LOSSES[name](played)
    (pool,) = read([played]).values()
    assert pool.stats.provisioned is None
    assert pool.stats.volumes == (None if name == "volumes" else 2)
    assert "volumes could not be read: it fails over two lines" in pool.unread[0].text


def test_an_inactive_pool_that_cannot_be_described_is_unknown() -> None:
    played = Played(0)
    played.figures = [states.POOL_INACTIVE, 0, 0, 0]
    (pool,) = read([played]).values()
    assert (pool.active, pool.stats, pool.kind) == (False, PoolStats(), "dir")
    played.trouble["XMLDesc"] = BROKEN
    (pool,) = read([played]).values()
    assert not pool.active
    assert code_of(pool) == CRITICAL  # it has autostart


@pytest.mark.parametrize("kind", ["gluster", "zfs", "rbd", "sheepdog"])
def test_a_pool_without_any_size_is_not_ok(kind: str) -> None:
    played = Played(0, kind)
    played.figures = [states.POOL_RUNNING, 0, 0, 0]
    (pool,) = read([played]).values()
    assert code_of(pool) == UNKNOWN


@pytest.mark.parametrize("kind", ["iscsi", "scsi", "mpath", "logical", "disk"])
def test_a_target_without_luns_has_nothing_to_judge(kind: str) -> None:
    played = Played(0, kind, volumes=0)
    played.figures = [states.POOL_RUNNING, 0, 0, 0]
    (pool,) = read([played]).values()
    assert code_of(pool) == OK


@pytest.mark.parametrize("call", ["XMLDesc", "listAllVolumes"])
def test_pools_that_hang_hold_up_no_other(hang: threading.Event, call: str) -> None:
    played = [Played(number) for number in range(7)]
    for pool in played[:5]:  # more than there are lanes
        pool.trouble[call] = hang
    found = read(played, seconds=8)
    for pool in played:
        here = found[pool.uuid]
        if pool in played[:5]:
            assert code_of(here) == UNKNOWN
            assert here.answered == (call == "listAllVolumes")
        else:
            assert (here.stats, here.unread) == (WELL, ())


def test_paths_that_hang_hold_up_no_other(
    hang: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examine = pool_paths.examine

    def waiting(path: str, *others: Any) -> pool_paths.AtPath:
        if path == "/dead":  # a dead server cannot be had without root
            hang.wait()
        return examine(path, *others)

    monkeypatch.setattr(pool_paths, "examine", waiting)
    played = [Played(number, path="/dead" if number < 5 else str(tmp_path)) for number in range(7)]
    for pool in played[:5]:
        pool.trouble["listAllVolumes"] = AssertionError("libvirt would hang, and with it every list of pools")
    found = read(played, LOCAL, seconds=4)
    assert [found[pool.uuid].answered for pool in played] == [False] * 5 + [True] * 2
    assert all(found[pool.uuid].stats == PoolStats() for pool in played[:5])
    assert all(found[pool.uuid].stats.capacity for pool in played[5:])
    assert all(found[pool.uuid].stats.provisioned for pool in played[5:])


class Until:
    """A time that is over after so many looks at the clock."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def remaining(self) -> float:
        self._looks -= 1
        return float(self._looks >= 0)


def test_so_many_volumes_that_there_is_no_time() -> None:
    played = Played(0, volumes=100)
    until: Any = Until(40)
    counted = count_volumes(Connection([played]), played.uuid, until)
    assert (counted.there, counted.unasked, counted.listed) == (40, 60, 100)


def test_a_pool_that_could_not_be_counted_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_SHARE_OF_VOLUMES", 0.0)
    (pool,) = read([Played(0, volumes=100)]).values()
    assert pool.stats == WELL._replace(provisioned=None, volumes=100)
    assert code_of(pool) == UNKNOWN
    assert "100 of 100 volumes could not be read: there was no time" in pool.unread[0].text


def test_all_volumes_gone_and_another_file_system_is_a_lost_mount(tmp_path: Path) -> None:
    played = Played(0, path=str(tmp_path))
    for number in (0, 1):
        fail_volume(number, NO_VOLUME)(played)
    (pool,) = read([played], LOCAL).values()
    assert pool.fault
    assert pool.fault.startswith(f"none of its 2 volumes is at {tmp_path}")
    assert pool.stats == PoolStats()
    # with the size that libvirt knows, somebody has tidied up
    figures = pool_paths.os.statvfs(tmp_path)
    played.figures[1] = figures.f_blocks * figures.f_frsize
    (pool,) = read([played], LOCAL).values()
    assert (pool.fault, pool.stats.volumes, pool.stats.provisioned) == (None, 0, 0)
    played.trouble["info"] = BROKEN  # and without libvirt's figures nobody can tell
    (pool,) = read([played], LOCAL).values()
    assert pool.fault is None


@pytest.mark.parametrize(("kind", "uri"), [("dir", LOCAL), ("netfs", LOCAL), ("dir", PLAYED), ("netfs", PLAYED)])
def test_what_is_gone_here_may_be_there_for_libvirt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, uri: str
) -> None:
    monkeypatch.setattr(storage, "is_local", lambda _uri: True)
    monkeypatch.setattr(storage, "_daemon", lambda _uri: None)  # as from within a container
    played = Played(0, kind, str(tmp_path / "gone"))
    (pool,) = read([played], uri).values()
    # a real libvirt has looked at the volumes just now; the test driver has no files
    assert code_of(pool) == (UNKNOWN if uri == LOCAL else CRITICAL)
    assert (pool.fault is None) == (uri == LOCAL)
    played.volumes = [Volume(NO_VOLUME)]
    (pool,) = read([played], uri).values()
    assert code_of(pool) == CRITICAL


def test_the_use_of_a_thin_pool_is_the_volume_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thin_pools, "active", lambda group: group == "vg")
    monkeypatch.setattr(thin_pools, "use", lambda _group, _seconds: Use(96.0, 5.0))  # lvs needs root and LVM
    (pool,) = read([Played(0, "logical")], LOCAL).values()
    assert (pool.stats.thin_data, pool.stats.thin_metadata) == (96, 5)
    assert code_of(pool) == CRITICAL
    (remote,) = read([Played(0, "logical")], REMOTE).values()
    assert (remote.stats.thin_data, remote.unread) == (None, ())


def test_a_thin_pool_that_may_not_be_asked_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thin_pools, "active", lambda _group: True)
    monkeypatch.setattr(thin_pools.os, "geteuid", lambda: 1000)
    (pool,) = read([Played(0, "logical")], LOCAL).values()
    assert code_of(pool) == UNKNOWN
    assert "use of its thin pool could not be read: only root may ask" in pool.unread[0].text


def test_a_lane_that_cannot_connect_is_the_pools_trouble_alone() -> None:
    class Refusing(NamedTuple):
        uri: str
        connection: Connection

        def crew(self, lanes: int) -> Crew:
            return Crew(refuse, lanes)

    def refuse() -> Connection:
        raise BROKEN

    hypervisor: Any = Refusing("qemu+ssh://kvm2/system", Connection([Played(0)]))
    (pool,) = storage.read(hypervisor, Deadline(60))
    assert code_of(pool) == UNKNOWN
    assert pool.unread[0].text == "could not be read: it fails over two lines"
