"""The page of alerts is what the triggers and the checks say today, and it leaves none out."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import alerts_page
import pytest
from alerts_page import Alert
from check_kvm.frame.plugin import Check
from commands import CHECKS
from generated import assert_up_to_date

ALERTS = list(alerts_page.alerts())
#: where the words stand that a state check prints, beside the checks themselves
WORDS = (
    "kvmwatch/model/states.py",
    "kvmwatch/reading/ways.py",
    "kvmwatch/reading/pool_paths.py",
    "checks/check_kvm/frame/verdict.py",
    "checks/check_kvm/frame/plugin.py",
)
ROOT = Path(__file__).parents[2]


def test_page_is_up_to_date() -> None:
    assert_up_to_date(alerts_page.PAGE, alerts_page.render(), "docs")


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert.check], ids=lambda alert: alert.words)
def test_the_check_says_so(alert: Alert) -> None:
    check: Check = importlib.import_module(f"check_kvm.{alert.check}").CHECK
    if alert.words in {metric.name for metric in check.metrics}:
        return
    sources = "".join((ROOT / path).read_text() for path in (*WORDS, f"checks/check_kvm/{alert.check}.py"))
    printed = " ".join(re.findall(r'"([^"]*)"', sources))
    for word in re.findall(r"[\w/']+", alert.words):
        assert re.search(rf"\b{re.escape(word)}\b", printed), (
            f"tools/alerts_page.py has an alert {alert.words!r}, and checks/check_kvm/{alert.check}.py does not say {word!r}"
        )


def test_every_metric_with_a_default_threshold_is_there() -> None:
    told = {(alert.check, alert.words) for alert in ALERTS}
    for name in CHECKS:
        check: Check = importlib.import_module(f"check_kvm.{name}").CHECK
        judged = {(name, metric.name) for metric in check.metrics if metric.warning or metric.critical}
        forgotten = sorted(metric for _, metric in judged - told)
        assert not forgotten, (
            f"tools/alerts_page.py has no line for what check_kvm_{name} alerts of by default: {', '.join(forgotten)}; "
            "write it, then run 'make docs'"
        )
