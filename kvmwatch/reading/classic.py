"""The provider for drivers without bulk statistics (libvirt's test driver, ESX, VirtualBox, ...).

It makes one classic call per domain and group and gives the same fields as :mod:`kvmwatch.reading.bulk`, so that
all behind it is shared. A call that the driver does not have leaves its fields out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.states import is_active
from kvmwatch.reading import domain_xml
from kvmwatch.reading.bulk import Fields, Listed
from kvmwatch.reading.connection import LibvirtDomain

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
            state, reason = domain.state()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                continue
            raise
        fields: Fields = {"state.state": state, "state.reason": reason}
        if groups & (Group.CPU | Group.MEMORY | Group.SIZE):
            fields.update(_info(domain, is_active(state)))
        if is_active(state):
            if Group.MEMORY in groups:
                fields.update(_memory(domain))
            if groups & (Group.DISK | Group.INTERFACE):
                fields.update(_devices(domain, groups))
        result.append((domain, fields))
    return result


def _info(domain: LibvirtDomain, active: bool) -> Fields:
    info = _asked(domain.info)
    if info is None:
        return {}
    fields: Fields = {
        "balloon.maximum": info[1],
        "balloon.current": info[2],
        "vcpu.current": info[3],
        "vcpu.maximum": info[3],
    }
    if active:
        fields["cpu.time"] = info[4]
        for number, _state, cpu_time, _cpu in (_asked(domain.vcpus) or ((),))[0]:
            fields[f"vcpu.{number}.time"] = cpu_time
    return fields


def _memory(domain: LibvirtDomain) -> Fields:
    stats = _asked(domain.memoryStats) or {}
    return {f"balloon.{field}": stats[name] for name, field in _MEMORY.items() if name in stats}


def _devices(domain: LibvirtDomain, groups: Group) -> Fields:
    defined = domain_xml.parse(domain.XMLDesc(0))
    fields: Fields = {}
    if Group.DISK in groups:
        fields["block.count"] = len(defined.disks)
        for number, disk in enumerate(defined.disks):
            fields.update(_disk(domain, f"block.{number}.", disk))
    if Group.INTERFACE in groups:
        fields["net.count"] = len(defined.interfaces)
        for number, interface in enumerate(defined.interfaces):
            if interface.target:
                fields.update(_interface(domain, f"net.{number}.", interface.target))
    return fields


def _disk(domain: LibvirtDomain, prefix: str, disk: domain_xml.DiskDefinition) -> Fields:
    fields: Fields = {prefix + "name": disk.name}
    if disk.path:
        fields[prefix + "path"] = disk.path
        info = _asked(lambda: domain.blockInfo(disk.name))
        if info:
            # blockInfo's allocation is what the bulk statistics call physical: room taken on the host
            fields.update({prefix + "capacity": info[0], prefix + "physical": info[1]})
    return fields | _counted(prefix, _BLOCK, _asked(lambda: domain.blockStats(disk.name)))


def _interface(domain: LibvirtDomain, prefix: str, target: str) -> Fields:
    return {prefix + "name": target} | _counted(prefix, _NET, _asked(lambda: domain.interfaceStats(target)))


def _counted(prefix: str, names: tuple[str, ...], values: Any) -> Fields:
    # the classic calls give -1 where the driver has no value
    return {prefix + name: value for name, value in zip(names, values or ()) if value >= 0}


def _asked(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except libvirt.libvirtError as error:
        if error.get_error_domain() == libvirt.VIR_FROM_RPC:
            raise  # the connection is gone: that is not the driver's lack of a call
        return None
