"""Who is told when the agent on the hypervisor stops, and when the whole machine is gone: counted from the master's log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from nagios_kvm.services import SETTLED
from running import running
from waiting import eventually, eventually_equal

if TYPE_CHECKING:
    from distributed import Distributed

MINUTE = 10.0  # seconds
#: what is always OK on the test driver
CHECKS = ("--check state", "--check snapshot")
SERVICES = 2 * len(CHECKS) + 1
#: an Icinga that started less than five minutes ago says nothing of agents that are not connected
SILENT = 300 + 180


@pytest.fixture(scope="module")
def two() -> Iterator[Distributed]:
    from distributed import Distributed

    with running(Distributed(MINUTE, " ".join(CHECKS))) as made:
        # stands for a host that is well: the test driver tells nothing of its own, for which the check is UNKNOWN
        plugin = made.agent.work / "plugins" / "check_kvm_host"
        plugin.write_text(plugin.read_text().replace("exec env", "env").rstrip("\n") + " || [ $? = 3 ]\n")
        yield made


def states(two: Distributed) -> list[str]:
    return [judged.state for name, judged in two.services().items() if name != SETTLED]


def well(two: Distributed) -> None:
    eventually_equal("all services are OK", lambda: states(two), ["OK"] * SERVICES)


def test_an_agent_that_stops_is_one_problem(two: Distributed) -> None:
    from distributed import AGENT, MASTER

    well(two)
    assert two.told() == []
    two.agent.run("systemctl", "stop", "icinga2")

    def all_hard() -> bool:
        judged = [one for name, one in two.services().items() if name != SETTLED]
        return all(one.state == "UNKNOWN" and one.hard for one in judged)

    eventually("all services are UNKNOWN, and hard", all_hard, SILENT)
    said = f"Remote Icinga instance '{AGENT}' is not connected to '{MASTER}'"
    assert two.services()["KVM state web1"].output == two.services()["KVM host"].output == said
    assert two.told() == ["Problem KVM host"]
    two.agent.run("systemctl", "restart", "icinga2")
    well(two)
    time.sleep(3 * MINUTE)
    assert two.told() == ["Problem KVM host", "Recovery KVM host"]


def test_a_machine_that_is_gone_is_one_problem_of_its_host(two: Distributed) -> None:
    well(two)
    before = two.told()
    two.agent.run("ip", "link", "set", "cable", "down")
    eventually("the host is down, and that is told", lambda: two.told() != before)
    eventually("nothing is heard of its services", lambda: set(states(two)) == {"UNKNOWN"}, SILENT)
    time.sleep(6 * MINUTE)
    two.agent.run("ip", "link", "set", "cable", "up")
    well(two)
    time.sleep(3 * MINUTE)
    assert two.told()[len(before) :] == ["Problem the host", "Recovery the host"]
