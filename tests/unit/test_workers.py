"""Tests that run in several processes are told of as if they had run in one, and none gets lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
CONFTEST = """
from workers import TOGETHER, Workers

def pytest_configure(config):
    config.addinivalue_line("markers", TOGETHER)
    config.pluginmanager.register(Workers(config, 3))
"""
OUTCOMES = """
import warnings
import pytest

def test_passes(tmp_path):
    print("nobody wants to know")

def test_fails():
    print("this is why")
    assert 1 == 2

def test_warns():
    warnings.warn("careful")

@pytest.mark.skip(reason="not today")
def test_is_skipped():
    pass

@pytest.fixture
def broken():
    raise ValueError("of no use")

def test_has_no_fixture(broken):
    pass

@pytest.mark.parametrize("number", range(40))
def test_one_of_many(number):
    pass
"""
ENDING = """
import os
import pytest

@pytest.mark.parametrize("number", range(40))
def test_one_of_many(number):
    if number == 20:
        os._exit(7)
"""
ALONE = """
import pytest

pytestmark = pytest.mark.together
seen = set()

@pytest.mark.parametrize("number", range(40))
def test_all_in_one(number):
    seen.add(number)
    assert seen == set(range(number + 1))
"""


def ran(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of pytest on this folder."""
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*pytest_, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_each_outcome_is_told(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_outcomes.py").write_text(OUTCOMES)
    (tmp_path / "test_alone.py").write_text(ALONE)
    code, text = ran(tmp_path)
    assert code == 1
    assert "this is why" in text
    assert "nobody wants to know" not in text
    assert "FAILED test_outcomes.py::test_fails - assert 1 == 2" in text
    assert "ERROR test_outcomes.py::test_has_no_fixture - ValueError: of no use" in text
    assert "not today" in text
    assert "UserWarning: careful" in text
    assert "1 failed, 82 passed, 1 skipped, 1 warning, 1 error in" in text


def test_what_a_process_has_left_undone_has_failed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_ending.py").write_text(ENDING)
    code, text = ran(tmp_path)
    assert code == 1
    failed, passed = re.findall(r"(\d+) (?:failed|passed)", text)
    assert int(failed) + int(passed) == 40
    assert re.search(r"test_one_of_many\[20\] _.*\nnot finished: .* ended with \[.*7.*\]", text)


def test_the_first_failure_ends_all(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_outcomes.py").write_text(OUTCOMES)
    code, text = ran(tmp_path, "-x", "-k", "fails or many")
    assert code == 1
    assert "1 failed" in text
    assert "stopping after 1 failures" in text
