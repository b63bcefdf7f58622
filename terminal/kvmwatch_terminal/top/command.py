"""kvmwatch top: what the VMs do, live, or again and again for scripts."""

from __future__ import annotations

import argparse
from functools import partial

from kvmwatch.command import apart
from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser, add_common, takes
from kvmwatch.model.errors import UsageError
from kvmwatch.model.rates import Samples
from kvmwatch.model.selection import Selection
from kvmwatch_terminal.columns import Column, called
from kvmwatch_terminal.top import batch, keys
from kvmwatch_terminal.top.feed import Feed
from kvmwatch_terminal.top.model import Order, State
from kvmwatch_terminal.top.taking import OPTIONS, Asked, Taken, take
from kvmwatch_terminal.top.views import BY_NAME, REQUESTS, VIEWS

EPILOG = """\
? in it lists its keys. - stands for what a VM does not have, and ? for what it should have and could not be had.
Rates are of the time since the last reading. A libvirt that does not answer holds up neither the keys nor the end:
the header says for how long, and the last figures stay. Colours: not with NO_COLOR.

Exit: 0 when it was ended; 3 when the hypervisor or an option could not be read, or in a batch the last reading."""


def add_options(command: Parser) -> None:
    """Add the options of the command to its parser."""
    from check_kvm.frame.check_options import add_site_options  # noqa: PLC0415 - only when it is used

    command.description = "Shows live what the VMs do, and what is wrong; with -b as text for scripts."
    command.epilog = EPILOG
    add_common(command, domain=("--domain",))
    add_site_options(command)
    command.add_argument(
        "-d",
        "--delay",
        type=_delay,
        default=State().delay,
        metavar="SECONDS",
        help="from one reading to the next (default: 3); -d is the delay here, as in top and virt-top",
    )
    command.add_argument("-n", "--number", type=_number, metavar="N", help="end after so many readings")
    command.add_argument("--view", choices=list(BY_NAME), default=VIEWS[0].name, help="begin with this one")
    sort = command.add_argument("--sort", metavar="COLUMN", help="begin sorted by this column of it")
    takes(sort, lambda options: _columns(options.view))
    command.add_argument("--reverse", action="store_true", help="the other way round")
    command.add_argument("--active", action="store_true", help="only lines that do something")
    forms = command.add_mutually_exclusive_group()
    forms.add_argument("-b", "--batch", action="store_true", help="print text, for a file or a pipe")
    forms.add_argument(
        "--csv", action="store_true", help="print CSV in base units, a line for each line of the view"
    )
    forms.add_argument("--json", action="store_true", help="print JSON in base units, a line for each reading")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Outcome:
    from check_kvm.frame.check_options import site_config  # noqa: PLC0415 - only when it is used

    state = _state(options)
    Selection.parse(options.domain, options.exclude)  # what cannot be used is said before anything else
    site_config(options.config)
    apart.warm("kvmwatch_terminal.top.warm")
    given = argparse.Namespace(**{name: getattr(options, name) for name in OPTIONS})
    read = partial(_read, given, options.timeout)
    make = _form(options)
    if make:
        apart.stay()
        return Outcome("", batch.run(read, state, options.number, make, timed=options.verbose >= 3))
    from kvmwatch_terminal.top import screen  # noqa: PLC0415 - a batch needs no curses

    screen.check()
    apart.stay()
    screen.run(Feed(read, state.asked, state.delay), state, options.number)
    return Outcome("")


def _read(options: argparse.Namespace, seconds: float, asked: Asked, samples: Samples) -> tuple[Taken, Samples]:
    """Read in a process of its own."""
    return apart.run(partial(take, options, asked, samples), seconds)


def _form(options: argparse.Namespace) -> batch.Format | None:
    if options.csv:
        return batch.as_csv
    if options.json:
        return batch.as_json
    return batch.as_text if options.batch else None


def _state(options: argparse.Namespace) -> State:
    state = State(view=options.view, delay=options.delay, active=options.active)
    by = state.order.column
    if options.sort is not None:
        column = called(options.sort, _columns(options.view))
        if not column:
            there = ", ".join(_columns(options.view))
            raise UsageError(f"--sort {options.sort!r}: {options.view} has the columns {there}")
        by = column.name
    if by in REQUESTS.values():
        state = keys.pressed(state, "B", keys.Sight(None, 0))
    return state.sorted_by(Order(by, options.reverse))


def _columns(view: str) -> dict[str, Column]:
    return {column.name: column for column in BY_NAME[view].columns}


def _delay(text: str) -> float:
    try:
        return keys.delay(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; VMs are chosen with --domain here") from None


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of readings, from 1")
    return int(text)
