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


Spans = list[Span]


def fitted(line: Iterable[Span], room: int) -> Spans:
    """The line in so many columns of the terminal; what is cut ends with "…"."""
    made: Spans = []
    for span in line:
        text = cut(span.text, room)
        if text:
            made.append(span._replace(text=text))
        room -= width(text)
        if text != span.text or room <= 0:
            break
    return made


def filled(line: Spans, room: int, style: str) -> Spans:
    """The line with blanks up to the edge."""
    return [*line, Span(" " * (room - sum(width(span.text) for span in line)), style)]
