"""Perfdata: a value of one VM, disk or pool, and what many of them sum up to.

Which labels there are depends on what is watched and on options, never on how that is just now: a graph whose
values come and go breaks (an RRD file of PNP4Nagios takes no update with more or fewer values than it was made
with). So a value that is not known is there as well, as ``U``, the plugin API's and RRDtool's word for it. Icinga
2 has none (2.13 to 2.15): each of its writers leaves such a value out by itself and logs a warning every time, so
for Icinga they are left out here (``known``), which comes to the same: it has a series for each label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from check_kvm.frame.plugin_api import Performance, Range
from check_kvm.frame.thresholds import ALL_PASSES, MetricSpec, Threshold
from kvmwatch.model.record import Record

FULL, KNOWN, SUMMARY, NONE = STYLES = ("full", "known", "summary", "none")

#: our units to the API's units of measure; Icinga 2 refuses a value with one that it does not know, PNP draws it
_UNITS = {"%": "%", "B": "B", "B/s": "B", "s": "s", "b/s": "", "/s": "", "": ""}
_NOT_KNOWN = "U"
_DIGITS = {"s": 6, "/s": 4}  # else 2; one in an hour, the longest between two readings, is 0.0003/s
_EXPONENT = r"-?[0-9.]+e[+-]?[0-9]+"
_NOT_ADDED = ("%", "s")  # units whose values do not add up to anything
_BESIDE = 22  # bytes of a value, its unit, its least and most, as a rule, and of what stands between them


class Measured(Record):
    """A value of perfdata, None where it is not known just now.

    ``spec`` is its metric; ``label`` whose it is, empty for the check as a whole.
    """

    spec: MetricSpec
    label: str
    value: float | None
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
    for spec, values in by_metric.items():
        known = [value.value for value in values if value.value is not None]
        least, most = values[0].least, values[0].most
        highest = max(known, default=None)
        yield _performance(f"{spec.name}.max", spec, highest, ALL_PASSES, least, most)
        if spec.unit in _NOT_ADDED:
            mean = sum(known) / len(known) if known else None
            yield _performance(f"{spec.name}.mean", spec, mean, ALL_PASSES, least, most)
        else:
            yield _performance(f"{spec.name}.sum", spec, sum(known) if known else None, ALL_PASSES, least, None)


def widest(performances: Iterable[Performance]) -> int:
    """Bytes that these take, whatever their values: whether there is room for them must not depend on these."""
    texts = ((value.label.encode(), f"{value.warn}{value.crit}") for value in performances)
    return sum(len(label) + _BESIDE + (len(limits) + 2 if limits else 0) for label, limits in texts)


def is_known(performance: Performance) -> bool:
    """Whether it has a value."""
    return bool(performance.value != _NOT_KNOWN)


def decimal(value: float, digits: int = 12) -> str:
    """Write a number as the perfdata grammar has it: no exponent, no zeros that say nothing."""
    text = str(value) if isinstance(value, int) else f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _performance(
    label: str,
    spec: MetricSpec,
    value: float | None,
    threshold: Threshold,
    least: float | None,
    most: float | None,
) -> Performance:
    if value is not None and most is not None and value > most:
        most = None  # a thin image with its metadata, files that were opened before their limit was lowered
    return Performance(
        label,
        _NOT_KNOWN if value is None else decimal(value, _DIGITS.get(spec.unit, 2)),
        "" if value is None else _UNITS[spec.unit],
        _range(threshold.warning),
        _range(threshold.critical),
        least,
        most,
    )


@lru_cache(1024)  # a few for thousands of values
def _range(limits: Range) -> str:
    text = str(limits)
    if "e" not in text:
        return text
    # nagiosplugin writes small and large limits with an exponent
    return re.sub(_EXPONENT, lambda number: decimal(float(number[0])), text)
