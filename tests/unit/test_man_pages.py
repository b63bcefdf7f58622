"""The man pages are what the commands' own options make today, and there is one of every command."""

from __future__ import annotations

import installed
import man_pages
import pytest
from generated import assert_up_to_date

PAGES = man_pages.pages()


@pytest.mark.parametrize("file", PAGES)
def test_pages_are_up_to_date(file: str) -> None:
    assert_up_to_date(man_pages.MAN / file, PAGES[file], "docs")


def test_every_command_has_a_page() -> None:
    wrong = {f"{name}.1" for name in installed.scripts()} ^ set(PAGES)
    assert not wrong, f"tools/man_pages.py and [project.scripts] of pyproject.toml differ in {sorted(wrong)}"
    wrong = {path.name for path in man_pages.MAN.iterdir()} ^ set(PAGES)
    assert not wrong, f"docs/man: {sorted(wrong)} are missing (run 'make docs') or of no command (remove them)"
