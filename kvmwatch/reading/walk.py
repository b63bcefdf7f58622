"""Asking many domains one by one, of which any may make its question wait.

libvirt holds a domain's lock while it destroys it, while a hook of it runs, and in some jobs. Whatever looks at
that domain then waits, also libvirt's list of all of them. Each other domain can still be asked by its UUID.
"""

from __future__ import annotations

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
    answers: dict[str, Answer] = {}
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
                if walker.error and (walker.connected or not walkers):
                    raise walker.error
            elif asking and now - asking[1] >= patience:
                held[asking[0]] = now - asking[1]
                walkers.remove(walker)
                if waiting:
                    walkers.append(_Walker(waiting, questioner, answers, clock))
    unasked = set(waiting)
    waiting.clear()
    for walker in walkers:  # the time is over
        if asking := walker.asking:
            seconds = clock.look() - asking[1]
            if seconds >= patience:
                held[asking[0]] = seconds
            else:
                unasked.add(asking[0])
    given = {uuid: answer for uuid, answer in dict(answers).items() if uuid not in held}
    return Walked(given, held, frozenset(unasked - given.keys()))


class _Walker(Generic[Answer]):
    """A thread that takes the next UUID until there is none."""

    def __init__(
        self,
        waiting: deque[str],
        questioner: Callable[[], Callable[[str], Answer | None]],
        answers: dict[str, Answer],
        clock: Awake,
    ) -> None:
        self.asking: tuple[str, float] | None = None  # whom, and since when (of the clock)
        self.error: Exception | None = None
        self.connected = False
        self._waiting = waiting
        self._questioner = questioner
        self._answers = answers
        self._clock = clock
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            ask = self._questioner()
            self.connected = True
            while self._waiting:
                uuid = self._waiting.popleft()
                self.asking = uuid, self._clock.seconds
                answer = ask(uuid)
                self.asking = None
                if answer is not None:
                    self._answers[uuid] = answer
        except IndexError:
            return  # another took the last one
        except Exception as error:
            self.error = error
