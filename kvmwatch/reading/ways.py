"""The domains' way to the network: whether the host's end of each interface is up and where the XML says.

Nobody else tells it: libvirt does not look at a tap again that it has made, and the guest has its link as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Optional

from kvmwatch.model import states
from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Interface, Snapshot, Unread, Unreads
from kvmwatch.reading import control
from kvmwatch.reading.bulk import Fields
from kvmwatch.reading.connection import LibvirtDomain, is_local, uuid_of
from kvmwatch.reading.deadline import Deadline, Started
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.links import Link, Links
from kvmwatch.reading.listing import Survey

#: of a domain that is paused the taps may be down: libvirt sets them up when its CPUs start
_RUNNING = (states.RUNNING, states.BLOCKED)
_ON_BRIDGES = ("bridge", "network")
#: kinds with a device of their own on the host; all others (user, hostdev, vhostuser, vdpa, ...) have none
_WITH_TAP = (*_ON_BRIDGES, "direct", "ethernet")
#: there when Open vSwitch forwards in its own process: its taps have no master then
_OVS_USERSPACE = "ovs-netdev"

#: the type of a <virtualport>
OPEN_VSWITCH = "openvswitch"
_TAP = r"net\.\d+\.name"


def with_ways(
    hypervisor: Hypervisor,
    snapshot: Snapshot,
    again: Callable[[], Survey],
    deadline: Deadline,
    links: Links,
) -> Snapshot:
    """Say of each interface of the running domains whether it is attached.

    Where libvirtd is on another machine, or in another network namespace, nothing is said: when not one of the
    bridges and taps that it names is there, they are not to be seen from here, which is not the same as missing.
    A fault is looked at twice, with a question to libvirt in between: the domain may just have stopped. ``again``
    lists the domains as they are then, and raises what it raises.
    """
    if not is_local(hypervisor.uri):
        return snapshot
    for name in _named(snapshot.domains):
        links[name]
    if not links.seen and not any(network.bridge_found for network in snapshot.networks):
        return _untold(snapshot)
    looked = [_looked_at(domain, links) for domain in snapshot.domains]
    doubtful = {domain.uuid: domain.id for domain in looked if any(part.detached for part in domain.interfaces)}
    if doubtful:
        listed = [domain for domain, fields in again().listed if _same(domain, fields, doubtful)]
        taps, unread = _taps(hypervisor, listed, deadline)
        links.forget()
        looked = [
            _looked_at(domain, links, taps.get(domain.uuid, ()), unread) if domain.uuid in doubtful else domain
            for domain in looked
        ]
    return snapshot._replace(domains=tuple(looked))


def way(interface: Interface, links: Links) -> Interface:
    """An interface with what is seen of it: attached 1, 0 with the reason in ``detached``, or None."""
    if interface.name is None or interface.kind not in _WITH_TAP:
        return _attached(interface, None)
    tap = links[interface.name]
    if tap is None:
        # libvirt counts what passes it, so it is there, in another network namespace
        elsewhere = interface.stats.rx_bytes is not None
        return _attached(interface, None) if elsewhere else _detached(interface, "is gone")
    if not tap.up:
        return _detached(interface, "is down")
    if interface.kind == "direct":
        return _on_device(interface, tap, links)
    if interface.kind in _ON_BRIDGES:
        return _on_bridge(interface, tap, links)
    return _attached(interface, 1)


def _on_bridge(interface: Interface, tap: Link, links: Links) -> Interface:
    if interface.virtualport == OPEN_VSWITCH:  # the master is ovs-system, whatever the bridge
        if tap.master or links[_OVS_USERSPACE]:
            return _attached(interface, 1)
        return _detached(interface, "is in no bridge")
    if interface.bridge is None or interface.virtualport:
        return _attached(interface, 1)  # midonet and the like connect it their own way
    bridge = links[interface.bridge]
    if tap.master != interface.bridge:
        if tap.master and bridge is None:
            return _attached(interface, None)  # the XML may call the bridge by another of its names (altname)
        return _detached(interface, f"is not in bridge {interface.bridge} but in {tap.master or 'none'}")
    if bridge and not bridge.up:
        return _attached(interface, 0, f"its bridge {interface.bridge} is down")
    return _attached(interface, 1)


def _on_device(interface: Interface, tap: Link, links: Links) -> Interface:
    device = links[interface.device] if interface.device else None
    if device is None:
        return _attached(interface, 1)  # it would be gone with it: the XML calls it by another name (altname)
    if tap.below and interface.device not in tap.below:
        return _detached(interface, f"is not on {interface.device} but on {tap.below[0]}")
    if not device.up:
        return _attached(interface, 0, f"its device {interface.device} is down")
    return _attached(interface, 1)


def _detached(interface: Interface, how: str) -> Interface:
    return _attached(interface, 0, f"its tap {interface.name} {how}")


def _attached(interface: Interface, value: Optional[int], why: Optional[str] = None) -> Interface:
    return interface._replace(detached=why, stats=interface.stats._replace(attached=value))


def _named(domains: Sequence[Domain]) -> Iterator[str]:
    """The taps and bridges that libvirt names; not a macvtap's device, whose name (eth0) every container has."""
    for domain in domains:
        for interface in domain.interfaces:
            if domain.active and interface.kind in (None, *_WITH_TAP):  # None: its XML was not asked for
                yield from filter(None, (interface.name, interface.bridge))


def _looked_at(
    domain: Domain, links: Links, taps: Optional[Collection[str]] = None, unread: Unreads = ()
) -> Domain:
    """The domain with what is seen of its interfaces; with ``taps`` only of these, which are still its own."""
    if domain.state not in _RUNNING:
        return domain
    return domain._replace(
        interfaces=tuple(
            way(interface, links) if taps is None or interface.name in taps else _attached(interface, None)
            for interface in domain.interfaces
        ),
        unread=(*domain.unread, *unread),
    )


def _same(domain: LibvirtDomain, fields: Fields, runs: Mapping[str, Optional[int]]) -> bool:
    """Whether a domain still is in the run that it was in."""
    return fields.get("state.state") in _RUNNING and runs.get(uuid_of(domain)) == domain.ID()


def _taps(
    hypervisor: Hypervisor, domains: list[LibvirtDomain], deadline: Deadline
) -> tuple[dict[str, list[str]], Unreads]:
    """UUID to the taps that each domain has now, one may have been unplugged; or why that is not known."""
    if not domains:
        return {}, ()
    asked = Started(lambda: hypervisor.provider.read(domains, Group.INTERFACE))
    try:
        listed = asked.wait(Deadline(min(control.patience(deadline), deadline.remaining()), spare=0))
    except DeadlineExceeded as error:  # somebody holds one of them since it was listed
        return {}, (Unread(Group.INTERFACE, "way to the network", str(error)),)
    return {
        uuid_of(domain): [value for name, value in fields.items() if re.fullmatch(_TAP, name)]
        for domain, fields in listed
    }, ()


def _untold(snapshot: Snapshot) -> Snapshot:
    """Nothing that libvirt names is to be seen from here, so that no bridge is known to be missing."""
    networks = (
        network._replace(bridge_found=None, stats=network.stats._replace(bridge_up=None))
        for network in snapshot.networks
    )
    return snapshot._replace(networks=tuple(networks))
