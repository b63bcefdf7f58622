"""The interfaces of this machine that carry VMs: what stands below their bridges and macvtaps (sysfs).

From each bridge it goes down along ``lower_*``: to a VLAN, a bond, the network cards. The taps of VMs, and the
other guests in a bridge (containers' veths), stand on nothing and are no device of the machine: they are left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Optional

from kvmwatch.model.metrics import UplinkStats, Value
from kvmwatch.model.snapshot import Domain, Snapshot, Uplink
from kvmwatch.reading.connection import is_local
from kvmwatch.reading.links import Links

_MEGA = 1_000_000
OVS_SWITCH = "ovs-system"  # Open vSwitch's, below which the ports of all its bridges are
#: fields of UplinkStats, and the files that have them
_COUNTERS = {
    f"{way}_{field}": f"{way}_{file}"
    for way in ("rx", "tx")
    for field, file in {"bytes": "bytes", "packets": "packets", "errors": "errors", "drops": "dropped"}.items()
}


def with_uplinks(snapshot: Snapshot, links: Links) -> Snapshot:
    """Give the snapshot the host's interfaces below what its domains and networks hang on, sorted by name.

    They stay unknown (None) where the hypervisor is another machine, and where none of these is to be seen: then
    libvirtd is in another network namespace than this process.
    """
    if not is_local(snapshot.uri):
        return snapshot
    tops = {name for domain in snapshot.domains for name in _hung_on(domain, links)}
    tops |= {network.bridge for network in snapshot.networks if network.active and network.bridge}
    if tops and not any(links[name] for name in tops):
        return snapshot
    carries: dict[str, set[str]] = {}
    for top in tops:
        for name in _below(top, links):
            carries.setdefault(name, set()).add(top)
    read = ((name, stats(links.folder, name), time.monotonic()) for name in sorted(carries))
    return snapshot._replace(
        uplinks=tuple(
            Uplink(name, tuple(sorted(carries[name])), measured, time=now)
            for name, measured, now in read
            if measured  # else it is gone
        )
    )


def _hung_on(domain: Domain, links: Links) -> Iterator[str]:
    for interface in domain.interfaces:
        if interface.kind == "direct":
            tap = links[interface.name] if interface.name else None
            # the XML of a network's macvtap does not name the device
            yield from tap.below if tap else filter(None, [interface.device])
        elif interface.kind in ("bridge", "network"):
            tap = links[interface.name] if interface.name else None
            # a tap of Open vSwitch has one switch for a master that has the ports of all its bridges
            yield from filter(None, [tap.master if tap and tap.master else interface.bridge])


def _below(top: str, links: Links) -> set[str]:
    """The names of what stands below, and of ``top`` itself; bridges and switches are only gone through."""
    seen, found, looking = set(), set(), [top]
    while looking:
        name = looking.pop()
        link = links[name]
        path = f"{links.folder}/{name}"
        if link is None or name in seen or os.path.exists(f"{path}/tun_flags"):  # that is a tap's
            continue
        seen.add(name)
        looking += link.below
        switch = name == OVS_SWITCH or os.path.isdir(f"{path}/bridge")
        if not switch and (link.below or os.path.exists(f"{path}/device")):
            found.add(name)
    return found


def stats(folder: str, name: str) -> Optional[UplinkStats]:
    """What is measured of an interface; None when it is not there."""
    path = f"{folder}/{name}"
    state = _text(f"{path}/operstate")
    if state is None:
        return None
    counters = {field: _number(f"{path}/statistics/{file}") for field, file in _COUNTERS.items()}
    speed = _number(f"{path}/speed")  # in Mb/s; -1 or an error where the driver or a link that is down has none
    return UplinkStats(
        up=_works(state, path), speed=speed * _MEGA if speed is not None and speed > 0 else None, **counters
    )


def _works(state: str, path: str) -> Value:
    if state == "unknown":  # the driver does not tell; it has a carrier, or does not know either
        return _number(f"{path}/carrier")
    return int(state == "up")


def _number(path: str) -> Value:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:  # EINVAL: what a link that is down does not tell
        return None
