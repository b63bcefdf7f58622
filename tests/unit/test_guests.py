"""Which hypervisor has a VM that several tell of."""

from __future__ import annotations

from zabbix_kvm.guests import Sighting, owners


def seen(hypervisor: str, active: bool, clock: float) -> Sighting:
    return Sighting("u1", "web1", hypervisor, active, clock)


def test_where_it_is_active() -> None:
    assert owners([seen("kvm1", True, 100), seen("kvm2", False, 160)])["u1"].hypervisor == "kvm1"


def test_of_two_active_ones_the_newest() -> None:
    assert owners([seen("kvm2", True, 160), seen("kvm1", True, 100)])["u1"].hypervisor == "kvm2"


def test_found_just_now_is_no_owner_yet() -> None:
    assert owners([seen("kvm2", False, 0), seen("kvm1", False, 90)])["u1"].hypervisor == "kvm1"
    assert owners([seen("kvm2", False, 0)]) == {}


def test_shut_off_everywhere() -> None:
    assert owners([seen("kvm1", False, 100), seen("kvm2", False, 90)])["u1"].hypervisor == "kvm1"
