"""One Zabbix beside the lab's hypervisor, and a second hypervisor, for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from commands import Command

if TYPE_CHECKING:
    from bed import Bed
    from second import Second

    from zabbix import Zabbix


@pytest.fixture(scope="session")
def zabbix(bed: Bed) -> Iterator[Zabbix]:
    from zabbix import Zabbix

    made = Zabbix()
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def second(bed: Bed) -> Iterator[Second]:
    from second import Second

    made = Second()
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def kvm(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("state"))
