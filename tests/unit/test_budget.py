"""The time for reading, and when a run of publish failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from nagios_kvm.budget import Budget, share
from nagios_kvm.targets import Taken


@pytest.mark.parametrize(
    ("stored", "part"),
    [
        *[(unusable, 0.6) for unusable in (None, "", "x", "nan", "-1", "inf")],
        *[("0.01", 0.9), ("2", 0.6), ("1", 0.8), ("9", 0.4)],
    ],
)
def test_reading_gets_what_sending_leaves(stored: str | None, part: float) -> None:
    assert share(stored, 10) == pytest.approx(part)


def test_what_it_took_is_remembered_for_each_target(tmp_path: Path) -> None:
    kept = Budget(str(tmp_path), ("a", "kvm1"))
    kept.start()
    kept.keep()
    assert Budget(str(tmp_path), ("a", "kvm1")).reading(10) == pytest.approx(0.9)
    assert Budget(str(tmp_path), ("b", "kvm1")).reading(10) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("taken", "failed"),
    [
        (Taken(3), False),
        (Taken(0), True),  # there were three
        (Taken(3, ["a"]), False),  # Nagios: written, and unknown there
        (Taken(2, ["a"]), False),  # Icinga: not taken
        (Taken(3, ["a", "b", "c"]), True),
        (Taken(0, ["a", "b", "c"]), True),
        (Taken(1, ["a"]), True),  # one was not sent
        (Taken(2, (), "refused"), True),
        (Taken(2, ["a"], "refused"), True),
    ],
)
def test_some_unknown_are_normal_life_and_all_are_a_failure(taken: Taken, failed: bool) -> None:
    assert taken.failed(3) is failed
