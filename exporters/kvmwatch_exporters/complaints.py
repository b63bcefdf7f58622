"""What those that run for long say on stderr: what is wrong when it begins, and when it is over."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

from kvmwatch.command.telling import tell
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.text import fitting, readable, without_password

#: when a hypervisor could not be read and can again
READABLE = "the hypervisor can be read again"

_PROG = "kvmwatch export"
_LONGEST = 900  # bytes of a line; at 1,024 collectd's exec plugin hears nothing more of a program
_MOST = 1000  # things that are wrong at a time; a client may come from ever other addresses


class Complaints:
    """What is wrong just now, by what it is about."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._lock = threading.Lock()

    def say(self, about: str, wrong: str, over: str) -> None:
        """Say what is wrong, or where it is nothing that it is over; neither twice.

        What stderr does not take at once is not waited for, and said another time.
        """
        with self._lock:
            if wrong == self._now.get(about, "") or not _said(wrong or over):
                return
            self._now.pop(about, None)
            if wrong:
                self._now[about] = wrong
            if len(self._now) > _MOST:
                del self._now[next(iter(self._now))]

    def mention(self, line: str) -> None:
        """Say what is neither wrong nor over, if stderr takes it at once."""
        _said(line)

    def unmatched(self, patterns: Iterable[str], unmatched: Iterable[str]) -> None:
        """Say which of the patterns of -d select nothing."""
        nothing = set(unmatched)
        for pattern in patterns:
            wrong = f"no domain matches -d {pattern}"
            self.say(f"-d {pattern}", wrong if pattern in nothing else "", f"-d {pattern} matches again")


def _said(line: str) -> bool:
    shown = fitting(readable(without_password(line), _LONGEST), _LONGEST)
    try:
        return tell(f"{_PROG}: {shown}\n", sys.stderr, patience=0)
    except KvmwatchError:
        return False
