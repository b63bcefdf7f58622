"""Which checks there are, and their metrics: for names of thresholds that are misspelt.

A check imports another one's module only for a threshold that is said to be the other's.
"""

from __future__ import annotations

import importlib
from functools import cache
from pkgutil import iter_modules

import check_kvm


@cache
def checks() -> tuple[str, ...]:
    """The short names of all checks: ``cpu``, ``disk``, ..."""
    return tuple(found.name for found in iter_modules(check_kvm.__path__) if not found.ispkg)


@cache
def problem(name: str) -> str | None:
    """Why ``CHECK.METRIC`` names no metric that there is, and what there is; None when it does."""
    check, _, metric = name.partition(".")
    if check not in checks():
        return f"{name}: unknown check {check!r}; there are {', '.join(checks())}"
    metrics = [spec.name for spec in importlib.import_module(f"check_kvm.{check}").CHECK.metrics]
    if metric not in metrics:
        return f"{name}: unknown metric {metric!r}; there are {', '.join(metrics)}"
    return None
