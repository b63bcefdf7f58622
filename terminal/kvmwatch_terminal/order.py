"""The order of rows: by a column, what is not known last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from kvmwatch_terminal.columns import Column
from kvmwatch_terminal.rows import Line

AnyLine = TypeVar("AnyLine", bound=Line)

BY_PROBLEM = ("status", "problem")  # sorted by how bad it is


def in_order(rows: Iterable[AnyLine], by: Column, reverse: bool = False) -> list[AnyLine]:
    """Figures from the highest, text from A, problems from the worst; what is equal by name."""
    by_name = sorted(rows, key=lambda row: row.called)
    if by.name in BY_PROBLEM:
        return sorted(by_name, key=lambda row: row.badness, reverse=not reverse)
    known = [row for row in by_name if by.of(row) is not None]
    known.sort(key=lambda row: _order(by.of(row)), reverse=by.is_number != reverse)
    return [*known, *(row for row in by_name if by.of(row) is None)]


def _order(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
