r"""Plugin output within one line, as Nagios takes it of others: newlines are \n, and \ is \\.

The checks' own output fits already (see their ``--max-output``); what is longer all the same loses its last
lines, then its last perfdata, and in the end its last words: whole values and whole characters, so that no graph
gets a number that is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_BETWEEN, _NEWLINE = " | ", "\\n"
_CUT = "..."
_MORE = "\\n... and more that is left out"


def escaped(text: str) -> str:
    """Give output in one line; other control characters, which end it or a reader's patience, are blanks."""
    line = text.replace("\\", "\\\\").replace("\n", _NEWLINE)
    return line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)


def fitted(text: str, most: int) -> str | None:
    """Give output in one line of at most so many bytes (UTF-8); None when there is no room for anything."""
    whole = escaped(text)
    if _size(whole) <= most:
        return whole
    status, perfdata, lines = parts(text)
    room = most - _size(_MORE)
    line = _cut(escaped(status), room)
    if line != escaped(status):
        return line or None
    kept = list(_fitting(map(escaped, perfdata), room - _size(line) - _size(_BETWEEN) + 1))
    if kept:
        line += _BETWEEN + " ".join(kept)
    return line + "".join(_fitting((_NEWLINE + escaped(one) for one in lines), room - _size(line), 0)) + _MORE


def parts(output: str) -> tuple[str, list[str], list[str]]:
    """Plugin output as its status, its perfdata value by value, and its further lines."""
    first, *lines = output.split("\n")
    status, _, perfdata = first.partition(_BETWEEN)
    return status, values(perfdata), lines


def values(perfdata: str) -> list[str]:
    """The perfdata value by value: labels that hold blanks are quoted."""
    found: list[str] = []
    quoted = False
    for word in perfdata.split(" "):
        if quoted:
            found[-1] += f" {word}"
        elif word:
            found.append(word)
        if word.count("'") % 2:
            quoted = not quoted
    return found


def _fitting(words: Iterable[str], room: int, apart: int = 1) -> Iterator[str]:
    for word in words:
        room -= _size(word) + apart
        if room < 0:
            return
        yield word


def _cut(line: str, most: int) -> str:
    """Cut between characters, and not within an escape."""
    if _size(line) <= most:
        return line
    kept = line.encode()[: max(0, most - len(_CUT))].decode(errors="ignore")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    kept = kept[: len(kept) - backslashes % 2]
    return f"{kept}{_CUT}" if kept else ""


def _size(text: str) -> int:
    return len(text.encode())
