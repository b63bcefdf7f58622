"""Values for people."""

from __future__ import annotations

import pytest

from kvmwatch.model.units import human


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (1536, "B", "1.5 KiB"),
        (3.25 * 2**30, "B", "3.2 GiB"),
        (200 * 2**20, "B/s", "200 MiB/s"),
        (1_400_000, "b/s", "1.4 Mbit/s"),
        (999, "b/s", "999 bit/s"),
        (0.00034, "s", "340 us"),
        (0.012, "s", "12 ms"),
        (3.21, "s", "3.2 s"),
        (95, "s", "95 s"),
        (1020, "s", "17 min"),
        (4 * 3600, "s", "4 h"),
        (12 * 86400, "s", "12 d"),
        (54.4, "%", "54 %"),
        (9.96, "%", "10 %"),
        (2.5, "/s", "2.5/s"),
        (0.05, "/s", "0.1/s"),
        (0.049, "/s", "0.05/s"),
        (1 / 60, "/s", "0.02/s"),
        (1 / 86400, "/s", "0.00001/s"),
        (0, "/s", "0/s"),
        (-0.04, "%", "0 %"),
        (7, "", "7"),
        (2**40 - 1, "B", "1 TiB"),
        (1023.4 * 2**20, "B", "1023 MiB"),
        (999_999_999, "b/s", "1 Gbit/s"),
        (0.9998, "s", "1 s"),
        (119.7, "s", "2 min"),
    ],
)
def test_human(value: float, unit: str, text: str) -> None:
    assert human(value, unit) == text
