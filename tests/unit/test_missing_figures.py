"""Whatever libvirt leaves out of a running VM's statistics: what is judged by default was measured, or it is not OK.

What it may leave out, because there are VMs that cannot have it, is in a table: all else fails the test that says so.
"""

from __future__ import annotations

from typing import Any

import pytest
from check_kvm.frame import plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvmwatch.model.rates import samples, with_rates
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.reading import records
from kvmwatch.reading.domain_xml import parse
from kvmwatch.reading.records import Reading

NOW = 1_795_450_700
XML = """<domain><vcpu>2</vcpu><devices>
<disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><target dev='vnet0'/></interface>
<memballoon model='virtio'><stats period='10'/></memballoon></devices></domain>"""

#: metric to the fields without one of which a VM has no such value, and is OK all the same
CANNOT_HAVE = {
    # a driver without vCPUs' times, a kernel or libvirt that does not tell
    "cpu.steal": tuple(f"vcpu.{number}.{what}" for number in range(2) for what in ("time", "delay")),
    "memory.usage": ("balloon.last-update",),  # no balloon, or no driver in the guest; it is said
    "memory.swap": ("balloon.swap_in", "balloon.swap_out"),
    "disk.read_latency": ("block.0.rd.reqs", "block.0.rd.times"),  # a driver that does not count all of it
    "disk.write_latency": ("block.0.wr.reqs", "block.0.wr.times"),
    "disk.flush_latency": ("block.0.fl.reqs", "block.0.fl.times"),
    "network.errors": ("net.0.rx.errs", "net.0.tx.errs"),
    "network.drops": ("net.0.rx.drop", "net.0.tx.drop"),
}
CHECKS = [check for check in all_checks() if check.name in ("cpu", "memory", "disk", "network")]


def fields(count: int) -> dict[str, Any]:
    """All that libvirt tells of it, with counters that go on with ``count``."""
    made: dict[str, Any] = {"state.state": 1, "state.reason": 1, "block.count": 1, "net.count": 1}
    made |= {"block.0.name": "vda", "net.0.name": "vnet0", "vcpu.current": 2, "vcpu.maximum": 2}
    made |= {"balloon.last-update": NOW - 2, "balloon.available": 400, "balloon.usable": 200, "balloon.rss": 400}
    made |= {"balloon.current": 400, "balloon.maximum": 400, "balloon.swap_in": 0, "balloon.swap_out": 0}
    made |= {f"vcpu.{number}.{what}": count * 10**6 for number in range(2) for what in ("time", "delay")}
    made |= {f"cpu.{what}": count * 10**7 for what in ("time", "user", "system")}
    made |= {f"block.0.{way}.reqs": count * 100 for way in ("rd", "wr", "fl")}
    made |= {f"block.0.{way}.times": count * 100 for way in ("rd", "wr", "fl")}
    made |= {f"block.0.{way}.bytes": count * 1000 for way in ("rd", "wr")}
    made |= {f"block.0.{what}": 1 << 30 for what in ("capacity", "physical", "allocation")}
    made |= {f"net.0.{way}.{what}": count * 1000 for way in ("rx", "tx") for what in ("bytes", "pkts")}
    return made | {f"net.0.{way}.{what}": 0 for way in ("rx", "tx") for what in ("errs", "drop")}


TOLD = sorted(name for name in fields(1) if not name.startswith("state."))


def judged(check: Check, left_out: set[str]) -> Verdict:
    def look(count: int) -> Snapshot:
        told = {name: value for name, value in fields(count).items() if name not in left_out}
        domain = records.domain(Reading("uuid", "web1", 1, float(count), told, parse(XML)), NOW)
        return Snapshot("qemu:///system", NOW, 0, domains=(domain,))

    return plugin.judged(
        check, with_rates(look(160), samples(look(100))), plugin.checked_thresholds(check, SiteConfig())
    )


def judged_by_default(check: Check) -> list[MetricSpec]:
    """But what only a disk in trouble has."""
    return [
        spec
        for spec in check.metrics
        if (spec.warning or spec.critical) and spec.name not in ("errors", "block_job")
    ]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_with_all_of_it_each_is_ok_and_has_measured_what_it_judges(check: Check) -> None:
    verdict = judged(check, set())
    assert verdict.state.code == 0
    known = {one.spec.name for one in verdict.perfdata if one.value is not None}
    assert {spec.name for spec in judged_by_default(check)} <= known


@given(left_out=st.sets(st.sampled_from(TOLD)))
@example(left_out={name for name in TOLD if name.startswith("vcpu.")})
@example(left_out={"cpu.time"})
@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_is_ok_was_measured_or_cannot_be_had(check: Check, left_out: set[str]) -> None:
    verdict = judged(check, left_out)
    if verdict.state.code:
        return
    known = {one.spec.name for one in verdict.perfdata if one.value is not None}
    for spec in judged_by_default(check):
        if spec.name not in known:
            needed = CANNOT_HAVE.get(f"{check.name}.{spec.name}", ())
            assert left_out & {*needed}, f"{check.name}.{spec.name} is not known, and OK"
