"""kvmwatch top: what each key makes of the state, and which lines the state shows; no terminal, no reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvmwatch_terminal.columns import cell
from kvmwatch_terminal.top import model, taking, views
from kvmwatch_terminal.top.keys import KEYS, PAGE_KEYS, Sight, delay, pressed
from kvmwatch_terminal.top.model import Order, State
from kvmwatch_terminal.top.taking import averaged
from kvmwatch_terminal.top.views import BY_NAME, HOST, ONE, OWN, REQUESTS, VIEWS
from test_golden_output import snapshot
from test_top_drawing import TAKEN

from kvmwatch.model.groups import Group
from kvmwatch.model.rates import MAX_SECONDS, samples, with_rates

SIGHT = Sight(TAKEN, 5)
UUIDS = {row.domain.name: row.domain.uuid for row in TAKEN.rows}


def after(*names: str, state: State = State(), sight: Sight = SIGHT) -> State:
    for name in names:
        state = pressed(state, name, sight)
    return state


def typed(text: str) -> tuple[str, ...]:
    return (*text, "\n")


def called(state: State) -> list[str]:
    return [line.called for line in model.lines(state, TAKEN)]


def selected(state: State) -> str:
    return called(state)[state.at]


# --- the table of keys


def test_no_key_means_two_things() -> None:
    for keys in (KEYS, PAGE_KEYS):
        names = [name for key in keys for name in key.names]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("key", [name for key in (*KEYS, *PAGE_KEYS) for name in key.names])
@pytest.mark.parametrize("sight", [SIGHT, Sight(None, 1)], ids=["read", "not read yet"])
def test_every_key_can_be_pressed_anywhere(key: str, sight: Sight) -> None:
    """In each view, in a page, in the help and in each prompt, also before anything was read."""
    for view in VIEWS:
        for state in (State(view.name), State(view.name, vm="x"), State(view.name, help=True)):
            assert isinstance(pressed(state, key, sight), State)
    for prompt in (model.SEARCH, model.FILTER, model.DELAY):
        assert isinstance(pressed(State(prompt=prompt, typed="1"), key, sight), State)


@given(st.lists(st.sampled_from([name for key in KEYS for name in key.names if name != "q"]), max_size=12))
def test_whatever_is_pressed_the_selected_line_is_there(names: list[str]) -> None:
    state = after(*names)
    shown = model.lines(state, TAKEN)
    settled = model.settled(state, shown, 5)
    assert 0 <= settled.at < max(1, len(shown))
    assert settled.top <= settled.at < settled.top + 5


def test_a_key_without_a_meaning_changes_nothing() -> None:
    assert after("x") == State()


def test_the_page_has_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for key in KEYS:
        row = f"| `{key.shown}` | {key.help} |"
        assert row in rows, f"docs/terminal.md lacks the row {row}"


# --- views and columns


def test_virt_tops_numbers() -> None:
    assert [after(number).view for number in "0123"] == ["domains", "vcpus", "interfaces", "disks"]
    state = State()
    for view in (*VIEWS[1:], VIEWS[0]):
        state = after("\t", state=state)
        assert state.view == view.name


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_lines_of_a_view_are_told_apart(view: views.View) -> None:
    """By a key that stays theirs from reading to reading."""
    keys = [views.key(line) for line in view.of(TAKEN)]
    assert keys
    assert len(set(keys)) == len(keys)
    assert all(isinstance(text, str) for key in keys for text in key)
    later = with_rates(snapshot(90), samples(snapshot(60)))
    rows = tuple(row._replace(domain=domain) for row, domain in zip(TAKEN.rows, later.domains))
    if view.name != "problems":
        assert keys == [views.key(line) for line in view.of(TAKEN._replace(snapshot=later, rows=rows))]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_is_sorted_by_a_column_that_it_has(view: views.View) -> None:
    names = [column.name for column in view.columns]
    assert len(set(names)) == len(names)
    assert view.sort in names
    assert set(view.busy) <= set(names)
    shown = {column.name for column in view.shown(OWN, False, 8)}
    assert not any({one, other} <= shown for one, other in REQUESTS.items())


def test_bytes_or_requests() -> None:
    def names(state: State) -> set[str]:
        return {column.name for column in model.columns(state, TAKEN)}

    assert {"read", "write", "rx", "tx"} <= names(after("0"))
    assert "read_iops" not in names(after("0"))
    assert {"read_iops", "write_iops", "rx", "tx"} <= names(after("B"))
    assert "read" not in names(after("B"))
    assert {"rx_packets", "tx_packets"} <= names(after("2", "B"))
    assert after("B", "B") == State()


def test_what_was_sorted_by_bytes_is_sorted_by_requests() -> None:
    state = after("3", "B")
    assert state.order == Order("write_iops")
    assert after("2", state=state).order == Order("tx_packets")
    assert after("B", state=state).order == Order("write")
    assert after("0", "P", "B").order == Order("cpu")
    state = after("0", state=State(orders={**State().orders, "domains": Order("rx")}))
    assert after("B", state=state).order == Order("rx"), "list has no packets"


def test_the_base_of_cpu_use() -> None:
    """web1: two vCPUs with 0.9 s a second each, 1.9 s with QEMU's own threads, on a host of 8 CPUs."""
    states = [State(), after("c"), after("c", "c")]
    assert [state.base for state in states] == [OWN, ONE, HOST]
    assert after("c", "c", "c").base == OWN
    web1 = next(row for row in TAKEN.rows if row.domain.name == "web1")
    shares = []
    for state in states:
        (column,) = (column for column in model.columns(state, TAKEN) if column.name == "cpu")
        shares.append(column.of(web1))
    assert shares == pytest.approx([90, 190, 190 / 8])
    assert states[1].message == "CPU use is in % of one CPU"


