"""Virtual networks."""

from __future__ import annotations

import libvirt

from kvmwatch.model.metrics import NetworkStats
from kvmwatch.model.snapshot import Network
from kvmwatch.reading.connection import Connection


def read(connection: Connection) -> tuple[Network, ...]:
    """Read all virtual networks, sorted by name. Raises libvirtError when they cannot be listed."""
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
    for uuid, network in everything.items():
        bridge, leases = None, None
        try:
            bridge = network.bridgeName()
            leases = len(network.DHCPLeases()) if uuid in active else None
        except libvirt.libvirtError:
            pass  # a network without a bridge or without DHCP, or gone meanwhile
        networks.append(
            Network(
                uuid, network.name(), bridge, uuid in active, uuid in autostart, uuid in persistent,
                NetworkStats(leases),
            )
        )  # fmt: skip
    return tuple(sorted(networks, key=lambda network: network.name))
