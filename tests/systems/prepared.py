"""What takes long to install is made in the background, while other tests wait for their daemons."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from running import Startable, running

S = TypeVar("S", bound=Startable)
#: what a test module wants to have prepared: a name of its own to how it is made
Wanted = Mapping[str, Callable[["Prepared"], Any]]


class Prepared:
    """One after the other, in the order in which they were begun; all of them taken down in the end."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1)
        self._futures: dict[str, Future[Any]] = {}
        self._stack = contextlib.ExitStack()

    def begin(self, wanted: Wanted) -> None:
        """Have these made; what has been begun already is not made twice."""
        for name, make in wanted.items():
            if name not in self._futures:
                self._futures[name] = self._worker.submit(make, self)

    def take(self, name: str) -> Any:
        """Wait for one, and give what was made. Raises what its making raised."""
        return self._futures[name].result()

    def up(self, made: S) -> S:
        """Bring something up, for as long as the tests run; for those who make."""
        return self._stack.enter_context(running(made))

    def down(self) -> None:
        """Take all down."""
        self._worker.shutdown(cancel_futures=True)
        self._stack.close()
