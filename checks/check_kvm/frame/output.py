"""A verdict as plugin output: status line, perfdata and long output, no longer than what reads it takes.

Nagios cuts what is longer than its buffer in the middle of a value; here whole values and lines are left out, what
is wrong last, and what was left out is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import nagiosplugin
from nagiosplugin.output import Output
from nagiosplugin.runtime import Runtime

from check_kvm.frame import perfdata
from check_kvm.frame.verdict import NAMED, Verdict, results

#: bytes that Nagios 4 reads of a plugin (MAX_PLUGIN_OUTPUT_LENGTH); NRPE 3 and Icinga take more
DEFAULT_LIMIT = 8192
LEAST_LIMIT = 256

#: of the room is for perfdata before it is summed up, however much there is to say; the rest is for text
_PERFDATA_SHARE = 2 / 3
_MORE = "... and {} more lines (see --max-output)"


class Style(NamedTuple):
    """How much is printed: one of the styles of perfdata; lines of OK subjects; bytes in all."""

    perfdata: str = perfdata.FULL
    verbose: int = 0
    limit: int = DEFAULT_LIMIT


DEFAULT_STYLE = Style()


def render(name: str, verdict: Verdict, style: Style = DEFAULT_STYLE) -> tuple[str, int]:
    """Print the verdict of the check with this short name. Gives the output and the exit code."""
    frame = nagiosplugin.Check(_Summary(verdict), results(verdict))
    frame.name = f"kvm_{name}"
    runtime = Runtime()
    runtime.output = _Output(runtime.logchan, verdict, style)
    runtime.run(frame)
    return str(runtime.output), runtime.exitcode


class _Summary(nagiosplugin.Summary):  # type: ignore[misc]
    """What is wrong first, a few by name; then the overview, unless there is only one thing to tell of."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def ok(self, _results: nagiosplugin.Results) -> str:
        subjects = self._verdict.sorted_subjects()
        alone = len(subjects) == 1 and subjects[0].name
        return self._noted(subjects[0].line() if alone else self._verdict.overview)

    def problem(self, _results: nagiosplugin.Results) -> str:
        subjects = self._verdict.sorted_subjects()
        bad = [subject for subject in subjects if subject.state.code]
        named = "; ".join(subject.line(worst_only=True) for subject in bad[:NAMED])
        if len(subjects) == 1 and bad[0].name:
            return self._noted(named)
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        return self._noted(named + more, self._verdict.overview)

    def _noted(self, *texts: str) -> str:
        return "; ".join(filter(None, (*texts, self._verdict.note)))


class _Output(Output):  # type: ignore[misc]
    """First line with all perfdata, then a line per subject: the problems, or with -v all of them."""

    def __init__(self, logchan: object, verdict: Verdict, style: Style) -> None:
        super().__init__(logchan, style.verbose)
        self._verdict = verdict
        self._style = style

    def add(self, check: nagiosplugin.Check) -> None:
        values, note = self._perfdata(int(self._style.limit * _PERFDATA_SHARE))
        room = self._style.limit - _size(values) - 4 - _size(_MORE) - 6  # and then what was left out, at least
        self.status = _cut(self.format_status(check), min(room, self._style.limit // 2))
        lines = [
            f"[{str(result.state).upper()}] {result.hint}"
            for result in check.results.results
            if result.state.code or self.verbose
        ]
        if values:
            self.status += f" | {values}"
        for line in _fitting([*note, *lines], self._style.limit - _size(self.status) - 1):
            self.add_longoutput(line)

    def _perfdata(self, room: int) -> tuple[str, list[str]]:
        """The perfdata that fits, and what is to be said about it."""
        measured = [value for value in self._verdict.perfdata if value.spec.drawn]
        style = self._style.perfdata
        if style == perfdata.NONE or not measured:
            return "", []
        values = [value.performance for value in measured]
        whole = style != perfdata.SUMMARY and perfdata.widest(values) <= room
        if not whole:
            values = list(perfdata.summed_up(measured))
        fits = whole or perfdata.widest(values) <= room
        if whole or (fits and style == perfdata.SUMMARY):
            return self._joined(values), []
        said = (
            f"perfdata of {len(measured)} values is {'summed up' if fits else 'left out'}: it does not fit into "
            f"{self._style.limit} bytes with the text (see --perfdata and --max-output)"
        )
        return self._joined(values) if fits else "", [said]

    def _joined(self, values: Iterable[nagiosplugin.Performance]) -> str:
        known_only = self._style.perfdata == perfdata.KNOWN
        return " ".join(sorted(str(value) for value in values if perfdata.is_known(value) or not known_only))


def _fitting(lines: list[str], room: int) -> Iterable[str]:
    """As many lines as there is room for, the first ones, and how many were left out."""
    if _sizes(lines) <= room:
        return lines
    room -= _size(_MORE) + 6
    kept: list[str] = []
    for line in lines:
        room -= _size(line) + 1
        if room < 0:
            break
        kept.append(line)
    return [*kept, _MORE.format(len(lines) - len(kept))]


def _cut(text: str, most: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 4].decode(errors="ignore") + " ..."


def _size(text: str) -> int:
    return len(text.encode())


def _sizes(lines: list[str]) -> int:
    return sum(_size(line) + 1 for line in lines)
