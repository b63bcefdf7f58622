"""The types of storage pools that libvirt has, and what the figures of each mean: the one table of it.

Reading takes from it what a pool's path has to be, :mod:`kvmwatch.model.derived` what its use is, and the page
docs/pools.md shows it. After libvirt's storage backends (src/storage/storage_backend_*.c).
"""

from __future__ import annotations

from kvmwatch.model.record import Record

#: what a pool's target path is: a directory of any file system, or one where the pool's own has to be mounted
DIRECTORY, MOUNT, NO_PATH = "directory", "mount", ""
#: what libvirt's allocation says of how full the pool is
FILLS = "fills"  # it is what is used of the capacity
SHARED = "shared"  # others use the same capacity, so what counts is what is not available any more
HANDED_OUT = "handed out"  # it is what was made volumes of; 100 % is a finished layout and nothing fills up
LUNS = "luns"  # made elsewhere, and summed up as capacity and as allocation: always 100 %
UNTOLD = "untold"  # the pool's type could not be read


class Kind(Record):
    """A type of pools. ``promises``: whether what the volumes are promised can be compared with its capacity."""

    name: str
    what: str
    path: str
    use: str
    promises: bool
    figures: str  # for the page: whose the figures are, and what they do not say

    @property
    def local(self) -> bool:
        """Whether its figures are those of a file system that this machine can ask itself."""
        return self.path != NO_PATH


_STATVFS = "the file system's own, asked anew each time; from afar libvirt's of the pool's last refresh"
_REFRESHED = "libvirt's, of the pool's last refresh"
_LUNS = f"{_REFRESHED}: the LUNs' sizes as capacity and as allocation"
_COPIES = "capacity and what is available count every copy of the data"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("dir", "a directory", DIRECTORY, FILLS, True, _STATVFS),
        Kind("fs", "a file system, mounted", MOUNT, FILLS, True, _STATVFS),
        Kind("netfs", "a network file system (NFS, CIFS, ...), mounted", MOUNT, FILLS, True, _STATVFS),
        Kind("vstorage", "a Virtuozzo storage cluster, mounted", MOUNT, FILLS, True, _STATVFS),
        Kind("gluster", "a Gluster volume without a mount", NO_PATH, FILLS, True, _REFRESHED),
        Kind("zfs", "a ZFS pool", NO_PATH, FILLS, False, f"{_REFRESHED}; capacity counts parity (raidz)"),
        Kind("rbd", "a pool of a Ceph cluster", NO_PATH, SHARED, False, f"{_REFRESHED}: {_COPIES}"),
        Kind("sheepdog", "a Sheepdog cluster", NO_PATH, SHARED, False, f"{_REFRESHED}: {_COPIES}"),
        Kind("logical", "an LVM volume group", NO_PATH, HANDED_OUT, True,
             f"{_REFRESHED}; of thin pools those of lvs, asked anew each time (root, on the hypervisor)"),
        Kind("disk", "the partitions of a disk", NO_PATH, HANDED_OUT, False, _REFRESHED),
        Kind("iscsi", "LUNs of an iSCSI target", NO_PATH, LUNS, False, _LUNS),
        Kind("iscsi-direct", "the same, by QEMU's own iSCSI", NO_PATH, LUNS, False, _LUNS),
        Kind("scsi", "LUNs of a SCSI or Fibre Channel adapter", NO_PATH, LUNS, False, _LUNS),
        Kind("mpath", "multipath devices", NO_PATH, LUNS, False, _LUNS),
    )
}  # fmt: skip
_UNTOLD = Kind("", "not known", NO_PATH, UNTOLD, False, "")


def of(name: str) -> Kind:
    """The kind of this name; one that is newer than this table is taken by libvirt's word for its figures.

    An empty name is a pool whose type could not be read: nobody can tell what its figures mean.
    """
    return KINDS.get(name) or (Kind(name, name, NO_PATH, FILLS, True, _REFRESHED) if name else _UNTOLD)
