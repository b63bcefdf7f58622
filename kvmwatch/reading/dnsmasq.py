"""Whether the dnsmasq of a virtual network runs, which gives its guests addresses and names.

libvirt starts one with the network, and looks at it again only when libvirt is restarted itself.
"""

from __future__ import annotations

from typing import Optional

_PROGRAM = "dnsmasq"
#: which has the networks: where the modular daemons run, libvirtd does not
_DAEMONS = ("virtnetworkd", "libvirtd")


def runs(network: str, run: str) -> Optional[bool]:
    """Whether that of an active network does, by libvirt's pid file below *run*.

    None: it has none, or its processes are not to be seen from here, as libvirt's own are not then.
    """
    try:
        found = _is(_PROGRAM, f"{run}/libvirt/network/{network}.pid")
    except (OSError, ValueError):
        return None
    return True if found else False if _seen(run) else None


def _seen(run: str) -> bool:
    for name in _DAEMONS:
        try:
            if _is(name, f"{run}/{name}.pid"):
                return True
        except (OSError, ValueError):
            continue
    return False


def _is(program: str, pid_file: str) -> bool:
    """Whether the process of a pid file is of this program. Raises OSError, ValueError where that is not known."""
    # libvirt has names in UTF-8, whatever the locale
    with open(pid_file.encode("utf-8", "surrogateescape"), encoding="ascii") as file:
        pid = int(file.read(64))
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            return program in comm.read()  # which may be .dnsmasq-wrap
    except (FileNotFoundError, ProcessLookupError):
        return False
