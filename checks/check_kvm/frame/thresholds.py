"""Thresholds: a check's defaults, the command line's ``-w``/``-c``, and each domain's own metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from check_kvm.frame import known
from check_kvm.frame.conditions import Severities
from check_kvm.frame.plugin_api import Range
from kvmwatch.model.errors import UsageError
from kvmwatch.model.policy import OwnThreshold, Policy, listed
from kvmwatch.model.record import Record
from kvmwatch.model.text import brief, quoted

SPOKESMAN = "state"  # which nearly every site has


class MetricSpec(Record):
    """A metric that a check judges. ``unit`` as in :mod:`kvmwatch.model.units`; defaults are plugin ranges."""

    name: str
    unit: str
    help: str
    warning: str = ""
    critical: str = ""
    drawn: bool = True  # whether anybody would draw it, so that it is in perfdata
    own: bool = True  # whether a VM can have a threshold of its own on it; none can on the number of VMs


class Threshold(Record):
    """A warning and a critical range; an empty range lets everything pass."""

    warning: Range
    critical: Range


ALL_PASSES = Threshold(Range(""), Range(""))


class Thresholds:
    """The thresholds of one check. A domain's own ones win over the command line's, those over defaults."""

    def __init__(
        self,
        check: str,
        metrics: Iterable[MetricSpec],
        warning: Iterable[str] = (),
        critical: Iterable[str] = (),
        severities: Severities | None = None,
    ) -> None:
        """``check``: its short name (``cpu``). The rest as given on the command line.

        Raises UsageError for an unknown metric or a bad range.
        """
        self._check = check
        self.severities = severities or Severities(check)
        #: whether it tells of what is misspelt for any check; one of those that judge a domain does
        self.speaks_for_all = check == SPOKESMAN
        #: whether it tells of metadata that cannot be used at all, as each does that is run by itself
        self.tells_of_metadata = True
        self.metrics = {metric.name: metric for metric in metrics}
        given = {"warning": self._parse(warning), "critical": self._parse(critical)}
        self._defaults = {
            name: Threshold(parse_range(metric.warning, metric.unit), parse_range(metric.critical, metric.unit))
            for name, metric in self.metrics.items()
        }
        self._general = {
            name: Threshold(
                given["warning"].get(name, default.warning), given["critical"].get(name, default.critical)
            )
            for name, default in self._defaults.items()
        }

    def of(self, metric: str, policy: Policy | None = None) -> Threshold:
        """Give the threshold of a metric, for a domain with this policy."""
        threshold, unit = self._general[metric], self.metrics[metric].unit
        for own in policy.thresholds if policy else ():
            if own.metric == f"{self._check}.{metric}":
                threshold = Threshold(
                    threshold.warning if own.warning is None else parse_range(own.warning, unit),
                    threshold.critical if own.critical is None else parse_range(own.critical, unit),
                )
        return threshold

    def insists(self, metric: str, policy: Policy | None = None, for_it_alone: bool = False) -> bool:
        """Whether somebody wants this metric judged: there is a threshold that it could miss, not the default.

        ``for_it_alone``: and it is meant for the domain with this policy, not for all there are.
        """
        if for_it_alone and not any(
            own.metric == f"{self._check}.{metric}" for own in (policy or Policy()).thresholds
        ):
            return False
        return self.of(metric, policy) not in (ALL_PASSES, self._defaults[metric])

    def usable(self, policy: Policy) -> tuple[Policy, str | None]:
        """Give a domain's policy with what this check can use of it, once for each metric, and what it cannot.

        What names no check at all, or no metric of another check, is said by one check for all of them.
        """
        if not (policy.thresholds or policy.severities or policy.error):
            return policy, None  # as with nearly all
        problems = self.severities.problems(policy, self.speaks_for_all)
        kept: dict[str, OwnThreshold] = {}
        for own in policy.thresholds:
            check, _, metric = own.metric.partition(".")
            if check != self._check:
                if self.speaks_for_all and (wrong := known.misspelt(own.metric, of_a_domain=True)):
                    problems.append(wrong.said_of(own.metric))
                continue
            there = [name for name, spec in self.metrics.items() if spec.own]
            if metric not in there:
                problems.append(f"no metric {brief(own.metric)} (there are {', '.join(there)})")
                continue
            try:
                for spec in (own.warning, own.critical):
                    parse_range(spec or "", self.metrics[metric].unit)
            except UsageError as error:
                problems.append(str(error))
            else:
                kept[metric] = _over(kept.get(metric), own)
        of_all = policy.error if self.tells_of_metadata else None
        told = "; ".join(filter(None, (of_all, listed(problems)))) or None
        return policy._replace(thresholds=tuple(kept.values())), told

    def _parse(self, given: Iterable[str]) -> Mapping[str, Range]:
        ranges = {}
        for text in given:
            metric, equals, spec = text.partition("=")
            if not equals:
                metric, spec = next(iter(self.metrics)), text
            if metric not in self.metrics:
                raise UsageError(f"unknown metric {metric!r}; there are {', '.join(self.metrics)}")
            ranges[metric] = parse_range(spec, self.metrics[metric].unit)
        return ranges


def _over(weaker: OwnThreshold | None, stronger: OwnThreshold) -> OwnThreshold:
    if weaker is None:
        return stronger
    return OwnThreshold(
        stronger.metric,
        weaker.warning if stronger.warning is None else stronger.warning,
        weaker.critical if stronger.critical is None else stronger.critical,
    )


_BINARY = {letter: 1024**power for power, letter in enumerate("KMGTP", 1)}
#: units to what a number of them can end with, and what that stands for; m would be milli or minutes
SCALES: Mapping[str, Mapping[str, int]] = {
    "B": _BINARY,
    "B/s": _BINARY,
    "b/s": {letter: 1000**power for power, letter in enumerate("kMGT", 1)},
    "s": {"min": 60, "h": 3600, "d": 86400},
}
_RANGES = 1024  # that are known without being read again: a VM's own ones are read by every check, each time
#: a number with at most one unit; no exponent, and no two units after each other (4d12h)
_NUMBER = r" *([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([A-Za-z]*) *"
_DIGITS = 25  # of the largest
_LARGEST = 1e24  # that a limit can be: more than anything that is measured, and it fits into texts and perfdata


@lru_cache(_RANGES)
def parse_range(spec: str, unit: str = "") -> Range:
    """Read a plugin range (``80``, ``10:``, ``~:5``, ``@10:20``; of bytes also ``10G:``, of seconds ``5min:``).

    What is accepted has the value that it reads as. Raises UsageError.
    """
    scales = SCALES.get(unit, {})
    inverted, limits = spec[:1] == "@", spec.removeprefix("@")
    start, colon, end = limits.rpartition(":")
    try:
        low = start if start == "~" else _number(start, scales)
        return Range(f"{'@' if inverted else ''}{low}{colon}{_number(end, scales)}")
    except (ValueError, KeyError):
        example = list(scales)[len(scales) // 2] if scales else ""
        more = f", 10{example}: under 10 {example}" if scales else ""
        raise UsageError(
            f"bad range {quoted(spec)} (80 means over 80, 10: under 10, @10:20 inside{more})"
        ) from None


def _number(text: str, scales: Mapping[str, int]) -> str:
    """A limit as Range reads it, empty where there is none. Raises ValueError, and KeyError for its unit."""
    if not text or (len(text) < _DIGITS and text.isascii() and text.isdigit()):  # as nearly all
        return text
    found = re.fullmatch(_NUMBER, text)  # compiled only where there is another limit
    if found is None or abs(float(found[1])) > _LARGEST:
        raise ValueError
    if not found[2]:
        return found[1]
    from decimal import Decimal  # noqa: PLC0415 - few ranges have units

    value = Decimal(found[1]) * scales[found[2]]
    if abs(value) > _LARGEST:
        raise ValueError
    return f"{value.normalize():f}"
