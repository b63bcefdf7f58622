"""The loop of kvmwatch top, on a window that is none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from kvmwatch_terminal.top import screen as screens
from kvmwatch_terminal.top.drawing import Drawn
from kvmwatch_terminal.top.feed import News
from kvmwatch_terminal.top.model import State
from test_top_drawing import TAKEN


class Window:
    """A window on which somebody holds a key down, for ever."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.pressed = 0

    def get_wch(self) -> str:
        self.pressed += 1
        return "x"

    def timeout(self, _: int) -> None:
        pass


def test_keys_without_end_do_not_keep_the_screen_from_being_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "_severities", dict)
    monkeypatch.setattr(screens.time, "monotonic", itertools.count(0, 0.03).__next__)
    window: Any = Window()
    feed: Any = None
    screens._Loop(window, feed, State())._take_keys(Drawn([], State(), 5), News(TAKEN))
    assert 2 < window.pressed < 6
