"""Our baskets in a real Icinga Director."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import installed
import pytest
from commands import EXAMPLE_SERVICES, EXAMPLE_URI, Command
from running import running

if TYPE_CHECKING:
    from director import Director

BASKET = installed.CHECKOUT / "checks" / "icinga2" / "director-basket.json"
CONFIG = ("nagios_kvm", "config", "--format", "director", "--host", "kvm1", "-u", EXAMPLE_URI)


@pytest.fixture(scope="module")
def director() -> Iterator[Director]:
    from director import Director

    with running(Director()) as made:
        yield made


def test_commands_and_templates(director: Director) -> None:
    for _ in range(2):
        director.cli("basket", "restore", text=BASKET.read_text(encoding="utf-8"))
    command = director.show("command", "check_kvm_disk")
    assert command["arguments"]["--warning"]["repeat_key"] is True
    assert command["arguments"]["--warning"]["value"] == "$kvm_disk_warning$"
    assert command["vars"]["kvm_disk_warning"] == "$kvm_warning$"
    assert command["arguments"]["--verbose"]["set_if"] == "$kvm_disk_verbose$"


def test_service_set_follows_the_vms(director: Director, kvm: Command) -> None:
    director.cli("basket", "restore", text=kvm(*CONFIG).out)
    assert len(director.services()) == EXAMPLE_SERVICES
    director.cli("basket", "restore", text=kvm(*CONFIG, "-x", "web1").out)
    assert "KVM cpu web1" not in director.services()
    assert "has been generated" in director.cli("config", "render")
