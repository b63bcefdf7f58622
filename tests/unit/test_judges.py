"""All checks on one reading: each VM is judged as if only that one had been read, and nothing of it stays."""

from __future__ import annotations

import gc
import weakref

import pytest
from check_kvm import state
from check_kvm.frame import output, plugin
from check_kvm.frame.judging import Judges, all_checks
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model import states
from kvmwatch.model.metrics import DiskStats, DomainStats, InterfaceStats
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.snapshot import Disk, Domain, Interface, Process, Snapshot

OWN = Policy(thresholds=(OwnThreshold("disk.read_iops", "5", None), OwnThreshold("cpu.usage", "no range", None)))
VERBOSE = output.Style(verbose=1)


def domain(name: str, **more: object) -> Domain:
    made = Domain(f"uuid-{name}", name, states.RUNNING, 1, 1, 1000.0)._replace(
        stats=DomainStats(cpu_time=1.0, vcpu_count=2),
        rates=DomainStats(cpu_time=1.9),
        disks=(Disk("vda", stats=DiskStats(read_requests=7), rates=DiskStats(read_requests=7.0)),),
        interfaces=(Interface("52:54:00:00:00:01", "vnet0", "bridge", rates=InterfaceStats(rx_bytes=1e6)),),
    )
    return made._replace(**more)  # type: ignore[arg-type]


VMS = (
    domain("web1"),
    domain("db1", policy=OWN),
    domain("off1", state=states.SHUTOFF, autostart=True, id=None),
    domain("left1", policy=Policy(ignore=True)),
    domain("hung1", not_responding=40.0),
)
PROCESSES = tuple(Process(n, 1, vm.uuid, vm.name, 1000.0, known=n < 4) for n, vm in enumerate((*VMS, VMS[0])))
SNAPSHOT = Snapshot("qemu:///system", 2000.0, 0.01, domains=VMS, processes=PROCESSES)


@pytest.mark.parametrize("check", [check for check in all_checks() if check.selects == "domain"])
def test_a_vm_is_judged_as_if_only_that_one_had_been_read(check: Check) -> None:
    judges = Judges((check,), SiteConfig(), SNAPSHOT)
    thresholds = judges._thresholds[check.name]
    for vm in VMS:
        own = tuple(process for process in PROCESSES if process.known and process.uuid == vm.uuid)
        alone = plugin.judged(check, SNAPSHOT._replace(domains=(vm,), processes=own), thresholds, alone=True)
        for _ in range(2):
            told = output.render(check.name, judges.verdict(check, vm), VERBOSE)
            assert told == output.render(check.name, alone, VERBOSE)


@pytest.mark.parametrize("name", [metric.name for metric in state.CHECK.metrics if not metric.own])
def test_a_number_of_vms_is_not_judged_of_each(name: str) -> None:
    """Or whoever wants nine to run is told by each VM that it is only one."""
    config = SiteConfig(thresholds=(OwnThreshold(f"state.{name}", "9:", "8:"),))
    for vm in VMS:
        by_file, without = (Judges((state.CHECK,), given, SNAPSHOT) for given in (config, SiteConfig()))
        told = (output.render("state", judges.verdict(state.CHECK, vm), VERBOSE) for judges in (by_file, without))
        assert len(set(told)) == 1
    of_all = plugin.judged(state.CHECK, SNAPSHOT, plugin.checked_thresholds(state.CHECK, config))
    assert any("under 8" in subject.line() for subject in of_all.subjects)


def test_a_verdict_is_gone_when_nobody_has_it_any_more() -> None:
    """Who reads again and again would grow with what refers to itself, or look for it at each reading."""
    collects = gc.isenabled()
    gc.disable()
    try:
        for check in all_checks():
            judges = Judges((check,), SiteConfig(), SNAPSHOT)
            verdict = judges.verdict(check)
            assert verdict.perfdata is not None
            gone = weakref.ref(verdict)
            del verdict
            assert gone() is None, check.name
    finally:
        if collects:
            gc.enable()


def test_the_last_of_several_values_counts_in_the_place_of_the_first() -> None:
    (check,) = (check for check in all_checks() if check.name == "disk")
    verdict = plugin.judged(
        check, SNAPSHOT._replace(domains=(VMS[0],)), plugin.checked_thresholds(check, SiteConfig())
    )
    labelled = [(value.label, value.spec.name) for value in verdict.perfdata]
    assert len(set(labelled)) == len(labelled)
    assert [name for _, name in labelled] == [spec.name for spec in check.metrics], (
        "in the order in which they are owed"
    )
    assert verdict.perfdata[0].value == 7.0, "what was measured, not what was owed"
