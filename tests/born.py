"""What a forked process does to be a command; it imports nothing else, for every one of them imports it anew."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from multiprocessing.connection import Connection


def be(
    entry: str, words: list[str], folder: str, environment: dict[str, str], stdout: Connection, stderr: Connection
) -> None:
    """Do what the script of a command does: call its entry point ("module:function") with these words as its argv."""
    for file, number in ((os.open(os.devnull, os.O_RDONLY), 0), (stdout.fileno(), 1), (stderr.fileno(), 2)):
        os.dup2(file, number)
    stdout.close()
    stderr.close()
    sys.stdout, sys.stderr = (
        open(number, "w", buffering, stream.encoding, stream.errors, closefd=False)  # noqa: SIM115
        for number, stream, buffering in ((1, sys.stdout, -1), (2, sys.stderr, 1))
    )
    sys.argv[:] = words
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    module, _, function = entry.partition(":")
    sys.exit(getattr(import_module(module), function)())
