"""What all options of a kind have in common, whatever command they are of."""

from __future__ import annotations

import argparse
import re
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


def and_subcommands(made: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its subcommands, and of theirs."""
    yield made
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subcommand in action.choices.values():
                yield from and_subcommands(subcommand)


@pytest.mark.parametrize("command", man_pages.parsers())
def test_help_says_nothing_of_python(command: str) -> None:
    """A list of subcommands began with a line that said None, and a column's name ran into its unit."""
    for made in and_subcommands(man_pages.parsers()[command]):
        help_ = made.format_help()
        assert "None" not in help_
        assert not re.search(r"\w\[\w", help_.partition("columns, with")[2])


@pytest.mark.parametrize("command", man_pages.parsers())
def test_an_empty_name_of_a_file_is_refused(command: str) -> None:
    """It is a variable that is not set: as no option at all, nagios_kvm config printed, and kept the old file."""
    options = list(of_files(man_pages.parsers()[command]))
    assert options or command == "zabbix_kvm_external"
    for option in options:
        assert option.type is path, option.option_strings
    with pytest.raises(argparse.ArgumentTypeError, match="the name is empty"):
        path("")


#: of which the command itself tells that they are empty; an empty threshold switches a default off
_TOLD_LATER = {
    "--uri",
    "--domain",
    "--exclude",
    "--check",
    "--warning",
    "--critical",
    "--severity",
    "--url",
    "--sort",
}


@pytest.mark.parametrize("command", man_pages.parsers())
def test_an_empty_value_is_refused(command: str) -> None:
    """With --validate '' the definitions took their place unvalidated."""
    for made in and_subcommands(man_pages.parsers()[command]):
        for option in made._actions:
            if not option.option_strings or option.nargs is not None or option.choices:
                continue
            if not _TOLD_LATER.intersection(option.option_strings):
                assert callable(option.type), f"{option.option_strings} takes an empty value: not_empty refuses it"
                with pytest.raises((argparse.ArgumentTypeError, ValueError)):
                    option.type("")
