"""What the last run knew of the list of domains, for when libvirt's own does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional, Protocol

from kvmwatch.model.record import Record


class Waits(Record):
    """That the list waits: since when, when it was last asked for (Unix times), and for whom since when."""

    since: float
    asked: float
    held: Mapping[str, float]  # by UUID
    running: frozenset[str]  # those of them whose QEMU was seen


class Known(Record):
    """What the last run knew: UUID to name of all domains, whether the list waited, and whom to leave alone."""

    names: dict[str, str]
    waits: Optional[Waits] = None
    ignored: frozenset[str] = frozenset()  # UUIDs


class Roster(Protocol):
    """Where that is kept between runs."""

    def load(self) -> Known: ...
    def save(self, known: Known) -> None: ...
