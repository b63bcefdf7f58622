"""The commands, without the time that it takes to start each."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command, Forked


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Most runs: all is real but the start of Python and the imports."""
    return Forked(tmp_path / "state")


@pytest.fixture
def started(tmp_path: Path) -> Command:
    """Runs of the installed scripts: for what the start has to do with, and for looking at processes from outside."""
    return Command(tmp_path / "state")
