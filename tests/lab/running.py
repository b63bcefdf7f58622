"""A bed, a daemon or a machine for as long as it is needed, and down again whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol, TypeVar


class Startable(Protocol):
    """What can be brought up, and taken down even when it came up in part."""

    def up(self) -> None: ...
    def down(self) -> None: ...


S = TypeVar("S", bound=Startable)


@contextlib.contextmanager
def running(made: S) -> Iterator[S]:
    """Bring something up, and take it down in the end."""
    try:
        made.up()
        yield made
    finally:
        made.down()
