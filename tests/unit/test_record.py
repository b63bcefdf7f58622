"""A record behaves like a NamedTuple, which type checkers take it for."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kvmwatch.model.record import Record


class Pair(Record):
    """Two of something."""

    one: int
    other: str | None = None

    @property
    def both(self) -> str:
        return f"{self.one} {self.other}"


class Defaults(Record):
    size: int = 0
    name: str = "none"


class _Model:
    """The same, made by typing."""

    class Pair(NamedTuple):
        one: int
        other: str | None = None

    class Defaults(NamedTuple):
        size: int = 0
        name: str = "none"


#: what is done with a kind of pairs
SAME: list[Callable[[Any], object]] = [
    lambda kind: kind(1),
    lambda kind: kind(1, "a"),
    lambda kind: kind(one=1, other="a"),
    lambda kind: kind(1, other=None),
    lambda kind: kind._make([1, "b"]),
    lambda kind: kind(1)._replace(other="c"),
    lambda kind: kind(1)._asdict(),
    lambda kind: kind(1, "a").other,
    lambda kind: kind(2) < kind(3),
    lambda kind: [*kind(1, "a")],
    lambda kind: hash(kind(1, "a")),
    lambda kind: kind(1) == (1, None),
    lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__),
]


@pytest.mark.parametrize("what", SAME)
def test_it_does_what_a_named_tuple_does(what: Callable[[Any], object]) -> None:
    assert what(Pair) == what(_Model.Pair)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (lambda kind: kind(), TypeError),
        (lambda kind: kind(1, "a", 2), TypeError),
        (lambda kind: kind(1, one=1), TypeError),
        (lambda kind: kind(1, another=1), TypeError),
        (lambda kind: kind._make([1, 2, 3]), TypeError),
        (lambda kind: setattr(kind(1), "one", 2), AttributeError),
        (lambda kind: setattr(kind(1), "more", 2), AttributeError),
    ],
)
def test_it_refuses_what_a_named_tuple_refuses(what: Callable[[Any], object], error: type[Exception]) -> None:
    for kind in (Pair, _Model.Pair):
        with pytest.raises(error):
            what(kind)


def test_an_unknown_field_cannot_be_replaced() -> None:
    with pytest.raises(ValueError, match="Pair has no another"):
        Pair(1)._replace(another=2)


def test_one_of_defaults_alone_may_be_made_before_and_after_others() -> None:
    assert Defaults() == (0, "none")
    assert Defaults(1) == (1, "none")
    assert Defaults() == (0, "none")
    assert Defaults() == _Model.Defaults()


def test_its_constructor_is_whole_before_another_thread_can_take_it() -> None:
    made = []

    class Watched(type(Record)):  # type: ignore[misc]
        def __setattr__(kind, name: str, value: Callable[..., Any]) -> None:
            made.append(value(kind, 1))  # as a thread that comes at that moment
            super().__setattr__(name, value)

    class Watchful(Record, metaclass=Watched):
        one: int
        other: str | None = None

    assert Watchful(2) == (2, None)
    assert made == [(1, None)]


def test_it_is_a_tuple_with_names_without_a_dictionary() -> None:
    assert isinstance(Pair(1), tuple)
    assert not hasattr(Pair(1), "__dict__")
    assert repr(Pair(1, "a")) == "Pair(one=1, other='a')" == repr(_Model.Pair(1, "a"))
    assert Pair(1, "a").both == "1 a"
    assert Pair.__doc__ == "Two of something."


def test_it_is_the_same_in_another_process_and_as_a_copy() -> None:
    for made in (pickle.loads(pickle.dumps(Pair(1, "a"))), copy.copy(Pair(1, "a")), copy.deepcopy(Pair(1, "a"))):
        assert made == Pair(1, "a")
        assert type(made) is Pair


ROOT = Path(__file__).parents[2]
MADE_OF = "from kvmwatch.model.record import Record\n"


@pytest.mark.parametrize(
    "file",
    [file for top in ("kvmwatch", "checks") for file in (ROOT / top).rglob("*.py") if MADE_OF in file.read_text()],
)
def test_modules_with_records_postpone_their_annotations(file: Path) -> None:
    assert "\nfrom __future__ import annotations\n" in file.read_text(), "Python 3.14 finds no fields without"
