"""Where the time does not suffice for all results, all of them get their turn in the runs to come."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path

import pytest
from nagios_kvm.judging import Result
from nagios_kvm.turns import Turns

OF_HOST = ["KVM host", "KVM pool"]
OF_VMS = [f"KVM {check} web{number}" for number in range(6) for check in ("state", "cpu")]


def turns(folder: Path, services: list[str] = OF_HOST + OF_VMS, target: str = "nagios") -> Turns:
    return Turns(str(folder), (target, "kvm1"), [Result(service, 0, "OK") for service in services])


def names(results: Turns, most: int | None = None) -> list[str]:
    return [result.service for result in islice(results, most)]


def test_all_in_their_order_when_there_is_time(tmp_path: Path) -> None:
    for _ in range(3):
        run = turns(tmp_path)
        assert len(run) == len(OF_HOST + OF_VMS)
        assert names(run) == OF_HOST + OF_VMS
        assert run.keep() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", [3, 5, 9, 13])
def test_all_have_their_turn(tmp_path: Path, most: int) -> None:
    had: list[str] = []
    for _ in range(len(OF_VMS)):
        run = turns(tmp_path)
        sent = names(run, most)
        assert sent[:2] == OF_HOST, "they come first in every run"
        had += sent[2:]
        left = run.keep()
        assert left == OF_VMS[len(had) % len(OF_VMS)]
    rounds = [had[start : start + len(OF_VMS)] for start in range(0, len(had) - len(OF_VMS) + 1, len(OF_VMS))]
    assert rounds
    assert all(one == OF_VMS for one in rounds)


def test_vms_with_hosts_of_their_own_take_turns_as_well(tmp_path: Path) -> None:
    told = [
        Result("KVM host", 0, "OK"),
        *(Result(f"KVM {check}", 0, "OK", f"web{n}") for n in range(3) for check in ("state", "cpu")),
    ]
    run = Turns(str(tmp_path), ("nagios",), told)
    assert [result.name for result in islice(run, 4)] == [
        "KVM host",
        "web0!KVM state",
        "web0!KVM cpu",
        "web1!KVM state",
    ]
    assert run.keep() == "web1!KVM cpu"
    run = Turns(str(tmp_path), ("nagios",), told)
    assert [result.name for result in islice(run, 3)] == ["KVM host", "web1!KVM cpu", "web2!KVM state"]


def test_a_run_that_comes_to_its_end_forgets(tmp_path: Path) -> None:
    run = turns(tmp_path)
    names(run, 5)
    run.keep()
    run = turns(tmp_path)
    assert names(run)[2:] == OF_VMS[3:] + OF_VMS[:3]
    assert run.keep() is None
    assert names(turns(tmp_path)) == OF_HOST + OF_VMS


def test_a_vm_that_is_gone_gives_its_turn_to_the_next(tmp_path: Path) -> None:
    run = turns(tmp_path)
    names(run, 2 + 5)
    assert run.keep() == "KVM cpu web2"
    left = [service for service in OF_VMS if "web2" not in service]
    assert names(turns(tmp_path, left)) == left[4:] + left[:4]
    before = [service for service in OF_VMS if service < "KVM cpu web2" and "web2" not in service][:2]
    assert names(turns(tmp_path, before)) == before


def test_each_target_has_its_own_and_damage_does_no_harm(tmp_path: Path) -> None:
    run = turns(tmp_path)
    names(run, 4)
    run.keep()
    assert names(turns(tmp_path, target="icinga")) == OF_HOST + OF_VMS
    (file,) = tmp_path.iterdir()
    for damaged in ("nonsense", "", "\0", "KVM cpu +FFFFFFFFFFFFFFFF."):
        file.write_text(damaged)
        assert names(turns(tmp_path)) == OF_HOST + OF_VMS


def test_several_take_each_once(tmp_path: Path) -> None:
    run = turns(tmp_path, [f"KVM state vm{number:05}" for number in range(5000)])
    taken: list[list[str]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=lambda mine=mine: mine.extend(names(run))) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(service for mine in taken for service in mine) == [
        f"KVM state vm{number:05}" for number in range(5000)
    ]


def test_what_is_given_back_has_its_turn_in_the_next_run_and_not_for_ever(tmp_path: Path) -> None:
    def run(most: int, lost: slice) -> str | None:
        run = turns(tmp_path)
        took = list(islice(run, most))
        run.give_back(took[lost])
        return run.keep()

    assert run(7, slice(4, 7)) == OF_VMS[2], "the first of those"
    assert names(turns(tmp_path))[2] == OF_VMS[2]
    assert run(7, slice(2, 7)) == OF_VMS[7], "it fails again: the others are not held up"
    assert run(99, slice(2, 3)) is None
    assert run(99, slice(0, 2)) is None, "those of the hypervisor come first anyway"
    assert run(99, slice(3, 4)) == OF_VMS[1], "all were sent, one got lost"
