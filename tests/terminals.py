"""A terminal as a user has it: a command in a pty, its screen as text, keys, and another size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import pyte
from commands import Command

KEYS = {
    **{"up": "\x1b[A", "down": "\x1b[B", "left": "\x1b[D", "home": "\x1b[1~", "end": "\x1b[4~"},
    **{"page up": "\x1b[5~", "page down": "\x1b[6~", "enter": "\r", "tab": "\t", "esc": "\x1b", "back": "\x7f"},
}


class Terminal:
    """A command that runs on a terminal of its own; ``bytes``: how many it has sent."""

    def __init__(self, process: BaseProcess, end: int, height: int, width: int) -> None:
        self.process = process
        self.bytes = 0
        self._end = end
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._display: list[str] = []  # the screen's lines since it was changed last; none: not asked for yet
        self.raw = b""

    @property
    def lines(self) -> list[str]:
        """The screen, a text for each line."""
        return [line.rstrip() for line in self._shown()]

    def _shown(self) -> list[str]:
        """The whole lines. pyte takes a millisecond to make them, and who waits for something looks again and again."""
        self._display = self._display or self._screen.display
        return self._display

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines)

    def colour(self, text: str) -> str:
        """The colour of the first place where this stands."""
        y, line = next((y, line) for y, line in enumerate(self._shown()) if text in line)
        cell: Any = self._screen.buffer[y][line.index(text)]
        return str(cell.fg)

    def cell(self, y: int, x: int) -> Any:
        """A character of the screen (pyte's Char), with its colours."""
        return self._screen.buffer[y][x]

    def selected(self) -> str:
        """The text of the line that is all in reverse, below the table's header."""
        for y, line in enumerate(self.lines[:-1]):
            reverse = [self._screen.buffer[y][x].reverse for x in range(self._screen.columns)]
            if all(reverse) and not line.split()[0].isupper():
                return line
        return ""

    def press(self, *keys: str) -> None:
        """Press keys: characters, or names of KEYS."""
        for key in keys:
            os.write(self._end, KEYS.get(key, key).encode())

    def resize(self, height: int, width: int) -> None:
        """Give it another size, as a window manager does."""
        self._screen.resize(height, width)
        self._display = []
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def hang_up(self) -> None:
        """Be gone, as a terminal whose window is closed."""
        os.close(self._end)
        self._end = -1

    def settings(self) -> list[Any]:
        """What stty shows."""
        return termios.tcgetattr(self._end)

    def read(self, seconds: float) -> bool:
        """Take in what it sends within so many seconds; False: it has ended."""
        if self._end < 0:
            time.sleep(seconds)
            return False
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._end], [], [], left)[0]:
                continue
            try:
                piece = os.read(self._end, 65536)
            except OSError:  # the other end is closed
                return False
            self.bytes += len(piece)
            self.raw += piece
            self._stream.feed(piece)
            self._display = []
        return True

    def until(self, holds: Callable[[], object], seconds: float = 20) -> None:
        """Wait until something holds of the screen."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.text
            if not self.read(0.05):
                assert holds(), self.text
                return

    def ended(self, seconds: float = 60) -> int:
        """Wait for its end; give its exit code, or the number of the signal that ended it as a negative one."""
        end = time.monotonic() + seconds
        while self.process.exitcode is None:
            assert time.monotonic() < end, f"it does not end\n{self.text}"
            if not self.read(0.05):
                self.process.join(0.05)
        self.read(0.05)  # its last words
        return self.process.exitcode


def fresh() -> list[Any]:
    """The settings of a terminal that nobody has changed."""
    ends = pty.openpty()
    try:
        return termios.tcgetattr(ends[0])
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def terminal(
    command: Command, height: int, width: int, name: str, *arguments: str, **env: str
) -> Iterator[Terminal]:
    """Run a command on a terminal of this size; TERM is linux unless given, and empty: not set.

    pyte does not know by what xterm and screen scroll a part of the screen.
    """
    end, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    process = command.on_terminal(its, name, *arguments, env=env)
    os.close(its)
    made = Terminal(process, end, height, width)
    try:
        yield made
    finally:
        process.kill()
        process.join()
        if made._end >= 0:
            os.close(end)


def on_terminal(command: Command, columns: int, *arguments: str, **env: str) -> str:
    """What a terminal of so many columns gets, stderr included."""
    with terminal(command, 24, columns, "kvmwatch", *arguments, **{"TERM": "xterm", **env}) as shown:
        shown.ended()
        return shown.raw.decode().replace("\r\n", "\n")
