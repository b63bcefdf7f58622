"""Write docs/pools.md: what each type's figures mean, and what each state is judged: "make docs"."""

from __future__ import annotations

from pathlib import Path

from check_kvm.pool import STATES

from kvmwatch.model import pool_kinds, states
from kvmwatch.model.pool_kinds import KINDS, Kind

PAGE = Path(__file__).parents[1] / "docs" / "pools.md"

_HEAD = """# Storage pools

Made by `make docs` from the tables in `kvmwatch/model/pool_kinds.py` and `checks/check_kvm/pool.py`; do not edit.

## What the figures of each type mean

| type | it is | `usage` | its path has to be | `overcommit` | whose figures |
|---|---|---|---|---|---|
"""
_STATES = """
Where `usage` is not judged nothing fills up: every byte of a volume group, a disk or a target is given away by design.
`allocation` says how much of a volume group or a disk was made volumes of. It has no threshold of its own, because 100 %
is a finished layout; where free extents are wanted (for snapshots, or to grow volumes) set one: `-w allocation=90`.

`used`, `free` and `capacity` are the same in bytes, of a target or an adapter only `capacity`. None has a threshold of its
own; where 5 % of a large pool is plenty and 5 % of a small one is one VM, set one on what is left: `-w free=50G: -c free=10G:`.

A volume group's thin pools do fill up: `thin_data` and `thin_metadata` are those of the fullest, from `lvs`. Only root may
ask that: any other user gets UNKNOWN for a pool with a thin pool, until the check is run [with sudo](install.md#rights).
One that LVM says is not well (`failed`, `out_of_data`, `metadata_read_only`, `partial`) is CRITICAL.

## When the storage is not what libvirt believes

libvirt calls a pool running until somebody refreshes it. On the hypervisor itself its path is looked at:

| found | verdict |
|---|---|
| nothing is mounted where a file system should be (also by a bind mount); the directory is gone, is a file, a symlink to nothing | CRITICAL |
| the path does not work: a stale NFS handle, an I/O error, a FUSE program that ended | CRITICAL |
| its file system is mounted for writing, and the kernel lets nobody write since an error (`errors=remount-ro`) | CRITICAL |
| its ZFS pool does no I/O (`SUSPENDED`, `FAULTED`, ...; `DEGRADED` works) | CRITICAL |
| none of its volumes is there, and the file system has another size than at the last refresh: the one below a lost mount | CRITICAL |
| it gives no answer (a dead NFS server) | UNKNOWN: `its storage does not answer` |
| this user may not look into it | libvirt's figures, and it is said that they are as old as the last refresh of the pool or change of a volume |
| libvirt's daemon sees another file system there than this process (mount namespaces) | UNKNOWN, with libvirt's figures |
| a volume was removed past libvirt | one volume less |
| volumes that cannot be asked, or so many that there was no time | no `overcommit`; UNKNOWN, and how many |

A file system that does not tell its size (some FUSE ones) has no `usage`.

## States

| libvirt says | autostart | verdict | the check says | because |
|---|---|---|---|---|
"""
_USE = {
    pool_kinds.FILLS: "of what is used or free",
    pool_kinds.SHARED: "of the whole cluster",
    pool_kinds.HANDED_OUT: "not judged: `allocation`",
    pool_kinds.LUNS: "not judged: always 100 %",
}
_PATH = {
    pool_kinds.DIRECTORY: "a directory",
    pool_kinds.MOUNT: "where its file system is mounted",
    pool_kinds.NO_PATH: "",
}
_AUTOSTART = {None: "", True: "yes", False: "no"}


def render() -> str:
    """Give the page as Markdown."""
    rows = "".join(_row(kind) for kind in KINDS.values())
    judged = "".join(
        f"| {states.POOL_LABELS[row.state]} | {_AUTOSTART[row.autostart]} | {row.verdict.text.upper()} | {row.says} "
        f"| {row.meaning} |\n"
        for row in STATES
    )
    return f"{_HEAD}{rows}{_STATES}{judged}| anything newer | | UNKNOWN | in a state that is not known | |\n"


def _row(kind: Kind) -> str:
    promises = "of the capacity" if kind.promises else "not known"
    return (
        f"| `{kind.name}` | {kind.what} | {_USE[kind.use]} | {_PATH[kind.path]} | {promises} | {kind.figures} |\n"
    )


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
