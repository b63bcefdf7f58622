"""What is mounted where, for this process and for another one (/proc/PID/mountinfo).

Two processes may see different file systems at the same path: a monitoring agent with PrivateTmp or ProtectHome in
its systemd unit, one in a container, a libvirtd in a namespace of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Optional

from kvmwatch.model.record import Record

_ESCAPED = re.compile(r"\\([0-7]{3})")  # space, tab, newline and backslash
#: options by which ext4 says that it has stopped (Linux 6.15)
_STOPPED = ("emergency_ro", "shutdown")
#: file systems that the kernel makes read-only after an error, and none that is so by its nature
_MADE_READ_ONLY = ("ext2", "ext3", "ext4", "btrfs", "f2fs", "jfs", "nilfs2", "ocfs2", "vfat")


class Mount(Record):
    """A line of mountinfo: ``root`` is what of the file system on ``device`` is mounted at ``point``."""

    id: int
    device: str  # MAJOR:MINOR
    root: str
    point: str
    kind: str  # ext4, nfs4, autofs, ...
    source: str = ""  # /dev/mapper/vg0-images, nas:/export, ...
    stopped: bool = False  # it is mounted for writing, and since an error nothing can be written


Mounts = tuple[Mount, ...]


def table(pid: int | str = "self") -> Mounts:
    """The mounts as a process sees them, in the order of mounting. Raises OSError."""
    return of_file(f"/proc/{pid}/mountinfo")


def of_file(path: str) -> Mounts:
    """The same of a file of that form. Raises OSError."""
    # a mount point may hold a carriage return, which ends no line here; whoever may mount makes one (FUSE)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        return tuple(_mount(line) for line in lines)


def _mount(line: str) -> Mount:
    fields = line.rstrip("\n").split(" ")
    kind, source, options = fields[fields.index("-") + 1 :][:3]  # optional fields of any number end with it
    return Mount(
        *(int(fields[0]), fields[2], _plain(fields[3]), _plain(fields[4]), kind, _plain(source)),
        stopped=_stopped(kind, fields[5].split(","), options.split(",")),
    )


def _stopped(kind: str, of_mount: Collection[str], of_filesystem: Collection[str]) -> bool:
    # who mounts it read-only, or remounts it so, does that with the mount as well
    read_only = "ro" in of_filesystem and "ro" not in of_mount
    return (read_only and kind in _MADE_READ_ONLY) or any(option in of_filesystem for option in _STOPPED)


def _plain(text: str) -> str:
    """The path that mountinfo writes with octal escapes."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def place(mounts: Iterable[Mount], path: str) -> Optional[tuple[str, str]]:
    """Which file system has an absolute path without symlinks, and as what: its device and the path within it."""
    found: Optional[Mount] = None
    for mount in mounts:  # the last one at a point covers those before
        if _within(path, mount.point) and (not found or len(mount.point) >= len(found.point)):
            found = mount
    if not found:
        return None
    below = path if found.point == "/" else path[len(found.point) :]
    return found.device, (found.root.rstrip("/") + below).rstrip("/") or "/"


def _within(path: str, point: str) -> bool:
    return point in ("/", path) or path.startswith(f"{point}/")
