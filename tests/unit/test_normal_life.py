"""Days in the life of a hypervisor, minute by minute: what is told of it, and what is not.

The documents are those of the golden file, changed as the day goes; the templates are ours, with their defaults.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from small_zabbix import Host
from zabbix_kvm import conditions
from zabbix_templates.all import templates

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "zabbix_kvm_collect.json").read_text(encoding="utf-8"))
TEMPLATE = next(template for template in templates() if template.name.endswith("by Zabbix trapper"))
NAME = "web1"
ROW = next(row for row in GOLDEN["discovery"]["domains"] if row["{#VM.NAME}"] == NAME)
UUID = ROW["{#VM.UUID}"]
POOL = next(row for row in GOLDEN["discovery"]["pools"] if row["{#POOL.NAME}"] == "images")
NETWORK = GOLDEN["discovery"]["networks"][0]
VM = {"{#VM.UUID}": UUID, "{#VM.NAME}": NAME, "{#VM.LABEL}": NAME, "{#VM.TITLE}": NAME}
MAC, SOURCE = ROW["interfaces"][0]
ROWS = (
    VM,
    VM | {"{#DISK.NAME}": ROW["disks"][0][0]},
    VM | {"{#IF.MAC}": MAC, "{#IF.SOURCE}": SOURCE},
    POOL,
    NETWORK,
)
START, MINUTE = 1_800_000_000.0, 60.0


class Day:
    """A hypervisor with a VM that should run, a pool and a network, watched once a minute."""

    def __init__(self, **macros: str) -> None:
        self.now = START
        own = {name.replace("_", "."): value for name, value in macros.items()}
        self.host = Host(TEMPLATE, ROWS, own)
        self.document: dict[str, Any] = copy.deepcopy(GOLDEN)
        self.document["domains"] = [vm for vm in self.document["domains"] if vm["name"] == NAME]
        del self.document["discovery"]  # the rules have found what there is
        self.document |= {"mistakes": "", "strays": "", "stopped": ""}
        self.document["unread"] = {"count": 0, "text": ""}
        self.document["host"] |= {"memory_usage": 50, "swap_usage": 0, "load_per_cpu": 0.5}
        self.document["pools"] = [pool | {"usage": 50, "overcommit": 50} for pool in self.document["pools"]]
        self.vm: dict[str, Any]
        (self.vm,) = self.document["domains"]
        self.vm |= {"expected": "running", "memory_usage": 50, "agent": 1, "snapshots": 0, "memory_report": 0}
        self.vm.pop("oldest_snapshot", None)
        self.pool = next(pool for pool in self.document["pools"] if pool["uuid"] == POOL["{#POOL.UUID}"])
        self.be(conditions.RUNNING)
        self.minutes(180)

    def copy(self) -> Day:
        """Another one that began like this, and goes on by itself."""
        other = copy.copy(self)
        other.host = self.host.copy()
        # together, for the VM and the pool are those in the document
        other.document, other.vm, other.pool = copy.deepcopy((self.document, self.vm, self.pool))
        return other

    def be(self, condition: int, reason: str = "booted", **values: Any) -> None:
        """The VM is in this condition from now on."""
        self.document["conditions"][UUID] = condition
        self.vm |= {"reason": reason, **values}

    def minutes(self, number: float, pace: int = 1, **rates: float) -> Day:
        """Time goes by, with a reading every ``pace`` minutes; counters of the VM go on by so much a second."""
        for _ in range(round(number / pace)):
            self.now += pace * MINUTE
            for counter, rate in rates.items():
                self.vm[counter] = self.vm.get(counter, 0) + rate * pace * MINUTE
            self.document |= {"time": self.now, "read": self.now}
            self.host.take(sent(self.document), self.now)
        return self

    def unread(self, number: int, why: str = "libvirt is not running") -> Day:
        """kvmwatch runs, and libvirt does not."""
        for _ in range(number):
            self.now += MINUTE
            self.host.take({"time": self.now, "version": GOLDEN["version"], "format": 2, "error": why}, self.now)
        return self

    def away(self, number: int) -> Day:
        """Nothing comes, and Zabbix looks all the same."""
        for _ in range(number):
            self.now += MINUTE
            self.host.take(None, self.now)
        return self

    @property
    def problems(self) -> set[str]:
        """The open problems, without what they are of where that is the VM."""
        return {name.removeprefix(f"VM {NAME}: ") for name in self.host.problems}

    @property
    def ever(self) -> dict[str, str]:
        """All problems that there were, with their severities."""
        return {name.removeprefix(f"VM {NAME}: "): severity for name, severity in self.host.ever.items()}


def sent(document: dict[str, Any]) -> dict[str, Any]:
    """A document as Zabbix gets it: text, which does not change when the VM does."""
    parsed: dict[str, Any] = json.loads(json.dumps(document))
    return parsed


@pytest.fixture(scope="module")
def morning() -> Day:
    started = Day()
    assert started.ever == {}, "a quiet morning"
    return started


@pytest.fixture
def day(morning: Day) -> Day:
    return morning.copy()


# What people do to a VM, and machines at night


def test_stopped_and_started_again(day: Day) -> None:
    day.be(conditions.OFF, "shutdown")
    day.minutes(4)
    day.be(conditions.RUNNING, id=99)
    day.minutes(60)
    assert day.ever == {"Restarted": "INFO"}
    assert not day.problems


def test_guest_that_reboots_loses_its_agent_for_a_while(day: Day) -> None:
    day.vm["agent"] = 0
    day.minutes(5, cpu_time_per_vcpu=1)
    day.vm["agent"] = 1
    day.minutes(60)
    assert day.ever == {}


def test_agent_that_stays_away_is_told_until_it_is_back(day: Day) -> None:
    day.vm["agent"] = 0
    day.minutes(30)
    assert day.problems == {"Guest agent is lost"}
    day.minutes(26 * 60, pace=4)
    assert day.problems == {"Guest agent is lost"}, "also when nobody remembers that it was there"
    day.vm["agent"] = 1
    assert not day.minutes(1).problems


def test_night_of_patches_keeps_the_cpu_busy(day: Day) -> None:
    day.minutes(12, cpu_time_per_vcpu=1)
    assert not day.minutes(60).ever


def test_busy_for_good_is_told_once_at_its_severity(day: Day) -> None:
    day.minutes(30, cpu_time_per_vcpu=0.98)
    assert day.problems == {"CPU utilization is high (severe)"}
    for _ in range(20):  # it hovers
        day.minutes(2, cpu_time_per_vcpu=0.92)
        day.minutes(2, cpu_time_per_vcpu=0.97)
    assert day.problems == {"CPU utilization is high (severe)"}
    day.minutes(30)
    assert not day.problems
    assert day.ever == {"CPU utilization is high (severe)": "AVERAGE"}


def test_backup_pauses_for_a_snapshot(day: Day) -> None:
    day.minutes(30, cpu_time_per_vcpu=0.98)
    for condition, reason in ((conditions.JOB, "saving"), (conditions.PAUSED, "user")):
        day.be(condition, reason)
        day.minutes(2)
        day.be(conditions.RUNNING, "unpaused")
        day.minutes(10, cpu_time_per_vcpu=0.98)
    assert day.ever == {"CPU utilization is high (severe)": "AVERAGE"}, "and that one did not end meanwhile"


def test_migrated_away_it_is_gone_and_its_problems_are_over(day: Day) -> None:
    day.minutes(30, cpu_time_per_vcpu=0.98)
    day.document["domains"].remove(day.vm)
    del day.document["conditions"][UUID]
    day.minutes(2)
    assert day.problems == {"Gone from this hypervisor"}
    assert not day.minutes(90).problems, "it is told for an hour"
    day.document["domains"].append(day.vm)
    day.be(conditions.RUNNING, "migrated")
    day.minutes(60)
    assert {severity for name, severity in day.ever.items() if "CPU" not in name} == {"INFO"}


def test_removed_while_nobody_wanted_it_is_not_told(day: Day) -> None:
    day.vm["expected"] = "any"
    day.minutes(10)
    day.be(conditions.OFF, "shutdown")
    day.minutes(30)
    day.document["domains"].remove(day.vm)
    del day.document["conditions"][UUID]
    assert not day.minutes(60).ever


def test_gone_is_not_what_could_not_be_read(day: Day) -> None:
    del day.document["conditions"], day.document["domains"]
    assert not day.minutes(60).ever


def test_left_alone_it_falls_silent_at_once(day: Day) -> None:
    day.be(conditions.OFF, "destroyed")
    day.minutes(10)
    assert day.problems == {"Not running though it should be"}
    day.be(conditions.LEFT_ALONE)
    assert not day.minutes(1).problems


def test_autostart_that_is_switched_on_before_the_first_start(day: Day) -> None:
    day.vm["expected"] = "any"
    day.be(conditions.OFF, "unknown")
    day.minutes(120)
    day.vm["expected"] = "running"
    day.minutes(3)
    day.be(conditions.RUNNING)
    day.minutes(30)
    assert "Not running though it should be" not in day.ever


# The hypervisor's own


@pytest.mark.parametrize("outage", [1, 3, 7, 20])
@pytest.mark.parametrize("stopping", [1, 3, 4])
def test_reboot_of_the_hypervisor_is_one_problem_at_most(day: Day, stopping: int, outage: int) -> None:
    day.be(conditions.OFF, "shutdown")
    day.minutes(stopping)
    day.away(outage)
    day.pool["state"] = 0
    day.unread(1)
    day.minutes(2)
    day.pool["state"] = 2
    day.be(conditions.RUNNING, id=1)
    day.minutes(60)
    assert set(day.ever) <= {"KVM: No data"}
    assert not day.problems


def test_restart_of_libvirt_is_nothing(day: Day) -> None:
    day.unread(2)
    assert not day.minutes(30).ever


def test_stopped_libvirt_is_one_problem_and_keeps_those_there_were(day: Day) -> None:
    day.be(conditions.OFF, "destroyed")
    day.minutes(10)
    day.unread(10)
    assert day.problems == {"Not running though it should be", "KVM: libvirt does not answer"}
    day.minutes(1)
    assert day.problems == {"Not running though it should be"}
    assert not [name for name in day.ever if "Restarted" in name]


def test_one_that_does_not_come_back_after_a_reboot_is_told(day: Day) -> None:
    day.away(10)
    day.be(conditions.OFF, "unknown")
    day.minutes(5)
    assert "Not running though it should be" not in day.problems
    day.minutes(2)
    assert "Not running though it should be" in day.problems


# What is wrong, is told: once, in time, and until it ends


@pytest.mark.parametrize(
    ("condition", "reason", "name", "severity", "within"),
    [
        (conditions.OFF, "destroyed", "Not running though it should be", "HIGH", 5),
        (conditions.CRASHED, "panicked", "Crashed", "HIGH", 2),
        (conditions.IO_ERROR, "I/O error (vda: no space)", "Paused by an I/O error", "HIGH", 2),
        (conditions.FAULT, "watchdog", "Paused by a fault", "HIGH", 2),
        (conditions.PAUSED, "from snapshot", "Paused", "WARNING", 10),
        (conditions.BRIEF, "starting up", "Does not get started or shut down", "WARNING", 5),
        (conditions.JOB, "migrating", "Does not finish a job", "WARNING", 30),
        (conditions.UNKNOWN, "unknown", "State cannot be judged", "WARNING", 10),
    ],
)
def test_condition(day: Day, condition: int, reason: str, name: str, severity: str, within: int) -> None:
    day.be(condition, reason)
    assert not day.minutes(within).problems, "it may pass"
    day.minutes(1)
    assert day.problems == {name}
    assert day.ever == {name: severity}
    day.minutes(20)
    day.be(conditions.RUNNING)
    assert not day.minutes(1).problems - {"Restarted"}


def test_hung_qemu(day: Day) -> None:
    for age in range(60, 600, 60):
        day.vm["not_responding"] = age
        day.be(conditions.UNKNOWN, "unknown")
        day.minutes(1)
    day.minutes(10)
    assert day.ever == {"QEMU does not answer": "HIGH"}
    day.vm["not_responding"] = 0
    day.be(conditions.RUNNING)
    assert not day.minutes(1).problems


def test_slow_disk_is_told_with_a_floor_of_requests(day: Day) -> None:
    disk = day.vm["disks"][0]
    for _ in range(30):  # one slow write every other minute is none
        disk["write_requests"] += 0.5
        disk["write_time"] += 2
        day.minutes(1)
    assert not day.ever
    for _ in range(30):
        disk["write_requests"] += 600
        disk["write_time"] += 600 * 0.4
        day.minutes(1)
    assert day.ever == {"Disk vda: Write latency is high": "WARNING"}


def test_full_pool(day: Day) -> None:
    day.pool["usage"] = 97
    day.minutes(7)
    assert day.ever == {"Pool images: Is full": "HIGH"}
    for usage in (94, 96) * 10:
        day.pool["usage"] = usage
        day.minutes(1)
    assert day.problems == {"Pool images: Is full"}
    assert set(day.ever) == {"Pool images: Is full"}
    day.document["pools"].remove(day.pool)
    assert not day.minutes(1).problems, "a pool that is removed is not full any more"


def test_full_pool_that_stops_its_vms_is_one_problem_and_the_pools(day: Day) -> None:
    stopping, full = "KVM: Full storage pool stops VMs", "Paused because its pool is full"
    day.pool["usage"] = 97
    day.minutes(10)
    assert day.problems == {"Pool images: Is full"}
    day.be(conditions.FULL, "I/O error (vda: no space)")
    day.vm["disks"][0]["errors"] = 1
    day.pool |= {"usage": 100, "stopped": 1}
    day.document["stopped"] = "images: web1"
    day.minutes(3)
    assert day.problems == {stopping, full}, "it is not told twice that the pool is full"
    assert (day.ever[stopping], day.ever[full]) == ("HIGH", "INFO")
    day.minutes(30)
    day.be(conditions.RUNNING, "unpaused")
    day.vm["disks"][0]["errors"] = 0
    day.pool |= {"usage": 50, "stopped": 0}
    day.document["stopped"] = ""
    assert not day.minutes(1).problems


def test_stray_qemu_is_told_unless_it_is_one_of_moments(day: Day) -> None:
    for pid in range(20):  # libvirt itself asks what QEMU can do
        day.document["strays"] = f"PID {pid} (qemu-system-x86)"
        day.minutes(1)
    assert not day.ever
    day.minutes(10)
    assert day.ever == {"KVM: QEMU processes that libvirt does not know": "WARNING"}
    day.document["strays"] = ""
    assert not day.minutes(1).problems


def test_cut_off_interface(day: Day) -> None:
    day.vm["interfaces"][0]["link"] = 2
    day.minutes(5)
    assert day.ever == {f"Interface {SOURCE} {MAC}: Cut off from the network": "HIGH"}
    day.vm["interfaces"][0]["link"] = 1
    assert not day.minutes(1).problems


@pytest.mark.parametrize(
    ("says", "condition", "told"),
    [
        ("auto", conditions.OFF, {"Not running though it should be"}),
        ("any", conditions.OFF, set()),
        ("shutoff", conditions.OFF, set()),
        ("shutoff", conditions.RUNNING, {"Running though it should be shut off"}),
        ("paused", conditions.PAUSED, set()),
    ],
)
def test_macro_says_what_is_expected(says: str, condition: int, told: set[str]) -> None:
    day = Day(**{f"KVM_VM_EXPECT:{NAME}": says})
    day.host.ever.clear()
    day.be(condition, "user")
    assert day.minutes(60).problems - {"Guest agent is lost"} == told


def test_slow_pace_needs_two_readings(day: Day) -> None:
    """With five minutes from one reading to the next, a time of two is over with the next one."""
    slow = Day(KVM_INTERVAL="5m", KVM_WINDOW="10m")
    for minute in range(60):
        slow.now += MINUTE
        if minute % 5 == 0:
            slow.document |= {"time": slow.now, "read": slow.now}
            if minute == 30:
                slow.be(conditions.CRASHED, "panicked")
            slow.host.take(sent(slow.document), slow.now)
        if minute == 34:
            assert not slow.problems
    assert slow.problems == {"Crashed"}
