"""kvmwatch top: what its screen shows of a reading, at every size, as golden files and as properties."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig
from hypothesis import given
from hypothesis import strategies as st
from kvmwatch_terminal import show
from kvmwatch_terminal.sections import Shown
from kvmwatch_terminal.top import keys
from kvmwatch_terminal.top.drawing import Drawn, Size, drawn
from kvmwatch_terminal.top.feed import News
from kvmwatch_terminal.top.model import DELAY, State
from kvmwatch_terminal.top.painting import OLD, SELECTED
from kvmwatch_terminal.top.taking import Asked, Page, Taken
from kvmwatch_terminal.top.views import VIEWS, View
from kvmwatch_terminal.verdicts import hypervisor_problems, judged, said
from kvmwatch_terminal.width import width
from test_golden_output import snapshot

from kvmwatch.model.groups import Group
from kvmwatch.model.rates import samples, with_rates

USUAL = [check for check in all_checks() if check.by_default]
SIZE = Size(24, 132)


def made() -> Taken:
    """Every kind of VM, judged."""
    read = with_rates(snapshot(60), samples(snapshot(0)))
    of_host = [check for check in USUAL if not check.of_each_domain]
    rows = judged(read, [check for check in USUAL if check.of_each_domain], SiteConfig())
    return Taken(Asked(), read, tuple(rows), tuple(hypervisor_problems(read, of_host, SiteConfig())))


TAKEN = made()
NEWS = News(TAKEN)


def text(screen: Drawn) -> str:
    """The screen, with the style of what is not plain: ⟦bold:web1⟧."""
    lines = ("".join(f"⟦{style}:{text}⟧" if style else text for text, style in line) for line in screen.lines)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def page(name: str) -> News:
    row = next(row for row in TAKEN.rows if row.domain.name == name)
    verdicts = list(said(TAKEN.snapshot, USUAL, SiteConfig(), row.domain))
    shown = Shown(row, TAKEN.snapshot, row.domain.policy)
    return NEWS._replace(page=Taken(Asked(), TAKEN.snapshot, page=Page(shown, verdicts)))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock in the header is that of this machine's time zone."""
    monkeypatch.setattr(time, "localtime", time.gmtime)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_each_view(view: View, golden: Callable[[str, str], None]) -> None:
    golden(f"kvmwatch_top_{view.name}.txt", text(drawn(State(view=view.name), NEWS, SIZE)))


def test_narrow_low_old_and_tagged(golden: Callable[[str, str], None]) -> None:
    web1 = next(row.domain.uuid for row in TAKEN.rows if row.domain.name == "web1")
    state = State(tagged=frozenset([web1]), at=2, filter="running", active=True, message="said once")
    hung = NEWS._replace(old=23.4, error="libvirt at qemu:///system gave no answer within 10 s")
    golden("kvmwatch_top_narrow.txt", text(drawn(state, hung, Size(10, 60))))


def test_page_of_a_vm(golden: Callable[[str, str], None]) -> None:
    uuid = next(row.domain.uuid for row in TAKEN.rows if row.domain.name == "web1")
    news = page("web1")
    screen = drawn(State(vm=uuid), news, Size(50, 100))
    golden("kvmwatch_top_page.txt", text(screen))
    whole = show.in_words(*news.page.page, 100).split("\n") if news.page and news.page.page else []
    seen = ["".join(span.text for span in line) for line in screen.lines[1:]]
    assert seen == [line.rstrip() for line in whole[:49]], "it is what kvmwatch show prints"
    end = drawn(State(vm=uuid, scroll=999), news, Size(10, 100))
    assert end.state.scroll == len(whole) - 9
    assert "".join(span.text for span in end.lines[-1]) == whole[-1]


def test_a_vm_is_called_on_its_page_by_what_a_terminal_shows() -> None:
    """curses ends a line at what it cannot show, and leaves there what stood on it."""
    assert PAGE.page
    assert PAGE.page.page
    shown, verdicts = PAGE.page.page
    row = shown.row._replace(domain=shown.domain._replace(name="x\u202ey\x85\x9b2J", title=None))
    news = NEWS._replace(page=Taken(Asked(), TAKEN.snapshot, page=Page(shown._replace(row=row), verdicts)))
    screen = drawn(State(vm=WEB1), news, Size(50, 100))
    assert screen.lines[0][0].text == "xy  2J   (q: back)"
    assert all(span.text.isprintable() for line in screen.lines for span in line)


