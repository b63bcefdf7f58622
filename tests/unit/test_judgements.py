"""What a check says of cases from the field, each of which was once judged wrong."""

from __future__ import annotations

import pytest
from check_kvm.frame import output, plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DiskStats, PoolStats
from kvmwatch.model.policy import Policy
from kvmwatch.model.rates import samples, with_rates
from kvmwatch.model.snapshot import Disk, Domain, Interface, Pool, Snapshot, Unread
from kvmwatch.reading import records

GIB = 1 << 30
OK, WARNING, CRITICAL = range(3)


def judged(name: str, snapshot: Snapshot) -> tuple[str, int]:
    (check,) = (check for check in all_checks() if check.name == name)
    thresholds = plugin.checked_thresholds(check, SiteConfig())
    return output.render(name, plugin.judged(check, snapshot, thresholds), output.Style(verbose=1))


def of(domain: Domain) -> Snapshot:
    return Snapshot("qemu:///system", 0, 0, domains=(domain,))


@pytest.mark.parametrize(
    ("state", "reason", "code", "says"),
    [
        (states.RUNNING, "booted", OK, "running (booted)"),
        (states.RUNNING, "crashed", CRITICAL, "running (crashed)"),
        (states.RUNNING, "post-copy", OK, "running (post-copy)"),
        (states.RUNNING, "post-copy failed", CRITICAL, "running (post-copy failed)"),
        (states.PAUSED, "post-copy failed", CRITICAL, "paused (post-copy failed)"),
        (states.SHUTOFF, "migrated", OK, "shut off (migrated), gone to another hypervisor"),
        (states.SHUTOFF, "destroyed", CRITICAL, "shut off (destroyed) though it should be running (autostart)"),
    ],
)
def test_state_of_a_domain_with_autostart(state: int, reason: str, code: int, says: str) -> None:
    number = [known.text for known in states.REASONS[state]].index(reason)
    text, given = judged("state", of(Domain("uuid", "web1", 1, state, number, 0, autostart=True)))
    assert (given, f"web1 {says}" in text) == (code, True), text


def test_a_domain_that_should_be_off_and_crashed_is_critical() -> None:
    domain = Domain("uuid", "web1", 1, states.RUNNING, 9, 0, policy=Policy(expect="shutoff"))
    assert judged("state", of(domain))[1] == CRITICAL


@pytest.mark.parametrize("kind", ["iscsi", "iscsi-direct", "scsi", "mpath"])
def test_a_pool_of_luns_is_full_by_design(kind: str) -> None:
    pool = Pool(
        "uuid", "san1", kind, states.POOL_RUNNING, True, True, True, stats=PoolStats(100 * GIB, 100 * GIB, 0)
    )
    text, code = judged("pool", Snapshot("qemu:///system", 0, 0, pools=(pool,)))
    assert code == OK
    assert "usage" not in text
    assert "free" not in text
    full = pool._replace(kind="dir")
    assert judged("pool", Snapshot("qemu:///system", 0, 0, pools=(full,)))[1] == CRITICAL


@pytest.mark.parametrize(("allocation", "maximum"), [(50, "100"), (100, "100"), (150, "")])
def test_a_thin_image_may_be_larger_than_its_disk(allocation: int, maximum: str) -> None:
    disk = Disk("vda", stats=DiskStats(capacity=100 * GIB, allocation=allocation * GIB))
    text, _ = judged("disk", of(Domain("uuid", "web1", 1, states.RUNNING, 1, 0, disks=(disk,))))
    assert f"web1.vda.allocation'={allocation}%;;;0" + (f";{maximum}" if maximum else "") in text
    assert f"={allocation}%;;;0;100" in text or not maximum


@pytest.mark.parametrize("kind", ["read", "write", "flush"])
@pytest.mark.parametrize(
    ("seconds", "requests", "code", "says"),
    [
        (60, 1, OK, "of 1 request, too few to judge"),
        (1, 1, OK, "of 1 request, too few to judge"),
        (60, 9, OK, "of 9 requests, too few to judge"),
        (60, 10, CRITICAL, "(over "),
        (1, 10, CRITICAL, "(over "),
        (3600, 10_000, CRITICAL, "(over "),
    ],
)
def test_one_slow_request_of_an_idle_disk_is_no_slow_disk(
    kind: str, seconds: float, requests: int, code: int, says: str
) -> None:
    def disk(at: float, made: float) -> Snapshot:
        stats = DiskStats(**{f"{kind}_requests": made, f"{kind}_time": made * 3.0})
        return of(Domain("uuid", "web1", 1, states.RUNNING, 1, at, disks=(Disk("vda", stats=stats),)))

    text, given = judged("disk", with_rates(disk(100 + seconds, requests), samples(disk(100, 0))))
    assert (given, f"{kind} latency 3 s" in text, says in text) == (code, True, True), text
    assert f"web1.vda.{kind}_latency'=3s;" in text


