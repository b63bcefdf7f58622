"""zabbix_kvm: KVM monitoring for Zabbix: discovery lists, master items, pushing, and setting Zabbix up."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from kvmwatch import __version__
from kvmwatch.deadline import leave
from kvmwatch.errors import KvmwatchError, UsageError
from kvmwatch.options import Parser
from zabbix_kvm import collecting, setting_up
from zabbix_kvm.outcome import Outcome

_UNKNOWN = 3


def main() -> None:
    """Run the command and end the process: its exit code, or 3 with one line on stderr."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    verbose = "-vv" in sys.argv or "-vvv" in sys.argv
    try:
        outcome = run(sys.argv[1:])
        if outcome.text:
            print(outcome.text)
        sys.stdout.flush()
    except UsageError as error:
        leave(_fail(f"{error}\n{_parser().format_usage().rstrip()}"))
    except KvmwatchError as error:
        leave(_fail(str(error), verbose))
    except BrokenPipeError:
        leave(_UNKNOWN)
    except Exception as error:  # anything else is our mistake: still one line
        leave(_fail(f"internal error, please report it: {type(error).__name__}: {error}", verbose))
    leave(outcome.code)


def run(arguments: Sequence[str]) -> Outcome:
    """Run a subcommand. Raises KvmwatchError, UsageError among them."""
    options = _parser().parse_args(arguments)
    outcome: Outcome = options.run(options)
    return outcome


def _fail(message: str, with_traceback: bool = False) -> int:
    print(f"zabbix_kvm: {message}", file=sys.stderr)
    if with_traceback:
        traceback.print_exc()
    return _UNKNOWN


def _parser() -> Parser:
    made = Parser(prog="zabbix_kvm", description=__doc__, allow_abbrev=False)
    made.add_argument("-V", "--version", action="version", version=f"kvmwatch {__version__}")
    commands: argparse._SubParsersAction[Parser] = made.add_subparsers(
        dest="command", required=True, metavar="COMMAND"
    )
    collecting.add_commands(commands)
    setting_up.add_commands(commands)
    return made
