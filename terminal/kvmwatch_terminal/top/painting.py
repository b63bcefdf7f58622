"""What is painted on a terminal, without one: lines of texts in styles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kvmwatch_terminal.width import cut, width

#: styles; the words of severities (``rows.SEVERITIES``) are others
PLAIN, BOLD, BAR, SORTED, SELECTED, OLD = "", "bold", "bar", "sorted", "selected", "old"


class Span(NamedTuple):
    """A text in one style."""

    text: str
    style: str = PLAIN


Line = list[Span]


def fitted(line: Iterable[Span], room: int) -> Line:
    """The line in so many columns of the terminal; what is cut ends with "…"."""
    made: Line = []
    for span in line:
        text = cut(span.text, room)
        if text:
            made.append(span._replace(text=text))
        room -= width(text)
        if text != span.text or room <= 0:
            break
    return made


def filled(line: Line, room: int, style: str) -> Line:
    """The line with blanks up to the edge."""
    return [*line, Span(" " * (room - sum(width(span.text) for span in line)), style)]
