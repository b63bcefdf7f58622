"""The man pages are what the commands' own options make today, and there is one of every command."""

from __future__ import annotations

import installed
import man_pages
import pytest

PAGES = man_pages.pages()


@pytest.mark.parametrize("file", PAGES)
def test_pages_are_up_to_date(file: str) -> None:
    assert (man_pages.MAN / file).read_text(encoding="utf-8") == PAGES[file], "run 'make docs'"


def test_every_command_has_a_page() -> None:
    assert {f"{name}.1" for name in installed.scripts()} == set(PAGES)
    assert {path.name for path in man_pages.MAN.iterdir()} == set(PAGES)