def test_the_hosts_share_of_a_vcpu_and_of_what_is_not_known() -> None:
    state = after("1", "c", "c")
    (column,) = (column for column in model.columns(state, TAKEN) if column.name == "cpu")
    vcpu = next(line for line in model.lines(state, TAKEN) if line.called == "web1")
    assert column.of(vcpu) == pytest.approx(90 / 8)
    off = next(row for row in TAKEN.rows if row.domain.name == "off")
    (of_domains,) = (column for column in BY_NAME["domains"].shown(HOST, False, 8) if column.name == "cpu")
    assert of_domains.of(off) is None
    (unknown,) = (column for column in BY_NAME["domains"].shown(HOST, False, None) if column.name == "cpu")
    web1 = next(row for row in TAKEN.rows if row.domain.name == "web1")
    assert unknown.of(web1) is None, "without the number of CPUs there is no share"


# --- order


@pytest.mark.parametrize(("key", "column"), [("P", "cpu"), ("M", "rss"), ("T", "cpu_time"), ("N", "id")])
def test_virt_tops_keys_sort(key: str, column: str) -> None:
    assert after(key).order == Order(column)
    values = model.lines(after(key), TAKEN)
    (by,) = (each for each in model.columns(after(key), TAKEN) if each.name == column)
    known = [by.of(line) for line in values if by.of(line) is not None]
    assert known == sorted(known, reverse=True)  # type: ignore[type-var]


def test_what_a_view_does_not_have_it_is_not_sorted_by() -> None:
    state = after("5", "P")
    assert (state.order, state.message) == (Order("usage"), "this view has no column cpu")
    assert after("5", "P", "x").message == "", "it is said once"


def test_each_view_has_an_order_of_its_own() -> None:
    state = after("M", "3", "I")
    assert state.order == Order("write", True)
    assert after("0", state=state).order == Order("rss")


