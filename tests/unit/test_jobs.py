"""The job that runs on a VM: what libvirt's answer means, and who is asked."""

from __future__ import annotations

from typing import Any

import libvirt
import pytest
from hanging import ALL_OVER

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Job
from kvmwatch.reading import jobs
from kvmwatch.reading.deadline import Deadline


@pytest.mark.parametrize(
    ("stats", "job"),
    [
        ({"type": 0}, None),
        ({"type": 3, "operation": 5}, None),
        ({}, None),
        ({"type": 2, "operation": 2}, Job("save")),
        (
            {"type": 2, "operation": 5, "time_elapsed": 2500}
            | {"data_total": 400, "data_processed": 900, "data_remaining": 100},
            Job("outgoing migration", 2.5, 75.0, 100),
        ),
        (
            {"type": 2, "operation": 8, "memory_total": 200, "memory_processed": 50, "memory_remaining": 150},
            Job("dump", None, 25.0, 150),
        ),
        ({"type": 1, "operation": 9, "disk_total": 200, "disk_processed": 50}, Job("backup", None, 25.0, 150)),
        ({"type": 2, "operation": 9, "disk_total": 0, "disk_processed": 0}, Job("backup")),
        ({"type": 2, "operation": 99}, Job("job 99")),
        ({"type": 2}, Job("job")),
    ],
)
def test_what_the_answer_means(stats: dict[str, Any], job: Job | None) -> None:
    assert jobs.of_stats(stats) == job


class Connected:
    """A connection, and its domains by UUID: what each answers, or the code of its error."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, list[str]()

    def another(self) -> Connected:
        return self

    def lookupByUUIDString(self, uuid: str) -> Any:  # noqa: N802 - libvirt's
        self.asked.append(uuid)
        answer = self.answers[uuid]

        class Named:
            def jobStats(self) -> Any:  # noqa: N802 - libvirt's
                if answer == "hangs":
                    ALL_OVER.wait()
                if isinstance(answer, int):
                    error = libvirt.libvirtError("no luck")
                    error.err = (answer, 10, "no luck", 2, None, None, None, 0, 0)
                    raise error
                return answer

        return Named()


def vm(uuid: str, state: int = states.RUNNING, silent: float | None = None) -> Domain:
    return Domain(uuid, uuid, 1, state, 1, 0.0, not_responding=silent)


def read(hypervisor: Any, *domains: Domain, seconds: float = 4) -> dict[str, Any]:
    """UUID to the job, or to why it is not known."""
    found = jobs.with_jobs(hypervisor, domains, Deadline(seconds))
    return {each.uuid: " ".join(part.text for part in each.unread) or each.job for each in found}


def test_who_is_asked() -> None:
    connected = Connected(
        saved={"type": 2, "operation": 2},
        idle={"type": 0},
        ended=libvirt.VIR_ERR_OPERATION_INVALID,
        refused=libvirt.VIR_ERR_ACCESS_DENIED,
    )
    names = (vm(name) for name in ("saved", "idle", "ended", "refused"))
    assert read(connected, *names, vm("off", states.SHUTOFF), vm("hung", silent=9.0)) == {
        "saved": Job("save"),
        "idle": None,
        "ended": None,
        "refused": "job could not be read: no luck",
        "off": None,
        "hung": "job could not be read: its QEMU does not answer",
    }
    assert set(connected.asked) == {"saved", "idle", "ended", "refused"}, "and one that hangs is not"


def test_one_that_waits_holds_nobody_up() -> None:
    found = read(
        Connected(waits="hangs", saved={"type": 2, "operation": 2}), vm("waits"), vm("saved"), seconds=0.4
    )
    assert found == {
        "waits": "job could not be read: libvirt did not tell in time whether one runs",
        "saved": Job("save"),
    }


def test_a_connection_that_fails_costs_only_the_job() -> None:
    class Refusing(Connected):
        def another(self) -> Connected:
            raise KvmwatchError("too many clients")

    refusing: Any = Refusing()
    (domain,) = jobs.with_jobs(refusing, (vm("web1"),), Deadline(4))
    assert [(part.group, part.why) for part in domain.unread] == [(Group.JOB, "too many clients")]
