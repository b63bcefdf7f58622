"""The provider for drivers with bulk statistics (QEMU): virDomainListGetStats."""

from __future__ import annotations

from typing import Any

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.reading.connection import LibvirtDomain, of_it_alone

Fields = dict[str, Any]  # "block.0.rd.bytes": 4096, as virsh domstats prints them
Listed = list[tuple[LibvirtDomain, Fields]]

_STATS = {
    Group.CPU: libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_VCPU,
    Group.MEMORY: libvirt.VIR_DOMAIN_STATS_BALLOON,
    Group.DISK: libvirt.VIR_DOMAIN_STATS_BLOCK,
    Group.INTERFACE: libvirt.VIR_DOMAIN_STATS_INTERFACE,
}
# NOWAIT: a domain whose QEMU is busy or hung gives what libvirt knows without it, instead of blocking.
# It does not help the first caller of a QEMU that has just hung; see kvmwatch.reading.lanes.
_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


def read(domains: list[LibvirtDomain], groups: Group) -> Listed:
    """Ask for the state and these groups of these domains in one call; vanished ones are left out.

    One whose statistics libvirt refuses has fields that say why (``cpu.unread``, ...), and no others.
    """
    stats = libvirt.VIR_DOMAIN_STATS_STATE
    for group, flag in _STATS.items():
        if group in groups:
            stats |= flag
    result = _asked(domains, stats, groups)
    if Group.SIZE in groups and Group.MEMORY not in groups:
        for domain, fields in result:
            fields.update(size(domain))
    return result


def _asked(domains: list[LibvirtDomain], stats: int, groups: Group) -> Listed:
    try:
        result: Listed = domains[0].connect().domainListGetStats(domains, stats, _NOWAIT)
    except (libvirt.libvirtError, UnicodeDecodeError) as error:  # the latter: a name or path that is no UTF-8
        if len(domains) > 1:  # one of them spoils it for all
            return [asked for domain in domains for asked in _asked([domain], stats, groups)]
        try:
            why = str(error) if isinstance(error, UnicodeDecodeError) else of_it_alone(error, domains[0])
            fields = unread(why, groups & ~Group.SIZE)
            return [(domains[0], fields | (size(domains[0]) if Group.SIZE in groups else {}))]
        except libvirt.libvirtError as gone:
            if gone.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            return []
    return result


#: what of a domain's fields belongs to which group
PREFIXES = {
    Group.CPU: "cpu.",
    Group.MEMORY: "balloon.",
    Group.SIZE: "size.",
    Group.DISK: "block.",
    Group.INTERFACE: "net.",
}
#: below an entity's prefix: why a provider could not have its fields
WHY = "unread"


#: set where the times of a domain's vCPUs are no part of its CPU time
VCPUS_APART = "vcpu.apart"


def unread(why: str, groups: Group) -> Fields:
    """The fields of a domain of which these groups could not be had."""
    return {prefix + WHY: why for group, prefix in PREFIXES.items() if group in groups}


def size(domain: LibvirtDomain) -> Fields:
    """vCPUs and memory from virDomainGetInfo, which asks no QEMU, or why not; nothing when the domain is gone."""
    try:
        _state, maximum, current, vcpus, _cpu_time = domain.info()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return {}
        return unread(of_it_alone(error, domain), Group.SIZE)
    return {"balloon.maximum": maximum, "balloon.current": current, "vcpu.current": vcpus}


def answered(fields: Fields) -> bool:
    """Tell whether the QEMU itself answered; else the fields are what libvirt knows without it.

    balloon.rss and the request counters of disks come with every answer of a QEMU. CPU and interface
    statistics do not show it.
    """
    return "balloon.rss" in fields or any(
        f"block.{number}.rd.reqs" in fields for number in range(fields.get("block.count", 0))
    )


def skipped(fields: Fields, groups: Group) -> bool:
    """Tell whether NOWAIT skipped an active domain because somebody else was asking its QEMU."""
    asked = Group.MEMORY in groups or (Group.DISK in groups and fields.get("block.count", 0) > 0)
    refused = any(prefix + WHY in fields for prefix in PREFIXES.values())
    return asked and not refused and not answered(fields)
