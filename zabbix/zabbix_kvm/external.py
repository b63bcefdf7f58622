"""zabbix_kvm_external: what a Zabbix proxy runs as an external check: one collection, from a URI on its own list.

A libvirt URI can name a program to run, and whoever may edit a host in Zabbix chooses its URI. So the machine that
runs external checks says in a file of its own from where they may collect; this command can do nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from kvmwatch import __version__
from kvmwatch.command import watchdog
from kvmwatch.command.options import Parser, seconds
from kvmwatch.model.errors import KvmwatchError, UsageError
from zabbix_kvm import cli, master

ALLOWED = Path("/etc/kvmwatch/external-check.uris")


def main() -> None:
    """Collect and end the process, or say why not: in the document, as the item Error shows it."""
    try:
        options = parser().parse_args()
    except UsageError as error:
        print(f"zabbix_kvm_external: {error}", file=sys.stderr)
        sys.exit(watchdog.UNKNOWN)
    try:
        check(options.uri, ALLOWED)
    except KvmwatchError as error:
        print(json.dumps(master.failure(str(error))))
        sys.exit(0)
    sys.argv = ["zabbix_kvm", "collect", "--for-agent", "--uri", options.uri, "--timeout", str(options.timeout)]
    cli.main()


def parser() -> Parser:
    """The only options that there are; an external check's key has them in this form."""
    command = Parser(prog="zabbix_kvm_external", description=__doc__, allow_abbrev=False)
    command.add_argument("-V", "--version", action="version", version=f"kvmwatch {__version__}")
    command.add_argument("command", choices=("collect",), metavar="collect", help="the one thing to do")
    command.add_argument("--for-agent", action="store_true", required=True, help="as zabbix_kvm collect has it")
    command.add_argument("--uri", required=True, help=f"a line of {ALLOWED}, exactly")
    command.add_argument(
        "--timeout", type=seconds, required=True, metavar="SECONDS", help="for the whole collection"
    )
    return command


def check(uri: str, allowed: Path) -> None:
    """Whether a URI may be collected from. Raises KvmwatchError that says what to do."""
    try:
        lines = allowed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise KvmwatchError(
            f"cannot read {allowed}: {reason}; URIs to collect from are in it, one a line"
        ) from None
    if os.geteuid() and os.access(allowed, os.W_OK):
        raise KvmwatchError(f"{allowed} can be changed by whom it is to hold; chown root and chmod 644 it")
    known = {line.strip() for line in lines if not line.lstrip().startswith("#")} - {""}
    if uri not in known:
        raise KvmwatchError(f"{uri!r} is not in {allowed} of the machine that runs external checks; add it there")
    if program := _program(uri):
        raise KvmwatchError(f"{uri!r} has {program}, which names a program to run: never as an external check")


def _program(uri: str) -> str | None:
    """What of a URI has libvirt run a program of its choice: the transport "ext", or the parameter "command"."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "something that cannot be read"
    if parts.scheme.partition("+")[2] == "ext":
        return parts.scheme
    # libvirt separates parameters by ; as well, and takes their names in any case
    names = {name.lower() for name, _ in parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True)}
    return "command=" if "command" in names else None
