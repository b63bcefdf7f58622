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
    kept, room = [], most - width(CUT)
    for character in text:
        room -= _width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + CUT if most > 0 else ""


def fill(text: str, columns: int, right: bool = False) -> str:
    """Give *text* in exactly so many columns, cut or with blanks after it (or before it, to the right)."""
    text = cut(text, columns)
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def _width(character: str) -> int:
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
