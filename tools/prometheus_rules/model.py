"""What a rule file of Prometheus consists of, and how it is written down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MADE = "# Made by 'make rules' from the checks and the table of alerts; do not edit.\n"


class Recorded(NamedTuple):
    """A recording rule."""

    name: str
    expression: str
    comment: str

    def text(self) -> str:
        """Its lines in a group."""
        return f"{_comment(self.comment)}      - record: {self.name}\n{_expression(self.expression)}"


class Rule(NamedTuple):
    """An alert. ``lasts``: how long its expression has to be true; empty: one evaluation is enough."""

    name: str
    expression: str
    lasts: str
    severity: str  # info, warning, unknown, critical
    annotations: Mapping[str, str]
    comment: str = ""

    def text(self) -> str:
        """Its lines in a group."""
        lasts = f"        for: {self.lasts}\n" if self.lasts else ""
        # every JSON string is one of YAML
        notes = "".join(
            f"          {name}: {json.dumps(words, ensure_ascii=False)}\n"
            for name, words in self.annotations.items()
        )
        return (
            f"{_comment(self.comment)}      - alert: {self.name}\n{_expression(self.expression)}{lasts}"
            f"        labels:\n          severity: {self.severity}\n        annotations:\n{notes}"
        )


def file(group: str, rules: Iterable[Recorded | Rule]) -> str:
    """A file with one group, whose rules are evaluated one after the other."""
    return f"{MADE}groups:\n  - name: {group}\n    rules:\n{''.join(rule.text() for rule in rules)}"


def _expression(expression: str) -> str:
    lines = expression.strip().splitlines()
    if len(lines) == 1:
        return f"        expr: {lines[0]}\n"
    return "        expr: |-\n" + "".join(f"          {line}\n" for line in lines)


def _comment(text: str) -> str:
    return "".join(f"      # {line}\n" for line in text.splitlines())
