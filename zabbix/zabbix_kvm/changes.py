"""Changes to Zabbix, made or only told, and what could not be: one that is refused does not stop the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

from zabbix_kvm.api import Api, Record, Refused

_TOLD = 10  # refusals for one reason that are told one by one


class Change(NamedTuple):
    """A change of one of many: what it is in words, its record, and what else to try when that is refused."""

    what: str
    record: Record
    otherwise: Optional[Callable[[], Optional[Change]]] = None


class Changes:
    """Makes changes, or with ``dry_run`` only tells them. ``made`` and ``failed`` have a line for each."""

    def __init__(self, api: Api, dry_run: bool = False) -> None:
        """Take the session; nothing is asked yet."""
        self.api = api
        self.dry_run = dry_run
        self.made: list[str] = []
        self.failed: list[str] = []

    def make(self, what: str, method: str, /, *values: Any, **parameters: Any) -> Any:
        """Make one change and tell it. None in a dry run; raises Refused, and KvmwatchError without an answer."""
        result = None if self.dry_run else self.api.call(method, *values, **parameters)
        self._tell(what)
        return result

    def attempt(self, what: str, method: str, /, *values: Any, **parameters: Any) -> Any:
        """Make one change without which the others go on: None when it was refused, which is told."""
        try:
            return self.make(what, method, *values, **parameters)
        except Refused as refused:
            self.fail(f"cannot {what}: {refused.why}")
            return None

    @contextmanager
    def contained(self) -> Iterator[None]:
        """Keep a refusal of one of many from stopping the others."""
        try:
            yield
        except Refused as refused:
            self.fail(str(refused))

    def each(self, method: str, changes: Iterable[Change]) -> list[Record]:
        """Make a change for each of many, as many at once as go together. Gives the records that were refused."""
        waiting = list(changes)
        refusals: dict[str, list[Change]] = {}
        while waiting:
            by_record = {id(change.record): change for change in waiting}
            records = [change.record for change in waiting]
            results = ((record, None) for record in records) if self.dry_run else self.api.each(method, records)
            waiting = []
            for record, refused in results:
                change = by_record[id(record)]
                if refused is None:
                    self._tell(change.what)
                elif change.otherwise and (other := change.otherwise()):
                    waiting.append(other)
                else:
                    refusals.setdefault(refused, []).append(change)
        for why, refused_changes in refusals.items():
            for change in refused_changes[:_TOLD]:
                self.fail(f"cannot {change.what}: {why}")
            if len(refused_changes) > _TOLD:
                self.fail(f"cannot do so {len(refused_changes) - _TOLD} times more: {why}")
        return [change.record for refused_changes in refusals.values() for change in refused_changes]

    def fail(self, why: str) -> None:
        """Tell what could not be done, though the rest could."""
        self.failed.append(why)
        print(f"zabbix_kvm: {why}", file=sys.stderr)

    @staticmethod
    def note(what: str) -> None:
        """Tell what is no change, but good to know."""
        print(f"note: {what}", file=sys.stderr)

    def _tell(self, what: str) -> None:
        self.made.append(what)
        print(f"{'would ' if self.dry_run else ''}{what}", file=sys.stderr)
