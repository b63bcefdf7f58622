"""Storage pools of every type that libvirt has: what their figures mean, and what their states are judged."""

from __future__ import annotations

import libvirt
import pools_page
import pytest
from check_kvm.pool import STATES
from judging import CRITICAL, OK, UNKNOWN, WARNING, judged

from kvmwatch.model import derived, pool_kinds, states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import PoolStats
from kvmwatch.model.pool_kinds import KINDS
from kvmwatch.model.snapshot import Pool, Snapshot, Unread

GIB = 1 << 30
_FILTER = "VIR_CONNECT_LIST_STORAGE_POOLS_"
_NO_TYPES = ("ACTIVE", "INACTIVE", "PERSISTENT", "TRANSIENT", "AUTOSTART", "NO_AUTOSTART")
TYPES = {
    name.removeprefix(_FILTER).lower().replace("_", "-")
    for name in dir(libvirt)
    if name.startswith(_FILTER) and name.removeprefix(_FILTER) not in _NO_TYPES
}
FULL = PoolStats(capacity=100 * GIB, used=100 * GIB, available=0, provisioned=200 * GIB, volumes=1)
#: type: usage, allocation and overcommit in % of a pool that is FULL, and its verdict
JUDGED = {
    **dict.fromkeys(("dir", "fs", "netfs", "vstorage", "gluster"), (100, None, 200, CRITICAL)),
    **dict.fromkeys(("zfs", "rbd", "sheepdog"), (100, None, None, CRITICAL)),
    "logical": (None, 100, 200, OK),
    "disk": (None, 100, None, OK),
    **dict.fromkeys(("iscsi", "iscsi-direct", "scsi", "mpath"), (None, None, None, OK)),
    "newer-than-this": (100, None, 200, CRITICAL),
}


def pool(kind: str = "dir", state: int = states.POOL_RUNNING, autostart: bool = True) -> Pool:
    return Pool("uuid", "p1", kind, state, state != states.POOL_INACTIVE, autostart, True)


def verdict(one: Pool) -> tuple[str, int]:
    return judged("pool", Snapshot("qemu:///system", 0, 0, pools=(one,)))


def test_the_table_has_every_type_that_libvirt_has() -> None:
    assert KINDS.keys() == TYPES


@pytest.mark.parametrize("kind", JUDGED)
def test_a_full_pool_of_each_type(kind: str) -> None:
    full = pool(kind)._replace(stats=FULL)
    usage, allocation, overcommit, code = JUDGED[kind]
    assert derived.pool_usage(full) == usage
    assert derived.pool_allocation(full) == allocation
    assert derived.pool_overcommit(full) == overcommit
    text, given = verdict(full)
    assert given == code
    perfdata = text.splitlines()[0].partition(" | ")[2]
    said = text.replace(perfdata, "")
    assert ("usage" in said) == (usage is not None)
    assert ("free" in said) == (usage is not None)
    assert ("usage" in perfdata) == (usage is not None)
    assert ("free" in perfdata) == (pool_kinds.of(kind).use != pool_kinds.LUNS)
    assert "'p1.usage'=100%;85;95;0;100" in text or usage is None
    assert "'p1.allocation'=100%;;;0;100" in text or allocation is None


def test_every_type_is_in_the_table_of_the_test() -> None:
    assert JUDGED.keys() >= TYPES


@pytest.mark.parametrize("kind", ["rbd", "sheepdog"])
def test_a_share_of_a_cluster_is_as_full_as_the_cluster(kind: str) -> None:
    # one copy of 3 is counted as allocation, and another pool has the rest
    stats = PoolStats(capacity=300 * GIB, used=10 * GIB, available=6 * GIB)
    assert derived.pool_usage(pool(kind)._replace(stats=stats)) == 98


def test_a_pool_of_a_type_that_could_not_be_read_is_judged_by_nothing() -> None:
    untold = pool("")._replace(stats=FULL, unread=(Unread(Group.POOLS, "XML", "not well-formed"),))
    text, code = verdict(untold)
    assert code == UNKNOWN
    assert "XML could not be read: not well-formed" in text
    assert "%" not in text


@pytest.mark.parametrize(
    ("data", "metadata", "code"),
    [(10, 20, OK), (90, 20, WARNING), (20, 90, WARNING), (96, 1, CRITICAL), (1, 96, CRITICAL)],
)
def test_thin_pools_fill_up_though_their_volume_group_is_handed_out(data: int, metadata: int, code: int) -> None:
    stats = FULL._replace(thin_data=data, thin_metadata=metadata)
    text, given = verdict(pool("logical")._replace(stats=stats))
    assert given == code
    assert f"'p1.thin_data'={data}%;85;95;0;100" in text
    assert f"'p1.thin_metadata'={metadata}%;85;95;0;100" in text


@pytest.mark.parametrize("autostart", [True, False])
@pytest.mark.parametrize(
    ("state", "codes"),
    [
        (states.POOL_INACTIVE, {True: CRITICAL, False: OK}),
        (states.POOL_BUILDING, OK),
        (states.POOL_RUNNING, OK),
        (states.POOL_DEGRADED, CRITICAL),
        (states.POOL_INACCESSIBLE, CRITICAL),
        (9, UNKNOWN),
    ],
)
def test_states(state: int, autostart: bool, codes: int | dict[bool, int]) -> None:
    text, code = verdict(pool(state=state, autostart=autostart))
    assert code == (codes if isinstance(codes, int) else codes[autostart])
    if state < len(states.POOL_LABELS) and state != states.POOL_RUNNING:
        assert states.POOL_LABELS[state] in text


def test_each_state_has_one_verdict() -> None:
    for state in range(len(states.POOL_LABELS)):
        for autostart in (True, False):
            assert sum(row.state == state and row.autostart in (None, autostart) for row in STATES) == 1


def test_a_fault_is_critical_and_there_are_no_figures() -> None:
    text, code = verdict(pool("netfs")._replace(fault="nothing is mounted at /srv/nfs"))
    assert code == CRITICAL
    assert "p1 nothing is mounted at /srv/nfs" in text
    assert "%" not in text


def test_figures_of_the_last_refresh_are_judged_and_named() -> None:
    text, code = verdict(pool()._replace(stats=FULL, dated="/srv cannot be looked into by user nagios"))
    assert code == CRITICAL
    assert "as of libvirt's last refresh (/srv cannot be looked into by user nagios)" in text


def test_page_is_up_to_date() -> None:
    assert pools_page.PAGE.read_text(encoding="utf-8") == pools_page.render(), "run 'make docs'"


def test_every_kind_has_words_on_the_page() -> None:
    page = pools_page.render()
    assert all(f"| `{name}` | " in page for name in KINDS)
    assert pool_kinds.of("dir").local
