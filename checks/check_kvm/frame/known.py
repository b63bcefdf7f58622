"""Which checks there are, and their metrics: for names of thresholds that are misspelt.

A check imports another one's module only for a threshold that is said to be the other's.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import NamedTuple

import check_kvm

_SUFFIX = ".py"


@cache
def checks() -> tuple[str, ...]:
    """The short names of all checks: ``cpu``, ``disk``, ..."""
    # pkgutil.iter_modules would bring inspect, which costs check_kvm_state a tenth of its time
    files = (name for folder in check_kvm.__path__ for name in os.listdir(folder))
    return tuple(sorted(name[: -len(_SUFFIX)] for name in files if name.endswith(_SUFFIX) and name[0] != "_"))


class Misspelt(NamedTuple):
    """A word that names nothing: a ``check``, a ``metric`` or a ``condition``, and what there is."""

    kind: str
    word: str
    known: str


def unit(name: str) -> str:
    """The unit of the metric ``CHECK.METRIC``, which there is."""
    check, _, metric = name.partition(".")
    specs = importlib.import_module(f"check_kvm.{check}").CHECK.metrics
    return next(str(spec.unit) for spec in specs if spec.name == metric)


@cache
def misspelt(name: str) -> Misspelt | None:
    """What of ``CHECK.METRIC`` names nothing; None when all of it is known."""
    check, _, metric = name.partition(".")
    if check not in checks():
        return Misspelt("check", check, ", ".join(checks()))
    metrics = [spec.name for spec in importlib.import_module(f"check_kvm.{check}").CHECK.metrics]
    return None if metric in metrics else Misspelt("metric", metric, ", ".join(metrics))


@cache
def misspelt_condition(name: str) -> Misspelt | None:
    """What of ``CHECK.CONDITION`` names nothing; None when all of it is known."""
    check, _, condition = name.partition(".")
    if check not in checks():
        return Misspelt("check", check, ", ".join(checks()))
    conditions = [found.name for found in importlib.import_module(f"check_kvm.{check}").CHECK.conditions]
    return None if condition in conditions else Misspelt("condition", condition, ", ".join(conditions) or "none")
