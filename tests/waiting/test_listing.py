"""While libvirt's list waits for domains that somebody holds, all others are listed and those are named."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path
from typing import Any

import libvirt
import pytest
from hanging import ALL_OVER
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmwatch.command import state_files
from kvmwatch.command.roster import Roster
from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.groups import Group
from kvmwatch.reading import listing
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.listing import Known, Listing, Waits
from kvmwatch.reading.walk import walk

NAMES = {f"uuid-{number}": f"vm{number}" for number in range(12)}
NAMES_OF_UUIDS = {"11111111-0000-4000-8000-000000000001": "web1"}
NO_DOMAIN = libvirt.VIR_ERR_NO_DOMAIN


class Domain:
    """Stands for a libvirt domain; which of them hold a list up cannot be chosen with real ones."""

    def __init__(self, world: World, uuid: str) -> None:
        self._world, self._uuid = world, uuid

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's names
        return self._uuid

    def name(self) -> str:
        return NAMES[self._uuid]

    def state(self) -> list[int]:
        return [1, 1]

    def autostart(self) -> bool:
        return self._uuid == "uuid-1"


class World:
    """Stands for a hypervisor, its connections and its daemon."""

    uri = "qemu+ssh://host/system"  # no QEMU is looked for on this machine

    def __init__(self, held: set[str], list_waits: bool | None = None) -> None:
        self.held = held
        self.list_waits = bool(held) if list_waits is None else list_waits
        self.listed = 0
        self.there = set(NAMES)
        self.connection: Any = self

    def another(self) -> World:
        return self

    def renew(self) -> None:
        pass

    def call(self, work: Any) -> Any:
        return work()

    def no_answer(self) -> DeadlineExceeded:
        return DeadlineExceeded("no answer")

    def getAllDomainStats(self, _stats: int, _flags: int) -> list[Any]:  # noqa: N802
        self.listed += 1
        if self.list_waits:
            ALL_OVER.wait()
        state = {"state.state": 1, "state.reason": 1}
        return [(Domain(self, uuid), dict(state)) for uuid in sorted(self.there)]

    def listAllDomains(self, _flag: int) -> list[Any]:  # noqa: N802
        return [Domain(self, "uuid-1")]

    def lookupByUUIDString(self, uuid: str) -> Domain:  # noqa: N802
        if uuid in self.held:
            ALL_OVER.wait()
        if uuid not in self.there:
            error = libvirt.libvirtError("gone")
            error.err = (NO_DOMAIN, 0, "gone", 2, None, None, None, 0, 0)
            raise error
        return Domain(self, uuid)

    def isAlive(self) -> bool:  # noqa: N802
        return True


class Kept:
    """A roster in memory."""

    def __init__(self, known: Known) -> None:
        self.known = known

    def load(self) -> Known:
        return self.known

    def save(self, known: Known) -> None:
        self.known = known


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a tenth of a second."""
    monkeypatch.setattr(listing.control, "STUCK_AFTER", 0.1)


def read(world: World, kept: Kept, groups: Group = Group.AUTOSTART) -> listing.Survey:
    hypervisor: Any = world
    return Listing(hypervisor, groups, Deadline(5), kept).read()


def names(survey: listing.Survey) -> set[str]:
    return {domain.UUIDString() for domain, _ in survey.listed}


@pytest.mark.parametrize("held", [set(), {"uuid-3"}, {"uuid-0", "uuid-11"}, set(list(NAMES)[:7])], ids=len)
def test_those_that_hold_it_are_named_and_all_others_listed(held: set[str]) -> None:
    kept = Kept(Known(NAMES))
    survey = read(World(held), kept)
    assert names(survey) == NAMES.keys() - held
    assert {uuid: name for uuid, (name, _) in survey.held.items()} == {uuid: NAMES[uuid] for uuid in held}
    assert survey.flags == {"autostart": {"uuid-1"} - held}
    assert survey.unread == ()
    assert kept.known.names == NAMES
    assert (kept.known.waits is not None) == bool(held)


def test_one_that_is_gone_since_is_not_listed() -> None:
    world = World({"uuid-3"})
    world.there -= {"uuid-5"}
    assert names(read(world, Kept(Known(NAMES)))) == NAMES.keys() - {"uuid-3", "uuid-5"}


