"""zabbix_kvm: KVM monitoring for Zabbix: discovery lists, master items, pushing, and setting Zabbix up."""

from __future__ import annotations

import argparse

from kvmwatch import __version__
from kvmwatch.command import frame
from kvmwatch.command.options import Parser
from zabbix_kvm import collecting, setting_up


def main() -> None:
    """Run the command and end the process."""
    frame.main(parser)


def parser() -> Parser:
    """The options."""
    command = Parser(prog="zabbix_kvm", description=__doc__, allow_abbrev=False)
    command.add_argument("-V", "--version", action="version", version=f"kvmwatch {__version__}")
    commands: argparse._SubParsersAction[Parser] = command.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    collecting.add_commands(commands)
    setting_up.add_commands(commands)
    return command
