"""The options that all commands share, and the errors of the command line."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

from kvmwatch import __version__
from kvmwatch.model.errors import UsageError
from kvmwatch.reading.connection import authority, default_uri


def _as_it_is(text: Any) -> Any:
    return text  # also None: of a group without a description


@contextmanager
def _untranslated() -> Iterator[None]:
    """Import argparse without gettext, which takes 1 ms, and another one to look for translations by locale.

    It would ask that for its words in the user's language, of which Python has none.
    """
    words: Any = ModuleType("gettext")
    words.gettext, words.ngettext = _as_it_is, lambda one, more, number: one if number == 1 else more
    before = sys.modules.setdefault("gettext", words)
    yield
    if before is words:
        del sys.modules["gettext"]


with _untranslated():
    import argparse

vars(argparse)["_"] = _as_it_is  # it may have been imported by others

Refused = argparse.ArgumentTypeError  # what the type of an option raises

DEFAULT_TIMEOUT = 10.0
ALLOW_HTTP = "--allow-http"


class _Narrow(argparse.RawDescriptionHelpFormatter):
    """As wide as most terminals: to ask for the width, argparse imports shutil, and that all kinds of compression.

    It would do so at each start, since it makes a formatter to look at each option.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=78)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError: argparse's own exit code 2 would mean CRITICAL."""

    def format_help(self) -> str:
        """Give the help, as wide as the terminal."""
        if self.formatter_class is _Narrow:
            self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse all there is. Raises UsageError: what is left over is refused here, where the usage is known."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return parsed, left

    def usage_of(self, options: argparse.Namespace) -> str:
        """The usage line of the subcommand that these options are of."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen = action.choices.get(getattr(options, action.dest, ""))
                if chosen:
                    return chosen.usage_of(options) if isinstance(chosen, Parser) else chosen.format_usage()
        return self.format_usage()

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the message; the usage line is printed by whoever catches it."""
        raise UsageError(message, self.format_usage())


def parser(name: str, description: str, epilog: str = "") -> Parser:
    """Make a parser with the common options."""
    command = Parser(
        prog=name,
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=_Narrow,
    )
    add_common(command)
    return command


def complete(make: Callable[[], Parser]) -> None:
    """Where it is a shell that runs the command, to complete its command line: answer, and end the process."""
    if "_ARGCOMPLETE" in os.environ:
        from kvmwatch.command import completion  # noqa: PLC0415 - nothing else needs it

        completion.answer(make())


def takes(option: argparse.Action, words: Callable[[argparse.Namespace], Iterable[str]]) -> None:
    """Say which words an option takes by the other options, so that a shell can complete them.

    Where it takes several, with commas between them, it may do so of each. Choices need none of this.
    """
    option.words = words  # type: ignore[attr-defined]


def add_common(
    command: argparse.ArgumentParser, selects: bool = True, domain: tuple[str, ...] = ("-d", "--domain")
) -> None:
    """Add ``-u -d -x -t -v -V`` to a parser (or a subcommand's); ``-d -x`` only where it selects domains.

    ``domain``: how ``-d`` is called there.
    """
    command.add_argument(
        "-u",
        "--uri",
        type=uri,
        default=default_uri(),
        help="libvirt URI, opened read-only (default: $LIBVIRT_DEFAULT_URI, else qemu:///system)",
    )
    if selects:
        _add_selection(command, domain)
    command.add_argument(
        "-t",
        "--timeout",
        type=seconds,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="answer within this time, whatever hangs (default: 10)",
    )
    command.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more; -vv adds tracebacks, -vvv timings"
    )
    command.add_argument("-V", "--version", action="version", version=f"kvmwatch {__version__}")


def _add_selection(command: argparse.ArgumentParser, domain: tuple[str, ...]) -> None:
    command.add_argument(
        *domain,
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these domains: a shell glob over the name, a UUID, or re:REGEX; repeatable",
    )
    command.add_argument(
        "-x", "--exclude", action="append", default=[], metavar="PATTERN", help="not these; repeatable"
    )


def add_guest_agent(command: argparse.ArgumentParser) -> None:
    """Add the option with which guest agents are asked."""
    command.add_argument(
        "--guest-agent",
        action="store_true",
        help="ask the QEMU guest agents for file systems; libvirt allows that only to a connection that "
        "is not read-only, so this opens one",
    )


def add_allow_http(command: argparse.ArgumentParser) -> None:
    """Add the option that lets ``web.check_private`` pass."""
    command.add_argument(
        ALLOW_HTTP,
        action="store_true",
        help="send the credentials unencrypted, where the URL is http:// and not this machine's",
    )


def uri(text: str) -> str:
    """Check that a URI can be taken apart; whether there is a hypervisor is for libvirt to tell."""
    if not authority(text):
        return text
    from urllib.parse import urlsplit  # noqa: PLC0415 - only for other machines

    try:
        _ = urlsplit(text).hostname, urlsplit(text).port
    except ValueError as error:
        raise Refused(f"{text!r} is no URI: {error}; use for instance qemu:///system") from None
    return text


def path(text: str) -> str:
    """Check that a file or folder has a name: with an empty one an option would be as if it were not there."""
    if not text:
        raise Refused("the name is empty; is the variable set that should have it?")
    return text


def not_empty(text: str) -> str:
    """Check that there is something, for the same reason."""
    if not text:
        raise Refused("it is empty; is the variable set that should have it?")
    return text


def seconds(text: str) -> float:
    """Read a time limit in seconds: more than 0, less than forever."""
    try:
        seconds = float(text)
    except ValueError:
        raise Refused(f"{text!r} is not a number of seconds") from None
    if not 0 < seconds < math.inf:
        raise Refused(f"the time limit must be more than 0 seconds and less than forever, not {text}")
    return seconds


def wait(text: str) -> float:
    """Read for how long to wait, in whatever unit: from 0 to "inf"."""
    try:
        number = float(text)
    except ValueError:
        raise Refused(f"{text!r} is not a number") from None
    if not number >= 0:
        raise Refused("it must be 0 or more")
    return number
