"""The provider for drivers without bulk statistics (libvirt's test driver, ESX, VirtualBox, ...).

It makes one classic call per domain and group and gives the same fields as :mod:`kvmwatch.reading.bulk`, so that
all behind it is shared. A call that the driver does not have leaves its fields out; one that fails leaves why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from xml.etree.ElementTree import ParseError

import libvirt

from kvmwatch.model import measured
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Disk
from kvmwatch.model.states import NOSTATE, is_active
from kvmwatch.reading import domain_xml
from kvmwatch.reading.bulk import VCPUS_APART, WHY, Fields, Listed, unread
from kvmwatch.reading.connection import UNSUPPORTED, LibvirtDomain, of_it_alone

T = TypeVar("T")

_BLOCK = ("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes")
_NET = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")
# memoryStats' last_update is left out: of the drivers that need this module only the test driver gives
# it, as a constant of the year 1989, which would make every value stale.
_MEMORY = {"available": "available", "usable": "usable", "unused": "unused", "rss": "rss"} | {
    name: name for name in ("disk_caches", "swap_in", "swap_out", "major_fault", "minor_fault")
}


def read(domains: list[LibvirtDomain], groups: Group) -> Listed:
    """Ask each domain for its state and these groups; domains that vanish meanwhile are left out."""
    result = []
    for domain in domains:
        try:
            result.append((domain, _read(domain, groups)))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    return result


def _read(domain: LibvirtDomain, groups: Group) -> Fields:
    state, why = _asked(domain, domain.state)
    fields: Fields = {"state.state": state[0], "state.reason": state[1]} if state else {"state.state": NOSTATE}
    if why:
        fields["state." + WHY] = why
    active = is_active(fields["state.state"])
    if groups & (Group.CPU | Group.MEMORY | Group.SIZE):
        fields.update(_info(domain, groups, active))
    if active and Group.MEMORY in groups:
        fields.update(_memory(domain))
    if active and groups & (Group.DISK | Group.INTERFACE):
        fields.update(_devices(domain, groups))
    return fields


def _info(domain: LibvirtDomain, groups: Group, active: bool) -> Fields:
    info, why = _asked(domain, domain.info)
    if info is None:
        return unread(why, groups & (Group.CPU | Group.MEMORY | Group.SIZE)) if why else {}
    fields: Fields = {
        "balloon.maximum": info[1],
        "balloon.current": info[2],
        "vcpu.current": info[3],
        "vcpu.maximum": info[3],
    }
    if active and Group.CPU in groups:
        fields["cpu.time"] = info[4]
        vcpus, why = _asked(domain, domain.vcpus)
        if why:
            fields["vcpu." + WHY] = why
        for number, _state, cpu_time, _cpu in vcpus[0] if vcpus else ():
            fields[f"vcpu.{number}.time"] = cpu_time
        if _asked(domain, domain.connect().getType)[0] in ("TEST", None):  # it makes them up of another clock
            fields[VCPUS_APART] = 1
    return fields


def _memory(domain: LibvirtDomain) -> Fields:
    stats, why = _asked(domain, domain.memoryStats)
    if why:
        return unread(why, Group.MEMORY)
    return {f"balloon.{field}": stats[name] for name, field in _MEMORY.items() if stats and name in stats}


def _devices(domain: LibvirtDomain, groups: Group) -> Fields:
    xml, why = _asked(domain, lambda: domain.XMLDesc(0))
    if xml is None:
        return unread(why or "", groups & (Group.DISK | Group.INTERFACE))
    try:
        defined = domain_xml.parse(xml)
    except (ParseError, ValueError) as error:
        return unread(f"the XML cannot be parsed: {error}", groups & (Group.DISK | Group.INTERFACE))
    fields: Fields = {}
    if Group.DISK in groups:
        fields["block.count"] = len(defined.disks)
        for number, disk in enumerate(defined.disks):
            fields.update(_disk(domain, f"block.{number}.", disk))
    if Group.INTERFACE in groups:
        fields["net.count"] = len(defined.interfaces)
        for number, interface in enumerate(defined.interfaces):
            if interface.name and measured.counts(interface):  # the test driver has figures for any
                fields.update(_interface(domain, f"net.{number}.", interface.name))
    return fields


def _disk(domain: LibvirtDomain, prefix: str, disk: Disk) -> Fields:
    fields: Fields = {prefix + "name": disk.name}
    if disk.path:
        fields[prefix + "path"] = disk.path
        info, why = _asked(domain, lambda: domain.blockInfo(disk.name))
        if why:
            fields[prefix + WHY] = why
        if info:
            # blockInfo's allocation is what the bulk statistics call physical: room taken on the host
            fields.update({prefix + "capacity": info[0], prefix + "physical": info[1]})
    return fields | _counted(prefix, _BLOCK, *_asked(domain, lambda: domain.blockStats(disk.name)))


def _interface(domain: LibvirtDomain, prefix: str, target: str) -> Fields:
    counted = _counted(prefix, _NET, *_asked(domain, lambda: domain.interfaceStats(target)))
    return {prefix + "name": target} | counted


def _counted(prefix: str, names: tuple[str, ...], values: Any, why: str | None) -> Fields:
    if why:
        return {prefix + WHY: why}
    # the classic calls give -1 where the driver has no value
    return {prefix + name: value for name, value in zip(names, values or ()) if value >= 0}


def _asked(domain: LibvirtDomain, question: Callable[[], T]) -> tuple[T | None, str | None]:
    """The answer, or why there is none though the driver has this call. Raises what of_it_alone does."""
    try:
        return question(), None
    except libvirt.libvirtError as error:
        if error.get_error_code() in UNSUPPORTED:
            return None, None
        return None, of_it_alone(error, domain)
    except ValueError as error:  # text that is no UTF-8
        return None, str(error)
