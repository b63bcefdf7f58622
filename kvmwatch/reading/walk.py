"""Asking many domains one by one, of which any may make its question wait.

libvirt holds a domain's lock while it destroys it, while a hook of it runs, and in some jobs. Whatever looks at
that domain then waits, also libvirt's list of all of them. Each other domain can still be asked by its UUID.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from kvmwatch.reading.deadline import Awake, Deadline

Answer = TypeVar("Answer")

_LANES = 4
_LOOK = 0.02  # seconds between two looks at who is being asked
_MOST = 0.1  # seconds that count between two


class Walked(Generic[Answer]):  # a named tuple of a generic kind is only for Python 3.11 and later
    """UUID to answer, without those that gave None; UUID to seconds of those that held their question up."""

    def __init__(self, answers: dict[str, Answer], held: dict[str, float], unasked: frozenset[str]) -> None:
        self.answers = answers
        self.held = held
        self.unasked = unasked  # there was no time left for them


def walk(
    uuids: Collection[str],
    questioner: Callable[[], Callable[[str], Answer | None]],
    deadline: Deadline,
    patience: float,
    lanes: int = _LANES,
) -> Walked[Answer]:
    """Ask about each UUID, in a few threads.

    ``questioner`` is called in each thread, to connect, and gives the function that asks. A thread whose question
    has lasted for ``patience`` seconds is left behind with its connection, and a fresh one goes on. Raises what a
    question raises.
    """
    waiting = deque(uuids)
    answers: dict[str, Answer | None] = {}
    held: dict[str, float] = {}
    clock = Awake(_MOST)
    walkers = [_Walker(waiting, questioner, answers, clock) for _ in range(min(lanes, len(waiting)))]
    while walkers and deadline.remaining():
        walkers[0].join(min(_LOOK, deadline.remaining()))
        now = clock.look()
        for walker in walkers[:]:
            asking = walker.asking
            if not walker.is_alive():
                walkers.remove(walker)
                # one that could not even connect leaves its work to the others
                if walker.error and (walker.connected or (waiting and not walkers)):
                    raise walker.error
            elif not walker.has_work():  # it is still connecting, and the others have done all
                walkers.remove(walker)
            elif asking and now - asking[1] >= patience and walker.leaves(asking):
                held[asking[0]] = now - asking[1]
                walkers.remove(walker)
                if waiting:
                    walkers.append(_Walker(waiting, questioner, answers, clock))
    waiting.clear()
    for walker in walkers:  # the time is over
        asking, now = walker.asking, clock.look()
        if asking and now - asking[1] >= patience:
            held[asking[0]] = now - asking[1]
    answered = dict(answers)
    given = {uuid: answer for uuid, answer in answered.items() if answer is not None and uuid not in held}
    return Walked(given, held, frozenset(set(uuids) - answered.keys() - held.keys()))


class _Walker(Generic[Answer]):
    """A thread that takes the next UUID until there is none."""

    def __init__(
        self,
        waiting: deque[str],
        questioner: Callable[[], Callable[[str], Answer | None]],
        answers: dict[str, Answer | None],
        clock: Awake,
    ) -> None:
        self.asking: tuple[str, float] | None = None  # whom, and since when (of the clock)
        self.error: Exception | None = None
        self.connected = False
        self._waiting = waiting
        self._questioner = questioner
        self._answers = answers
        self._clock = clock
        self._left = False
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def has_work(self) -> bool:
        with self._turn:
            return bool(self.asking or self._waiting)

    def leaves(self, asking: tuple[str, float]) -> bool:
        """Have it take no other UUID after this one, which it would ask unseen; False: it has one already."""
        with self._turn:
            self._left = self.asking is asking
            return self._left

    def _run(self) -> None:
        try:
            ask = self._questioner()
            self.connected = True
            while uuid := self._next():
                self._answers[uuid] = ask(uuid)
        except Exception as error:
            self.error = error

    def _next(self) -> str | None:
        with self._turn:
            self.asking = None
            if self._waiting and not self._left:
                with contextlib.suppress(IndexError):  # another took the last one
                    self.asking = self._waiting.popleft(), self._clock.seconds
            return self.asking and self.asking[0]
