"""The bridges of this machine that VMs are on, their other ports, and where the tap of each VM is (sysfs).

The XML says where a tap belongs; somebody may have put it elsewhere since.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Optional

from kvmwatch.model.snapshot import Domain, Interface, Netdev, Network, Snapshot
from kvmwatch.reading import uplinks
from kvmwatch.reading.links import Links


def with_bridges(snapshot: Snapshot, links: Links) -> Snapshot:
    """Give each interface what its tap is in or on, and the snapshot the bridges and ports, sorted by name.

    Of a snapshot without uplinks nothing is said: where these cannot be seen, bridges cannot either. Open vSwitch
    does not tell here which port is in which of its bridges. The taps of domains that were not read are ports.
    """
    if snapshot.uplinks is None:
        return snapshot
    domains = tuple(_placed(domain, links) for domain in snapshot.domains)
    uplinked = {uplink.name for uplink in snapshot.uplinks}
    taps = {interface.name for domain in domains for interface in domain.interfaces}
    netdevs = {}
    for bridge in _bridges(domains, snapshot.networks):
        netdevs[bridge] = _read(bridge, None, links)
        link = links[bridge]
        for port in link.below if link else ():
            if port not in taps and port not in uplinked:
                netdevs[port] = _read(port, bridge, links)
    read = (netdev for _, netdev in sorted(netdevs.items()) if netdev)
    return snapshot._replace(domains=domains, netdevs=tuple(read))


def _placed(domain: Domain, links: Links) -> Domain:
    return domain._replace(
        interfaces=tuple(interface._replace(on=_on(interface, links)) for interface in domain.interfaces)
    )


def _on(interface: Interface, links: Links) -> Optional[str]:
    tap = links[interface.name] if interface.name else None
    if tap is None:
        return None
    return tap.master or (tap.below[0] if tap.below else "")


def _bridges(domains: Iterable[Domain], networks: Iterable[Network]) -> set[str]:
    """The names of what taps are in, or belong in, and of the bridges of networks."""
    named = {network.bridge for network in networks if network.active}
    for domain in domains:
        for interface in domain.interfaces:
            if interface.kind == "direct":
                continue
            # a tap of Open vSwitch is in the one switch of all its bridges
            elsewhere = interface.on and interface.on != uplinks.OVS_SWITCH
            named.add(interface.on if elsewhere else interface.bridge)
    return {name for name in named if name}


def _read(name: str, bridge: Optional[str], links: Links) -> Optional[Netdev]:
    """None when it is gone."""
    link = links[name]
    stats = uplinks.stats(links.folder, name) if link else None
    if link is None or stats is None:
        return None
    if not bridge:
        # without a running guest it has no carrier and is well; Open vSwitch's works without being set up
        is_linux = os.path.isdir(f"{links.folder}/{name}/bridge")
        stats = stats._replace(up=int(link.up) if is_linux else None)
    return Netdev(name, bridge, stats, time=time.monotonic())
