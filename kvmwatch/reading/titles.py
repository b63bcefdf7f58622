"""The names that people know: where they are, and those of a few domains whose XML was not read.

They are in pieces of the metadata, which unlike the XML do not wait for a job: those asked about are in trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

import libvirt

from kvmwatch.model.record import Record
from kvmwatch.model.text import readable
from kvmwatch.reading.connection import Connection, LibvirtDomain

#: characters; what a host's name and a macro's value take in Zabbix
LONGEST_TITLE = 128


class Cloud(Record):
    """Where in the metadata a cloud has what people know: an element, and the ways from there."""

    namespace: str
    element: str
    project: tuple[str, ...]
    owner: tuple[str, ...]

    def path(self, *way: str) -> str:
        """The path of one of them, below that element."""
        return "/".join(f"{{{self.namespace}}}{step}" for step in way)

    @property
    def tag(self) -> str:
        """That element, as ElementTree has it."""
        return f"{{{self.namespace}}}{self.element}"


CLOUDS = (
    Cloud("http://openstack.org/xmlns/libvirt/nova/1.1", "instance", ("owner", "project"), ("owner", "user")),
    # of VMs that live for long
    Cloud("http://openstack.org/xmlns/libvirt/nova/1.0", "instance", ("owner", "project"), ("owner", "user")),
    Cloud("http://opennebula.org/xmlns/libvirt/1.0", "vm", ("gname",), ("uname",)),
)


def first_text(texts: Iterable[Optional[str]]) -> Optional[str]:
    """The first of some texts that there is and that is not empty, readable and of a length for people."""
    return next((readable(text.strip(), LONGEST_TITLE) for text in texts if text and text.strip()), None)


def read(connection: Connection, uuids: Iterable[str]) -> dict[str, str]:
    """UUID to title of those of these domains that have one."""
    found = {}
    for uuid in uuids:
        try:
            title = first_text(_names(connection.lookupByUUIDString(uuid)))
        except libvirt.libvirtError:
            continue
        if title:
            found[uuid] = title
    return found


def _names(domain: LibvirtDomain) -> Iterator[Optional[str]]:
    """Its <title>, then what clouds call it."""
    yield _piece(domain, libvirt.VIR_DOMAIN_METADATA_TITLE)
    for cloud in CLOUDS:
        if element := _piece(domain, libvirt.VIR_DOMAIN_METADATA_ELEMENT, cloud.namespace):
            yield _name(element)


def _name(element: str) -> Optional[str]:
    from xml.etree import ElementTree  # noqa: PLC0415 - costs 2 ms, and few are in a cloud

    try:
        root = ElementTree.fromstring(element)
    except (ElementTree.ParseError, ValueError):
        return None
    return next((child.text for child in root if child.tag.rsplit("}", 1)[-1] == "name"), None)


def _piece(domain: LibvirtDomain, kind: int, namespace: Optional[str] = None) -> Optional[str]:
    try:
        text: str = domain.metadata(kind, namespace, 0)
    except (libvirt.libvirtError, ValueError):  # it has none; text that is no UTF-8
        return None
    return text