def test_file_systems_that_are_full_by_design_are_left_out() -> None:
    kinds = ("ext4", "squashfs", "erofs", "iso9660", "UDF", "NTFS", "CDFS")
    fields = {"fs.count": len(kinds)}
    for number, kind in enumerate(kinds):
        fields |= {f"fs.{number}.mountpoint": f"/{number}", f"fs.{number}.fstype": kind}  # type: ignore[dict-item]
        fields |= {f"fs.{number}.total-bytes": 100, f"fs.{number}.used-bytes": 100}
    assert [found.kind for found in records.filesystems(fields)] == ["ext4", "NTFS"]


@pytest.mark.parametrize("name", ["cpu", "disk", "network"])
def test_a_running_vm_without_figures_is_not_ok(name: str) -> None:
    """libvirt leaves fields out without a word when it could not read them."""
    disks, interfaces = (Disk("vda", device="disk"),), (Interface("52:54:00:00:00:01", "vnet0", "network"),)
    running = Domain("uuid", "web1", 1, states.RUNNING, 1, 0, disks=disks, interfaces=interfaces)
    text, code = judged(name, of(running))
    assert (code, "libvirt gives no " in text) == (3, True), text
    for quiet in (
        running._replace(state=states.SHUTOFF, reason=1),
        running._replace(state=states.PAUSED, reason=2),  # it arrives by migration
    ):
        assert judged(name, of(quiet))[1] == OK


@pytest.mark.parametrize("kind", ["user", "hostdev", "vhostuser", "mcast"])
def test_interfaces_that_have_no_counters_are_quiet(kind: str) -> None:
    interface = Interface("52:54:00:00:00:01", "vnet0", kind)
    running = Domain("uuid", "web1", 1, states.RUNNING, 1, 0, interfaces=(interface,))
    assert judged("network", of(running))[1] == OK


@pytest.mark.parametrize(
    ("used", "says"),
    [(0.97, "(over 95 %)"), (0.953, "95 % (just over 95 %)"), (0.95, None)],
)
def test_a_value_that_is_written_like_its_limit_is_just_over_it(used: float, says: str | None) -> None:
    stats = PoolStats(100 * GIB, int(100 * GIB * used), int(100 * GIB * (1 - used)))
    pool = Pool("uuid", "data", "dir", states.POOL_RUNNING, True, True, True, stats=stats)
    text, code = judged("pool", Snapshot("qemu:///system", 0, 0, pools=(pool,)))
    assert code == (CRITICAL if says else WARNING), text
    assert (says or "over 85 %") in text


@pytest.mark.parametrize(
    ("running", "held", "given", "codes"),
    [
        (4, 1, "running=5:", 3),  # it is perhaps the fifth, which somebody starts just now
        (3, 1, "running=5:", 2),
        (5, 1, "running=4", 2),
        (4, 1, "running=4", 3),
        (2, 0, "running=3:", 2),
        (3, 0, "running=3:", 0),
        (2, 1, "nostate=0", 2),
    ],
)
def test_a_number_of_vms_counts_those_that_do_not_tell_their_state_as_either(
    running: int, held: int, given: str, codes: int
) -> None:
    """One that was held made 'running 4 (under 5)' of five that ran."""
    told = [Domain(f"r{n}", f"r{n}", n + 1, states.RUNNING, 1, 0) for n in range(running)]
    untold = [Domain(f"h{n}", f"h{n}", None, states.NOSTATE, 0, 0, not_responding=5.0) for n in range(held)]
    (check,) = (check for check in all_checks() if check.name == "state")
    thresholds = plugin.checked_thresholds(check, SiteConfig(), critical=[given])
    snapshot = Snapshot("qemu:///system", 0, 0, domains=(*told, *untold))
    verdict = plugin.judged(check, snapshot, thresholds)
    assert verdict.state.code == codes, output.render("state", verdict)
    without_list = snapshot._replace(unread=(Unread(Group.NONE, "list of VMs", "it hangs"),))
    assert plugin.judged(check, without_list, thresholds).state.code == 3


def test_a_drive_whose_medium_holds_the_vm_is_named() -> None:
    drive = Disk("hda", device="cdrom", kind="file")
    domain = Domain("uuid", "web1", 1, states.PAUSED, 5, 0, disks=(drive,))
    assert judged("disk", of(domain))[1] == OK
    text, code = judged("disk", of(domain._replace(disks=(drive._replace(error="I/O error"),))))
    assert (code, "web1 hda I/O error" in text) == (CRITICAL, True), text
    assert "hda." not in text, "it has no values to draw"