def test_a_list_that_waits_for_nobody_known_is_told_as_incomplete() -> None:
    survey = read(World(set(), list_waits=True), Kept(Known(NAMES)))
    assert names(survey) == NAMES.keys()
    assert [part.group for part in survey.unread] == [Group.NONE], "which every check is there for"


def test_a_daemon_that_does_not_answer_at_all_is_an_error_of_the_whole() -> None:
    with pytest.raises(DeadlineExceeded):
        read(World(set(NAMES)), Kept(Known(NAMES)))


def test_a_list_that_is_known_to_wait_is_not_asked_for_each_time() -> None:
    """Each would keep one of libvirtd's workers."""
    world, kept = World({"uuid-3"}), Kept(Known(NAMES))
    ages = []
    for _ in range(5):
        ages.append(read(world, kept).held["uuid-3"][1])
    assert world.listed == 1
    assert ages == sorted(ages)


def test_one_that_is_held_just_now_is_not_held_for_as_long_as_another() -> None:
    """Or a shutdown that takes some seconds is CRITICAL at once where a VM has been held for days."""
    hours_ago = time.time() - 7200
    kept = Kept(Known(NAMES, Waits(hours_ago, hours_ago, {"uuid-3": hours_ago}, frozenset())))
    for _ in range(2):
        survey = read(World({"uuid-3", "uuid-5"}), kept)
        assert survey.held["uuid-3"][1] >= 7200
        assert survey.held["uuid-5"][1] < 60


def test_it_is_asked_for_again_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world, kept = World({"uuid-3"}), Kept(Known(NAMES))
    now = 1000.0
    monkeypatch.setattr(listing.time, "time", lambda: now)
    asked = []
    for _ in range(3600):
        before = world.listed
        if not kept.known.waits or listing.Listing._due(_of(world), kept.known.waits, {}):
            world.listed += 1  # what read() would do, without its patience
            since = kept.known.waits.since if kept.known.waits else now
            kept.known = Known(NAMES, Waits(since, now, {"uuid-3": since}, frozenset()))
        if world.listed > before:
            asked.append(now - 1000)
        now += 1
    assert len(asked) <= 20, "libvirtd's workers outlast an hour"
    assert asked[1] <= 6
    assert all(later - earlier <= max(6, 1 + earlier / 2) for earlier, later in zip(asked, asked[1:]))


def _of(world: World) -> Listing:
    hypervisor: Any = world
    return Listing(hypervisor, Group.NONE, Deadline(5), None)


def test_when_it_answers_again_all_is_as_ever() -> None:
    kept = Kept(Known(NAMES, Waits(0, 0, {"uuid-3": 0}, frozenset())))
    survey = read(World(set()), kept)
    assert names(survey) == NAMES.keys()
    assert kept.known == Known(NAMES)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.sets(st.sampled_from(sorted(NAMES))))
def test_walk_asks_all_that_can_be_asked(held: set[str]) -> None:
    def ask(uuid: str) -> str:
        if uuid in held:
            ALL_OVER.wait()
        return uuid.upper()

    walked = walk(NAMES, lambda: ask, Deadline(30), 0.02)
    assert walked.held.keys() == held
    assert walked.answers == {uuid: uuid.upper() for uuid in NAMES.keys() - held}
    assert not walked.unasked


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.lists(st.sampled_from((0.0, 0.01, 0.03, 0.06)), min_size=3, max_size=8), st.integers(1, 4))
def test_walk_forgets_nobody_when_a_question_is_answered_late(seconds: list[float], lanes: int) -> None:
    """A thread that was left behind and goes on must not take another's turn, of which nobody would hear."""
    asked = {f"uuid-{number}": lasts for number, lasts in enumerate(seconds)}

    def ask(uuid: str) -> str:
        time.sleep(asked[uuid])
        return uuid

    walked = walk(asked, lambda: ask, Deadline(30), 0.02, lanes)
    assert walked.answers.keys() | walked.held.keys() == asked.keys()
    assert not walked.unasked


def test_walk_tells_of_everybody_when_the_time_is_over() -> None:
    def ask(uuid: str) -> str | None:
        time.sleep(0.1)
        return uuid if uuid != "uuid-0" else None  # it is gone

    walked = walk(NAMES, lambda: ask, Deadline(0.7, spare=0), 5, 1)
    assert walked.answers
    assert walked.unasked
    assert walked.answers.keys() | walked.unasked == NAMES.keys() - {"uuid-0"}


