"""The generated page is up to date, and the catalogue is complete."""

from __future__ import annotations

import metrics_page
from generated import assert_up_to_date

from kvmwatch.model.metrics import COUNTER, GAUGE, RECORDS, catalogue


def test_page_is_up_to_date() -> None:
    assert_up_to_date(metrics_page.PAGE, metrics_page.render(), "docs")


def test_every_field_is_declared_once() -> None:
    names = [metric.full_name for metric in catalogue()]
    assert len(names) == len(set(names))
    assert len(names) == sum(len(record._fields) for record in RECORDS.values())  # type: ignore[attr-defined]
    for metric in catalogue():
        where = f"kvmwatch/model/metrics.py: {metric.full_name}"
        assert metric.declaration.kind in (COUNTER, GAUGE), f"{where} is neither a counter nor a gauge"
        assert metric.declaration.help, f"{where} has no help"
        assert metric.declaration.field or metric.declaration.source, f"{where} does not say where it comes from"
