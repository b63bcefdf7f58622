"""Which domains a command looks at: ``-d/--domain`` and ``-x/--exclude``.

A UUID names its domain and no other: whoever may define a VM can call it by another's UUID, and a name counts only
where nothing has it as its UUID. So to match one, the UUIDs of all there are have to be known.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from kvmwatch.model.doing import doing
from kvmwatch.model.errors import UsageError
from kvmwatch.model.record import Record

if TYPE_CHECKING:
    from kvmwatch.model.snapshot import Snapshot

#: patterns that can match several names
_MANY = r"(?s)re:|.*[*?\[]"


class Pattern(Record):
    """A UUID in large or small letters, else a name or a shell glob over it; or ``re:REGEX`` for the name."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Check a pattern as given on the command line.

        Raises UsageError for an empty one or a regular expression that does not compile.
        """
        if not text:
            raise UsageError("an empty domain pattern selects nothing; use '*' for all")
        if text.startswith("re:"):
            try:
                with warnings.catch_warnings():  # of what a later Python may read otherwise
                    warnings.simplefilter("ignore", FutureWarning)
                    re.compile(text[3:])
            except (re.error, OverflowError, RecursionError) as error:
                raise UsageError(f"bad regular expression {text[3:]!r}: {error}") from None
        return cls(text)

    def matches(self, name: str, uuid: str, uuids: Collection[str]) -> bool:
        """Tell whether it selects this domain; ``uuids`` are those of all there are, as libvirt writes them."""
        if self.text.startswith("re:"):
            with doing(f"matching {self.text} against the name {name}"):
                return re.search(self.text[3:], name) is not None
        as_uuid = self.text.lower()
        if as_uuid == uuid or as_uuid in uuids:
            return as_uuid == uuid
        return self.text == name or fnmatchcase(name, self.text)


class Selection(Record):
    """All domains, or those that an include pattern names; without those that an exclude pattern names."""

    include: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()

    @classmethod
    def parse(cls, include: Sequence[str], exclude: Sequence[str]) -> Selection:
        """Check the patterns of the command line. Raises UsageError."""
        return cls(tuple(map(Pattern.parse, include)), tuple(map(Pattern.parse, exclude)))

    @property
    def one(self) -> bool:
        """Whether it can select no more than one, today or later: by its name or UUID."""
        return len(self.include) == 1 and not re.match(_MANY, self.include[0].text)

    def __bool__(self) -> bool:
        """Whether it restricts anything."""
        return bool(self.include or self.exclude)

    def unmatched(self, snapshot: Snapshot) -> list[str]:
        """The -d that select none of the domains of a snapshot."""
        return [
            pattern.text
            for pattern in self.include
            if not any(pattern.matches(one.name, one.uuid, snapshot.uuids) for one in snapshot.domains)
        ]

    def matches(self, name: str, uuid: str, uuids: Collection[str]) -> bool:
        """Tell whether a domain is looked at; ``uuids`` are those of all there are."""
        return (not self.include or any(p.matches(name, uuid, uuids) for p in self.include)) and not any(
            p.matches(name, uuid, uuids) for p in self.exclude
        )
