"""The README's table of checks is what the checks themselves say."""

from __future__ import annotations

import checks_table
from generated import assert_up_to_date


def test_table_is_up_to_date() -> None:
    text = checks_table.render()
    assert text.count("| `check_kvm_") == len(checks_table.all_checks())
    assert_up_to_date(checks_table.PAGE, text, "docs")
