"""Perfdata follows the grammar of the plugin guidelines, whatever the values (property tests)."""

from __future__ import annotations

import re

import pytest
from check_kvm.frame import plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.perfdata import decimal, summed_up
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import MetricSpec, Thresholds
from check_kvm.frame.verdict import Verdict
from hypothesis import given
from hypothesis import strategies as st

from kvmwatch.model.rates import MAX_SECONDS

NUMBER = r"-?[0-9]+(\.[0-9]+)?"
RANGE = rf"(@?((~|{NUMBER})?:)?({NUMBER})?)"
PERFDATA = re.compile(rf"('[^'=|]+'|[^ '=|]+)=({NUMBER}(B|s|%)?|U)(;{RANGE}(;{RANGE}(;{NUMBER}(;{NUMBER})?)?)?)?")

#: the API's units of measure, which are those that Icinga 2 takes (lib/base/perfdatavalue.cpp since 2.0)
UNITS = ("", "%", "B", "KB", "MB", "GB", "TB", "c", "ms", "s", "us")
METRICS = [
    pytest.param(check, spec, id=f"{check.name}.{spec.name}") for check in all_checks() for spec in check.metrics
]

numbers = st.floats(min_value=0, max_value=1e18, allow_nan=False) | st.integers(0, 2**64)
values = numbers | st.none()
limits = st.floats(min_value=0, max_value=1e15, allow_nan=False)


@given(values, limits, st.sampled_from(["%", "B", "B/s", "b/s", "s", "/s", ""]))
def test_grammar(value: float | None, limit: float, unit: str) -> None:
    thresholds = Thresholds("x", [MetricSpec("m", unit, "", decimal(limit), f"{decimal(limit)}:")])
    verdict = Verdict(thresholds)
    verdict.subject("VM", "a VM").measure("m", value, most=100)
    printed = verdict.perfdata[0].performance
    assert PERFDATA.fullmatch(str(printed)), verdict.perfdata[0]
    assert printed.max == ("" if value is not None and value > 100 else 100), "a value over its maximum"


@pytest.mark.parametrize(("check", "spec"), METRICS)
def test_each_metric_has_a_unit_that_readers_know(check: Check, spec: MetricSpec) -> None:
    thresholds = plugin.checked_thresholds(check, SiteConfig())
    verdict = Verdict(thresholds)
    subject = verdict.subject("VM", "VM")
    for value, unit in ((1234.5, None), (None, "")):
        subject.measure(spec.name, value)
        (measured,) = verdict.perfdata
        printed = measured.performance
        assert printed.uom in UNITS if unit is None else printed.uom == unit
        assert PERFDATA.fullmatch(str(printed))
    assert printed.value == "U"
    assert subject.parts == [] or len(subject.parts) == 1, "what is not known says nothing"


def test_what_is_summed_up_is_what_is_known() -> None:
    specs = [MetricSpec("bytes", "B", ""), MetricSpec("usage", "%", ""), MetricSpec("time", "s", "")]
    verdict = Verdict(Thresholds("x", specs))
    for name, size, usage in (("a", 10, 40.0), ("b", None, None), ("c", 5, 20.0)):
        subject = verdict.subject(name, name)
        subject.measure("bytes", size)
        subject.measure("usage", usage, most=100)
        subject.measure("time", None)
    assert sorted(map(str, summed_up(verdict.perfdata))) == [
        *("'bytes.max'=10B;;;0", "'bytes.sum'=15B;;;0", "'time.max'=U;;;0", "'time.mean'=U;;;0"),
        *("'usage.max'=40%;;;0;100", "'usage.mean'=30%;;;0;100"),
    ]


@given(numbers)
def test_decimal_is_the_number(value: float) -> None:
    number = int if isinstance(value, int) else float
    assert number(decimal(value)) == round(value, 12)


@pytest.mark.parametrize("unit", ["/s", "B/s"])
def test_a_rate_that_is_not_0_is_not_written_as_0(unit: str) -> None:
    """Or a graph has no errors of an interface that alerts for them."""
    verdict = Verdict(Thresholds("x", [MetricSpec("rate", unit, "", "0")]))
    verdict.subject("VM", "VM").measure("rate", (1 if unit == "/s" else 4096) / MAX_SECONDS)
    assert verdict.state.code
    assert float(str(verdict.perfdata[0].performance.value)) > 0


def test_small_values_have_no_exponent() -> None:
    assert decimal(8.4e-05, 6) == "0.000084"
    assert decimal(100.0) == "100"
    assert decimal(1200, 0) == "1200"
