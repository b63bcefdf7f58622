"""One lab hypervisor and one Zabbix for all tests of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bed import Bed

    from zabbix import Zabbix


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = os.environ.get("KVMWATCH_LAB_MISSING")
    for item in items:
        item.add_marker(pytest.mark.lab)
        if not os.path.isdir("/run/lab"):
            item.add_marker(pytest.mark.skip(reason=missing or "run by 'make test-systems'"))


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    from bed import Bed

    made = Bed()
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def zabbix(bed: Bed) -> Iterator[Zabbix]:
    from zabbix import Zabbix

    made = Zabbix()
    try:
        made.up()
        yield made
    finally:
        made.down()
