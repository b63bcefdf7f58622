"""The network interfaces of this machine, as ``ip link`` shows them (sysfs)."""

from __future__ import annotations

import os
from typing import Optional

from kvmwatch.model.errors import SHORT
from kvmwatch.model.record import Record
from kvmwatch.reading.proc_files import content

FOLDER = "/sys/class/net"
_IFF_UP = 1
_BELOW = "lower_"


class Link(Record):
    """One interface of the host.

    ``up`` is what the administrator set (IFF_UP) and not operstate: a bridge without a running guest has no
    carrier and is well.
    """

    up: bool
    master: Optional[str]  # the bridge it is in
    below: tuple[str, ...]  # what it stands on: the ports of a bridge, the one device of a macvtap


class Links:
    """The interfaces that were asked for, by name, each read once; None for one that is not there.

    There is only what the network namespace has that this process is in, which need not be libvirtd's.
    """

    def __init__(self, folder: str = FOLDER) -> None:
        """Take the folder with a folder for each interface; nothing is read yet."""
        self.folder = folder
        self._known: dict[str, Optional[Link]] = {}

    def __getitem__(self, name: str) -> Optional[Link]:
        """Read an interface, unless it was. Raises OSError where it cannot be told whether it is there."""
        if name not in self._known:
            self._known[name] = _read(self.folder, name)
        return self._known[name]

    def forget(self) -> None:
        """Read all again that is asked for from now on."""
        self._known.clear()

    @property
    def seen(self) -> bool:
        """Whether any that was asked for is there."""
        return any(link is not None for link in self._known.values())


def _read(folder: str, name: str) -> Optional[Link]:
    if "/" in name or name.strip(".") == "":
        return None  # no name of an interface, and a way out of the folder
    path = f"{folder}/{name}"
    try:
        flags = int(content(f"{path}/flags"), 16)
        entries = os.listdir(path)
        master = os.path.basename(os.readlink(f"{path}/master")) if "master" in entries else None
    except (OSError, ValueError) as error:  # it is not there, or goes just now; or the name is none
        if isinstance(error, OSError) and error.errno in SHORT:
            raise
        return None
    below = [entry[len(_BELOW) :] for entry in entries if entry.startswith(_BELOW)]
    return Link(bool(flags & _IFF_UP), master, tuple(sorted(below)))
