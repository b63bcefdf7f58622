"""What the Monitoring Plugins guidelines ask of a plugin's output, told from outside."""

from __future__ import annotations

import re
from typing import NamedTuple

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

_NUMBER = r"-?[0-9]+(\.[0-9]+)?"
_RANGE = rf"@?((~|{_NUMBER})?:)?({_NUMBER})?"
_VALUE = re.compile(
    rf"(?P<label>'[^'=|\n]+'|[^ '=|\n]+)=((?P<value>{_NUMBER})(?P<unit>B|s|%|c)?|U)"
    rf"(;(?P<warning>{_RANGE})(;(?P<critical>{_RANGE})(;(?P<least>{_NUMBER})?(;(?P<most>{_NUMBER})?)?)?)?)?"
)
_LINE = re.compile(r"(?P<name>KVM_[A-Z]+) (?P<status>[A-Z]+) - (?P<text>[^|]*[^| ])(?: \| (?P<perfdata>[^|]+))?")


class Output(NamedTuple):
    """A plugin's output, taken apart."""

    status: str
    text: str
    perfdata: dict[str, float]  # NaN: not known
    lines: list[str]  # the long output


def conforming(out: str, code: int, limit: int = 8192) -> Output:
    """Take output apart, and fail where it breaks the guidelines."""
    assert out.endswith("\n"), out
    assert len(out.encode()) <= limit, len(out.encode())
    first, *lines = out[:-1].split("\n")
    found = _LINE.fullmatch(first)
    assert found, first
    assert found["status"] == STATES[code], (found["status"], code)
    assert all(character.isprintable() for line in (first, *lines) for character in line), out
    assert all(line and "|" not in line for line in lines), out
    return Output(found["status"], found["text"], _perfdata(found["perfdata"] or ""), lines)


def _perfdata(text: str) -> dict[str, float]:
    values: dict[str, float] = {}
    position = 0
    while position < len(text):
        found = _VALUE.match(text, position)
        assert found, text[position:]
        label, value = found["label"].strip("'"), float(found["value"] or "nan")
        assert label not in values, f"{label} twice"
        assert found["least"] is None or not value < float(found["least"]), found[0]
        values[label] = value
        position = found.end()
        assert position == len(text) or text[position] == " ", text[position:]
        position += 1
    return values
