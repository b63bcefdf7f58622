"""One domain that makes a call wait costs no other its values, whether anybody names it or not."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hanging import ALL_OVER

from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.lanes import Crew, each_chunk

UUIDS = [f"vm{number:02}" for number in range(32)]
PATIENCE = 0.4  # seconds


class Domain:
    """Stands for a libvirt domain: calls that never return cannot be had from a real one for each of these cases."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return self._uuid


class Connection:
    """Has the domains; its list waits while somebody holds one."""

    held = False

    def listAllDomains(self, _flags: int) -> list[Domain]:  # noqa: N802 - libvirt's name
        if self.held:
            ALL_OVER.wait()
        return [Domain(uuid) for uuid in UUIDS]

    def lookupByUUIDString(self, uuid: str) -> Domain:  # noqa: N802 - libvirt's name
        return Domain(uuid)


def test_the_others_are_read() -> None:
    """Whether those that hang can be read gently, and whether somebody names them; at once, as each takes all its time."""
    hanging = (set(), {"vm03"}, {"vm00", "vm31"}, set(UUIDS[8:13]))
    cases = list(itertools.product(hanging, (True, False), (True, False)))
    with ThreadPoolExecutor(len(cases)) as pool:
        for case, tried in [(case, pool.submit(_others_are_read, *case)) for case in cases]:
            assert tried.exception() is None, f"hanging, gently, named: {case}"


def _others_are_read(hanging: set[str], gently: bool, named: bool) -> None:
    known: set[str] = set()

    def read(domains: list[Any], waiting: frozenset[str]) -> list[str]:
        uuids = [domain.UUIDString() for domain in domains]
        for uuid in uuids:
            gentle = gently and (uuid in waiting or uuid in known)
            if uuid in hanging and not gentle:
                ALL_OVER.wait()
        return uuids

    def hung(uuids: list[str]) -> dict[str, float]:
        found = dict.fromkeys(hanging.intersection(uuids) if named else (), 3.0)
        known.update(found)
        return found

    results, outcome = each_chunk(lambda: Crew(Connection), UUIDS, read, hung, Deadline(5), PATIENCE)
    wanted = set(UUIDS) if gently else set(UUIDS) - hanging
    assert set(results) == wanted
    assert len(results) == len(wanted), "nobody twice"
    assert outcome.unread == set()
    assert outcome.stuck.keys() == (hanging if named else set(UUIDS) - wanted)
    assert all(seconds >= PATIENCE for seconds in outcome.stuck.values())


def test_whose_turn_did_not_come_does_not_hang() -> None:
    """A slow libvirt is no fault of the domains that it had not come to."""

    def read(domains: list[Any], _waiting: frozenset[str]) -> list[str]:
        time.sleep(0.6 * len(domains))
        return [domain.UUIDString() for domain in domains]

    results, outcome = each_chunk(lambda: Crew(Connection), UUIDS, read, lambda _: {}, Deadline(3), 2.5, size=2)
    assert outcome.stuck == {}
    assert outcome.unread == set(UUIDS) - set(results)
    assert outcome.unread


class Holding(Connection):
    """One of its domains is held by somebody."""

    held = True


def test_a_list_is_asked_for_once_in_each_lane() -> None:
    """And nobody is looked up."""

    class Lists(Connection):
        lookupByUUIDString: Any = None  # noqa: N815 - libvirt's name

    results, _ = each_chunk(
        *(lambda: Crew(Lists), UUIDS, lambda some, _: [one.UUIDString() for one in some]),
        *(lambda _: {}, Deadline(5), PATIENCE),
        listed=True,
    )
    assert sorted(results) == UUIDS


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
def test_a_list_that_waits_costs_nobody_his_values(named: bool) -> None:
    """Only the one that is held is not read."""

    def read(domains: list[Any], waiting: frozenset[str]) -> list[str]:
        uuids = [domain.UUIDString() for domain in domains]
        if "vm03" in set(uuids) - waiting - (found if named else set()):
            ALL_OVER.wait()
        return uuids

    found: set[str] = set()

    def hung(uuids: list[str]) -> dict[str, float]:
        found.update({"vm03"}.intersection(uuids) if named else ())
        return dict.fromkeys(found, 3.0)

    results, outcome = each_chunk(lambda: Crew(Holding), UUIDS, read, hung, Deadline(5), PATIENCE, listed=True)
    assert sorted(results) == UUIDS
    assert outcome.stuck.keys() == found


def test_what_a_lane_raises_is_raised() -> None:
    def read(_domains: list[Any], _waiting: frozenset[str]) -> list[str]:
        raise RuntimeError("the connection is lost")

    with pytest.raises(RuntimeError, match="the connection is lost"):
        each_chunk(lambda: Crew(Connection), UUIDS, read, lambda _: {}, Deadline(5), PATIENCE)


def test_every_domain_is_asked_once_when_nobody_hangs() -> None:
    counter = itertools.count()

    def read(domains: list[Any], _waiting: frozenset[str]) -> list[str]:
        next(counter)
        return [domain.UUIDString() for domain in domains]

    results, _ = each_chunk(lambda: Crew(Connection), UUIDS, read, lambda _: {}, Deadline(5), PATIENCE)
    assert sorted(results) == UUIDS
    assert next(counter) == 4
