"""``kvmwatch top`` on a terminal: curses shows what is drawn, and tells which key was pressed."""

from __future__ import annotations

import contextlib
import curses
import locale
import os
import sys
import time
from collections.abc import Iterator

from kvmwatch.command import watchdog
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch_terminal import reading
from kvmwatch_terminal.rows import CRITICAL, UNKNOWN, WARNING
from kvmwatch_terminal.top.drawing import Drawn, Size, drawn
from kvmwatch_terminal.top.feed import NOTHING, Feed, News
from kvmwatch_terminal.top.keys import Sight, pressed
from kvmwatch_terminal.top.model import State
from kvmwatch_terminal.top.painting import BAR, BOLD, OLD, PLAIN, SELECTED, SORTED
from kvmwatch_terminal.top.taking import Taken, averaged
from kvmwatch_terminal.width import width

_LOOK = 200  # milliseconds between two looks for news
_KEYS = 0.1  # seconds of keys, as of a paste or one that is held down, after which the screen is drawn
_ESCAPE = 25  # milliseconds after which Esc is a key, and not the beginning of another one's code

_STYLES = {
    PLAIN: curses.A_NORMAL,
    BOLD: curses.A_BOLD,
    BAR: curses.A_REVERSE,
    SORTED: curses.A_REVERSE | curses.A_BOLD | curses.A_UNDERLINE,
    SELECTED: curses.A_REVERSE | curses.A_BOLD,
    OLD: curses.A_DIM,
}
_COLOURS = {CRITICAL: curses.COLOR_RED, WARNING: curses.COLOR_YELLOW, UNKNOWN: curses.COLOR_MAGENTA}


def check() -> None:
    """Raise UsageError where there is no terminal that can do this."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        raise UsageError("top needs a terminal; without one use -b, --csv or --json")
    term = os.environ.get("TERM", "")
    try:
        curses.setupterm()
        able = bool(curses.tigetstr("cup"))
    except curses.error:
        able = False
    if not able:
        what = f"cannot show this (TERM={term!r})" if term else "has no type (TERM is not set)"
        raise UsageError(f"the terminal {what}; try TERM=xterm kvmwatch top, or use -b")


def run(feed: Feed, state: State, number: int | None) -> None:
    """Show readings until somebody ends it, or so many have been shown. Raises KvmwatchError for the first."""
    with _terminal() as window:
        _Loop(window, feed, state).run(number)


@contextlib.contextmanager
def _terminal() -> Iterator[curses.window]:
    """Take the terminal, and give it back as it was, whatever happens."""
    with contextlib.suppress(locale.Error):  # one that this machine does not have: as in C
        locale.setlocale(locale.LC_ALL, "")
    for name in ("LINES", "COLUMNS"):  # of a shell that exports them: they would not follow the terminal's
        os.environ.pop(name, None)
    window = curses.initscr()
    try:
        curses.noecho()
        curses.cbreak()
        curses.set_escdelay(_ESCAPE)
        with contextlib.suppress(curses.error):  # one that can only be seen
            curses.curs_set(0)
        window.keypad(True)
        window.timeout(_LOOK)
        yield window
    finally:
        curses.endwin()


class _Loop:
    def __init__(self, window: curses.window, feed: Feed, state: State) -> None:
        self._window = window
        self._feed = feed
        self._state = state
        self._styles = {**_STYLES, **_severities()}
        self._averaged: tuple[Taken, Taken] | None = None  # a reading, and the same with means

    def run(self, number: int | None) -> None:
        seen: object = None
        taken: Taken | None = None
        while not self._state.ended and os.isatty(sys.stdin.fileno()):  # else nobody is there any more
            watchdog.renew()
            news = self._feed.news()
            if news.error and not news.taken:
                raise KvmwatchError(news.error)
            if news.taken is not taken and number is not None:
                taken, number = news.taken, number - 1
            # what is shown changes with these alone
            old = None if news.old is None else int(news.old)
            now = (self._state, news._replace(old=old, first=NOTHING), self._size())
            if now != seen:
                screen = drawn(self._state, self._shown(news), self._size())
                self._paint(screen)
                self._state = screen.state
                seen = (self._state, *now[1:])
            if number == 0:
                return
            self._take_keys(screen, news)
            self._feed.ask(self._state.asked, self._state.delay, self._state.paused)

    def _size(self) -> Size:
        return Size(*self._window.getmaxyx())

    def _shown(self, news: News) -> News:
        """The news, with means since the start where these are wanted."""
        if not self._state.averaged or not news.taken:
            return news
        if not self._averaged or self._averaged[0] is not news.taken:
            self._averaged = news.taken, averaged(news.taken, news.first)
        return news._replace(taken=self._averaged[1])

    def _take_keys(self, screen: Drawn, news: News) -> None:
        """Wait a moment for a key, and take all that were pressed, or as many as a moment has room for."""
        key = self._key()
        self._window.timeout(0)
        until = time.monotonic() + _KEYS
        sight: Sight | None = None
        while key and not self._state.ended:
            taken = self._shown(news).taken  # another one after "a"
            if not sight or sight.taken is not taken:
                sight = Sight(taken, screen.height, screen.columns)
            self._state = pressed(self._state, key, sight)
            key = self._key() if time.monotonic() < until else ""
        self._window.timeout(_LOOK)

    def _key(self) -> str:
        """The key that was pressed, by the character or its name in curses; empty: none."""
        try:
            key = self._window.get_wch()
        except curses.error:  # none, or the terminal is gone, of which the kernel sends a signal
            return ""
        return key if isinstance(key, str) else curses.keyname(key).decode()

    def _paint(self, screen: Drawn) -> None:
        encoding = self._window.encoding
        self._window.erase()
        for y, line in enumerate(screen.lines):
            x = 0
            for text, style in line:
                shown = text.encode(encoding, "replace").decode(encoding)
                with contextlib.suppress(curses.error):  # raised when the last cell of the screen is written
                    self._window.addstr(y, x, shown, self._styles[style])
                x += width(text)
        self._window.refresh()


def _severities() -> dict[str, int]:
    """How severities look: in colours where there are some, and nobody wants none."""
    if not reading.coloured() or not curses.has_colors():
        return dict.fromkeys(_COLOURS, curses.A_BOLD)
    curses.start_color()
    curses.use_default_colors()
    for number, colour in enumerate(_COLOURS.values(), 1):
        curses.init_pair(number, colour, -1)
    return {severity: curses.color_pair(number) | curses.A_BOLD for number, severity in enumerate(_COLOURS, 1)}
