"""Virtual networks, and on this machine the bridge of each."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional
from xml.etree import ElementTree

import libvirt

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Network, Unread
from kvmwatch.reading.connection import is_local, of_it_alone
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.links import FOLDER, Link, Links
from kvmwatch.reading.ways import OPEN_VSWITCH

#: what this kind of hypervisor cannot tell, and what a network cannot that was stopped meanwhile
_CANNOT = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED, libvirt.VIR_ERR_OPERATION_INVALID)


class _Defined(NamedTuple):
    """What a network's XML says."""

    bridge: Optional[str]  # its own or the host's; none where guests get devices (hostdev) or macvtaps
    open_vswitch: bool
    dhcp: bool


def read(hypervisor: Hypervisor, folder: str = FOLDER) -> tuple[Network, ...]:
    """Read all virtual networks, sorted by name; one that vanishes meanwhile is left out.

    Raises libvirtError when they cannot be listed. That a bridge is not found may only mean that it cannot be
    seen from here: :mod:`~kvmwatch.reading.ways` tells.
    """
    connection = hypervisor.connection
    links = Links(folder) if is_local(hypervisor.uri) else None
    everything, active, autostart, persistent = (
        {network.UUIDString(): network for network in connection.listAllNetworks(flag)}
        for flag in (
            0,
            libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE,
            libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART,
            libvirt.VIR_CONNECT_LIST_NETWORKS_PERSISTENT,
        )
    )
    networks = []
    for uuid, handle in everything.items():
        listed = Network(uuid, handle.name(), None, uuid in active, uuid in autostart, uuid in persistent)
        try:
            networks.append(_read_one(handle, listed, links))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_NETWORK:
                raise
    return tuple(sorted(networks, key=lambda network: network.name))


def _read_one(handle: Any, network: Network, links: Optional[Links]) -> Network:
    """Raises libvirtError when the network, or the connection, is gone."""
    defined, why = _definition(handle)
    if why:
        network = network._replace(unread=(Unread(Group.NETWORKS, "XML", why),))
    if defined:
        network = network._replace(bridge=defined.bridge)
    if not network.active:
        return network
    if links and defined and defined.bridge:
        network = _with_bridge(handle, network, links, defined)
    if defined and not defined.dhcp:
        return network
    return _with_leases(handle, network)


def _definition(handle: Any) -> tuple[Optional[_Defined], Optional[str]]:
    """What the XML says, or why it does not though this kind of hypervisor has it."""
    try:
        root = ElementTree.fromstring(handle.XMLDesc(0))
    except (ElementTree.ParseError, ValueError) as error:  # ValueError: text that is no UTF-8
        return None, f"it cannot be parsed: {error}"
    except libvirt.libvirtError as error:
        return None, None if error.get_error_code() in _CANNOT else of_it_alone(error, handle)
    bridge, virtualport = root.find("bridge"), root.find("virtualport")
    return _Defined(
        bridge=None if bridge is None else bridge.get("name"),
        open_vswitch=virtualport is not None and virtualport.get("type") == OPEN_VSWITCH,
        dhcp=root.find("ip/dhcp") is not None,
    ), None


def _with_bridge(handle: Any, network: Network, links: Links, defined: _Defined) -> Network:
    def well(link: Optional[Link]) -> bool:
        # the interface that Open vSwitch makes for a bridge is down for ever, and the bridge works
        return link is not None and (link.up or defined.open_vswitch)

    link = links[defined.bridge or ""]
    if not well(link):
        if not handle.isActive():
            return network  # stopped since it was listed
        link = Links(links.folder)[defined.bridge or ""]
    return network._replace(bridge_found=link is not None, stats=network.stats._replace(bridge_up=int(well(link))))


def _with_leases(handle: Any, network: Network) -> Network:
    try:
        leases = len(handle.DHCPLeases())
    except libvirt.libvirtError as error:
        if error.get_error_code() in _CANNOT:
            return network
        unread = Unread(Group.NETWORKS, "DHCP leases", of_it_alone(error, handle))
        return network._replace(unread=(*network.unread, unread))
    return network._replace(stats=network.stats._replace(leases=leases))
