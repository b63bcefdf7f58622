"""Which domains are named when their QEMUs do not answer in time."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from kvmwatch.model.groups import Group
from kvmwatch.reading import bulk, domains
from kvmwatch.reading.control import STUCK_AFTER
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.domains import DomainReader
from kvmwatch.reading.lanes import Crew


class Held:
    """Stands for a domain whose QEMU a call that was left behind has begun to wait for just now: NOWAIT skips it.

    A real QEMU is met in that moment only by chance.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's names
        return "the-uuid"

    def name(self) -> str:
        return "web1"

    def ID(self) -> int:  # noqa: N802
        return 1

    def controlInfo(self, _flags: int) -> tuple[int, int, int]:  # noqa: N802
        return libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, 0, round(1000 * (time.monotonic() - self._since))


def test_hung_domain_that_is_skipped_is_asked_until_it_is_known_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: Any = [(Held(), {"state.state": libvirt.VIR_DOMAIN_RUNNING})]
    monkeypatch.setattr(bulk, "read", lambda _domains, _groups: listed)
    monkeypatch.setattr(domains, "survey", lambda _connection: listed)
    connection: Any = SimpleNamespace(listAllDomains=lambda _flags: [domain for domain, _ in listed])
    hypervisor: Any = SimpleNamespace(
        provider=bulk, connection=connection, crew=lambda: Crew(lambda: connection), call=lambda work: work()
    )
    deadline = Deadline(20)
    read = DomainReader(hypervisor, Group.MEMORY | Group.CONTROL, deadline).read(listed)
    assert read.stuck["the-uuid"] >= STUCK_AFTER
    assert deadline.remaining() > 0
