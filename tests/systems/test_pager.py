"""Who is told what, and how often: counted from what a real Nagios and a real Icinga 2 have sent to their contact."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command
from running import running
from waiting import eventually_equal

if TYPE_CHECKING:
    from bed import Bed
    from pager import Watched

SYSTEMS = ("nagios", "icinga")
VM = "pager00"


@pytest.fixture(scope="module")
def watched(bed: Bed, kvm: Command) -> Iterator[Watched]:
    from pager import Watched

    with running(Watched(bed, kvm)) as made:
        yield made


@pytest.fixture(scope="module")
def pagers(watched: Watched, kvm: Command) -> Iterator[dict[str, Any]]:
    from pager import IcingaPager, NagiosPager, settle

    made = {"nagios": NagiosPager(watched), "icinga": IcingaPager(watched)}
    for pager in made.values():
        pager.define(kvm)
    with running(made["nagios"]), running(made["icinga"]):
        for pager in made.values():
            watched.publish_to(pager)
        for pager in made.values():
            settle(pager)
        yield made


def minutes(number: float) -> None:
    from pager import MINUTE

    time.sleep(number * MINUTE)


def told(pagers: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    from pager import HOSTS

    return {system: {host: pager.told.of(host) for host in HOSTS} for system, pager in pagers.items()}


def of_each(*lines: str) -> dict[str, dict[str, list[str]]]:
    from pager import HOSTS

    return {system: {host: [line.format(host) for line in lines] for host in HOSTS} for system in SYSTEMS}


def test_a_libvirtd_that_is_gone_is_told_once_and_so_is_its_return(
    watched: Watched, pagers: dict[str, Any]
) -> None:
    from pager import settle

    for pager in pagers.values():
        pager.told.forget()
    problem, recovery = "PROBLEM {} KVM host UNKNOWN", "RECOVERY {} KVM host OK"
    with watched.without_libvirtd():
        eventually_equal("each hypervisor is told of", lambda: told(pagers), of_each(problem))
        minutes(10)  # so that all other services are known to be UNKNOWN as well
    eventually_equal("and its return", lambda: told(pagers), of_each(problem, recovery))
    for pager in pagers.values():
        settle(pager)
    minutes(2)
    assert told(pagers) == of_each(problem, recovery)


def test_a_reboot_is_told_once_and_so_is_its_end(watched: Watched, pagers: dict[str, Any]) -> None:
    from pager import settle

    for pager in pagers.values():
        pager.told.forget()
    watched.reboot(minutes=5)
    for pager in pagers.values():
        settle(pager)
    minutes(2)
    assert told(pagers) == of_each("PROBLEM {} DOWN", "RECOVERY {} UP")


def test_three_busy_minutes_are_not_told_and_more_than_ten_are_once(
    watched: Watched, pagers: dict[str, Any]
) -> None:
    for pager in pagers.values():
        pager.told.forget()
    with watched.busy(VM):
        minutes(3)
    minutes(2)
    assert told(pagers) == of_each()
    problem, recovery = f"PROBLEM {VM} KVM cpu CRITICAL", f"RECOVERY {VM} KVM cpu OK"
    with watched.busy(VM):
        eventually_equal("it is told", lambda: told(pagers), of_passive(problem))
        minutes(2)
    eventually_equal("and that it has ended", lambda: told(pagers), of_passive(problem, recovery))


def of_passive(*lines: str) -> dict[str, dict[str, list[str]]]:
    return {system: {"active": [], "passive": list(lines)} for system in SYSTEMS}
