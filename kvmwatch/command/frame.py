"""The frame of a command with subcommands (zabbix_kvm, nagios_kvm): an exit code, or one line of what to do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from kvmwatch.command import watchdog
from kvmwatch.command.options import DEFAULT_TIMEOUT, Parser, complete
from kvmwatch.command.watchdog import UNKNOWN, Said
from kvmwatch.model.errors import LONGEST_MESSAGE, UsageError, what_ended
from kvmwatch.model.record import Record
from kvmwatch.model.text import readable, without_password


class Outcome(Record):
    """What a subcommand prints on stdout, and its exit code."""

    text: str
    code: int = 0


def main(parser: Callable[[], Parser]) -> None:
    """Run the subcommand that the arguments name and end the process, with code 3 and one line when it fails.

    Each subcommand's parser has a default ``run``: a function of the options that gives an Outcome, or raises
    KvmwatchError (UsageError among them). It may have a default ``too_late`` as well: a function of the options
    and a message that gives the Outcome when the time limit is over, or None; it must not wait for anything.
    """
    complete(parser)
    run = Run(parser(), sys.argv[1:])
    watchdog.run(run.said, run.too_late, DEFAULT_TIMEOUT)


class Run:
    """One run of a command with these arguments."""

    def __init__(self, parser: Parser, arguments: Sequence[str]) -> None:
        self._parser, self._arguments = parser, arguments
        self._verbose = "-vv" in arguments or "-vvv" in arguments
        self._options = argparse.Namespace()

    def said(self) -> Said:
        """What it says on stdout or stderr and its exit code, whatever goes wrong in it."""
        try:
            options = self._options = self._parser.parse_args(self._arguments)
            watchdog.limit(options.timeout)
            return _said(options.run(options))
        except UsageError as error:
            return self._failed(str(error), (error.usage or self._parser.usage_of(self._options)).rstrip() + "\n")
        except Exception as error:  # also where it is our mistake: one line
            return self._failed(what_ended(error), self._traceback())

    def too_late(self, message: str) -> Said:
        """What it says when the time limit is over."""
        make = getattr(self._options, "too_late", None)
        outcome = make(self._options, message) if make else None
        return _said(outcome) if outcome else self._failed(message)

    def _failed(self, message: str, more: str = "") -> Said:
        """One line, and whole lines after it."""
        line = f"{self._parser.prog}: {readable(message, LONGEST_MESSAGE)}\n"
        return Said(without_password(line + more), UNKNOWN, on_stderr=True)

    def _traceback(self) -> str:
        if not self._verbose:
            return ""
        import traceback  # noqa: PLC0415 - costs 3 ms

        return traceback.format_exc()


def _said(outcome: Outcome) -> Said:
    return Said(f"{outcome.text}\n" if outcome.text else "", outcome.code)
