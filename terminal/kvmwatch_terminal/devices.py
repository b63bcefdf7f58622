"""What this machine's storage stands on: the block devices below a file or a device, by mounts and sysfs.

Nothing is asked of the storage itself, which may be what does not answer: no path outside of /dev is looked at.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from kvmwatch.reading.mounts import Mount, Mounts, of_file


class Devices:
    """The block devices of this machine; ``mounts``, ``sys`` and ``dev``: where the kernel tells of them."""

    def __init__(
        self,
        mounts: str = "/proc/self/mountinfo",
        sys: str = "/sys",
        dev: str = "/dev",
    ) -> None:
        self._known: dict[str | Mount | None, set[str]] = {}
        self._sys, self._dev = Path(sys), dev.rstrip("/") + "/"
        self._mounts: Mounts = ()
        with contextlib.suppress(OSError):
            self._mounts = of_file(mounts)

    def mounted_from(self, source: str) -> list[str]:
        """Where this is mounted, as ``nas:/export``."""
        return [mount.point for mount in self._mounts if mount.source == source]

    def name(self, path: str) -> str | None:
        """The kernel's name (dm-3) of the device that a path in /dev leads to; None: it is none."""
        if not path.startswith(self._dev):
            return None
        name = os.path.basename(os.path.realpath(path))
        return name if (self._sys / "class/block" / name).exists() else None

    def named(self, path: str) -> frozenset[str]:
        """The same of all devices that a path in /dev is: one, or those of a folder, as of a volume group."""
        name = self.name(path)
        if name or not path.startswith(self._dev):
            return frozenset([name] if name else ())
        try:
            names = [self.name(f"{path}/{entry}") for entry in os.listdir(path)]
        except OSError:
            return frozenset()
        return frozenset(name for name in names if name)

    def below(self, path: str) -> set[str]:
        """The kernel's names of all devices that a device, or the file system of another path, stands on."""
        on: str | Mount | None = self.name(path)
        if on is None:
            on = max((each for each in self._mounts if is_below(path, each.point)), key=_depth, default=None)
        if on not in self._known:  # most VMs stand on the same
            name = self._of(on) if isinstance(on, Mount) else on
            self._descend([name] if name else [], self._known.setdefault(on, set()))
        return self._known[on]

    def _of(self, mount: Mount) -> str | None:
        link = self._sys / "dev/block" / mount.device
        # that of btrfs is no device's number
        return os.path.basename(os.path.realpath(link)) if link.exists() else self.name(mount.source)

    def _descend(self, names: Iterable[str], found: set[str]) -> None:
        for name in names:
            if name in found:
                continue
            found.add(name)
            device = self._sys / "class/block" / name
            with contextlib.suppress(OSError):
                self._descend(os.listdir(device / "slaves"), found)
            if (device / "partition").exists():
                self._descend([os.path.basename(os.path.dirname(os.path.realpath(device)))], found)


def is_below(path: str, folder: str) -> bool:
    """Whether a path is this one, or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _depth(mount: Mount) -> int:
    return len(mount.point)
