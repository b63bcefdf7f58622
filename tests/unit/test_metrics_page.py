"""The generated page is up to date, and the catalogue is complete."""

from __future__ import annotations

import metrics_page

from kvmwatch.model.metrics import COUNTER, GAUGE, RECORDS, catalogue


def test_page_is_up_to_date() -> None:
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.render(), "run 'make docs'"


def test_every_field_is_declared_once() -> None:
    names = [metric.full_name for metric in catalogue()]
    assert len(names) == len(set(names))
    assert len(names) == sum(len(record._fields) for record in RECORDS.values())  # type: ignore[attr-defined]
    for metric in catalogue():
        assert metric.declaration.kind in (COUNTER, GAUGE)
        assert metric.declaration.help
        assert metric.declaration.field or metric.declaration.source
