"""Plugin output in one line of a limited length: no value, character or escape is cut in two (property test)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nagios_kvm.fitting import escaped, fitted, parts

#: anything that checks may print, and what they may not
anything = st.text(st.characters(), max_size=60)
values = st.lists(
    st.sampled_from(["usage=1%;2;3", "'a b.read'=5", "'Büro 1.x'=7s", "'\\.y'=0;;;0;100"]), max_size=12
)


def unescaped(line: str) -> str:
    """As Nagios reads it."""
    return line.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


def output(status: str, perfdata: list[str], lines: list[str]) -> str:
    return "\n".join([f"{status} | {' '.join(perfdata)}" if perfdata else status, *lines])


@given(anything.filter(lambda text: text.isprintable()))
def test_an_escaped_line_gives_the_text_back(text: str) -> None:
    assert "\n" not in escaped(f"{text}\n{text}")
    assert unescaped(escaped(f"{text}\n{text}")) == f"{text}\n{text}"


@given(anything)
def test_whatever_is_in_it_it_is_one_line_of_text(text: str) -> None:
    assert escaped(text).isprintable()
    escaped(text).encode()


@given(
    anything.map(lambda text: text.replace("|", "")), values, st.lists(anything, max_size=5), st.integers(-9, 300)
)
def test_whole_values_and_characters_fit(status: str, perfdata: list[str], lines: list[str], most: int) -> None:
    status = "KVM_CPU OK - " + "".join(c for c in status if c.isprintable())
    text = output(status, perfdata, ["".join(c for c in line if c.isprintable()) for line in lines])
    line = fitted(text, most)
    if line is None:
        assert most < 60
        return
    assert len(line.encode()) <= most
    read = unescaped(line)
    told, kept, _ = parts(read)
    assert kept == perfdata[: len(kept)], "only whole ones, the first"
    assert told == status or (told.endswith("...") and status.startswith(told[:-3]))
    assert (read == text) == (len(escaped(text).encode()) <= most)


@pytest.mark.parametrize(
    ("text", "most", "line"),
    [
        ("OK - a\\b | a=1 b=2\nmore", 40, r"OK - a\\b | a=1 b=2\nmore"),
        (
            "OK - web1 | aaaaaaaaaaaaa=1 bbbbbbbbbbbbb=2\n" + "x" * 90,
            60,
            r"OK - web1 | aaaaaaaaaaaaa=1\n... and more that is left out",
        ),
        ("OK - web1 | a=1\n" + "x" * 90, 60, r"OK - web1 | a=1\n... and more that is left out"),
        ("OK - " + "ü" * 50, 42, "OK - ü..."),
        ("OK - " + "\\" * 50, 42, r"OK - \\..."),
    ],
)
def test_the_last_goes_first(text: str, most: int, line: str) -> None:
    assert fitted(text, most) == line


@pytest.mark.parametrize("most", [0, -1, -5000])
def test_no_room_at_all(most: int) -> None:
    assert fitted("KVM_CPU OK - web1", most) is None
