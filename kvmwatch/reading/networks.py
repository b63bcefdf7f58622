"""Virtual networks, and on this machine the bridge of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional
from xml.etree import ElementTree

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Network, Unread
from kvmwatch.reading import control, dnsmasq
from kvmwatch.reading.connection import UNSUPPORTED, Connection, is_local, of_it_alone, one_line
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.links import FOLDER, Link, Links
from kvmwatch.reading.walk import walk
from kvmwatch.reading.ways import OPEN_VSWITCH

#: what this kind of hypervisor cannot tell, and what a network cannot that was stopped meanwhile
_CANNOT = (*UNSUPPORTED, libvirt.VIR_ERR_OPERATION_INVALID)


class _Defined(Record):
    """What a network's XML says."""

    bridge: Optional[str]  # its own or the host's; none where guests get devices (hostdev) or macvtaps
    open_vswitch: bool
    dhcp: bool
    addresses: Optional[int]  # in its DHCP ranges; of IPv6, where they have no end, none


class _Here(Record):
    """Where this machine tells more of a network than libvirt does."""

    links: Links
    run: str  # the folder of pid files


_NOT_KNOWN = _Defined(bridge=None, open_vswitch=False, dhcp=True, addresses=None)


def read(
    hypervisor: Hypervisor, deadline: Deadline, folder: str = FOLDER, run: str = "/run"
) -> tuple[Network, ...]:
    """Read all virtual networks, sorted by name; one that vanishes meanwhile is left out, one that hangs is told.

    Raises libvirtError when they cannot be listed. That a bridge is not found may only mean that it cannot be
    seen from here: :mod:`~kvmwatch.reading.ways` tells.
    """
    connection = hypervisor.connection
    here = _Here(Links(folder), run) if is_local(hypervisor.uri) else None
    everything, active, autostart, persistent = (
        {network.UUIDString(): network for network in connection.listAllNetworks(flag)}
        for flag in (
            0,
            libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE,
            libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART,
            libvirt.VIR_CONNECT_LIST_NETWORKS_PERSISTENT,
        )
    )
    listed = {
        uuid: Network(uuid, handle.name(), None, uuid in active, uuid in autostart, uuid in persistent)
        for uuid, handle in everything.items()
    }

    def questioner() -> Callable[[str], Optional[Network]]:
        another = hypervisor.another()
        return lambda uuid: _looked_up(another, listed[uuid], here)

    # a hook of one that does not end makes whoever looks at it wait
    walked = walk(listed, questioner, deadline, control.patience(deadline), lanes=1)
    hung = (*walked.held, *walked.unasked)
    silent = [_without(listed[uuid], "its state", "libvirt gives no answer for it") for uuid in hung]
    return tuple(sorted((*walked.answers.values(), *silent), key=lambda network: network.name))


def _looked_up(connection: Connection, network: Network, here: Optional[_Here]) -> Optional[Network]:
    """None when it is gone. Raises libvirtError when the connection is."""
    try:
        return _read_one(connection.networkLookupByUUIDString(network.uuid), network, here)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_NETWORK:
            if not connection.isAlive():
                raise
            return _without(network, "its state", one_line(error))
        return None


def _read_one(handle: Any, network: Network, here: Optional[_Here]) -> Network:
    """Raises libvirtError when the network, or the connection, is gone."""
    defined, why = _definition(handle)
    if why:
        network = _without(network, "XML", why)
    network = network._replace(bridge=defined.bridge)
    if not network.active:
        return network
    network = network._replace(stats=network.stats._replace(addresses=defined.addresses))
    if here and defined.bridge:
        network = _with_bridge(handle, _with_dnsmasq(handle, network, here.run), here.links, defined)
    return _with_leases(handle, network) if defined.dhcp else network


def _without(network: Network, what: str, why: str) -> Network:
    return network._replace(unread=(*network.unread, Unread(Group.NETWORKS, what, why)))


def _definition(handle: Any) -> tuple[_Defined, Optional[str]]:
    """What the XML says, or nothing and, where this kind of hypervisor has it, why."""
    try:
        return _parsed(handle.XMLDesc(0)), None
    except (ElementTree.ParseError, ValueError) as error:  # ValueError: text that is no UTF-8, a bad address
        return _NOT_KNOWN, f"it cannot be parsed: {error}"
    except libvirt.libvirtError as error:
        return _NOT_KNOWN, None if error.get_error_code() in _CANNOT else of_it_alone(error, handle)


def _parsed(xml: str) -> _Defined:
    """Raises ElementTree.ParseError and ValueError."""
    root = ElementTree.fromstring(xml)
    bridge, virtualport = root.find("bridge"), root.find("virtualport")
    return _Defined(
        bridge=None if bridge is None else bridge.get("name"),
        open_vswitch=virtualport is not None and virtualport.get("type") == OPEN_VSWITCH,
        dhcp=root.find("ip/dhcp") is not None,
        addresses=_addresses(root),
    )


def _addresses(root: ElementTree.Element) -> Optional[int]:
    """Raises ValueError."""
    from ipaddress import IPv4Address, ip_address  # noqa: PLC0415 - only for networks that are read

    ranges = [
        (ip_address(found.get("start", "")), ip_address(found.get("end", "")))
        for found in root.iterfind("ip/dhcp/range")
    ]
    sizes = [int(end) - int(start) + 1 for start, end in ranges if isinstance(start, IPv4Address)]
    return sum(sizes) if sizes else None


def _with_dnsmasq(handle: Any, network: Network, run: str) -> Network:
    runs = dnsmasq.runs(network.name, run)
    if runs is False:  # or it was stopped, or started anew, since it was listed
        try:
            runs = dnsmasq.runs(network.name, run) if handle.isActive() else None
        except libvirt.libvirtError as error:
            return _without(network, "dnsmasq", of_it_alone(error, handle))
    up = None if runs is None else int(runs)
    return network._replace(stats=network.stats._replace(dnsmasq_up=up))


def _with_bridge(handle: Any, network: Network, links: Links, defined: _Defined) -> Network:
    def well(link: Optional[Link]) -> bool:
        # the interface that Open vSwitch makes for a bridge is down for ever, and the bridge works
        return link is not None and (link.up or defined.open_vswitch)

    link = links[defined.bridge or ""]
    if not well(link):
        try:
            if not handle.isActive():
                return network  # stopped since it was listed
        except libvirt.libvirtError as error:
            return _without(network, "bridge", of_it_alone(error, handle))
        link = Links(links.folder)[defined.bridge or ""]
    return network._replace(bridge_found=link is not None, stats=network.stats._replace(bridge_up=int(well(link))))


def _with_leases(handle: Any, network: Network) -> Network:
    try:
        leases = handle.DHCPLeases()
    except ValueError as error:  # a host name that is no UTF-8
        return _without(network, "DHCP leases", one_line(error))
    except libvirt.libvirtError as error:
        if error.get_error_code() in _CANNOT:
            return network
        return _without(network, "DHCP leases", of_it_alone(error, handle))
    leased = tuple(
        (str(lease["mac"]).lower(), str(lease["ipaddr"]))
        for lease in leases
        if lease.get("mac") and lease.get("ipaddr")  # those of IPv6 may be known by another number (DUID) alone
    )
    ranged = network.stats.addresses is not None  # and of those of IPv6, beside them, there is no end
    number = sum(not ranged or ":" not in str(lease.get("ipaddr")) for lease in leases)
    return network._replace(leased=leased, stats=network.stats._replace(leases=number))
