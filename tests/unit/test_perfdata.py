"""Perfdata follows the grammar of the plugin guidelines, whatever the values (property tests)."""

from __future__ import annotations

import re

from check_kvm.frame.perfdata import decimal
from check_kvm.frame.thresholds import MetricSpec, Thresholds
from check_kvm.frame.verdict import Verdict
from hypothesis import given
from hypothesis import strategies as st

NUMBER = r"-?[0-9]+(\.[0-9]+)?"
RANGE = rf"(@?((~|{NUMBER})?:)?({NUMBER})?)"
PERFDATA = re.compile(rf"('[^'=|]+'|[^ '=|]+)={NUMBER}(B|s|%)?(;{RANGE}(;{RANGE}(;{NUMBER}(;{NUMBER})?)?)?)?")

values = st.floats(min_value=0, max_value=1e18, allow_nan=False) | st.integers(0, 2**64)
limits = st.floats(min_value=0, max_value=1e15, allow_nan=False)


@given(values, limits, st.sampled_from(["%", "B", "B/s", "b/s", "s", "/s", ""]))
def test_grammar(value: float, limit: float, unit: str) -> None:
    thresholds = Thresholds("x", [MetricSpec("m", unit, "", decimal(limit), f"{decimal(limit)}:")])
    verdict = Verdict(thresholds)
    verdict.subject("VM", "a VM").measure("m", value, most=100)
    assert PERFDATA.fullmatch(str(verdict.perfdata[0].performance)), verdict.perfdata[0]


@given(values)
def test_decimal_is_the_number(value: float) -> None:
    number = int if isinstance(value, int) else float
    assert number(decimal(value)) == round(value, 12)


def test_small_values_have_no_exponent() -> None:
    assert decimal(8.4e-05, 6) == "0.000084"
    assert decimal(100.0) == "100"
    assert decimal(1200, 0) == "1200"
