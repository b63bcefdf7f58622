"""Problems on a real Zabbix: what a mail says of them, and that they end when the VM is gone or left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from guests import guest
from waiting import eventually

from zabbix import HV, Zabbix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bed import Bed

NAME = 'odd "1" (old), x'  # what a macro's context has to bear
DOWN = f"VM {NAME}: Not running though it should be"
PAUSED = f"VM {NAME}: Paused"
GONE = f"VM {NAME}: Gone from this hypervisor"
IGNORE = '<watch ignore="yes"/>'


@pytest.fixture
def odd(watched: Zabbix, bed: Bed) -> Iterator[Zabbix]:
    domain = bed.define(guest(NAME))
    domain.setAutostart(1)
    watched.set_macros(HV, KVM_LLD_LIFETIME="1h")  # an hour in which what is gone has its items still
    state = f"kvm.domain.condition[{domain.UUIDString()}]"
    try:
        eventually("the VM appears", lambda: watched.items(HV).get(state, {}).get("lastvalue") == "0")
        yield watched
    finally:
        bed.remove(NAME)
        watched.set_macros(HV, KVM_LLD_LIFETIME="0")


def test_subject_says_what_and_since_when(odd: Zabbix, bed: Bed) -> None:
    bed.lookup(NAME).suspend()
    eventually("it is told", lambda: PAUSED in odd.problems(HV))
    assert odd.told(HV)[PAUSED] == f"{PAUSED}: user for 10s"
    bed.lookup(NAME).destroy()
    eventually("one takes the other's place", lambda: DOWN in odd.problems(HV) and PAUSED not in odd.problems(HV))
    assert odd.told(HV)[DOWN] == f"{DOWN}: off (destroyed) for 10s"


def test_one_that_is_gone_has_no_other_problem(odd: Zabbix, bed: Bed) -> None:
    bed.lookup(NAME).suspend()
    eventually("it is told", lambda: PAUSED in odd.problems(HV))
    bed.remove(NAME)
    eventually("it is gone", lambda: GONE in odd.problems(HV))
    assert odd.told(HV)[GONE] == f"{GONE}: it should be running"
    assert {name: level for name, level in odd.problems(HV).items() if NAME in name} == {GONE: 1}


def test_one_that_is_to_be_left_alone_falls_silent(odd: Zabbix, bed: Bed) -> None:
    import libvirt

    domain = bed.lookup(NAME)
    domain.destroy()
    eventually("it is told", lambda: DOWN in odd.problems(HV))
    kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    domain.setMetadata(kind, IGNORE, "kvmwatch", "urn:kvmwatch:1", libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    eventually("it falls silent", lambda: not [name for name in odd.problems(HV) if NAME in name])
