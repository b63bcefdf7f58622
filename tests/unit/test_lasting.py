"""Passing states are judged by how long they last, as far as that is remembered."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pytest
from check_kvm.frame import output, plugin, sampling
from check_kvm.frame.thresholds import Thresholds
from check_kvm.state import CHECK

from kvmwatch.model import lasting, states
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading.deadline import Deadline

BRIEF = [(states.SHUTDOWN, 0), (states.SHUTDOWN, 1), (states.PAUSED, 8), (states.PAUSED, 11)]
JOB = [(states.PAUSED, reason) for reason in (2, 3, 4, 9, 12)] + [(states.RUNNING, 10)]
OK, WARNING, CRITICAL, UNKNOWN = range(4)
NOW = 1_795_450_700.0


def look(at: float, state: int, reason: int, run: int = 7) -> Snapshot:
    return Snapshot("qemu:///system", at, 0, domains=(Domain("uuid", "db1", run, state, reason, at),))


def told(snapshot: Snapshot) -> tuple[str, int]:
    return output.render("state", plugin.judged(CHECK, snapshot, Thresholds("state", CHECK.metrics)))


def after(*looks: Snapshot) -> Snapshot:
    """The last of these looks, with what each left for the next."""
    kept: dict[str, lasting.Sample] = {}
    for read in looks:
        seen = lasting.with_since(read, kept)
        kept = lasting.samples(seen, kept)
    return seen


def test_the_table_has_these_and_no_others() -> None:
    passing = [
        (state, number)
        for state, known in states.REASONS.items()
        for number, one in enumerate(known)
        if one.meaning is states.PASSING
    ]
    assert sorted(passing) == sorted(BRIEF + JOB)


@pytest.mark.parametrize(("state", "reason"), BRIEF + JOB)
@pytest.mark.parametrize("seconds", [0, 60, 299, 301, 899, 901, 1799, 1801, 3600, 7199, 7201, 40_000])
def test_verdict_by_how_long_it_lasts(state: int, reason: int, seconds: float) -> None:
    warn, most = (300, 900) if (state, reason) in BRIEF else (1800, 7200)
    text, code = told(after(look(NOW, state, reason), look(NOW + seconds, state, reason)))
    assert code == (CRITICAL if seconds > most else WARNING if seconds > warn else OK), text
    assert ("first seen now" in text) == (seconds == 0)


def test_all_looks_count_from_the_first() -> None:
    looks = [look(NOW + minutes * 60, states.SHUTDOWN, 1) for minutes in range(0, 60, 5)]
    assert "for 55 min since first seen" in told(after(*looks))[0]


@pytest.mark.parametrize("later", [0.0, 0.4, 30.0])
def test_a_run_that_began_later_and_is_done_before_ends_nothing(later: float) -> None:
    """Two that are under way at once, and read and keep at moments of their own."""
    seen = after(
        look(NOW - 3600, states.SHUTDOWN, 1), look(NOW + later, states.SHUTDOWN, 1), look(NOW, states.SHUTDOWN, 1)
    )
    assert told(seen)[1] == CRITICAL
    assert seen.domains[0].since == NOW - 3600
    first = after(look(NOW + later, states.SHUTDOWN, 1), look(NOW, states.SHUTDOWN, 1))
    assert first.domains[0].since == NOW
    assert told(first)[1] == OK


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(look(NOW + 1000, states.PAUSED, 2, run=6), id="another run"),
        pytest.param(look(NOW + 1000, states.PAUSED, 3), id="another reason"),
        pytest.param(look(NOW + 1000, states.RUNNING, 1), id="it was over"),
        pytest.param(look(NOW + 100_000, states.PAUSED, 2), id="the clock was set back"),
        pytest.param(look(NOW - 100_000, states.PAUSED, 2), id="too long ago"),
    ],
)
def test_what_is_not_known_to_have_lasted_begins_again(between: Snapshot) -> None:
    seen = after(look(NOW - 200_000, states.PAUSED, 2), between, look(NOW + 40_000, states.PAUSED, 2))
    assert told(seen)[1] == OK
    assert seen.domains[0].since == NOW + 40_000


def test_a_look_that_could_not_tell_its_state_ends_nothing() -> None:
    """A destroy that hangs holds it for a while, and then it is shutting down as before."""
    untold = look(NOW + 600, states.NOSTATE, 0)
    seen = after(look(NOW, states.SHUTDOWN, 1), untold, untold, look(NOW + 1200, states.SHUTDOWN, 1))
    assert told(seen)[1] == CRITICAL
    assert "for 20 min since first seen" in told(seen)[0]
    assert after(look(NOW, states.SHUTDOWN, 1), untold).domains[0].since is None


class Reader:
    """One that reads nothing again."""

    groups = Group.SINCE


def test_it_is_remembered_between_runs(tmp_path: Path) -> None:
    options = argparse.Namespace(state_dir=str(tmp_path), uri="test:///default")

    def run(at: float, state: int) -> int:
        seen = sampling.rated(Reader(), look(at, state, 1), "kvm_state", options, Selection(), Deadline(10))  # type: ignore[arg-type]
        return told(seen)[1]

    now = time.time()
    assert [run(now + seconds, states.SHUTDOWN) for seconds in (0, 60, 3600)] == [OK, OK, CRITICAL]
    assert run(now + 3660, states.RUNNING) == OK
    assert run(now + 3720, states.SHUTDOWN) == OK


def test_what_cannot_be_remembered_is_not_ok() -> None:
    seen = lasting.unkept(after(look(NOW, states.SHUTDOWN, 1)), "cannot keep counters in /nowhere")
    text, code = told(seen)
    assert code == UNKNOWN
    assert "how long that lasts cannot be told: cannot keep counters" in text
