"""The commands, without the time that it takes to start each; some also without a process for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from check_kvm.frame import sampling
from commands import Command, Forked, InProcess, make_ready

from kvmwatch.model.rates import MIN_SECONDS


def pytest_collection_finish() -> None:
    """Let all who are about to run tests have one process that gives birth to commands."""
    make_ready()


@pytest.fixture
def command(request: pytest.FixtureRequest) -> Command:
    """Runs as the test's module has them in its ``RUNS``: "forked" where it says nothing."""
    made: Command = request.getfixturevalue(getattr(request.module, "RUNS", "forked"))
    return made


@pytest.fixture
def within(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs within this process: for what commands make of their arguments. Nothing is printed beside what they say."""
    yield InProcess(tmp_path / "state")
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def in_process(within: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same, with half a second between samples: for what does not look at their figures."""
    monkeypatch.setattr(sampling, "_SAMPLING", MIN_SECONDS + 0.05)
    return within


@pytest.fixture
def forked(tmp_path: Path) -> Command:
    """Runs in processes of their own: all is real but the start of Python and the imports."""
    return Forked(tmp_path / "state")


@pytest.fixture
def started(tmp_path: Path) -> Command:
    """Runs of the installed scripts: for what the start has to do with, and for looking at processes from outside."""
    return Command(tmp_path / "state")
