"""Hypervisors for libvirt's test driver: as many VMs as wanted, called as wanted."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape


def node(names: Iterable[str], states: int = 1, other: Mapping[str, int] | None = None) -> str:
    """A file with a VM of each name, with a vCPU, a disk and an interface; in turn in so many states from running.

    ``other`` gives single ones another state, a virDomainState.
    """
    numbered = enumerate(names)
    domains = (_domain(name, number, (other or {}).get(name, 1 + number % states)) for number, name in numbered)
    return "<node>" + "".join(domains) + "</node>"


def _domain(name: str, number: int, state: int) -> str:
    return f"""<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
<test:runstate>{state}</test:runstate><name>{escape(name)}</name>
<uuid>{uuid.uuid5(uuid.NAMESPACE_DNS, name)}</uuid><memory unit='GiB'>2</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/images/{number}.img'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:00:{number >> 8:02x}:{number & 255:02x}'/><source bridge='br0'/>
<target dev='tap{number}'/></interface><memballoon model='virtio'/></devices></domain>"""
