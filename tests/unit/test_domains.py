"""Which domains are named when their QEMUs do not answer in time."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from kvmwatch.model.groups import Group
from kvmwatch.reading import bulk, domain_xml, domains
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.descriptions import Description
from kvmwatch.reading.domains import DomainReader
from kvmwatch.reading.lanes import Crew
from kvmwatch.reading.listing import Survey
from kvmwatch.reading.statistics import Statistics


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


def test_a_domain_that_is_skipped_for_a_second_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    listed: Any = [(held, {"state.state": libvirt.VIR_DOMAIN_RUNNING})]
    asked: list[float] = []

    def read(_domains: Any, _groups: Group) -> Any:
        asked.append(time.monotonic())
        return listed

    monkeypatch.setattr(bulk, "read", read)
    connection: Any = SimpleNamespace(lookupByUUIDString=lambda _uuid: held)
    hypervisor: Any = SimpleNamespace(
        provider=bulk,
        connection=connection,
        crew=lambda: Crew(lambda: connection),
        call=lambda work: work(),
        another=lambda: connection,
    )
    listing: Any = SimpleNamespace(again=lambda: Survey(listed, {}), is_quicker_than=lambda _: False)
    deadline = Deadline(20)
    readings = DomainReader(hypervisor, Group.MEMORY | Group.CONTROL, deadline, listing).read(listed)
    assert [part.group for part in readings.by_uuid["the-uuid"].unread] == [Group.MEMORY]
    assert readings.stuck == {}, "its QEMU may well answer whoever is asking it"
    assert len(asked) == domains._RETRIES


@pytest.mark.parametrize(
    ("disks", "asked"),
    [
        ("", False),
        ("<disk type='file'><target dev='vda'/></disk>", True),
        ("<disk type='vhostuser'><target dev='vda'/></disk>", False),
        ("<disk type='vhostuser'><target dev='vda'/></disk><disk type='file'><target dev='vdb'/></disk>", True),
    ],
)
def test_a_qemu_is_not_asked_for_disks_that_it_does_not_count(disks: str, asked: bool) -> None:
    """No counter would show that it answered, and it would be taken for busy with somebody else's question."""
    found: list[Group] = []
    provider = SimpleNamespace(read=lambda _domains, groups: found.append(groups) or [])
    hypervisor: Any = SimpleNamespace(uri="qemu+ssh://kvm1/system", provider=provider)
    definition = domain_xml.parse(f"<domain><devices>{disks}</devices></domain>")
    running: Any = [(Held(), {"state.state": libvirt.VIR_DOMAIN_RUNNING})]
    Statistics(hypervisor, Group.DISK | Group.DEFINITION).read(running, {"the-uuid": Description(definition)})
    assert [Group.DISK in groups for groups in found] == [asked]
