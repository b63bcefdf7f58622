"""A VM that arrives by migration cannot answer yet: it is named as arriving, and holds nobody else up."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import libvirt
import pytest
from commands import Command
from guests import disk, guest, qcow2
from inside import WORK
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed
    from second import Second

ARRIVING = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
NAME = "arriving1"


@pytest.fixture
def arriving(bed: Bed, second: Second) -> Iterator[None]:
    """A VM on its way from kvm1 to kvm2, slowly enough for the test."""
    image = WORK / f"{NAME}.qcow2"
    qcow2(image, "64M")
    source, target = bed.connect(), second.connect()
    here = bed.define(guest(NAME, "lab.mem=200", disk(image, "vda"), memory=320))
    there = second.connect().createXML(guest("resident1"), 0)
    eventually("the other VM is up", lambda: "rss" in there.memoryStats())

    def migrate() -> None:
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_UNSAFE
        with contextlib.suppress(libvirt.libvirtError):  # it is stopped on its way
            source.lookupByName(NAME).migrate3(target, {"migrate_uri": "tcp://127.0.0.1", "bandwidth": 1}, flags)

    moving = threading.Thread(target=migrate)
    moving.start()
    try:
        eventually("it is arriving", lambda: state_of(second) == ARRIVING)
        yield
        assert state_of(second) == ARRIVING, "all the time"
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            bed.lookup(NAME).abortJob()
        moving.join()
        there.destroy()
        bed.remove(NAME)
        image.unlink()
    assert here


def state_of(second: Second) -> tuple[int, ...]:
    try:
        return tuple(second.connect().lookupByName(NAME).state())
    except libvirt.libvirtError:
        return ()


def test_the_destination_is_read_as_ever(kvm: Command, second: Second, arriving: None) -> None:
    """Again and again: on a machine with more tests than CPUs any of both VMs may be late once."""
    from second import URI_READ_ONLY

    def collected() -> bool:
        ran = kvm("zabbix_kvm", "collect", "-u", URI_READ_ONLY, "-t", "10")
        document: dict[str, Any] = json.loads(ran.out)
        domains = {domain["name"]: domain for domain in document["domains"]}
        assert domains[NAME]["reason"] == "migrating"
        late = any(domain.get("not_responding") for domain in domains.values())
        assert late or document["unread"]["count"] == 0, document["unread"]
        assert late or domains["resident1"]["memory_rss"] > 0, domains["resident1"]
        return not late

    eventually("three in a row are whole", lambda: all(collected() for _ in range(3)))
    # "steal": there the VM does wait for a CPU
    for check in ("state", "cpu -w steal= -c steal=", "memory", "disk", "network"):
        words = (*f"check_kvm_{check}".split(), "-u", URI_READ_ONLY, "-v")
        eventually(f"check_kvm_{check} is OK", lambda: kvm(*words).code == 0)  # noqa: B023
    assert f"{NAME} paused (migrating)" in kvm("check_kvm_state", "-u", URI_READ_ONLY, "-v").out
