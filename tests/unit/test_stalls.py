"""A machine that stands still for a while is no domain that does not answer."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from kvmwatch.reading import control, deadline
from kvmwatch.reading.deadline import Awake, Deadline
from kvmwatch.reading.walk import walk

STALL = 300.0  # seconds


class Clock:
    """Stands for CLOCK_MONOTONIC, on which a stop of the whole machine can be shown."""

    def __init__(self) -> None:
        self.stalls = 0.0
        self.looks = 0  # since the first
        self.looked_at_long = threading.Event()

    def __call__(self) -> float:
        self.looks += self.stalls > 0
        if self.looks > 9:
            self.looked_at_long.set()
        return time.monotonic() + self.stalls


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=made, sleep=time.sleep))
    return made


def test_only_so_much_counts_between_two_looks(clock: Clock) -> None:
    awake = Awake(2.0)
    clock.stalls += STALL
    assert awake.look() == 2.0
    assert awake.look() < 3.0


def test_a_question_during_a_stall_holds_nothing_up(clock: Clock) -> None:
    def ask(uuid: str) -> str:
        clock.stalls += STALL
        assert clock.looked_at_long.wait(60), "it was left behind"
        return uuid

    walked = walk(["web1"], lambda: ask, Deadline(10 * STALL), 10)
    assert (walked.answers, walked.held) == ({"web1": "web1"}, {})


class Qemu:
    """Stands for a domain, with the seconds for which its QEMU has owed an answer each time it is asked."""

    def __init__(self, *owes: float) -> None:
        self.owes = list(owes)

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's names
        return "the-uuid"

    def connect(self) -> Any:
        return SimpleNamespace(isAlive=lambda: True)

    def controlInfo(self, _flags: int) -> tuple[int, int, int]:  # noqa: N802
        owed = self.owes.pop(0)
        state = libvirt.VIR_DOMAIN_CONTROL_OCCUPIED if owed else libvirt.VIR_DOMAIN_CONTROL_OK
        return state, 0, round(1000 * owed)


@pytest.mark.parametrize(
    ("owes", "hung"),
    [
        ((0.0,), {}),
        ((1.9,), {}),
        ((2.5, 0.0), {}),
        ((2.5, 0.1), {}),
        ((2.5, 2.7), {"the-uuid": 2.7}),
        ((60.0,), {"the-uuid": 60.0}),
    ],
)
def test_what_has_just_become_late_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, owes: tuple[float, ...], hung: dict[str, float]
) -> None:
    monkeypatch.setattr(control, "_LOOK_AGAIN", 0)
    domain: Any = Qemu(*owes)
    assert control.occupied([domain], Deadline(10)) == hung
    assert domain.owes == []
    domain = Qemu(*owes)
    hypervisor: Any = SimpleNamespace(another=lambda: SimpleNamespace(lookupByUUIDString=lambda _uuid: domain))
    assert control.hung(hypervisor, ["the-uuid"], Deadline(10)) == hung
    assert domain.owes == []
