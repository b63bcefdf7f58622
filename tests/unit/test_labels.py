"""Perfdata labels: legal, unique and stable for any name (property tests)."""

from __future__ import annotations

from urllib.parse import unquote

from check_kvm.frame.labels import label, text
from hypothesis import given
from hypothesis import strategies as st
from nagiosplugin import Performance

# libvirt allows any character in a name but / and newline
names = st.text(st.characters(exclude_characters="/\n\0", exclude_categories=["Cs"]), min_size=1)
parts = st.text(st.characters(exclude_characters="/\n\0", exclude_categories=["Cs"]), min_size=1)


@given(names, parts)
def test_nagiosplugin_and_the_grammar_accept_it(name: str, part: str) -> None:
    printed = str(Performance(label(name, part), 1))
    assert not set("|\n\r;") & set(printed)
    assert printed.count("=") == 1
    assert printed.count("'") in (0, 2)


@given(names, parts, names, parts)
def test_two_things_never_share_a_label(name: str, part: str, other: str, other_part: str) -> None:
    same = (name, part) == (other, other_part)
    assert (label(name, part) == label(other, other_part)) is same


@given(names)
def test_the_name_can_be_read_back(name: str) -> None:
    encoded = label(name, "vda").rsplit(".", 1)[0]
    assert unquote(encoded) == name or not all(ord(c) < 128 or c.isprintable() for c in name)


@given(st.text())
def test_text_stays_on_its_line_and_out_of_the_perfdata(words: str) -> None:
    assert not set("|\n\r\v\f\x85\u2028") & set(text(words))


def test_examples() -> None:
    assert label("web1", "vda", "read_iops") == "web1.vda.read_iops"
    assert label("it's 100%=a|b;c", "usage") == "it%27s 100%25%3Da%7Cb%3Bc.usage"
    assert label("a.b", "c") == "a.b.c" != label("a", "b.c")
