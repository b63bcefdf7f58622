"""A VM that hangs, or whose XML cannot be had, keeps its disks and interfaces; what libvirt tells counts."""

from __future__ import annotations

import pytest
from check_kvm.frame import plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.remembered import samples, with_parts
from kvmwatch.model.snapshot import Disk, Domain, Interface, Snapshot, Unread

WELL = Domain(
    *("uuid-web1", "web1", 1, states.RUNNING, 1, 1000.0),
    disks=(Disk("vdb"), Disk("vda"), Disk("sda", device="cdrom"), Disk("vdc", kind="vhostuser")),
    interfaces=(Interface("52:54:00:00:00:02", "vnet1", "bridge"), Interface("net1#1", None, "user")),
)
BARE = WELL._replace(disks=(), interfaces=())
LOST = {
    "its QEMU hangs": BARE._replace(not_responding=95.0),
    "it is held": BARE._replace(state=states.NOSTATE, reason=0),
    "its XML is refused": BARE._replace(unread=(Unread(Group.DEFINITION, "XML", "access denied"),)),
}


def seen(domain: Domain) -> Snapshot:
    return Snapshot("qemu:///system", 2000.0, 0.01, domains=(domain,))


def labels(name: str, snapshot: Snapshot) -> set[tuple[str, str]]:
    (check,) = (check for check in all_checks() if check.name == name)
    verdict = plugin.judged(check, snapshot, plugin.checked_thresholds(check, SiteConfig()))
    return {(value.label, value.spec.name) for value in verdict.perfdata if value.spec.drawn}


@pytest.mark.parametrize("why", LOST)
def test_its_labels_stay_for_as_long_as_that_lasts(why: str) -> None:
    kept = samples(seen(WELL))
    for _ in range(3):
        now = with_parts(seen(LOST[why]), kept)
        (domain,) = now.domains
        assert [disk.name for disk in domain.disks] == ["vdb", "vda"], "no CD-ROM, and what has no figures"
        assert all(disk.stats == Disk("").stats for disk in domain.disks)
        for check in ("disk", "network"):
            assert labels(check, now) == labels(check, seen(WELL)) != set()
        kept = samples(now)


@pytest.mark.parametrize("why", LOST)
def test_without_an_earlier_run_nothing_is_made_up(why: str) -> None:
    assert with_parts(seen(LOST[why]), {}) == seen(LOST[why])


def test_what_is_told_counts() -> None:
    kept = samples(seen(WELL))
    assert with_parts(seen(BARE), kept) == seen(BARE), "it has none any more"
    assert samples(seen(BARE)) == {}
    smaller = WELL._replace(disks=(Disk("vda"),), not_responding=5.0)
    assert with_parts(seen(smaller), kept) == seen(smaller)
    other = LOST["it is held"]._replace(uuid="uuid-web2")
    assert with_parts(seen(other), kept) == seen(other)