def test_the_columns_beside() -> None:
    sight = Sight(TAKEN, 5, ("name", "cpu", "problem"))
    assert after(">", sight=sight).order.column == "problem"
    assert after("<", "<", sight=sight).order.column == "problem"
    assert after("T", ">", sight=sight).order.column == "name", "one that does not fit any more"


def test_inverted() -> None:
    plain, inverted = called(after("N")), called(after("N", "I"))
    assert inverted[:-3] == plain[-4::-1]
    assert set(inverted[-3:]) == {"off", "failed", "wanted"}, "what is not known is last all the same"


# --- which lines


def test_filter() -> None:
    state = after("\\", *typed("SHUT off"))
    assert set(called(state)) == {"off", "failed", "wanted", "unwanted"}, "as state, or as what it should be"
    assert set(called(after("\x1b", state=state))) == set(UUIDS)
    assert called(after("3", "\\", *typed("nowhere"))) == []
    assert after("\\", "a", "\x1b").filter == ""


def test_only_what_does_something() -> None:
    state = after("o")
    assert "off" not in called(state)
    assert "web1" in called(state)
    assert "hung" in called(state), "of what does not tell nobody knows that it does nothing"
    assert after("o", "o") == State()


def test_tagged_ones_come_first_in_every_view() -> None:
    place = called(State()).index("off")
    state = after(" ", state=State(at=place))
    assert state.tagged == {UUIDS["off"]}
    assert called(state)[0] == "off"
    assert called(after("3", state=state))[0] == "off"
    assert after("U", state=state).tagged == frozenset()
    assert after(" ", state=state._replace(at=0)).tagged == frozenset()


def test_several_are_tagged_one_after_the_other() -> None:
    names = called(State())
    state = after(" ", " ", " ")
    assert {name for name, uuid in UUIDS.items() if uuid in state.tagged} == set(names[:3])


# --- the selected line


def test_moving() -> None:
    last = len(UUIDS) - 1
    assert after("KEY_DOWN", "KEY_DOWN", "KEY_UP").at == 1
    assert after("KEY_UP").at == 0
    assert after("KEY_END").at == last
    assert after("KEY_END", "KEY_HOME").at == 0
    assert after("KEY_NPAGE").at == 5
    assert after("KEY_NPAGE", "KEY_PPAGE").at == 0
    assert (after("KEY_END").top, after("KEY_END", "KEY_DOWN").at) == (last - 4, last)


