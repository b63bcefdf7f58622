"""The thresholds that checks and templates have in common: those that the checks' metrics declare."""

from __future__ import annotations

from functools import cache

from check_kvm.frame import known
from check_kvm.frame.thresholds import MetricSpec


@cache
def _metrics(check: str) -> dict[str, MetricSpec]:
    return {metric.name: metric for metric in known.check(check).metrics}


def warning(name: str) -> str:
    """The warning threshold of CHECK.METRIC. Raises ValueError when the check has none: then there is nothing to share."""
    return _declared(name, "warning")


def critical(name: str) -> str:
    """The same, critical."""
    return _declared(name, "critical")


def period(seconds: str) -> str:
    """Seconds as Zabbix's people write them: 604800 is 7d."""
    number = int(seconds)
    for length, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if number and number % length == 0:
            return f"{number // length}{letter}"
    return f"{number}s"


def _declared(name: str, level: str) -> str:
    check, _, metric = name.partition(".")
    value: str = getattr(_metrics(check)[metric], level)
    if not value.replace(".", "").isdigit():
        raise ValueError(
            f"check_kvm_{check} has no default {level} threshold of {metric} that is a number: {value!r}"
        )
    return value
