"""kvmwatch list: a line for every VM, with what it does and what is wrong with it; or all that is wrong here."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser, add_common, not_empty, takes
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.reading.connection import is_local
from kvmwatch_terminal import beside, formats, reading, storage
from kvmwatch_terminal.columns import BY_NAME, COLUMNS, DATA, TABLE, WIDE, Column, called
from kvmwatch_terminal.devices import Devices
from kvmwatch_terminal.filters import FILTERS, Filter, filtered
from kvmwatch_terminal.order import BY_PROBLEM, in_order
from kvmwatch_terminal.rows import SEVERITIES, Line, Problem, Row, rows
from kvmwatch_terminal.table import table
from kvmwatch_terminal.width import cut

FORMATS = ("table", "csv", "json", "names")

LEGEND = """\
In a table - stands for what a VM does not have, and ? for what it should have and could not be had. In csv both
are empty; in JSON both are null, and "unread" says why. Rates are of the time since the last run, if that was less
than a minute ago, else of a second. Colours: only on a terminal, and not with NO_COLOR.

Exit: 0 the list was printed, whatever is wrong with the VMs; 3 the hypervisor or an option could not be read."""


def add_options(command: Parser) -> None:
    """Add the options of the command to its parser."""
    from check_kvm.frame.check_options import add_site_options  # noqa: PLC0415 - only when it is used

    command.description = "Lists all VMs, running or not, those with the worst problem first."
    command.epilog = _epilog()
    add_common(command)
    add_site_options(command)
    columns = command.add_argument(
        "-o",
        "--columns",
        type=_columns,
        metavar="[+]COLUMN,...",
        help="these columns, or with + these as well: see below; only what they show is read",
    )
    sort = command.add_argument(
        "--sort",
        type=_column,
        metavar="COLUMN",
        help="by this column: figures from the highest, text from A, what is not known last (default: problem, "
        "where that is shown, else name); without -o it is shown as well",
    )
    for option in (columns, sort):
        takes(option, lambda _: BY_NAME)
    command.add_argument("--reverse", action="store_true", help="the other way round")
    command.add_argument(
        "-n", "--limit", type=_limit, metavar="N", help="only the first N; how many more there are is said"
    )
    command.add_argument("--wide", action="store_true", help="more columns, and nothing cut")
    formats.add_options(
        command, FORMATS, "a table for people; csv or json with all columns in base units; or just the names"
    )
    command.add_argument("--all", action="store_true", help="running or not, which is the default")
    for each in FILTERS:
        command.add_argument(
            *each.options,
            dest="filters",
            action="append_const",
            const=each,
            default=[],
            help=f"only VMs {each.help}",
        )
    command.add_argument(
        "--on",
        type=not_empty,
        action="append",
        default=[],
        metavar="WHAT",
        help="only VMs with a disk there, backing images counted: a storage pool, a path with what is below it, a "
        "device with what stands on it, what is mounted (nas:/export); repeatable",
    )
    command.add_argument(
        "--problems",
        action="store_true",
        help="only what something is wrong with: VMs, and where none are chosen, the host, its pools and networks",
    )
    command.set_defaults(run=_run)


class Listed(NamedTuple):
    """What is to be listed; ``problems`` of the hypervisor (None: nobody asked)."""

    snapshot: Snapshot
    rows: list[Row]
    problems: list[Problem] | None = None


def _run(options: argparse.Namespace) -> Outcome:
    columns = _chosen(options)
    by = options.sort or BY_NAME["problem" if _shows_problems(columns) else "name"]
    snapshot, found, problems = _read(options, {*columns, by})
    found = filtered(found, [*options.filters, *_storage(options, snapshot)])
    if options.problems:
        found = [row for row in found if row.badness]
    found = in_order(found, by, options.reverse)
    if not snapshot.uuids and not snapshot.domains:
        reading.say(f"libvirt lists no VMs here ({snapshot.uri})")
    reading.tell(options, snapshot)
    return Outcome(_printed(options, Listed(snapshot, found, problems), columns, by))


def _chosen(options: argparse.Namespace) -> tuple[Column, ...]:
    """The columns to be shown."""
    if options.format == "names":
        return (BY_NAME["name"],)
    most = DATA if options.format != "table" else WIDE if options.wide else TABLE
    added, asked = options.columns or (True, ())
    if not added:
        return tuple(asked)
    if options.sort and options.sort.shown > most and options.sort not in asked:
        asked = (*asked, options.sort)  # or nobody sees by what they are sorted
    # the problems are the longest, and so the last
    *usual, last = (column for column in COLUMNS if column.shown <= most and column not in asked)
    return (*usual, *asked, last) if last.judged else (*usual, last, *asked)


def _shows_problems(columns: Sequence[Column]) -> bool:
    return any(column.name in BY_PROBLEM for column in columns)


def _read(options: argparse.Namespace, columns: set[Column]) -> Listed:
    """Read what the columns and filters need. Raises KvmwatchError."""
    from check_kvm.frame.check_options import site_config  # noqa: PLC0415 - only when it is used
    from check_kvm.frame.judging import of_domains, of_hypervisor  # noqa: PLC0415

    from kvmwatch_terminal.verdicts import hypervisor_problems, judged  # noqa: PLC0415

    config = site_config(options.config)
    selection = Selection.parse(options.domain, options.exclude)
    judges = options.problems or any(column.judged for column in columns)
    checks = of_domains() if judges else ()
    # who chooses VMs does not ask for what is no VM, and neither does who wants names, for virsh
    chosen = selection or options.filters or options.on
    everything = options.problems and not chosen and options.format != "names"
    others = of_hypervisor(is_local(options.uri)) if everything else ()
    needs = [*(column.needs for column in columns), *(each.needs for each in options.filters)]
    if options.on:
        needs.append(storage.NEEDS)
    if options.format == "table" and BY_NAME["name"] in columns:
        needs.append(BY_NAME["title"].needs)  # which is shown with it
    rates = [column.name for column in columns if column.rated]
    snapshot = reading.read(
        *(options, "kvm_list", reduce(or_, needs, Group.NONE), (*checks, *others), selection, config),
        rates=judges or bool(rates),
        # else counters of other columns, or without the host, would lack what these need
        readers=["problems"] if everything else [] if judges else sorted(rates),
    )
    snapshot = config.applied(snapshot)
    reading.tell_unmatched(selection, snapshot)
    found = judged(snapshot, checks, config) if judges else rows(snapshot)
    return Listed(snapshot, found, [*hypervisor_problems(snapshot, others, config)] if everything else None)


def _storage(options: argparse.Namespace, snapshot: Snapshot) -> Iterator[Filter]:
    """The filters of ``--on``; what is to be known of them is said. Raises KvmwatchError."""
    devices = Devices() if options.on and is_local(options.uri) else None
    for what in options.on:
        each, note = storage.chosen(what, snapshot, devices)
        if note:
            reading.say(note)
        yield each


def _printed(options: argparse.Namespace, listed: Listed, columns: tuple[Column, ...], by: Column) -> str:
    snapshot, found, problems = listed
    if options.format == "json":
        return formats.as_json(snapshot, found, columns, problems, options.limit)
    shown = reading.fit()
    if options.format == "names":
        if more := _more(found, options.limit):
            reading.say(more)
        return formats.names(found[: options.limit], shown)
    _, asked = options.columns or (True, ())
    kept = {*asked, *([options.sort] if options.sort else [])}
    lines: list[Line] = [*found]
    if problems:
        columns, kept = tuple(map(beside.with_them, columns)), set(map(beside.with_them, kept))
        lines += beside.lines(problems, snapshot.time)
        lines = in_order(lines, beside.with_them(by), options.reverse)
    lines, more = lines[: options.limit], _more(lines, options.limit)
    if options.format == "csv":
        if more:
            reading.say(more)
        return formats.as_csv(lines, columns, shown)
    room = None if options.wide else reading.room()
    nothing = "no problems" if options.problems else "none here"
    last = [f"({more})"] if more else [] if lines else [nothing]
    last = last if room is None else [cut(line, room) for line in last]
    return "\n".join([table(lines, columns, room, kept, reading.coloured()), *last])


def _more(lines: Sequence[Line], limit: int | None) -> str:
    """What is said of the lines that are not shown; empty: all are."""
    left = lines[limit:] if limit is not None else ()
    if not left:
        return ""
    counts = Counter(line.status for line in left)
    bad = [f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES[1:]) if counts[severity]]
    return f"{len(left)} more{', of them ' if bad else ''}{', '.join(bad)}"


def _columns(text: str) -> tuple[bool, tuple[Column, ...]]:
    """Whether they are beside the usual ones, and the columns of ``-o``."""
    listed = text.removeprefix("+")
    return text.startswith("+"), tuple(dict.fromkeys(map(_column, listed.split(","))))


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines from 1 on")
    return int(text)


def _column(text: str) -> Column:
    found = called(text, BY_NAME)
    if not found:
        raise argparse.ArgumentTypeError(f"no column {text!r}; there are {', '.join(BY_NAME)}")
    return found


def _epilog() -> str:
    return f"columns, with their units in csv and JSON:\n{formats.columns_epilog(COLUMNS)}\n\n{LEGEND}"
