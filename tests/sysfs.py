"""A made /sys/class/net."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple, Optional


class Made(NamedTuple):
    """An interface of the host as ``ip link`` would make it."""

    up: bool = True
    master: Optional[str] = None
    on: Optional[str] = None  # what a macvtap stands on


class Sysfs:
    """A folder with a folder for each interface, as the kernel has them."""

    def __init__(self, folder: Path, **links: Made) -> None:
        self.folder = str(folder)
        self._path = folder
        folder.mkdir(exist_ok=True)
        for name, made in links.items():
            self.set(name, made)

    def set(self, name: str, made: Made) -> None:
        """Make an interface, or make it anew."""
        self.remove(name)
        path = self._path / name
        path.mkdir()
        (path / "flags").write_text(f"{0x1003 if made.up else 0x1002:#x}\n")
        (path / "operstate").write_text("down\n")  # which tells nothing of what was set
        if made.master:
            (path / "master").symlink_to(f"../../../devices/virtual/net/{made.master}")
        if made.on:
            (path / f"lower_{made.on}").symlink_to(f"../{made.on}")

    def remove(self, name: str) -> None:
        """Take an interface away, if it is there."""
        shutil.rmtree(self._path / name, ignore_errors=True)
