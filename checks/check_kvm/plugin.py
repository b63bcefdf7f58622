"""The frame around every check: options in, one collection, the check's judgement, plugin output out."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

import nagiosplugin
from nagiosplugin import Unknown
from nagiosplugin.output import Output
from nagiosplugin.runtime import Runtime

from check_kvm import labels
from check_kvm.thresholds import MetricSpec, Thresholds
from check_kvm.verdict import Verdict, results
from kvmwatch.collect import Reader
from kvmwatch.deadline import Deadline, leave
from kvmwatch.errors import KvmwatchError, UsageError
from kvmwatch.groups import Group
from kvmwatch.options import Parser, parser
from kvmwatch.selection import Selection
from kvmwatch.snapshot import Snapshot, timings

_NAMED = 3  # problems that the first line names
_SAMPLING = 1.0  # seconds between the two samples of a first run


class Check(NamedTuple):
    """What makes a check: the groups it reads, the metrics it knows, and its judgement of a snapshot."""

    name: str  # short: "cpu" for check_kvm_cpu
    description: str
    groups: Group
    metrics: tuple[MetricSpec, ...]
    judge: Callable[[Snapshot, Thresholds], Verdict]
    needs_rates: bool = False
    selects: str = "domain"  # what -d and -x select: "domain" or "pool"


def main(check: Check) -> None:
    """Run a check command and end the process with the plugin API's exit code."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    arguments = sys.argv[1:]
    try:
        output, code = run(check, arguments)
    except UsageError as error:
        output, code = f"{_prefix(check)} - {labels.text(str(error))}\n{_parser(check).format_usage()}", 3
    except KvmwatchError as error:
        output, code = f"{_prefix(check)} - {labels.text(str(error))}\n", 3
        if _verbosity(arguments) >= 2:
            output += traceback.format_exc()
    except Exception as error:  # anything else is our mistake: still one line and UNKNOWN
        what = labels.text(f"{type(error).__name__}: {error}")
        output, code = f"{_prefix(check)} - internal error, please report it: {what}\n", 3
        if _verbosity(arguments) >= 2:
            output += traceback.format_exc()
    try:
        sys.stdout.write(output)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    leave(code)


def run(check: Check, arguments: Sequence[str]) -> tuple[str, int]:
    """Run a check and give its output and exit code. Raises KvmwatchError, UsageError among them."""
    options = _parser(check).parse_args(arguments)
    deadline = Deadline(options.timeout)
    thresholds = Thresholds(check.name, check.metrics, options.warning, options.critical)
    selection = Selection.parse(options.domain, options.exclude)
    domains_wanted = selection if check.selects == "domain" else Selection()
    reader = Reader(options.uri, check.groups, domains_wanted, deadline)
    snapshot = reader.read()
    if check.needs_rates:
        snapshot = _with_rates(check, options, selection, reader, snapshot, deadline)
    if check.selects == "pool":
        pools = (pool for pool in snapshot.pools if selection.matches(pool.name, pool.uuid))
        snapshot = snapshot._replace(pools=tuple(pools))
    verdict = check.judge(snapshot, thresholds)
    _say_unmatched(check, selection, snapshot, verdict)
    output, code = render(check, verdict, options.verbose)
    if options.verbose >= 3:
        output += labels.text(timings(snapshot)) + "\n"
    return output, code


def render(check: Check, verdict: Verdict, verbose: int = 0) -> tuple[str, int]:
    """Print a verdict as nagiosplugin does. Gives the output and the exit code."""
    frame = nagiosplugin.Check(_Summary(verdict), results(verdict))
    frame.name = f"kvm_{check.name}"
    frame.perfdata = [str(performance) for performance in verdict.perfdata]
    runtime = Runtime()
    runtime.output = _Output(runtime.logchan, verbose)
    runtime.run(frame)
    return str(runtime.output), runtime.exitcode


