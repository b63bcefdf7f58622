"""The age of the last backup, by the checkpoint that it was made with."""

from __future__ import annotations

import time
from typing import Any

import libvirt
import pytest
from check_kvm.frame import output, plugin
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.snapshot import CHECK

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DomainStats
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot, Unread
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

NOW = 1_000_000.0
DAY = 86400.0


def judged(*warning: str, **more: Any) -> tuple[str, int]:
    domain = Domain("uuid", "db1", 1, states.RUNNING, 1, 0, stats=DomainStats(snapshots=0.0))._replace(**more)
    snapshot = Snapshot("qemu:///system", NOW, 0, domains=(domain,))
    thresholds = plugin.checked_thresholds(CHECK, SiteConfig(), warning)
    return output.render(
        "snapshot", plugin.judged(CHECK, snapshot, thresholds, alone=True), output.Style(verbose=1)
    )


@pytest.mark.parametrize(("days", "code"), [(0.5, 0), (1.9, 0), (3, 1), (-0.003, 0)])
def test_it_is_judged_by_a_threshold(days: float, code: int) -> None:
    made = DomainStats(snapshots=0.0, newest_checkpoint=NOW - days * DAY)
    text, given = judged("backup_age=2d", stats=made)
    assert (given, "the newest checkpoint" in text, "backup_age=U" in text) == (code, True, False), text
    assert judged(stats=made)[1] == 0


def test_one_of_the_future_is_not_new_for_ever() -> None:
    """Made while the clock was wrong; or that of this machine is."""
    made = DomainStats(snapshots=1.0, oldest_snapshot=NOW + DAY, newest_checkpoint=NOW + DAY)
    text, code = judged(stats=made)
    assert (code, "the oldest is of 24 h from now" in text, " age=U" in text) == (3, True, True)
    text, code = judged("backup_age=2d", stats=made._replace(snapshots=0.0, oldest_snapshot=None))
    assert (code, "the newest checkpoint is of 24 h from now" in text) == (3, True), text
    assert judged(stats=made._replace(snapshots=0.0, oldest_snapshot=None))[1] == 0


def test_no_backup_is_unknown_to_whoever_wants_one() -> None:
    text, code = judged("backup_age=2d")
    assert (code, "has no checkpoint" in text, "backup_age=U;172800" in text) == (3, True, True), text
    text, code = judged()
    assert (code, "checkpoint" in text) == (0, False), text


def test_so_is_one_that_libvirt_does_not_tell() -> None:
    unread = (Unread(Group.CHECKPOINTS, "checkpoints", "no such luck"),)
    assert judged(unread=unread)[1] == 0
    text, code = judged("backup_age=2d", unread=unread)
    assert (code, "checkpoints could not be read: no such luck" in text) == (3, True), text


def test_a_domain_whose_snapshots_are_not_told_has_its_backup_judged_all_the_same() -> None:
    stats = DomainStats(newest_checkpoint=NOW - 5 * DAY)
    unread = (Unread(Group.SNAPSHOTS, "snapshots", "no such luck"),)
    text, code = judged("backup_age=2d", stats=stats, unread=unread)
    assert (code, "no such luck" in text, "over 48 h" in text or "over 2 d" in text) == (3, True, True), text


def test_it_is_that_of_the_newest() -> None:
    """Of libvirt's own test driver, which has checkpoints in this process."""
    connection = libvirt.open("test:///default")
    domain = connection.lookupByName("test")

    def read() -> Domain:
        groups = Group.SHUT_OFF | Group.CHECKPOINTS
        (found,) = Reader("test:///default", groups, Selection(), Deadline(60.0)).read().domains
        return found

    assert (read().has_checkpoints, read().stats.newest_checkpoint) == (False, None)
    began = int(time.time())
    made = [
        domain.checkpointCreateXML(f"<domaincheckpoint><name>{name}</name></domaincheckpoint>")
        for name in ("one", "two")
    ]
    try:
        found = read()
        assert found.has_checkpoints
        assert began <= (found.stats.newest_checkpoint or 0) <= time.time()
        assert found.stats.snapshots is None, "nobody asked"
    finally:
        for checkpoint in reversed(made):
            checkpoint.delete()
    assert read().stats.newest_checkpoint is None
