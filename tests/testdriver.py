"""Hypervisors for libvirt's test driver: as many VMs as wanted, called as wanted."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from xml.sax.saxutils import escape


def node(names: Iterable[str], states: int = 1) -> str:
    """A file with a VM of each name, with a vCPU, a disk and an interface; in turn in so many states from running."""
    return "<node>" + "".join(_domain(name, number, states) for number, name in enumerate(names)) + "</node>"


def _domain(name: str, number: int, states: int) -> str:
    return f"""<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
<test:runstate>{1 + number % states}</test:runstate><name>{escape(name)}</name>
<uuid>{uuid.uuid5(uuid.NAMESPACE_DNS, name)}</uuid><memory unit='GiB'>2</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/images/{number}.img'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:00:{number >> 8:02x}:{number & 255:02x}'/><source bridge='br0'/>
<target dev='tap{number}'/></interface><memballoon model='virtio'/></devices></domain>"""
