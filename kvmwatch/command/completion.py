"""Completion of command lines in a shell, by argcomplete, where that is installed: names of VMs by the last run.

Imported only when a shell asks; nobody asks libvirt then, which may take longer than a TAB may.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from kvmwatch.command.options import Parser
from kvmwatch.command.roster import Roster

_SECONDS = 2  # after which a TAB gives nothing, whatever hangs
_VMS = ("domain", "exclude", "vm", "what")  # options and arguments that name VMs


def answer(command: Parser) -> None:
    """Print what the command line that is in the environment can go on with, and end the process."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS)
    try:
        import argcomplete  # noqa: PLC0415 - optional
    except ImportError:
        os._exit(1)
    _with_words(command)
    argcomplete.autocomplete(command)


def _with_words(command: argparse.ArgumentParser) -> None:
    """Say of each option that names VMs, or takes words of ours, how to complete it, also of subcommands."""
    load: Callable[[], None] = getattr(command, "load", lambda: None)
    load()
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subcommand in action.choices.values():
                _with_words(subcommand)
        elif action.dest in _VMS:
            action.completer = vms  # type: ignore[attr-defined]
        elif words := getattr(action, "words", None):
            action.completer = partial(among, words)  # type: ignore[attr-defined]


def among(
    words: Callable[[argparse.Namespace], Iterable[str]], prefix: str, parsed_args: argparse.Namespace, **_: Any
) -> list[str]:
    """What the last of words with commas between them, perhaps after a +, can go on with."""
    begun = re.sub(r"[^,+]*$", "", prefix)
    return [begun + word for word in words(parsed_args) if word.startswith(prefix[len(begun) :])]


def vms(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The names of the VMs that the last run of any command has seen, as far as a terminal can show them."""
    known = Roster(getattr(parsed_args, "state_dir", None), parsed_args.uri).load()
    return [name for name in known.names.values() if name.startswith(prefix) and name.isprintable()]
