"""A verdict as plugin output: status line, perfdata and long output, no longer than what reads it takes.

Nagios cuts what is longer than its buffer in the middle of a value; here whole values and lines are left out, what
is wrong last, and what was left out is said.
"""

from __future__ import annotations

from collections.abc import Iterable

from check_kvm.frame import labels, perfdata
from check_kvm.frame.plugin_api import Ok, Performance
from check_kvm.frame.verdict import NAMED, Verdict
from kvmwatch.model.record import Record

#: bytes that Nagios 4 reads of a plugin (MAX_PLUGIN_OUTPUT_LENGTH); NRPE 3 and Icinga take more
DEFAULT_LIMIT = 8192
LEAST_LIMIT = 256

#: of the room is for perfdata before it is summed up, however much there is to say; the rest is for text
_PERFDATA_SHARE = 2 / 3
_MORE = "... and {} more lines (see --max-output)"


class Style(Record):
    """How much is printed: one of the styles of perfdata; lines of OK subjects; bytes in all."""

    perfdata: str = perfdata.FULL
    verbose: int = 0
    limit: int = DEFAULT_LIMIT


DEFAULT_STYLE = Style()


def render(name: str, verdict: Verdict, style: Style = DEFAULT_STYLE) -> tuple[str, int]:
    """Print the verdict of the check with this short name. Gives the output and the exit code.

    The first line has all perfdata, then comes a line per subject: the problems, or with -v all of them.
    """
    state = verdict.state
    values, note = _perfdata(verdict, style, int(style.limit * _PERFDATA_SHARE))
    room = style.limit - _size(values) - 4 - _size(_MORE) - 6  # and then what was left out, at least
    summary = labels.text(_ok(verdict) if state is Ok else _problem(verdict))
    status = f"KVM_{name.upper()} {str(state).upper()}" + (f" - {summary}" if summary else "")
    first = _cut(status, min(room, style.limit // 2)) + (f" | {values}" if values else "")
    lines = [*note, *_lines(verdict, everything=style.verbose > 0)]
    return "\n".join([first, *_fitting(lines, style.limit - _size(first) - 1)]) + "\n", state.code


def _ok(verdict: Verdict) -> str:
    """The overview, unless there is only one thing to tell of."""
    subjects = verdict.sorted_subjects()
    alone = len(subjects) == 1 and subjects[0].name
    return _joined(subjects[0].line() if alone else verdict.overview, verdict.note)


def _problem(verdict: Verdict) -> str:
    """What is wrong first, a few by name; then the overview, unless there is only one thing to tell of."""
    subjects = verdict.sorted_subjects()
    bad = [subject for subject in subjects if subject.state.code]
    named = "; ".join(subject.line(worst_only=True) for subject in bad[:NAMED])
    if len(subjects) == 1 and bad[0].name:
        return _joined(named, verdict.note)
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return _joined(named + more, verdict.overview, verdict.note)


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))


def _lines(verdict: Verdict, everything: bool) -> Iterable[str]:
    said = [(subject.state, subject.line()) for subject in verdict.sorted_subjects()]
    for state, line in said or [(Ok, labels.text(verdict.overview))]:
        if state.code or everything:
            yield f"[{str(state).upper()}] {line}"


def _perfdata(verdict: Verdict, style: Style, room: int) -> tuple[str, list[str]]:
    """The perfdata that fits, and what is to be said about it."""
    measured = [value for value in verdict.perfdata if value.spec.drawn]
    if style.perfdata == perfdata.NONE or not measured:
        return "", []
    known_only = style.perfdata == perfdata.KNOWN
    values = [value.performance for value in measured]
    whole = style.perfdata != perfdata.SUMMARY and perfdata.widest(values) <= room
    if not whole:
        values = list(perfdata.summed_up(measured))
    fits = whole or perfdata.widest(values) <= room
    if whole or (fits and style.perfdata == perfdata.SUMMARY):
        return _printed(values, known_only), []
    said = (
        f"perfdata of {len(measured)} values is {'summed up' if fits else 'left out'}: it does not fit into "
        f"{style.limit} bytes with the text (see --perfdata and --max-output)"
    )
    return _printed(values, known_only) if fits else "", [said]


def _printed(values: Iterable[Performance], known_only: bool) -> str:
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
