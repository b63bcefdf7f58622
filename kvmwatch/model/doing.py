"""What the command is doing just now, in words, for the line that is printed when it does not get done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_under_way: list[str] = []


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say for as long as the block takes what it is: ``reading --config FILE``. For the main thread."""
    _under_way.append(what)
    try:
        yield
    finally:
        _under_way.pop()


def now() -> str | None:
    """The innermost thing under way, if anybody has said what it is."""
    return _under_way[-1] if _under_way else None
