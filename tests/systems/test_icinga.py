"""Our CheckCommands, apply rules and passive results on a real Icinga 2, which watches the lab's hypervisor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from bed import ODD_NAME
from commands import Command
from conformance import STATES
from monitor import BIG_CHECKS
from nagios_kvm.names import ServiceName
from nagios_kvm.services import SETTLED
from running import running
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed
    from icinga import Icinga

PASSIVE, BIG = "kvm1-passive", "big1"
HOST = 'object Host "{name}" {{ import "generic-host"; import "kvmwatch-{name}" }}\n'


@pytest.fixture(scope="module")
def icinga(bed: Bed, kvm: Command, many: str) -> Iterator[Icinga]:
    from icinga import Icinga

    made = Icinga()
    folder = made.work / "conf.d"
    for host, more in (
        ("kvm1", ("--active",)),
        (PASSIVE, ("--stale-after", "300")),
        (BIG, ("--stale-after", "40", "-u", many, *BIG_CHECKS)),
    ):
        file = str(folder / f"{host}.conf")
        ran = kvm("nagios_kvm", "config", "--format", "icinga2", "--host", host, "--output", file, *more)
        assert ran.code == 0, ran.err
    made.write("conf.d/site.conf", "".join(HOST.format(name=name) for name in ("kvm1", PASSIVE, BIG)))
    with running(made):
        yield made


def test_500_services_in_one_go(icinga: Icinga, kvm: Command, many: str) -> None:
    from icinga import API, CA

    to = ("--to", API, "--credentials", str(icinga.credentials), "--ca-file", str(CA))
    ran = kvm("nagios_kvm", "publish", *to, "--host", BIG, "-u", many, "-t", "30", *BIG_CHECKS)
    assert ran.out == f"{API} took 501 of 501 results for host {BIG}\n", ran.err
    states = {name: state for name, state in icinga.states(BIG).items() if name != SETTLED}
    counts = {status: list(states.values()).count(status) for status in STATES}
    assert sum(counts.values()) == 501
    assert counts["OK"] > 200
    assert counts["CRITICAL"] > 0


def test_a_service_for_each_vm_and_check(icinga: Icinga, bed: Bed) -> None:
    services = icinga.services("kvm1")
    names = [domain.name() for domain in bed.connect().listAllDomains() if domain.name() != "alone1"]
    wanted = {
        str(ServiceName(check, name)) for name in names for check in ("state", "cpu", "memory", "disk", "network")
    }
    assert services.keys() == wanted | {"KVM host", "KVM net", "KVM pool", SETTLED}
    odd = services[str(ServiceName("state", ODD_NAME))]
    assert odd["display_name"] == f"KVM state {ODD_NAME}"
    assert odd["check_command"] == "check_kvm_state"


def test_states_follow(icinga: Icinga, bed: Bed) -> None:
    def state(name: str) -> str | None:
        icinga.check_now("kvm1", f"KVM state {name}")
        return icinga.states("kvm1").get(f"KVM state {name}")

    for name, wanted in (("web1", "OK"), ("crash1", "CRITICAL"), ("pause1", "WARNING"), ("auto1", "CRITICAL")):
        eventually(f"{name} is {wanted}", lambda name=name, wanted=wanted: state(name) == wanted)
    pause1, crash1 = bed.lookup("pause1"), bed.lookup("crash1")
    pause1.resume()
    eventually("it runs", lambda: state("pause1") == "OK")
    pause1.suspend()
    eventually("it is paused again", lambda: state("pause1") == "WARNING")
    crash1.destroy()
    eventually("it is shut off, and nothing is wrong with that", lambda: state("crash1") == "OK")
    crash1.create()
    eventually("it crashes again", lambda: state("crash1") == "CRITICAL")


def test_options_reach_the_checks(icinga: Icinga) -> None:
    icinga.check_now("kvm1", "KVM memory web1")
    result = eventually(
        "web1's memory is judged", lambda: icinga.services("kvm1")["KVM memory web1"]["last_check_result"]
    )
    assert result["output"].startswith("KVM_MEMORY OK - web1 usage ")
    assert any(value.startswith("usage=") for value in result["performance_data"])


def test_published_results(icinga: Icinga, kvm: Command) -> None:
    from icinga import API, CA

    to = ("--to", API, "--credentials", str(icinga.credentials), "--ca-file", str(CA))
    ran = kvm("nagios_kvm", "publish", *to, "--host", PASSIVE)
    services = icinga.services(PASSIVE)
    count = len(services.keys() - {SETTLED})
    assert ran.out == f"{API} took {count} of {count} results for host {PASSIVE}\n", ran.err
    assert icinga.states(PASSIVE)["KVM state crash1"] == "CRITICAL"
    result = services["KVM memory web1"]["last_check_result"]
    assert result["output"].startswith("KVM_MEMORY OK - web1 usage ")
    assert any(value.startswith("usage=") for value in result["performance_data"])
    host = kvm("nagios_kvm", "publish", *to, "--host", "no-such-host")
    assert (host.code, host.out) == (2, ""), host.err
    assert "took 0 of" in host.err


def test_icinga_repeats_what_was_published(icinga: Icinga, kvm: Command) -> None:
    """It runs a service of its own accord when one that depends on it is in trouble, as most here are."""
    from icinga import API, CA

    kvm(
        "nagios_kvm", "publish", "--to", API, "--credentials", str(icinga.credentials), "--ca-file", str(CA),
        "--host", PASSIVE,
    )  # fmt: skip
    before = icinga.services(PASSIVE)
    names = before.keys() - {SETTLED}
    for _again in (1, 2):
        asked = time.time()
        for name in names:
            icinga.check_now(PASSIVE, name)
        eventually(
            "Icinga has run all",
            lambda asked=asked: all(one["last_check"] >= asked for one in icinga.services(PASSIVE).values()),
        )
        after = icinga.services(PASSIVE)
        for name in names:
            old, new = before[name]["last_check_result"], after[name]["last_check_result"]
            assert (new["state"], new["output"].split("\n")[0]) == (old["state"], old["output"].split("\n")[0])
            assert new["output"].count("repeated by Icinga") == 1


def test_what_looks_like_a_macro_is_repeated_as_it_is(icinga: Icinga) -> None:
    """A "$" of a VM's name; another variable's value would be given away by it."""
    service = "KVM memory web1"
    for code, text in ((0, "KVM - cash$1 running"), (2, "KVM - $kvm_stale_after$ $$ x$$y crashed")):
        fed = {"type": "Service", "service": f"{PASSIVE}!{service}", "exit_status": code, "plugin_output": text}
        icinga._call("POST", "/v1/actions/process-check-result", json=fed)
        for _again in (1, 2):  # what it repeats the second time is its own
            asked = time.time()
            icinga.check_now(PASSIVE, service)
            eventually(
                "Icinga has run it", lambda asked=asked: icinga.services(PASSIVE)[service]["last_check"] >= asked
            )
            result = icinga.services(PASSIVE)[service]["last_check_result"]
            assert (result["state"], result["output"].split("\n")[0]) == (code, text)


def test_what_stands_in_the_way_is_told_in_one_line(icinga: Icinga, kvm: Command) -> None:
    from icinga import API, API_USER, CA

    wrong = icinga.write("wrong", f"user = {API_USER}\npassword = wrong\n")
    wrong.chmod(0o600)
    credentials = str(icinga.credentials)
    for arguments, said in (
        (
            ("--to", API, "--credentials", str(wrong), "--ca-file", str(CA)),
            "Icinga refuses the user or its password",
        ),
        (("--to", API, "--credentials", credentials), "its certificate cannot be verified"),
        (
            ("--to", "https://localhost:1", "--credentials", credentials, "--ca-file", str(CA)),
            "no Icinga API answers",
        ),
        (("--to", API, "--credentials", "/nonexistent", "--ca-file", str(CA)), "cannot read /nonexistent"),
        (("--to", API), "needs --credentials FILE"),
    ):
        ran = kvm("nagios_kvm", "publish", *arguments, "--host", PASSIVE)
        assert (ran.code, ran.out) == (3, ""), arguments
        assert said in ran.err.splitlines()[0], ran.err


def test_silence_makes_services_stale(icinga: Icinga) -> None:
    """The last of them: it takes its time, which the others have used."""
    for number in range(3):
        icinga.check_now(BIG, f"KVM cpu vm00{number}")  # what it repeats is not fresh by that
    eventually(
        "nothing comes any more, and all are UNKNOWN",
        lambda: list(icinga.states(BIG).values()).count("UNKNOWN") == 501,
    )
    output = icinga.services(BIG)["KVM cpu vm000"]["last_check_result"]["output"]
    assert "No result from nagios_kvm publish" in output
