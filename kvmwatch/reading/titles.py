"""The names that people know of a few domains whose XML was not read.

They are in pieces of the metadata, which unlike the XML do not wait for a job: those asked about are in trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional
from xml.etree import ElementTree

import libvirt

from kvmwatch.reading import domain_xml
from kvmwatch.reading.connection import Connection, LibvirtDomain


def read(connection: Connection, uuids: Iterable[str]) -> dict[str, str]:
    """UUID to title of those of these domains that have one."""
    found = {}
    for uuid in uuids:
        try:
            title = domain_xml.first_text(_names(connection.lookupByUUIDString(uuid)))
        except libvirt.libvirtError:
            continue
        if title:
            found[uuid] = title
    return found


def _names(domain: LibvirtDomain) -> Iterator[Optional[str]]:
    """Its <title>, then what clouds call it."""
    yield _piece(domain, libvirt.VIR_DOMAIN_METADATA_TITLE)
    for cloud in domain_xml.CLOUDS:
        try:
            element = ElementTree.fromstring(
                _piece(domain, libvirt.VIR_DOMAIN_METADATA_ELEMENT, cloud.namespace) or ""
            )
        except (ElementTree.ParseError, ValueError):
            continue
        yield next((child.text for child in element if child.tag.rsplit("}", 1)[-1] == "name"), None)


def _piece(domain: LibvirtDomain, kind: int, namespace: Optional[str] = None) -> Optional[str]:
    try:
        text: str = domain.metadata(kind, namespace, 0)
    except (libvirt.libvirtError, ValueError):  # it has none; text that is no UTF-8
        return None
    return text
