"""What a forked process does to be a command; it imports nothing else, for every one of them imports it anew."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from importlib import import_module
from multiprocessing.connection import Connection
from typing import NamedTuple, NoReturn


class Role(NamedTuple):
    """A command to be: its entry point ("module:function"), none: a program that is none of ours; and what it gets."""

    entry: str | None
    words: list[str]
    folder: str
    environment: dict[str, str]


def be(role: Role, stdout: Connection, stderr: Connection) -> None:
    """Do what the script of a command does, without input."""
    _use(os.open(os.devnull, os.O_RDONLY), stdout.fileno(), stderr.fileno())
    stdout.close()
    stderr.close()
    _act(role)


def be_on_terminal(role: Role, terminal: Connection) -> None:
    """Do it in the foreground of a terminal, whose other end somebody has."""
    os.setsid()
    fcntl.ioctl(terminal.fileno(), termios.TIOCSCTTY, 0)
    _use(*[terminal.fileno()] * 3)
    terminal.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts tests in the background has them
    for number in (signal.SIGQUIT, signal.SIGHUP):  # ignore these
        signal.signal(number, signal.SIG_DFL)
    _act(role)


def _use(*files: int) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)


def _act(role: Role) -> NoReturn:
    os.environ.clear()
    os.environ.update(role.environment)
    os.chdir(role.folder)
    if not role.entry:
        os.execv(role.words[0], role.words)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (
        open(number, "w", buffering, stream.encoding, stream.errors, closefd=False)  # noqa: SIM115
        for number, stream, buffering in ((1, sys.stdout, -1), (2, sys.stderr, 1))
    )
    sys.argv[:] = role.words
    module, _, function = role.entry.partition(":")
    sys.exit(getattr(import_module(module), function)())
