"""Whether the dnsmasq of a virtual network runs, which gives its guests addresses and names.

libvirt starts one with the network, and looks at it again only when libvirt is restarted itself.
"""

from __future__ import annotations

from typing import Optional

from kvmwatch.reading import daemons

_PROGRAM = "dnsmasq"
#: which has the networks: where the modular daemons run, libvirtd does not
_DAEMONS = ("virtnetworkd", "libvirtd")


def runs(network: str, run: str) -> Optional[bool]:
    """Whether that of an active network does, by libvirt's PID file below *run*.

    None: it has none, or its processes are not to be seen from here, as libvirt's own are not then.
    """
    try:
        if daemons.pid_of(_PROGRAM, f"{run}/libvirt/network/{network}.pid"):
            return True
    except (OSError, ValueError):
        return None
    return False if daemons.first(_DAEMONS, run) else None
