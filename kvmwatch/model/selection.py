"""Which domains a command looks at: ``-d/--domain`` and ``-x/--exclude``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from kvmwatch.model.doing import doing
from kvmwatch.model.errors import UsageError


class Pattern(NamedTuple):
    """A shell glob over the name, an exact name or UUID, or ``re:REGEX`` searched in the name."""

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
                re.compile(text[3:])
            except re.error as error:
                raise UsageError(f"bad regular expression {text[3:]!r}: {error}") from None
        return cls(text)

    def matches(self, name: str, uuid: str) -> bool:
        """Tell whether it selects this domain."""
        if self.text.startswith("re:"):
            with doing(f"matching {self.text} against the name {name}"):
                return re.search(self.text[3:], name) is not None
        return self.text == name or self.text.lower() == uuid or fnmatchcase(name, self.text)


class Selection(NamedTuple):
    """All domains, or those that an include pattern names; without those that an exclude pattern names."""

    include: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()

    @classmethod
    def parse(cls, include: Sequence[str], exclude: Sequence[str]) -> Selection:
        """Check the patterns of the command line. Raises UsageError."""
        return cls(tuple(map(Pattern.parse, include)), tuple(map(Pattern.parse, exclude)))

    def __bool__(self) -> bool:
        """Whether it restricts anything."""
        return bool(self.include or self.exclude)

    def matches(self, name: str, uuid: str) -> bool:
        """Tell whether a domain is looked at."""
        return (not self.include or any(p.matches(name, uuid) for p in self.include)) and not any(
            p.matches(name, uuid) for p in self.exclude
        )
