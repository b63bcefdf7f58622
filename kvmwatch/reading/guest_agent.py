"""File systems as the QEMU guest agent reports them. Needs a connection that is not read-only."""

from __future__ import annotations

import libvirt

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Unread
from kvmwatch.reading import lanes, records
from kvmwatch.reading.bulk import Fields
from kvmwatch.reading.connection import LibvirtDomain, one_line, open_readwrite, uuid_of
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor

_NO_SIZES = "the guest agent tells no sizes; one of QEMU 3.0 or later does"
_SHARE = 0.5  # of the time that is left may go into waiting for agents that do not answer


def with_filesystems(
    hypervisor: Hypervisor, domains: tuple[Domain, ...], deadline: Deadline
) -> tuple[Domain, ...]:
    """Give the domains with what their agents report, or why there is nothing of one that runs."""
    asked = [domain.uuid for domain in domains if _answers(domain)]
    half = deadline.share(_SHARE)
    try:
        found, _ = lanes.each_chunk(
            lambda: lanes.Crew(lambda: open_readwrite(hypervisor.uri)),
            asked,
            lambda domains, _waiting: [(uuid_of(domain), _filesystems(domain)) for domain in domains],
            lambda _uuids: {},
            half,
            patience=half.seconds,  # an agent is asked once, and may take its time
            size=1,
        )
    except KvmwatchError as error:  # a connection that is not read-only is refused
        found = [(uuid, str(error)) for uuid in asked]
    told = dict(found)
    return tuple(
        _with(domain, told.get(domain.uuid, f"the guest agent did not answer within {half.seconds:.2g} s"))
        if _answers(domain)
        else domain
        for domain in domains
    )


def _answers(domain: Domain) -> bool:
    """Whether it has an agent that can: in a domain that is paused none runs."""
    return bool(domain.agent_connected) and domain.state in (states.RUNNING, states.BLOCKED)


def _with(domain: Domain, told: Fields | str) -> Domain:
    if isinstance(told, str):
        return domain._replace(unread=(*domain.unread, Unread(Group.FILESYSTEM, "file systems", told)))
    if told.get("fs.count") and not any(field.endswith(".total-bytes") for field in told):
        return _with(domain, _NO_SIZES)
    found = tuple(records.filesystems(told))
    more = len(found) - records.MOST_FILESYSTEMS
    if more > 0:
        left_out = f"{more} of its {len(found)} file systems are left out, which is more than can be watched"
        domain = domain._replace(unread=(*domain.unread, Unread(Group.FILESYSTEM, "", left_out)))
    return domain._replace(filesystems=found[: records.MOST_FILESYSTEMS])


def _filesystems(domain: LibvirtDomain) -> Fields | str:
    """What the agent reports, or why it does not."""
    try:
        fields: Fields = domain.guestInfo(libvirt.VIR_DOMAIN_GUEST_INFO_FILESYSTEM, 0)
        return fields
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            return one_line(error)
    except ValueError as error:  # a mount point that is no UTF-8
        return f"the guest agent gives text that cannot be read: {error}"
    try:  # the test driver, and agents before QEMU 5: no sizes
        mounts = domain.fsInfo()
    except (libvirt.libvirtError, ValueError) as error:
        return one_line(error)
    fields = {"fs.count": len(mounts)}
    for number, (mountpoint, _name, kind, _aliases) in enumerate(mounts):
        fields |= {f"fs.{number}.mountpoint": mountpoint, f"fs.{number}.fstype": kind}
    return fields
