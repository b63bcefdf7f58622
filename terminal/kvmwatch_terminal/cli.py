"""kvmwatch: the VMs of a KVM hypervisor at a terminal: what they do, and what is wrong with them."""

from __future__ import annotations

import argparse
import importlib
from typing import Any, NamedTuple

from kvmwatch import __version__
from kvmwatch.command import frame
from kvmwatch.command.options import Parser


class Subcommand(NamedTuple):
    """A module with ``add_options(parser)``, which is loaded when it is used, and a line of help."""

    module: str
    help: str


SUBCOMMANDS = {
    "list": Subcommand("kvmwatch_terminal.listing", "a line for every VM, the worst first"),
    "show": Subcommand("kvmwatch_terminal.show", "all that is known of one VM, or of the hypervisor"),
    "top": Subcommand("kvmwatch_terminal.top.command", "what the VMs do, live"),
    "net": Subcommand(
        "kvmwatch_terminal.net", "the taps and bridges of VMs and the uplinks, and what passes them"
    ),
    "export": Subcommand("kvmwatch_exporters.cli", "the same for Prometheus, Telegraf, collectd, or as JSON"),
}


def main() -> None:
    """Run the command and end the process."""
    frame.main(parser)


def parser(every_option: bool = False) -> Parser:
    """The options; those of each subcommand when it is used, or at once (``every_option``, for the man page)."""
    command = Parser(prog="kvmwatch", description=__doc__, allow_abbrev=False)
    command.add_argument("-V", "--version", action="version", version=f"kvmwatch {__version__}")
    commands: argparse._SubParsersAction[_Later] = command.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND", parser_class=_Later
    )
    for name, subcommand in SUBCOMMANDS.items():
        later = commands.add_parser(
            name,
            help=subcommand.help,
            usage=f"kvmwatch {name} [-h] [OPTION ...]",
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        later.module = subcommand.module
        if every_option:
            later.load()
    return command


class _Later(Parser):
    """The parser of a subcommand, which gets its options from the module when it has something to parse."""

    module = ""

    def load(self) -> None:
        if self.module:
            importlib.import_module(self.module).add_options(self)
            self.module = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.load()
        return super().parse_known_args(args, namespace)
