"""What all options of a kind have in common, whatever command they are of."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import man_pages
import pytest

from kvmwatch.command.options import path


def of_files(made: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options that take the name of a file or folder, also of subcommands."""
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subcommand in action.choices.values():
                yield from of_files(subcommand)
        elif str(action.metavar).startswith(("FILE", "DIR")):
            yield action


@pytest.mark.parametrize("command", man_pages.parsers())
def test_an_empty_name_of_a_file_is_refused(command: str) -> None:
    """It is a variable that is not set: as no option at all, nagios_kvm config printed, and kept the old file."""
    options = list(of_files(man_pages.parsers()[command]))
    assert options or command == "zabbix_kvm_external"
    for option in options:
        assert option.type is path, option.option_strings
    with pytest.raises(argparse.ArgumentTypeError, match="the name is empty"):
        path("")
