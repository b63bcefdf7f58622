"""CPU use is that of the vCPUs, whatever else QEMU does and however many vCPUs there are meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from judging import UNKNOWN, judged

from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.model.rates import NO_RATE, lacking, samples, with_rates
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading import records
from kvmwatch.reading.records import Reading

SECOND = 1_000_000_000


def snapshot(
    at: float, cpu: float, vcpus: dict[int, float], count: int | None = None, without: str = "-"
) -> Snapshot:
    """Of a domain that has used so many seconds, and each vCPU; ``without`` the fields that begin with this."""
    fields: dict[str, Any] = {
        "state.state": 1,
        "state.reason": 1,
        "cpu.time": int(cpu * SECOND),
        "vcpu.maximum": 8,
    }
    fields["vcpu.current"] = count or len(vcpus)
    fields |= {f"vcpu.{number}.time": int(used * SECOND) for number, used in vcpus.items()}
    fields |= {f"vcpu.{number}.delay": int(used * SECOND) // 10 for number, used in vcpus.items()}
    fields = {name: value for name, value in fields.items() if not name.startswith(without)}
    return Snapshot("qemu:///system", at, 0, domains=(records.domain(Reading("uuid", "web1", 1, at, fields), at),))


def rated(before: Snapshot, after: Snapshot) -> Domain:
    return with_rates(after, samples(before)).domains[0]


@pytest.mark.parametrize(
    ("cpu", "before", "after", "usage", "emulator"),
    [
        pytest.param(20, {0: 0, 1: 0}, {0: 10, 1: 10}, 100, 0, id="all of both"),
        pytest.param(21, {0: 0, 1: 0}, {0: 10, 1: 10}, 100, 10, id="with an emulator"),
        pytest.param(60, {0: 0, 1: 0}, {0: 5, 1: 5}, 50, 500, id="with busy I/O threads"),
        pytest.param(19.9, {0: 0, 1: 0}, {0: 10, 1: 10}, 100, 0, id="read a moment apart"),
        pytest.param(10, {0: 0}, {0: 5, 1: 4}, 50, None, id="one plugged"),
        pytest.param(10, {0: 0, 1: 3000}, {0: 5}, 50, 50, id="one unplugged"),
        pytest.param(10, {0: 0, 1: 3000}, {0: 5, 2: 1}, 50, None, id="one for another"),
        pytest.param(15, {}, {}, 75, None, id="a driver without vCPU times"),
        pytest.param(25, {}, {}, 100, None, id="a driver without vCPU times, emulator included"),
    ],
)
def test_usage_and_emulator(
    cpu: float, before: dict[int, float], after: dict[int, float], usage: float, emulator: float | None
) -> None:
    domain = rated(snapshot(100, 0, before, 2), snapshot(110, cpu, after, 2))
    assert derived.vcpu_usage(domain) == pytest.approx(usage)
    assert derived.emulator_usage(domain) == (None if emulator is None else pytest.approx(emulator))
    if after:
        assert domain.rates.cpu_delay == pytest.approx(usage / 1000 * len(before.keys() & after.keys()))
        assert derived.steal(domain) == pytest.approx(usage / 10)
    assert not domain.unread


def test_vcpu_times_of_another_clock_are_not_summed_up() -> None:
    fields = {"state.state": 1, "cpu.time": SECOND, "vcpu.maximum": 1, "vcpu.0.time": 5, "vcpu.apart": 1}
    domain = records.domain(Reading("uuid", "web1", 1, 0, fields), 0)
    assert (domain.stats.vcpu_time, domain.vcpus[0].stats.time) == (None, 5 / SECOND)


def test_a_domain_none_of_whose_vcpus_has_a_rate_says_so() -> None:
    after = with_rates(snapshot(110, 5, {2: 1}), samples(snapshot(100, 0, {0: 0})))
    assert [part.why for part in after.domains[0].unread] == [NO_RATE]
    assert lacking(after, Group.CPU) == {"uuid"}


@pytest.mark.parametrize("policy", [Policy(), Policy(error="not XML")])
@pytest.mark.parametrize(("left_out", "says"), [("cpu.", "no CPU time of it"), ("vcpu.", "no CPU use of it")])
def test_without_what_its_use_is_made_of_it_is_unknown(left_out: str, says: str, policy: Policy) -> None:
    def look(at: float, used: float) -> Snapshot:
        read = snapshot(at, used, {0: used}, without=left_out)
        return read._replace(domains=(read.domains[0]._replace(policy=policy),))

    text, code = judged("cpu", with_rates(look(110, 15), samples(look(100, 10))))
    assert (code, says in text) == (UNKNOWN, True), text
