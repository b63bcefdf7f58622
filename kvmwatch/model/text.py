"""Text that others wrote - titles, mount points, messages - made fit to be shown and sent on."""

from __future__ import annotations

import re
import unicodedata

_CUT = "…"
_BRIEF = 60  # characters
#: characters of a VM's label: names of graphs in Zabbix hold 128, and begin with it
LONGEST_LABEL = 64
_LEAST_TITLE = 8  # of which less tells nothing
#: Unicode's categories of what shows nothing or spoils the text around it
_CONTROL, _FORMAT, _SURROGATE, _LINE, _PARAGRAPH = "Cc", "Cf", "Cs", "Zl", "Zp"
_JOINERS = "\u200c\u200d"  # which some scripts and emoji need
#: of "scheme://user:password@host"; the password may hold an @, too
_PASSWORD = r"(://[^\s:/?#@]*):\S*@"


def readable(text: str, most: int) -> str:
    """Give *text* as one line of valid Unicode with no control characters, of at most *most* characters.

    What is cut ends with "…".
    """
    cut = len(text) > most
    if not cut and text.isprintable():  # which nearly all is, and of that nothing is changed
        return text
    shown = "".join(map(_shown, text[: most - len(_CUT)] if cut else text))
    return shown + _CUT if cut else shown


def fitting(text: str, most: int) -> str:
    """Give *text* in at most *most* bytes of UTF-8; what is cut ends with "…". It is valid Unicode."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - len(_CUT.encode())].decode(errors="ignore") + _CUT


def brief(text: str) -> str:
    """What somebody wrote and cannot be used, to be named; of a long one its beginning."""
    return readable(text, _BRIEF)


def quoted(text: str) -> str:
    """The same in quotes."""
    return repr(brief(text))


def without_password(text: str) -> str:
    """Give *text* with *** for the password of each URI in it: what is printed is kept in logs."""
    return re.sub(_PASSWORD, r"\1:***@", text) if "@" in text else text


def labelled(name: str, title: str | None) -> str:
    """How a VM is called where people read it: NAME, or NAME (TITLE) where they know it by another name.

    It takes no more than LONGEST_LABEL characters, unless the name alone does: the title is what is cut.
    """
    room = LONGEST_LABEL - len(name) - len(" ()")
    if not title or title == name or room < _LEAST_TITLE:
        return name
    return f"{name} ({readable(title, room)})"


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == _SURROGATE:
        return "\ufffd"
    if category in (_CONTROL, _LINE, _PARAGRAPH):
        return " "
    if category == _FORMAT and character not in _JOINERS:
        return ""
    return character
