"""zabbix_kvm: discovery lists and the master item for Zabbix."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from kvmwatch.collect import Reader
from kvmwatch.deadline import Deadline, leave
from kvmwatch.errors import KvmwatchError, UsageError
from kvmwatch.groups import Group
from kvmwatch.options import Parser, add_common
from kvmwatch.selection import Selection
from kvmwatch.snapshot import timings
from zabbix_kvm import discovery, master

_UNKNOWN = 3


def main() -> None:
    """Run the command and end the process: 0, or 3 with one line on stderr."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    verbose = "-vv" in sys.argv or "-vvv" in sys.argv
    try:
        print(run(sys.argv[1:]))
    except UsageError as error:
        leave(_fail(f"{error}\n{_parser().format_usage().rstrip()}"))
    except KvmwatchError as error:
        leave(_fail(str(error), verbose))
    except BrokenPipeError:
        leave(_UNKNOWN)
    except Exception as error:  # anything else is our mistake: still one line
        leave(_fail(f"internal error, please report it: {type(error).__name__}: {error}", verbose))
    leave(0)


def run(arguments: Sequence[str]) -> str:
    """Run a subcommand and give its output. Raises KvmwatchError, UsageError among them."""
    options = _parser().parse_args(arguments)
    deadline = Deadline(options.timeout)
    selection = Selection.parse(options.domain, options.exclude)
    groups = master.GROUPS if options.command == "collect" else discovery.KINDS[options.kind][1]
    if options.guest_agent:
        groups |= Group.FILESYSTEM
    snapshot = Reader(options.uri, groups, selection, deadline).read()
    made: Any
    if options.command == "collect":
        made = master.document(snapshot)
    else:
        made = list(discovery.KINDS[options.kind][0](snapshot))
    if options.verbose >= 3:
        print(timings(snapshot), file=sys.stderr)
    if options.pretty:
        return json.dumps(made, ensure_ascii=False, indent=2)
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def _fail(message: str, with_traceback: bool = False) -> int:
    print(f"zabbix_kvm: {message}", file=sys.stderr)
    if with_traceback:
        traceback.print_exc()
    return _UNKNOWN


def _parser() -> Parser:
    made = Parser(prog="zabbix_kvm", description=__doc__, allow_abbrev=False)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    discover = commands.add_parser("discover", help="print the discovery list of a KIND", allow_abbrev=False)
    discover.add_argument("kind", choices=list(discovery.KINDS), metavar="KIND", help=", ".join(discovery.KINDS))
    collect = commands.add_parser("collect", help="print the master item", allow_abbrev=False)
    for command in (discover, collect):
        add_common(command)
        command.add_argument("--pretty", action="store_true", help="indent the JSON, for people")
        command.add_argument(
            "--guest-agent",
            action="store_true",
            help="ask the QEMU guest agents for file systems; libvirt allows that only to a connection that "
            "is not read-only, so this opens one",
        )
    return made
