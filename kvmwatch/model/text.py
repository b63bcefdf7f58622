"""Text that others wrote - titles, mount points, messages - made fit to be shown and sent on."""

from __future__ import annotations

import unicodedata

_CUT = "…"
#: Unicode's categories of what shows nothing or spoils the text around it
_CONTROL, _FORMAT, _SURROGATE, _LINE, _PARAGRAPH = "Cc", "Cf", "Cs", "Zl", "Zp"
_JOINERS = "\u200c\u200d"  # which some scripts and emoji need


def readable(text: str, most: int) -> str:
    """Give *text* as one line of valid Unicode with no control characters, of at most *most* characters.

    What is cut ends with "…".
    """
    cut = len(text) > most
    shown = "".join(map(_shown, text[: most - len(_CUT)] if cut else text))
    return shown + _CUT if cut else shown


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == _SURROGATE:
        return "\ufffd"
    if category in (_CONTROL, _LINE, _PARAGRAPH):
        return " "
    if category == _FORMAT and character not in _JOINERS:
        return ""
    return character
