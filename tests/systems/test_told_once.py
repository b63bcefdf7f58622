"""A VM that cannot be well is told of once, by its state: a real Nagios and a real Icinga that get results by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ran
from running import running
from testdriver import node
from waiting import eventually_equal

VM = "shop-1"
OK, WARNING, CRITICAL, UNKNOWN = range(4)
ROUNDS = 12  # more than the ten looks of a rate


@pytest.fixture
def of_the_driver(tmp_path: Path, kvm: Command) -> Callable[..., Ran]:
    """nagios_kvm for a hypervisor of libvirt's test driver."""
    file = tmp_path / "node.xml"
    file.write_text(node((VM,), states=7))
    # which has no processes
    return lambda *words: kvm(*(word for word in words if word != "--check=process"), "-u", f"test://{file}")


@pytest.fixture(params=["nagios", "icinga"])
def system(request: pytest.FixtureRequest, of_the_driver: Any) -> Iterator[Any]:
    import shutil

    import teams

    teams.WORK.mkdir()
    kinds = {
        "nagios": (teams.Nagios, teams.NAGIOS_OBJECTS),
        "icinga": (teams.Icinga, teams.ICINGA_OBJECTS),
    }
    kind, objects = kinds[request.param]
    made = kind(teams.Watched(), objects)
    made.define(of_the_driver)
    with running(made):
        yield made
    shutil.rmtree(teams.WORK)


def feed(system: Any, rounds: int = 1, **codes: int) -> None:
    """Give it results, the state first, as publish does."""
    from teams import HOST

    found = {(HOST, "host"): OK, **{(VM, check): codes.get(check, OK) for check in ("state", "agent", "cpu")}}
    for _ in range(rounds):
        for (host, check), code in found.items():
            if system.format_ == "nagios":
                with (system.work / "rw" / "nagios.cmd").open("w") as pipe:
                    pipe.write(
                        f"[{int(time.time())}] PROCESS_SERVICE_CHECK_RESULT;{host};KVM {check};{code};by hand\n"
                    )
            else:
                about = {"type": "Service", "service": f"{host}!KVM {check}"}
                body = {**about, "exit_status": code, "plugin_output": "by hand"}
                answer = system._call("POST", "/v1/actions/process-check-result", json=body)
                assert answer["results"][0]["code"] == 200, answer
        time.sleep(0.2)


def test_while_its_state_is_critical_nobody_is_told_of_its_other_services(system: Any) -> None:
    def told() -> list[str]:
        return [f"{line.kind} {line.contact} {line.service} {line.state}" for line in system.lines()]

    problem, recovery = "PROBLEM team-shop KVM state CRITICAL", "RECOVERY team-shop KVM state OK"
    feed(system)
    feed(system, ROUNDS, state=CRITICAL, agent=UNKNOWN, cpu=UNKNOWN)
    eventually_equal("its state is told", told, [problem])
    time.sleep(2)
    assert told() == [problem]
    feed(system)
    eventually_equal("its end is told", told, [problem, recovery])
    feed(system, ROUNDS, cpu=CRITICAL)
    alone = [problem, recovery, "PROBLEM team-shop KVM cpu CRITICAL"]
    eventually_equal("another service is told while its state is well", told, alone)
