"""The checks' commands and options, read from their own parsers."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from check_kvm.frame import check_options, judging
from check_kvm.frame.plugin import Check
from nagios_kvm import services

PLUGINS = "/usr/lib/nagios/plugins"  # Debian's; Icinga's own constant PluginDir elsewhere
#: options that say which hypervisor and VMs, and where files are: the same for all checks
_SHARED = frozenset({"uri", "domain", "exclude", "config", "state_dir"})
MADE = "Made by 'make definitions' from the commands' own options; do not edit."


class Option(NamedTuple):
    """An option: ``--warning`` of ``check_kvm_cpu`` is ``kvm_cpu_warning``, and unless that is set ``kvm_warning``."""

    flag: str
    variable: str
    own: str  # the variable of this command alone; of an option that is the same for all checks, the one of all
    help: str
    takes_value: bool
    repeatable: bool

    @property
    def function(self) -> str:
        """The body of a function in Icinga's language that gives its value; see icinga2.py, ``kvm_given``."""
        lines = []
        for name, variable in (("own", self.own), ("all", self.variable)):
            lines += [f'var {name} = macro("${variable}$")', f"if ({name}) {{ return {name} }}"]
        return "\n".join([*lines, "return []" if self.takes_value else "return false"])


class Command(NamedTuple):
    """A check's command."""

    check: str
    description: str
    options: tuple[Option, ...]
    of_each_domain: bool
    by_default: bool  # whether it is a service without being asked for
    pace: str | None  # the template that says how long its problems last before somebody is told

    @property
    def name(self) -> str:
        """``check_kvm_cpu``."""
        return f"check_kvm_{self.check}"

    @property
    def variables(self) -> dict[str, str]:
        """What Icinga is told of each variable where nobody else says something."""
        return {"kvm_perfdata": "known"}  # its writers would log a warning of each value that is not known


def commands() -> tuple[Command, ...]:
    """All of them, those of VMs first."""
    return tuple(_command(check) for check in judging.all_checks())


def _command(check: Check) -> Command:
    # argparse has no public list of a parser's options
    actions = check_options.parser_of(check)._actions
    options = tuple(_option(check, action) for action in actions if action.dest not in ("help", "version"))
    return Command(
        check.name,
        " ".join(check.description.split()),
        options,
        check.of_each_domain,
        check.by_default,
        services.pace(check),
    )


def _option(check: Check, action: argparse.Action) -> Option:
    variable = f"kvm_{action.dest}"
    return Option(
        flag=action.option_strings[-1],
        variable=variable,
        own=variable if action.dest in _SHARED else f"kvm_{check.name}_{action.dest}",
        help=" ".join((action.help or "").split()),
        takes_value=action.nargs != 0,
        repeatable=isinstance(action, argparse._AppendAction),
    )