def test_walk_does_not_wait_for_a_lane_that_has_nothing_to_do() -> None:
    """When the others have asked all, one that does not come to connect is not needed."""
    lanes = itertools.count()

    def questioner() -> Any:
        if next(lanes) == 1:
            ALL_OVER.wait()
        return str.upper

    began = time.monotonic()
    assert len(walk(NAMES, questioner, Deadline(30), 5).answers) == len(NAMES)
    assert time.monotonic() - began < 10


def test_walk_needs_no_lane_that_fails_when_all_is_done() -> None:
    lanes = itertools.count()
    done = threading.Event()

    def questioner() -> Any:
        if next(lanes) == 1:
            done.wait()
            time.sleep(0.05)
            raise RuntimeError("too many clients")
        return ask

    def ask(uuid: str) -> str:
        if uuid == list(NAMES)[-1]:
            done.set()
        return uuid

    assert len(walk(NAMES, questioner, Deadline(30), 5, 2).answers) == len(NAMES)


def test_walk_raises_what_a_question_raises() -> None:
    def ask(_uuid: str) -> str:
        raise RuntimeError("the connection is lost")

    with pytest.raises(RuntimeError, match="lost"):
        walk(NAMES, lambda: ask, Deadline(5), 1)


WAITS = st.builds(
    lambda since, held: Waits(since, since + 1, dict.fromkeys(held, since), frozenset(list(held)[:1])),
    st.integers(0, 1 << 30).map(float),
    st.sets(st.uuids().map(str), min_size=1, max_size=3),
)


@given(
    st.dictionaries(
        st.uuids().map(str), st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1)
    ),
    st.none() | WAITS,
    st.integers(0),
)
def test_roster_gives_what_was_saved(
    tmp_path_factory: Any, known: dict[str, str], waits: Waits | None, most: int
) -> None:
    folder = str(tmp_path_factory.mktemp("state"))
    kept = Known(known, waits, frozenset(list(known)[:most]))
    Roster(folder, "qemu:///system").save(kept)
    assert Roster(folder, "qemu:///system").load() == kept
    assert Roster(folder, "qemu:///session").load() == Known({})


def test_a_roster_that_has_not_changed_for_weeks_is_not_tidied_away(tmp_path: Path) -> None:
    """Else the list would be missed in the run after that, once a week."""
    for number in range(3):
        roster = Roster(str(tmp_path), "qemu:///system")
        assert roster.load() == Known(NAMES_OF_UUIDS if number else {})
        roster.save(Known(NAMES_OF_UUIDS))
        state_files.tidy(str(tmp_path))
        for file in tmp_path.iterdir():
            os.utime(file, (time.time() - 8 * 86400,) * 2)


@given(st.text())
def test_a_damaged_roster_is_no_error(tmp_path_factory: Any, text: str) -> None:
    roster = Roster(str(tmp_path_factory.mktemp("state")), "qemu:///system")
    roster.save(Known({}))
    Path(roster._path).write_text("kvmwatch domains 1" + text, encoding="utf-8", errors="surrogatepass")
    roster.load()


def test_a_damaged_line_of_the_roster_costs_itself(tmp_path: Any) -> None:
    uuid = "11111111-0000-4000-8000-000000000001"
    roster = Roster(str(tmp_path), "qemu:///system")
    roster.save(Known({}))
    for times in ("-inf 0", "nan 1", "1e300 1e300", "x y", "5"):
        Path(roster._path).write_text(f"kvmwatch domains 1 {times} {uuid}\n{uuid} web1\n11111111-zz01 db1\n\n")
        assert roster.load() == Known({uuid: "web1"}), times


def test_walk_goes_on_when_a_lane_cannot_connect() -> None:
    lanes = iter([RuntimeError("too many clients"), None, RuntimeError("too many clients"), None])

    def questioner() -> Any:
        failure = next(lanes)
        if failure:
            raise failure
        return str.upper

    assert len(walk(NAMES, questioner, Deadline(30), 5).answers) == len(NAMES)

    def nobody() -> Any:
        raise RuntimeError("too many clients")

    with pytest.raises(RuntimeError, match="too many clients"):
        walk(NAMES, nobody, Deadline(30), 5)
