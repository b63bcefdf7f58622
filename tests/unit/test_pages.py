"""The pages for users: every code block says what it is, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pages
import pytest
from pages import CONSOLE, FILES, PAGES, ROOT, SHELL, TEXT


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    for block in pages.blocks(page):
        assert block.language in (SHELL, CONSOLE, *FILES, *TEXT), f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for step in pages.steps(page):
        if step.command.startswith("make "):
            for target in re.findall(r"\s([a-z][a-z0-9-]*)(?= |$)", step.command):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}:{step.line}: {step.command}"


def test_questions_have_one_command_each() -> None:
    questions = pages.questions()
    assert len({question.text for question in questions}) == len(questions) >= 20
    steps = [step.command for step in pages.steps("docs/terminal.md")]
    for question in questions:
        assert question.text.endswith("?")
        assert question.command in steps, f"{question.command} is not run by the tests of the pages"


def anchors(file: Path) -> set[str]:
    """What can be linked to in a page: its headings, as the usual renderers name them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
