"""The frame of a command with subcommands (zabbix_kvm, nagios_kvm): an exit code, or one line of what to do."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple

from kvmwatch.command.options import Parser
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import leave

_UNKNOWN = 3


class Outcome(NamedTuple):
    """What a subcommand prints on stdout, and its exit code."""

    text: str
    code: int = 0


def main(parser: Callable[[], Parser]) -> None:
    """Run the subcommand that the arguments name and end the process, with code 3 and one line when it fails.

    Each subcommand's parser has a default ``run``: a function of the options that gives an Outcome, or raises
    KvmwatchError (UsageError among them).
    """
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    made = parser()
    verbose = "-vv" in sys.argv or "-vvv" in sys.argv
    try:
        options = made.parse_args()
        outcome: Outcome = options.run(options)
        if outcome.text:
            print(outcome.text)
        sys.stdout.flush()
    except UsageError as error:
        leave(_fail(made.prog, f"{error}\n{(error.usage or made.format_usage()).rstrip()}"))
    except KvmwatchError as error:
        leave(_fail(made.prog, str(error), verbose))
    except BrokenPipeError:
        leave(_UNKNOWN)
    except Exception as error:  # anything else is our mistake: still one line
        what = f"internal error, please report it: {type(error).__name__}: {error}"
        leave(_fail(made.prog, what, verbose))
    leave(outcome.code)


def _fail(command: str, message: str, with_traceback: bool = False) -> int:
    print(f"{command}: {message}", file=sys.stderr)
    if with_traceback:
        traceback.print_exc()
    return _UNKNOWN
