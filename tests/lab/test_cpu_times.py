"""CPU times without a question to any QEMU: the same as libvirt's, and known of one that hangs."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

import libvirt
import pytest
from guests import guest

from kvmwatch.reading.cpu_times import CpuTimes

if TYPE_CHECKING:
    from bed import Bed
    from commands import Command

pytestmark = pytest.mark.daemons("modular")

ASKED = libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_VCPU
#: what libvirt tells besides, and nobody needs
LEFT_OUT = re.compile(r"vcpu\.maximum|vcpu\.\d+\.(state|wait)|cpu\.(haltpoll|cache)\..*")


def told(domain: libvirt.virDomain) -> dict[str, int]:
    fields = CpuTimes("qemu:///system").of(domain.name(), domain.ID())
    assert fields, f"of {domain.name()} the kernel tells nothing"
    return fields


def test_they_are_those_that_libvirt_tells(bed: Bed) -> None:
    for domain in bed.connect().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        before = told(domain)
        ((_, fields),) = domain.connect().domainListGetStats([domain], ASKED)
        after = told(domain)
        expected = {name: value for name, value in fields.items() if not LEFT_OUT.fullmatch(name)}
        assert before.keys() == after.keys() == expected.keys(), domain.name()
        assert all(before[name] <= value <= after[name] for name, value in expected.items()), domain.name()


def test_a_vcpu_that_is_plugged_counts(bed: Bed) -> None:
    xml = guest("plugged", vcpus=3).replace("<vcpu>", "<vcpu current='1'>")
    domain = bed.transient(xml)
    try:
        assert told(domain)["vcpu.current"] == 1
        domain.setVcpusFlags(2, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        assert told(domain).keys() >= {"vcpu.0.time", "vcpu.1.time"}
    finally:
        bed.remove("plugged")


def test_of_a_qemu_that_hangs_they_are_known(command: Command, bed: Bed) -> None:
    command("check_kvm_cpu", "-d", "idle1")
    pid = bed.qemu_pid("idle1")
    os.kill(pid, signal.SIGSTOP)
    try:
        ran = command("check_kvm_cpu", "-d", "idle1", "-d", "web1")
        assert bed.lookup("idle1").controlInfo()[0] == libvirt.VIR_DOMAIN_CONTROL_OK, (
            "nobody has asked it anything"
        )
        listed = command("kvmwatch", "list", "-d", "idle1", "-o", "cpu_time,used", "--format", "json")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert re.search(r"'idle1\.usage'=[0-9]", ran.first), ran.out
    (row,) = json.loads(listed.out)["domains"]
    assert row["cpu_time"] > 0, "also where it was asked for more, which it does not answer"
    assert row["not_responding"] is not None
