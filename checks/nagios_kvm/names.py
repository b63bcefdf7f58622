"""Service names that are legal in Nagios and Icinga whatever a VM is called, and that give the VM's name back.

Nagios forbids some characters in object names (``illegal_object_name_chars``), takes ``;`` for a comment or for
the end of a field of an external command, and strips blanks at the ends; Icinga separates host and service by
``!``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PREFIX = "KVM"

#: what Nagios takes in no name of an object, and what ends a field or continues a line
ILLEGAL = frozenset("`~!$%^&*|'\"<>?,()=;\\")
#: what is escaped with: legal in both, and rare in names. The name of a host with "+" in it would be a regular
#: expression for a Nagios with use_regexp_matching
ESCAPE, HOST_ESCAPE = "+", "@"
_CODE = re.compile(r"\+([0-9A-F]{1,6})\.")


class ServiceName(NamedTuple):
    """What a service is about: a check (``cpu``) of a VM, or of the hypervisor where there is no VM."""

    check: str
    domain: str | None = None

    def __str__(self) -> str:
        """``KVM cpu web1``, or ``KVM host``."""
        return " ".join(filter(None, (PREFIX, self.check, encode(self.domain) if self.domain else "")))

    @classmethod
    def parse(cls, text: str) -> ServiceName:
        """Take a name apart again. Raises ValueError when it is none of ours."""
        prefix, _, rest = text.partition(" ")
        check, _, domain = rest.partition(" ")
        if prefix != PREFIX or not check:
            raise ValueError(f"{text!r} is no service of kvmwatch")
        return cls(check, decode(domain) or None)


def encode(name: str, escape: str = ESCAPE) -> str:
    """Escape what is illegal as ``+XX.``, the character's code point in hexadecimal.

    With HOST_ESCAPE it is the name of a host, in which "+" is escaped as well.
    """
    last = len(name) - 1
    return "".join(
        f"{escape}{ord(character):X}."
        if character in ILLEGAL
        or character in (ESCAPE, escape)
        or not character.isprintable()
        or (character.isspace() and _lost(name, place, last))
        else character
        for place, character in enumerate(name)
    )


def decode(text: str) -> str:
    """Give the name that was encoded."""
    return _CODE.sub(lambda found: chr(int(found[1], 16)), text)


def _lost(name: str, place: int, last: int) -> bool:
    """Whether it is a blank that would be stripped or folded there."""
    return name[place].isspace() and (place in (0, last) or name[place - 1].isspace())
