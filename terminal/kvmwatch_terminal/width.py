"""How many columns of a terminal a text takes, and texts cut and filled to a number of columns."""

from __future__ import annotations

import unicodedata

CUT = "…"
_NO_WIDTH = ("Mn", "Me", "Cf")  # what stands on the character before it, and joiners


def width(text: str) -> int:
    """Columns that a text without control characters takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, most: int) -> str:
    """Give *text* in at most *most* columns; what is cut ends with "…"."""
    if width(text) <= most:
        return text
    return _beginning(text, most - width(CUT)) + CUT if most > 0 else ""


def fill(text: str, columns: int, right: bool = False) -> str:
    """Give *text* in exactly so many columns, cut or with blanks after it (or before it, to the right)."""
    text = cut(text, columns)
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def wrapped(text: str, most: int) -> list[str]:
    """Give *text* in lines of at most *most* columns (of 2 at least), broken at blanks where that can be."""
    if width(text) <= most:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer) > most and line:
            lines.append(line)
            longer = word
        while width(longer) > most:
            piece = _beginning(longer, most)
            lines.append(piece)
            longer = longer[len(piece) :]
        line = longer
    return [*lines, line]


def _beginning(text: str, most: int) -> str:
    """As much of a text as takes at most so many columns."""
    for number, character in enumerate(text):
        most -= _width(character)
        if most < 0:
            return text[:number]
    return text


def _width(character: str) -> int:
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
