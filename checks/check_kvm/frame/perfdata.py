"""Perfdata: a value of one VM, disk or pool, and what many of them sum up to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nagiosplugin import Performance, Range

from check_kvm.frame.thresholds import MetricSpec, Threshold

FULL, SUMMARY, NONE = STYLES = ("full", "summary", "none")

_UNITS = {"%": "%", "B": "B", "B/s": "B", "s": "s"}  # the others have no unit of measure
_DIGITS = {"s": 6}  # else 2
_EXPONENT = re.compile(r"-?[0-9.]+e[+-]?[0-9]+")
_NOT_ADDED = ("%", "s")  # units whose values do not add up to anything


class Measured(NamedTuple):
    """A value of perfdata. ``spec`` is its metric; ``label`` whose it is, empty for the check as a whole."""

    spec: MetricSpec
    label: str
    value: float
    threshold: Threshold
    least: float | None = None
    most: float | None = None

    @property
    def performance(self) -> Performance:
        """As nagiosplugin prints it."""
        label = f"{self.label}.{self.spec.name}" if self.label else self.spec.name
        return _performance(label, self.spec, self.value, self.threshold, self.least, self.most)


def summed_up(measured: Iterable[Measured]) -> Iterator[Performance]:
    """As many values however many VMs there are: of each metric the highest, and the sum or the mean."""
    by_metric: dict[MetricSpec, list[Measured]] = {}
    for value in measured:
        if not value.label:
            yield value.performance
        else:
            by_metric.setdefault(value.spec, []).append(value)
    none = Threshold(Range(""), Range(""))
    for spec, values in by_metric.items():
        highest = max(values, key=lambda value: value.value)
        total = sum(value.value for value in values)
        yield _performance(f"{spec.name}.max", spec, highest.value, none, highest.least, highest.most)
        if spec.unit in _NOT_ADDED:
            yield _performance(f"{spec.name}.mean", spec, total / len(values), none, highest.least, highest.most)
        else:
            yield _performance(f"{spec.name}.sum", spec, total, none, highest.least, None)


def decimal(value: float, digits: int = 12) -> str:
    """Write a number as the perfdata grammar has it: no exponent, no zeros that say nothing."""
    text = str(value) if isinstance(value, int) else f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _performance(
    label: str, spec: MetricSpec, value: float, threshold: Threshold, least: float | None, most: float | None
) -> Performance:
    return Performance(
        label,
        decimal(value, _DIGITS.get(spec.unit, 2)),
        _UNITS.get(spec.unit, ""),
        _range(threshold.warning),
        _range(threshold.critical),
        least,
        most,
    )


def _range(limits: Range) -> str:
    # nagiosplugin writes small and large limits with an exponent
    return _EXPONENT.sub(lambda number: decimal(float(number[0])), str(limits))
