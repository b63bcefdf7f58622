"""The pages for users, taken apart: the commands and files that they show, in the order in which a reader does them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    str(path.relative_to(ROOT))
    for pattern in ("README.md", "docs/*.md", "templates/*/README.md", "CONTRIBUTING.md")
    for path in sorted(ROOT.glob(pattern))
)

#: languages of code blocks: commands; commands with what they print; files; other text
SHELL, CONSOLE = "sh", "console"
FILES = ("ini", "nagios", "icinga2", "sh-settings", "yaml")
TEXT = ("text",)

#: in running text and tables, code is a command line when it begins with one of these and has arguments ("nagios_kvm
#: publish" alone is a name)
_PROGRAMS = re.compile(
    r"(check_kvm_\w+|(nagios|zabbix)_kvm \w+|kvmwatch \w+|/usr/lib/nagios/plugins/\w+|apt|systemctl|journalctl|virsh|ls|ln|icingacli"
    r"|icinga2|nagios4|make|sudo|zabbix_agentd) "
)
_BLOCK = re.compile(r"^( *)```([a-z0-9-]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


#: names of the pages that are not the example hypervisor's, and those there
EXAMPLES = (("vnet7", "testnet0"),)


class Step(NamedTuple):
    """Something that the reader does: a command, or a file that gets a text."""

    page: str
    line: int
    command: str  # empty for a file
    file: str = ""
    text: str = ""
    section: str = ""  # heading of the section it is in, for a block's


class Block(NamedTuple):
    """A code block."""

    page: str
    line: int
    language: str
    text: str
    before: str  # the paragraph before it
    section: str  # its heading


def blocks(page: str) -> list[Block]:
    """The code blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        before = text[: match.start()].rstrip().rsplit("\n\n", 1)[-1]
        line = text.count("\n", 0, match.start()) + 1
        inside = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
        section = (re.findall(r"^## (.*)$", text[: match.start()], re.MULTILINE) or [""])[-1]
        found.append(Block(page, line, match[2], inside, before, section))
    return found


def steps(page: str) -> list[Step]:
    """Everything that a reader of a page does."""
    found = [step for block in blocks(page) for step in _of_block(block)]
    text = (ROOT / page).read_text(encoding="utf-8")
    prose = _BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in re.finditer(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose):
        command = " ".join(match[1].split())
        if _PROGRAMS.match(command):
            found.append(Step(page, prose.count("\n", 0, match.start()) + 1, command))
    return sorted(found, key=lambda step: step.line)


class Question(NamedTuple):
    """What an administrator asks, and the command that answers it."""

    text: str
    command: str


def questions() -> list[Question]:
    """The table of questions of docs/terminal.md."""
    page = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")
    _, _, rows = page.partition("| question | command | look at |\n|---|---|---|\n")
    cells = (re.split(r" \| ", row.strip("| ")) for row in rows.partition("\n\n")[0].splitlines())
    return [Question(text, command.strip("`")) for text, command, _ in cells]


def _of_block(block: Block) -> Iterator[Step]:
    if block.language in FILES:
        target = re.search(r"[Ii]n\s+`(/etc/[^`]+)`:$", block.before)
        assert target, f"{block.page}:{block.line}: which file is this? Say: In `/etc/...`:"
        yield Step(block.page, block.line, "", target[1], block.text, block.section)
        return
    lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
    for number, line in enumerate(lines, block.line + 1):
        if block.language == CONSOLE:
            if line.startswith("$ "):
                yield Step(block.page, number, line[2:], section=block.section)
        elif block.language == SHELL and line.strip() and not line.startswith("#"):
            yield Step(block.page, number, re.sub(r"\s{2,}# .*", "", line), section=block.section)
