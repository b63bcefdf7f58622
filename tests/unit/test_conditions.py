"""The condition of a VM, which Zabbix's triggers look at."""

from __future__ import annotations

from typing import Any

import pytest
from check_kvm.state import judged
from zabbix_kvm import conditions, master

from kvmwatch.model import states
from kvmwatch.model.policy import Policy
from kvmwatch.model.snapshot import Disk, Domain, Pool, Snapshot

EVERY = [(state, number) for state, reasons in states.REASONS.items() for number in range(len(reasons) + 1)]
FULL = (states.PAUSED, [reason.text for reason in states.REASONS[states.PAUSED]].index("I/O error"))


def domain(state: int, reason: int, **more: Any) -> Domain:
    return Domain(more.pop("uuid", "1"), "one", 1, state, reason, 0, **more)


def pool(path: str | None, uuid: str = "p") -> Pool:
    return Pool(uuid, "images", "dir", states.POOL_RUNNING, True, True, True, path=path)


@pytest.mark.parametrize(("state", "reason"), EVERY)
@pytest.mark.parametrize("expect", ["any", "running"])
def test_what_a_check_calls_ok_is_no_fault_and_the_other_way_round(state: int, reason: int, expect: str) -> None:
    one = domain(state, reason, policy=Policy(expect))
    condition = conditions.of(one, {})
    fine = {conditions.RUNNING, conditions.JOB, conditions.BRIEF, conditions.ELSEWHERE}
    fine |= {conditions.OFF} if expect == "any" else set()
    assert (judged(one)[0].code == 0) == (condition in fine), conditions.TEXTS[condition]


def test_there_is_a_text_for_each() -> None:
    assert len(conditions.TEXTS) == conditions.LEFT_ALONE + 1


@pytest.mark.parametrize(
    ("path", "disk", "full"),
    [
        ("/srv/images", Disk("vda", "/srv/images/one.qcow2", error="no space"), True),
        ("/srv/images", Disk("vda", "/srv/images/deep/one.qcow2", error="no space"), True),
        ("/srv/images", Disk("vda", "/srv/images2/one.qcow2", error="no space"), False),
        ("/srv/images", Disk("vda", "/srv/images/one.qcow2", error="I/O error"), False),
        ("/srv/images", Disk("vda", error="no space"), False),
        (None, Disk("vda", "/srv/images/one.qcow2", error="no space"), False),
    ],
)
def test_want_of_room_is_the_pools_fault(path: str | None, disk: Disk, full: bool) -> None:
    snapshot = Snapshot("", 0, 0, domains=(domain(*FULL, disks=(disk,)),), pools=(pool(path),))
    assert conditions.of_all(snapshot) == {"1": conditions.FULL if full else conditions.IO_ERROR}
    made = master.document(snapshot)
    assert (made["pools"][0]["stopped"], made["stopped"]) == ((1, "images: one") if full else (0, ""))
    ((_, document),) = master.guests(snapshot)
    assert document["condition"] == (conditions.FULL if full else conditions.IO_ERROR)


def test_the_innermost_pool_is_the_one() -> None:
    disk = Disk("vda", "/srv/images/fast/one.qcow2", error="no space")
    pools = (pool("/srv/images", "outer"), pool("/srv/images/fast", "inner"))
    snapshot = Snapshot("", 0, 0, domains=(domain(*FULL, disks=(disk,)),), pools=pools)
    assert conditions.without_room(snapshot) == {"1": "inner"}


def test_those_that_were_not_asked_for_are_left_alone() -> None:
    snapshot = Snapshot("", 0, 0, domains=(domain(states.RUNNING, 1),), uuids=frozenset(("1", "2")))
    assert conditions.of_all(snapshot) == {"1": conditions.RUNNING, "2": conditions.LEFT_ALONE}
