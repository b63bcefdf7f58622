"""Perfdata labels and text that are legal whatever a VM is called."""

from __future__ import annotations

# The grammar forbids ' and =; | ends the text, ; separates values, and % is what we escape with.
_ESCAPED_IN_NAMES = frozenset("%'=|;")
_ESCAPED_IN_PARTS = _ESCAPED_IN_NAMES | {"."}


def label(name: str, *parts: str, alone: bool = False) -> str:
    """Make the label ``NAME.PART.PART``, unique for the parts: escaped ones are %XX as in URLs.

    Dots are kept in the first part only, so the label can be taken apart from its end. ``alone``: without the
    name, where all labels would have the same.
    """
    named = [] if alone else [_escaped(name, _ESCAPED_IN_NAMES)]
    return ".".join([*named, *(_escaped(part, _ESCAPED_IN_PARTS) for part in parts)])


def text(words: str) -> str:
    """Make text that cannot be mistaken for perfdata or for a line of its own."""
    if words.isprintable() and "|" not in words:  # which nearly all is
        return words
    return "".join("¦" if c == "|" else " " if c.isspace() or not c.isprintable() else c for c in words)


def _escaped(part: str, characters: frozenset[str]) -> str:
    if part.isprintable() and characters.isdisjoint(part):  # which nearly all is
        return part
    return "".join(
        f"%{ord(c):02X}" if c in characters or (not c.isprintable()) or (c.isspace() and c != " ") else c
        for c in part
    )
