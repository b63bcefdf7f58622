"""What domains say of themselves: their XML, or only the policy in their metadata.

Neither asks a QEMU, but since libvirt 11.0 the XML waits, up to 30 s, for whoever holds the domain: a question
that its QEMU does not answer, or a job. The metadata do not wait.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Optional

import libvirt

from kvmwatch.model import policy, states
from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Unread, Unreads
from kvmwatch.reading import control
from kvmwatch.reading.bulk import Listed
from kvmwatch.reading.connection import Connection, LibvirtDomain, of_it_alone, run_of, uuid_of
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor

if TYPE_CHECKING:
    from kvmwatch.reading.domain_xml import Definition
    from kvmwatch.reading.kept import Kept

_XML_WAITS = 11_000_000  # virConnectGetLibVersion


class Description(Record):
    """The definition if it was asked for, else the policy alone; or why there is none."""

    definition: Optional[Definition] = None
    policy: Policy = Policy()
    unread: Unreads = ()


class Descriptions:
    """Reads them for the groups of a command. Its methods are called from several threads."""

    def __init__(self, hypervisor: Hypervisor, groups: Group, deadline: Deadline) -> None:
        """Take what to read."""
        self._deadline = deadline
        self._wanted = groups & (Group.DEFINITION | Group.POLICY)
        #: whether reading them can wait for whoever holds a domain
        self.wait = Group.DEFINITION in groups and hypervisor.call(lambda: _xml_waits(hypervisor.connection))
        self._known: dict[str, Description] = {}
        self._held: dict[str, float] = {}

    @property
    def missing(self) -> dict[str, float]:
        """UUID to seconds of those that were not asked for their XML: for so long their QEMU has not answered."""
        return {uuid: waited for uuid, waited in dict(self._held).items() if uuid not in self._known}

    def read(
        self, listed: Listed, waiting: Collection[str] = (), kept: Optional[Kept] = None
    ) -> dict[str, Description]:
        """UUID to description; one that is gone has none. Raises libvirtError when the connection is lost.

        ``waiting`` has the UUIDs of those that let a call wait before: they are asked for nothing that can wait.
        ``kept``: who has some already.
        """
        found: dict[str, Description] = {}
        if kept and Group.DEFINITION in self._wanted:
            for domain, _ in listed:
                if known := kept.description(run_of(domain)):
                    found[uuid_of(domain)] = known
            listed = [(domain, fields) for domain, fields in listed if uuid_of(domain) not in found]
        if self.wait:  # else each of our runs would leave a call waiting in libvirtd, which has 20 workers
            active = [domain for domain, fields in listed if states.is_active(fields["state.state"])]
            self._held |= control.occupied(active, self._deadline)
        for domain, _ in listed:
            try:
                found[uuid_of(domain)] = self._of(domain, waiting)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        return found

    def _of(self, domain: LibvirtDomain, waiting: Collection[str]) -> Description:
        uuid = uuid_of(domain)
        if Group.DEFINITION not in self._wanted:
            return _metadata(domain) if self._wanted else Description()
        if uuid not in waiting and uuid not in self._held:
            self._known[uuid] = _xml(domain)
        return self._known.get(uuid) or _without_xml(domain, "somebody's job or question holds the domain")


def _xml_waits(connection: Connection) -> bool:
    try:
        version: int = connection.getLibVersion()
    except libvirt.libvirtError:
        if not connection.isAlive():
            raise
        return True  # as if it were so, which costs one round of questions more
    return version >= _XML_WAITS


def _xml(domain: LibvirtDomain) -> Description:
    from xml.etree.ElementTree import ParseError  # noqa: PLC0415 - costs 2 ms, and not all need it

    from kvmwatch.reading import domain_xml  # noqa: PLC0415

    try:
        return Description(domain_xml.parse(domain.XMLDesc(0)))
    except (ParseError, ValueError) as error:  # ValueError: text that is no UTF-8, a number that is none
        return _without_xml(domain, f"it cannot be parsed: {error}")
    except libvirt.libvirtError as error:
        return _without_xml(domain, of_it_alone(error, domain))


def _without_xml(domain: LibvirtDomain, why: str) -> Description:
    metadata = _metadata(domain)
    return metadata._replace(unread=(Unread(Group.DEFINITION, "XML", why), *metadata.unread))


def _metadata(domain: LibvirtDomain) -> Description:
    try:
        xml = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, policy.NAMESPACE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
            return Description()
        return Description(unread=(Unread(Group.POLICY, "metadata", of_it_alone(error, domain)),))
    except ValueError as error:  # text that is no UTF-8
        return Description(unread=(Unread(Group.POLICY, "metadata", str(error)),))
    return Description(policy=policy.parse(xml))
