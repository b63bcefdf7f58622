"""Windows follow the interval at which data comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zabbix_kvm.pace import GUEST, HYPERVISOR, INTERVAL, following, windows
from zabbix_templates.all import templates
from zabbix_templates.guest import NAME
from zabbix_templates.model import Template


@pytest.mark.parametrize(
    ("interval", "window", "no_data", "no_data_of_a_guest"),
    [
        ("30s", "3m", "5m", "5m"),
        ("30", "3m", "5m", "5m"),
        ("1m", "3m", "5m", "5m"),
        ("2m", "6m", "6m", "8m"),
        ("90s", "270s", "5m", "6m"),
        ("5m", "15m", "15m", "20m"),
    ],
)
def test_table(interval: str, window: str, no_data: str, no_data_of_a_guest: str) -> None:
    assert windows(interval, HYPERVISOR) == {"{$KVM.WINDOW}": window, "{$KVM.NODATA}": no_data}
    assert windows(interval, GUEST) == {"{$KVM.WINDOW}": window, "{$KVM.GUEST.NODATA}": no_data_of_a_guest}


@given(st.text(max_size=6))
def test_what_is_no_interval_has_no_windows(text: str) -> None:
    assert windows(text, GUEST) == {} or text.rstrip("smh").isdecimal()


@pytest.mark.parametrize("template", templates(), ids=lambda template: template.folder)
def test_the_templates_have_what_follows_from_their_interval(template: Template) -> None:
    values = {macro.name: macro.value for macro in template.macros}
    of = GUEST if template.name == NAME else HYPERVISOR
    assert {macro: values.get(macro) for macro in of} == windows(values[INTERVAL], of)


def test_what_somebody_has_set_stays() -> None:
    slow = {INTERVAL: "5m"}
    assert following({}, {}) == {}
    assert following(slow, {}) == {**slow, "{$KVM.WINDOW}": "15m", "{$KVM.NODATA}": "15m"}
    assert following({**slow, "{$KVM.NODATA}": "1h"}, {})["{$KVM.NODATA}"] == "1h"
    assert following(slow, {INTERVAL: "2m", "{$KVM.WINDOW}": "6m", "{$KVM.NODATA}": "30m"}) == {
        **slow,
        "{$KVM.WINDOW}": "15m",
    }
