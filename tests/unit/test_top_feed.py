"""kvmwatch top: readings in the background, whatever hangs or fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hanging import ALL_OVER
from kvmwatch_terminal.top import feed as feeding
from kvmwatch_terminal.top.feed import Feed
from kvmwatch_terminal.top.taking import Asked, Page, Remembered, Taken
from test_top_drawing import TAKEN, page

from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample, Samples

PLAIN = Asked(hypervisor=False)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings need not be apart, and one is late at once."""
    monkeypatch.setattr(feeding, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(feeding, "_SLACK", 0.01)
    monkeypatch.setattr(feeding, "LATE", 0.2)


class Hypervisor:
    """Gives a reading for each that is asked for; it hangs while ``going`` is not set, and ``fails`` with an error."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.samples: list[Samples] = []
        self.fails: Exception | None = None
        self.generation = 1.0
        self.going = threading.Event()
        self.going.set()

    def __call__(self, asked: Asked, samples: Samples) -> tuple[Taken, Samples]:
        self.asked.append(asked)
        self.samples.append(samples)
        while not self.going.wait(0.05) and not ALL_OVER.is_set():
            pass
        if self.fails:
            raise self.fails
        number = float(len(self.asked))
        counters = {"x": Sample(time.monotonic(), self.generation, {"cpu_time": number})}
        if asked.vm:
            shown = page("web1").page
            return Taken(asked, TAKEN.snapshot, page=shown.page if shown else None), {**samples, **counters}
        problems = TAKEN.problems if asked.hypervisor else ()
        return Taken(asked, TAKEN.snapshot, TAKEN.rows, problems), {**samples, **counters}


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_again_and_again() -> None:
    hypervisor = Hypervisor()
    feed = Feed(hypervisor, PLAIN, 0.05)
    until(lambda: len(hypervisor.asked) >= 4)
    assert hypervisor.samples[0] == {}
    assert hypervisor.samples[3]["x"].counters == {"cpu_time": 3.0}, "counters of the last reading"
    assert feed.news().first["x"].counters == {"cpu_time": 1.0}
    hypervisor.generation = 2.0
    until(lambda: feed.news().first["x"].generation == 2.0)
    assert feed.news().old is None


def test_the_hypervisor_is_judged_now_and_then_and_what_it_was_found_stays() -> None:
    hypervisor = Hypervisor()
    feed = Feed(hypervisor, PLAIN, 0.05)
    until(lambda: len(hypervisor.asked) >= 3)
    assert [asked.hypervisor for asked in hypervisor.asked[:3]] == [True, False, False]
    taken = feed.news().taken
    assert taken
    assert taken.problems == TAKEN.problems
    assert taken.problems


def test_what_was_not_wanted_before_is_read_at_once() -> None:
    hypervisor = Hypervisor()
    feed = Feed(hypervisor, PLAIN, 3600)
    until(lambda: feed.news().taken)
    feed.ask(Asked(Group.PROCESSES, hypervisor=False), 3600, False)
    until(lambda: len(hypervisor.asked) == 2)
    assert hypervisor.asked[1].groups == Group.PROCESSES
    feed.ask(Asked(vm="u"), 3600, False)
    until(lambda: feed.news().page)
    assert feed.news().taken, "the table stays"


def test_another_delay_counts_at_once() -> None:
    hypervisor = Hypervisor()
    feed = Feed(hypervisor, PLAIN, 3600)
    until(lambda: feed.news().taken)
    feed.ask(PLAIN, 0.05, False)
    until(lambda: len(hypervisor.asked) >= 3)


def test_pause() -> None:
    hypervisor = Hypervisor()
    feed = Feed(hypervisor, PLAIN, 0.05)
    feed.ask(PLAIN, 0.05, True)
    until(lambda: feed.news().taken)
    time.sleep(0.3)
    read = len(hypervisor.asked)
    time.sleep(0.3)
    assert len(hypervisor.asked) == read
    assert feed.news().old is None, "nobody was asked"
    feed.ask(PLAIN, 0.05, False)
    until(lambda: len(hypervisor.asked) > read)


def test_one_that_hangs_holds_nobody_up() -> None:
    hypervisor = Hypervisor()
    feed = Feed(hypervisor, PLAIN, 0.05)
    until(lambda: feed.news().taken)
    hypervisor.going.clear()
    until(lambda: feed.news().old)
    before = feed.news().old or 0
    begun = time.monotonic()
    for _ in range(1000):
        feed.ask(PLAIN, 0.05, False)
        feed.news()
    assert time.monotonic() - begun < 1
    until(lambda: (feed.news().old or 0) > before)
    assert feed.news().taken, "the last figures stay"
    hypervisor.going.set()
    until(lambda: feed.news().old is None)


def test_failures_are_told_and_it_goes_on() -> None:
    hypervisor = Hypervisor()
    hypervisor.fails = KvmwatchError("libvirt is not running")
    feed = Feed(hypervisor, PLAIN, 0.05)
    until(lambda: feed.news().error)
    assert feed.news().taken is None
    until(lambda: (feed.news().old or 0) > 0.3)
    assert feed.news().refused
    hypervisor.fails = DeadlineExceeded("no answer within 10 s")
    until(lambda: not feed.news().refused)
    assert feed.news().error == "no answer within 10 s"
    hypervisor.fails = ZeroDivisionError("of ours")
    until(lambda: feed.news().error == "internal error: ZeroDivisionError: of ours")
    hypervisor.fails = None
    until(lambda: feed.news().taken)
    assert (feed.news().error, feed.news().old) == (None, None)


def test_counters_beside_those_of_another_reading() -> None:
    now = time.monotonic()
    counters = Remembered({"a": Sample(now, 1, {}), "b": Sample(now, 1, {})})
    counters.save({"b": Sample(now + 1, 1, {})})
    assert counters.load() == {"a": Sample(now, 1, {}), "b": Sample(now + 1, 1, {})}


def test_counters_of_what_has_ended_do_not_pile_up() -> None:
    """Threads come and go with every reading, VMs with every day."""
    counters, now = Remembered({}), time.monotonic()
    gone = {"web1": Sample(now - 3601, 1, {}), "process/7": Sample(now, 1, {}), "process/7/8": Sample(now, 1, {})}
    for number in range(100):
        threads = {f"process/1/{tid}": Sample(now, 1, {}) for tid in (1, number + 2)}
        counters.save({"process/1": Sample(now, 1, {}), **threads, **(gone if not number else {})})
    assert counters.load().keys() == {"process/1", "process/1/1", "process/1/101", "process/7", "process/7/8"}


def test_pages_can_be_sent_from_one_process_to_another() -> None:
    import pickle

    shown = page("web1").page
    assert shown
    assert isinstance(shown.page, Page)
    assert pickle.loads(pickle.dumps(shown)) == shown
    assert pickle.loads(pickle.dumps(TAKEN)) == TAKEN