def test_a_page_that_is_not_there_yet() -> None:
    assert text(drawn(State(vm="other"), page("web1"), Size(3, 40))).startswith("⟦bar:reading ...   (q: back)⟧")
    late = NEWS._replace(old=9.0)
    assert "libvirt has not answered for 9 s" in text(drawn(State(vm="other"), late, Size(3, 90)))


def test_help_has_every_key(golden: Callable[[str, str], None]) -> None:
    seen = text(drawn(State(help=True), NEWS, Size(60, 100)))
    for key in (*keys.KEYS, *keys.PAGE_KEYS):
        assert f"{key.shown} " in seen
        assert key.help in seen
    golden("kvmwatch_top_help.txt", seen)
    narrow = text(drawn(State(help=True), NEWS, Size(500, 20)))
    assert "…" not in narrow.partition("\n")[2]
    assert "".join(narrow.partition("\n")[2].split()) == "".join(seen.partition("\n")[2].split())


def test_before_the_first_reading() -> None:
    seen = text(drawn(State(), News(), SIZE))
    assert seen.startswith("⟦bold:kvmwatch top⟧\nreading ...\n")
    assert "not answered for 7 s" in text(drawn(State(), News(old=7.2), SIZE))
    assert "figures are old" not in text(drawn(State(), News(old=7.2), SIZE))


def test_who_answers_that_there_is_nothing_is_not_silent() -> None:
    gone = NEWS._replace(old=12.0, error="libvirt is not running", refused=True)
    assert "⟦CRITICAL:no new figures for 12 s: libvirt is not running⟧" in text(drawn(State(), gone, SIZE))
    late = gone._replace(refused=False, error="no answer within 10 s")
    assert "libvirt has not answered for 12 s, and these figures are old" in text(drawn(State(), late, SIZE))


def test_what_is_typed_is_on_the_last_line() -> None:
    last = text(drawn(State(prompt=DELAY, typed="12"), NEWS, SIZE)).splitlines()[-1]
    assert last == "⟦bold:seconds between readings: ⟧12⟦selected: ⟧"


def test_what_was_not_asked_for_is_not_called_missing() -> None:
    bare = TAKEN._replace(asked=Asked(hypervisor=False), snapshot=TAKEN.snapshot._replace(pools=(), processes=()))
    for view in ("pools", "processes"):
        assert "reading ..." in text(drawn(State(view=view), News(bare), SIZE))
    asked = bare._replace(asked=Asked(Group.PROCESSES, hypervisor=True))
    for view in ("pools", "processes"):
        assert "none here" in text(drawn(State(view=view), News(asked), SIZE))
    assert "none of them" in text(drawn(State(view="pools", filter="x"), News(asked), SIZE))


def test_old_figures_are_marked() -> None:
    fresh, old = drawn(State(), NEWS, SIZE), drawn(State(), NEWS._replace(old=6.0), SIZE)
    assert not any(span.style == OLD for span in fresh.lines[8])
    assert any(span.style == OLD for span in old.lines[8])


WEB1 = next(row.domain.uuid for row in TAKEN.rows if row.domain.name == "web1")
PAGE = page("web1")


@given(
    height=st.integers(1, 40),
    columns=st.integers(1, 250),
    view=st.sampled_from(VIEWS),
    at=st.integers(0, 30),
    tagged=st.booleans(),
    over=st.sampled_from(["", "help", "page"]),
)
def test_every_size_is_kept(height: int, columns: int, view: View, at: int, tagged: bool, over: str) -> None:
    """No line is too long, none is too many, and the selected one is on the screen where there is room for it."""
    uuids = frozenset([TAKEN.rows[0].domain.uuid] if tagged else [])
    state = State(view=view.name, at=at, tagged=uuids, help=over == "help", vm=WEB1 if over == "page" else None)
    screen = drawn(state, PAGE, Size(height, columns))
    assert len(screen.lines) <= height
    assert all(sum(width(span.text) for span in line) <= columns for line in screen.lines)
    if height >= 3 and not over:
        assert [line[0].style for line in screen.lines if line].count(SELECTED) == 1