class _Summary(nagiosplugin.Summary):  # type: ignore[misc]
    """What is wrong first, a few by name; then the overview."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def ok(self, _results: nagiosplugin.Results) -> str:
        return self._verdict.overview

    def problem(self, _results: nagiosplugin.Results) -> str:
        bad = self._bad()
        named = "; ".join(subject.line(worst_only=True) for subject in bad[:_NAMED])
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        return f"{named}{more}; {self._verdict.overview}"

    def _bad(self) -> list:  # type: ignore[type-arg]
        return [subject for subject in self._verdict.sorted_subjects() if subject.state.code]


class _Output(Output):  # type: ignore[misc]
    """First line with all perfdata, then a line per VM: the problems, or with -v all of them."""

    def add(self, check: nagiosplugin.Check) -> None:
        perfdata = self.format_perfdata(check)
        self.status = self.format_status(check) + (f" {perfdata}" if perfdata else "")
        for result in check.results.results:
            if result.state.code or self.verbose:
                self.add_longoutput(f"[{str(result.state).upper()}] {result.hint}")


def _with_rates(
    check: Check,
    options: argparse.Namespace,
    selection: Selection,
    reader: Reader,
    snapshot: Snapshot,
    deadline: Deadline,
) -> Snapshot:
    from kvmwatch.history import History  # noqa: PLC0415 - check_kvm_state and _pool do without
    from kvmwatch.rates import samples, with_rates  # noqa: PLC0415

    history = History(options.state_dir, f"kvm_{check.name}", options.uri, selection)
    counted = samples(snapshot)
    if not counted:
        return snapshot  # nothing has a rate here, so nothing is worth waiting for
    previous = history.load()
    took = time.time() - snapshot.time
    if not previous and deadline.remaining() > _SAMPLING + 2 * took:  # else the next run will have rates
        previous = counted
        deadline.sleep(_SAMPLING)
        snapshot = reader.read()
        counted = samples(snapshot)
    history.save(counted)
    return with_rates(snapshot, previous)


def _say_unmatched(check: Check, selection: Selection, snapshot: Snapshot, verdict: Verdict) -> None:
    found = snapshot.pools if check.selects == "pool" else snapshot.domains
    for pattern in selection.include:
        if not any(pattern.matches(thing.name, thing.uuid) for thing in found):
            verdict.subject("").say(Unknown, f"no {check.selects} matches -d {pattern.text}")


def _parser(check: Check) -> Parser:
    lines = [f"  {metric.name:<20} {metric.help}{_defaults(metric)}" for metric in check.metrics]
    epilog = "metrics of -w and -c:\n" + "\n".join(lines) + (
        "\n\nRANGE is a plugin range: 80 (alert over 80), 10: (under 10), @10:20 (inside); empty: never."
        "\nA domain's own metadata wins over -w and -c. Exit: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
    )  # fmt: skip
    made = parser(f"check_kvm_{check.name}", check.description, epilog)
    for letter, name in (("-w", "warning"), ("-c", "critical")):
        made.add_argument(
            letter,
            f"--{name}",
            action="append",
            default=[],
            metavar="[METRIC=]RANGE",
            help=f"{name} outside this range; without METRIC: {check.metrics[0].name}; repeatable",
        )
    made.add_argument(
        "--state-dir",
        metavar="DIR",
        help="where counters are kept between runs (default: $KVMWATCH_STATE_DIR, else "
        "/var/lib/kvmwatch when writable, else the user's cache)",
    )
    return made


def _defaults(metric: MetricSpec) -> str:
    given = [f"{letter} {spec}" for letter, spec in (("-w", metric.warning), ("-c", metric.critical)) if spec]
    return f" [{' '.join(given)}]" if given else ""


def _prefix(check: Check) -> str:
    return f"KVM_{check.name.upper()} UNKNOWN"


def _verbosity(arguments: Sequence[str]) -> int:
    # counted by hand: it is needed when the arguments could not be parsed, too
    return sum(
        argument.count("v") if argument.startswith("-v") and not argument.startswith("--") else 0
        for argument in arguments
    ) + arguments.count("--verbose")
