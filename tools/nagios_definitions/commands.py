"""The checks' commands and options, read from their own parsers."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from check_kvm.frame import check_options, judging
from check_kvm.frame.plugin import Check
from nagios_kvm import services

PLUGINS = "/usr/lib/nagios/plugins"  # Debian's; Icinga's own constant PluginDir elsewhere
MADE = "Made by 'make definitions' from the commands' own options; do not edit."


class Option(NamedTuple):
    """An option: ``--domain`` is the custom variable ``kvm_domain``."""

    flag: str
    variable: str
    help: str
    takes_value: bool
    repeatable: bool


class Command(NamedTuple):
    """A check's command."""

    check: str
    description: str
    options: tuple[Option, ...]
    of_each_domain: bool
    pace: str | None  # the template that says how long its problems last before somebody is told

    @property
    def name(self) -> str:
        """``check_kvm_cpu``."""
        return f"check_kvm_{self.check}"


def commands() -> tuple[Command, ...]:
    """All of them, those of VMs first."""
    return tuple(_command(check) for check in judging.all_checks())


def _command(check: Check) -> Command:
    # argparse has no public list of a parser's options
    actions = check_options.parser_of(check)._actions
    options = tuple(_option(action) for action in actions if action.dest not in ("help", "version"))
    return Command(
        check.name, " ".join(check.description.split()), options, check.of_each_domain, services.pace(check)
    )


def _option(action: argparse.Action) -> Option:
    return Option(
        flag=action.option_strings[-1],
        variable=f"kvm_{action.dest}",
        help=" ".join((action.help or "").split()),
        takes_value=action.nargs != 0,
        repeatable=isinstance(action, argparse._AppendAction),
    )
