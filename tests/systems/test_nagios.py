"""Our checks, definitions and passive results on a real Nagios and a real NRPE, which watch the lab's hypervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bed import ODD_NAME
from commands import CHECKS, Command
from conformance import STATES, conforming
from monitor import BIG_CHECKS
from nagios_kvm.names import ServiceName
from nagios_kvm.services import SETTLED
from running import running
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed
    from nagios import Nagios

#: checks whose verdict does not hang on how busy the machine is just now
STEADY = ("state", "pool", "snapshot", "agent")
#: of these VMs each service runs its own check
WATCHED = ("web1", "crash1", "pause1")

#: time for a second reading, also on a slow machine where other systems start beside this one
RATED = ("-t", "60")


@pytest.fixture(scope="module")
def nagios(bed: Bed, kvm: Command, many: str) -> Iterator[Nagios]:
    from nagios import BIG, PASSIVE, Nagios

    made = Nagios()
    made.checks(CHECKS)
    objects = made.work / "objects"
    for host, more in (
        ("kvm1", ("--active", *(argument for name in WATCHED for argument in ("-d", name)))),
        (PASSIVE, ()),
        (BIG, ("--stale-after", "40", "-u", many, *BIG_CHECKS)),
    ):
        file = objects / f"{host}.cfg"
        ran = kvm("nagios_kvm", "config", "--format", "nagios", "--host", host, "--output", str(file), *more)
        assert ran.code == 0, ran.err
    with running(made):
        made.nrpe()
        yield made


def test_500_services_in_one_go(nagios: Nagios, kvm: Command, many: str) -> None:
    from nagios import BIG

    spool = str(nagios.work / "spool")
    assert len(nagios.services(BIG).keys() - {SETTLED}) == 501
    ran = kvm("nagios_kvm", "publish", "--to", spool, "--host", BIG, "-u", many, *BIG_CHECKS, *RATED)
    assert ran.out == f"{spool}: 501 of 501 results for host {BIG} written\n", ran.err
    eventually("all are there", lambda: len(fed(nagios)) == 501)
    counts = {status: list(fed(nagios).values()).count(status) for status in STATES}
    assert counts["OK"] > 200
    assert counts["CRITICAL"] > 0


def test_every_check_runs_and_shows_state_and_perfdata(nagios: Nagios, kvm: Command) -> None:
    names = {f"all {check}" for check in CHECKS}
    eventually("all have run twice", lambda: names <= nagios.states("kvm1").keys())
    for check in CHECKS:
        alone = kvm(f"check_kvm_{check}")
        wanted = conforming(alone.out, alone.code)
        shown = nagios.services("kvm1")[f"all {check}"]
        assert shown["plugin_output"].startswith(f"KVM_{check.upper()} {STATES[int(shown['current_state'])]} - ")
        assert check not in STEADY or STATES[int(shown["current_state"])] == wanted.status, shown
        labels = {value.split("=")[0] for value in shown["performance_data"].split(" ") if "=" in value}
        assert bool(labels) == bool(wanted.perfdata), shown


def test_services_of_each_vm_follow(nagios: Nagios, bed: Bed) -> None:
    def state(name: str) -> str | None:
        return nagios.states("kvm1").get(f"KVM state {name}")

    eventually("all are told", lambda: [state(name) for name in WATCHED] == ["OK", "CRITICAL", "WARNING"])
    pause1 = bed.lookup("pause1")
    pause1.resume()
    eventually("it runs", lambda: state("pause1") == "OK")
    pause1.suspend()
    eventually("it is paused", lambda: state("pause1") == "WARNING")


def test_passive_results_equal_the_single_checks(nagios: Nagios, kvm: Command, bed: Bed) -> None:
    from nagios import PASSIVE

    pipe = str(nagios.work / "rw" / "nagios.cmd")
    ran = kvm("nagios_kvm", "publish", "--to", pipe, "--host", PASSIVE, *RATED)
    assert (ran.code, ran.err) == (0, "")
    count = len(nagios.services(PASSIVE).keys() - {SETTLED})
    assert ran.out == f"{pipe}: {count} of {count} results for host {PASSIVE} written\n"
    eventually("Nagios has them all", lambda: len(nagios.states(PASSIVE).keys() - {SETTLED}) == count)
    services = nagios.services(PASSIVE)
    for name in ("web1", "crash1", "ioerr1", "off1", ODD_NAME):
        uuid = bed.lookup(name).UUIDString()
        for check in ("state", "memory"):
            alone = kvm(f"check_kvm_{check}", "-d", uuid)
            shown = services[str(ServiceName(check, name))]
            assert STATES[int(shown["current_state"])] == STATES[alone.code], (name, check)
            assert shown["plugin_output"].split(" - ")[0] == alone.first.split(" - ")[0]
    spool = str(nagios.work / "spool")
    assert kvm("nagios_kvm", "publish", "--to", spool, "--host", PASSIVE).code == 0
    eventually("the spool is read", lambda: not list(Path(spool).glob("c*")))


def fed(nagios: Nagios) -> dict[str, str]:
    """The services of the big host whose last result is one of ours."""
    from nagios import BIG

    services = nagios.services(BIG)
    return {
        name: status
        for name, status in nagios.states(BIG).items()
        if services[name]["plugin_output"].startswith("KVM_")
    }


@pytest.mark.parametrize("check", CHECKS)
def test_nrpe_answers_the_same(nagios: Nagios, kvm: Command, check: str) -> None:
    asked = nagios.check_nrpe(f"check_kvm_{check}")
    alone = kvm(f"check_kvm_{check}")
    answer, wanted = conforming(asked.stdout, asked.returncode), conforming(alone.out, alone.code)
    assert bool(answer.perfdata) == bool(wanted.perfdata)
    assert check not in STEADY or answer.status == wanted.status


def test_config_is_replaced_only_when_it_changes_and_only_when_valid(
    nagios: Nagios, kvm: Command, tmp_path: Path
) -> None:
    file = nagios.work / "objects" / "kvm1.cfg"
    before = file.read_text()
    config = ("nagios_kvm", "config", "--format", "nagios", "--active", "--output", str(file))
    config += ("--validate", nagios.validate)
    selected = tuple(argument for name in WATCHED for argument in ("-d", name))
    unchanged = kvm(*config, "--host", "kvm1", *selected)
    assert unchanged.out == f"{file}: unchanged\n", unchanged.err
    another = kvm(*config, "--host", "no-such-host", *selected)
    assert (another.code, file.read_text()) == (3, before)
    assert "give --force" in another.err, "it is another hypervisor's"
    refused = kvm(*config, "--host", "no-such-host", "--force", *selected)
    assert refused.code == 3
    assert "the new" in refused.err
    assert "is not accepted, the old one stays" in refused.err
    assert "no-such-host" in refused.err
    assert file.read_text() == before
    marker = tmp_path / "reloaded"
    kept = kvm(*config, "--host", "kvm1", "-d", "web1")
    assert (kept.code, file.read_text()) == (3, before)
    assert "give --force" in kept.err, "most of what there was would be gone"
    taken = kvm(*config, "--host", "kvm1", "-d", "web1", "--force", "--reload", f"touch {marker}")
    assert taken.code == 0, taken.err
    assert marker.exists()
    assert "crash1" not in file.read_text()
    file.write_text(before)


def test_publish_without_nagios_is_told(kvm: Command, tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "nagios.cmd"
    os.mkfifo(pipe)
    ran = kvm("nagios_kvm", "publish", "--to", str(pipe), "--host", "kvm1")
    assert ran.code == 3
    assert ran.err == f"nagios_kvm: nobody reads {pipe}: Nagios is not running\n"


def test_silence_makes_services_stale(nagios: Nagios) -> None:
    """The last of them: it takes its time, which the others have used."""
    from nagios import BIG

    eventually(
        "nothing comes any more, and all are UNKNOWN",
        lambda: list(nagios.states(BIG).values()).count("UNKNOWN") == 501,
    )
    assert "No result from nagios_kvm publish for 40 s" in nagios.services(BIG)["KVM cpu vm000"]["plugin_output"]
