"""What all tests share: golden files, the commands with a state directory of their own, and the lab."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Command
from generated import assert_up_to_date
from hanging import ALL_OVER, MARK, marked
from hypothesis import settings
from workers import Workers

from kvmwatch.reading import deadline

if TYPE_CHECKING:
    from bed import Bed

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
#: of a module that is the same to both kinds of libvirt's daemons: on which of them "make test-labs" runs it
DAEMONS = "daemons"
_GOING = 60  # seconds that what was killed may take, on a busy machine


# where somebody has Python compile all anew in each process, as images of containers often do, half of the time that
# hundreds of commands take is that
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# how long an example takes tells nothing on a machine that does other things as well
settings.register_profile("here", deadline=None)
# in CI the same examples in every run: what fails there fails for everybody
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_finish() -> None:
    """Let pytest's searches for garbage, at the end, pass over what has been collected: that stays."""
    gc.freeze()


def pytest_runtest_setup() -> None:
    """Have the time limit of what runs within this process begin with each test, not with the first that asks."""
    deadline._begun.cache_clear()


def pytest_sessionfinish() -> None:
    """Let go of what hangs in threads, which Python would wait for."""
    ALL_OVER.set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--workers", type=int, default=0, metavar="N", help="run the tests in N processes")


def pytest_configure(config: pytest.Config) -> None:
    if workers := config.getoption("--workers"):
        config.pluginmanager.register(Workers(config, workers))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file, or write it with --golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert_up_to_date(path, text, "golden")

    return compare


@pytest.fixture
def mark() -> Iterator[dict[str, str]]:
    """An environment by which all processes of a test are known. At the end none is left."""
    value = uuid.uuid4().hex
    yield {MARK: value}
    end = time.monotonic() + _GOING
    while (left := marked(value)) and time.monotonic() < end:
        time.sleep(0.02)  # what was killed goes when it is its turn
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "state")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what runs in the lab's namespaces, and skip it with the reason where there are none.

    While the lab's tests run on both kinds of daemons, those that want one of them run there only.
    """
    missing = os.environ.get("KVMWATCH_LAB_MISSING")
    kind = os.environ.get("KVMWATCH_LAB_DAEMONS", "libvirtd")
    shared = os.environ.get("KVMWATCH_LAB_SHARED")
    elsewhere = []
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder not in ("lab", "systems"):
            continue
        item.add_marker(pytest.mark.lab)
        if not os.path.isdir("/run/lab"):
            item.add_marker(pytest.mark.skip(reason=missing or f"run by 'make test-{folder}'"))
        wanted = item.get_closest_marker(DAEMONS)
        if wanted and shared and kind not in wanted.args:
            elsewhere.append(item)
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """The lab's hypervisor with a guest in every state."""
    from bed import Bed
    from running import running

    with running(Bed()) as made:
        yield made
