"""Phrases of the overviews: "12 active domains", "highest usage 54 % (web1)"."""

from __future__ import annotations

from collections.abc import Mapping

from check_kvm.frame import labels
from kvmwatch.model.units import human


def count(number: int, what: str, plural: str = "") -> str:
    """Count things: no domains, 1 domain, 2 domains."""
    return f"{number or 'no'} {what if number == 1 else plural or f'{what}s'}"


def highest(what: str, values: Mapping[str, float | None], unit: str) -> list[str]:
    """Name the subject with the highest value that is known and not 0; nothing when there is none."""
    known = [(value, name) for name, value in values.items() if value]
    if not known:
        return []
    value, name = max(known)
    return [f"highest {what} {human(value, unit)} ({labels.text(name)})"]