def test_a_paste_of_keys_that_move_puts_the_lines_in_order_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of 1,000 VMs take 20 ms, and a key that is held down comes as often."""
    ordered: list[State] = []
    lines = model.lines
    monkeypatch.setattr(model, "lines", lambda state, taken: ordered.append(state) or lines(state, taken))
    sight = Sight(TAKEN, 5)
    state = after(*["KEY_DOWN"] * 100, "KEY_HOME", "/", *typed("web"), "n", "n", "KEY_UP", sight=sight)
    assert len(ordered) == 1
    for number, key in enumerate(("I", "o", "c", "B", "2", "0", " "), 2):
        state = after(key, "KEY_DOWN", state=state, sight=sight)
        assert (len(ordered), sight.lines(state)) == (number, lines(state, TAKEN)), key


def test_following() -> None:
    state = after("F", "KEY_DOWN")
    name = selected(state)
    inverted = after("I", state=state)
    assert selected(model.settled(inverted, model.lines(inverted, TAKEN), 5)) == name
    staying = after("KEY_DOWN", "I")
    assert model.settled(staying, model.lines(staying, TAKEN), 5).at == 1


def test_one_that_is_followed_and_goes_leaves_its_place() -> None:
    state = after("F", "KEY_END")
    rest = [line for line in model.lines(state, TAKEN) if views.key(line) != state.on]
    settled = model.settled(state, rest, 5)
    assert settled.at == len(rest) - 1
    assert model.settled(settled, [], 5).at == 0


def test_search() -> None:
    state = after("/", *"odd")
    assert selected(state) == "it's | odd=100%", "while it is typed"
    state = after("/", *typed("running"))
    first = selected(state)
    second = selected(after("n", state=state))
    assert first != second
    found = [name for name in called(State()) if selected(after("/", *typed(name))) == name]
    assert set(found) >= set(UUIDS) - {"web1"} - {name for name in UUIDS if any(name in other for other in UUIDS)}
    assert after("/", *typed("nowhere")).message == "no line has 'nowhere'"
    assert after("/", "a", "KEY_BACKSPACE", "b").typed == "b"


# --- delay, pause, page, end


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("2,5", 2.5), ("10.0", 10), ("86400", 86400)])
def test_delay(text: str, seconds: float) -> None:
    for key in "ds":
        assert after(key, *typed(text)).delay == seconds


@pytest.mark.parametrize("text", ["", "x", "0", "0.9", "-1", "nan", "inf", "86401"])
def test_no_delay(text: str) -> None:
    state = after("d", *typed(text))
    assert state.delay == State().delay
    assert state.message
    with pytest.raises(ValueError, match=r"seconds|1 s at least"):
        delay(text)


@pytest.mark.parametrize(("key", "field"), [("Z", "paused"), ("a", "averaged"), ("F", "follows"), ("o", "active")])
def test_switches(key: str, field: str) -> None:
    assert getattr(after(key), field) is True
    assert getattr(after(key, key), field) is False


def test_a_page_knows_what_its_vm_is_called() -> None:
    """For when it is gone: of that there is no name to be read."""
    state = after("KEY_ENTER", state=State())
    assert state.asked.called == next(r.domain.label for r in TAKEN.rows if r.domain.uuid == state.asked.vm)


def test_page() -> None:
    for enter in ("\n", "\r", "KEY_ENTER"):
        state = after("KEY_DOWN", enter)
        assert state.vm == UUIDS[selected(after("KEY_DOWN"))]
        assert state.asked.vm == state.vm
    assert after("KEY_DOWN", "KEY_NPAGE", state=state).scroll == 6
    assert after("KEY_UP", state=state).scroll == 0
    for back in ("q", "\x1b", "\n"):
        assert after(back, state=state).vm is None
        assert not after(back, state=state).ended
    assert after("5", "\n").message == "this line is of no VM"


def test_end() -> None:
    assert after("q").ended
    assert not after("?", "q").ended
    assert not after("/", "q").ended, "it is typed"


def test_what_is_read_is_what_is_looked_at() -> None:
    assert not State().asked.groups
    assert not State().asked.hypervisor
    assert after("4").asked.groups
    assert after("6").asked.hypervisor


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_all_that_a_view_shows_is_read_for_it(view: views.View) -> None:
    """Else a column says of every line that it has none."""
    read = taking._ALWAYS | view.needs | (Group.POOLS if view.hypervisor else Group.NONE)
    assert [column.name for column in view.columns if column.needs & ~read] == []


# --- since the start


def test_means_since_the_start_however_long_ago() -> None:
    first = samples(snapshot(0))
    long = int(MAX_SECONDS * 2)
    taken = TAKEN._replace(snapshot=snapshot(long))
    mean = averaged(taken, first)
    web1 = next(row for row in mean.rows if row.domain.name == "web1")
    assert web1.domain.rates.cpu_time == pytest.approx(1.9)
    assert web1.problems == next(row for row in TAKEN.rows if row.domain.name == "web1").problems
    (of_process, *_) = mean.snapshot.processes
    assert of_process.rates.write_bytes == pytest.approx(8192)


def test_cells_are_those_of_list_and_show() -> None:
    """Nothing is declared twice: what a column shows there it shows here."""
    from kvmwatch_terminal.columns import BY_NAME as LISTED

    for column in BY_NAME["domains"].columns:
        assert column == LISTED[column.name]._replace(kept=column.kept)
        for row in TAKEN.rows:
            assert cell(column, row) == cell(LISTED[column.name], row)
