"""How full the thin pools of a volume group are, which libvirt does not tell.

libvirt's allocation of a volume group counts what was handed out, and a thin pool is handed out as a whole. When
its data or its metadata is full, the VMs on its thin volumes get I/O errors. Only root may ask (lvs); that there
is one can be seen by everybody, in sysfs.
"""

from __future__ import annotations

import os
from typing import Optional

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.metrics import Value
from kvmwatch.model.record import Record

_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"  # a monitoring user's PATH often lacks the first two


class Use(Record):
    """How full the fullest thin pool is, in %; data and metadata may be two pools'."""

    data: Value = None
    metadata: Value = None
    fault: Optional[str] = None  # what LVM says is wrong with one; that may have no figures


def active(group: str, sys: str = "/sys") -> bool:
    """Whether a volume group has a thin pool in use: the device-mapper device of one's data."""
    import glob  # noqa: PLC0415 - only for pools of LVM

    prefix = group.replace("-", "--") + "-"  # how LVM keeps the names of group and volume apart
    for device in glob.iglob(f"{sys}/block/dm-*/dm"):
        try:
            name, uuid = (_read(f"{device}/{field}") for field in ("name", "uuid"))
        except (OSError, ValueError):
            continue  # it went meanwhile
        is_data = uuid.startswith("LVM-") and uuid.endswith("-tdata")
        # with another hyphen it is of another group, called GROUP-...
        if is_data and name.startswith(prefix) and not name[len(prefix) :].startswith("-"):
            return True
    return False


def use(group: str, seconds: float) -> Use:
    """Ask LVM how full the thin pools of a volume group are. Raises KvmwatchError that says why it cannot tell."""
    if os.geteuid() != 0:
        raise KvmwatchError("only root may ask; run it with sudo (docs/install.md#rights)")
    return fullest(_lvs(group, seconds))


def fullest(report: str) -> Use:
    """The highest percentages of lvs's JSON, and what is wrong. Raises KvmwatchError for anything else."""
    import json  # noqa: PLC0415 - few hypervisors have thin pools

    try:
        rows = [row for part in json.loads(report)["report"] for row in part["lv"]]
        data, metadata = (
            [float(row[field]) for row in rows if row[field]] for field in ("data_percent", "metadata_percent")
        )
        # failed, out_of_data, metadata_read_only; partial: a disk of it is missing
        ill = [f"{row['lv_name']} ({health})" for row in rows if (health := row["lv_health_status"])]
    except (ValueError, KeyError, TypeError) as error:
        raise KvmwatchError("lvs does not answer in its JSON; try 'lvs --reportformat json'") from error
    if ill:
        fault = f"LVM says that its thin pool {', '.join(ill)} is not well: see 'lvs -o +lv_health_status'"
        return Use(max(data, default=None), max(metadata, default=None), fault)
    if not data or not metadata:  # an inactive one has none
        raise KvmwatchError("lvs does not say; try 'lvs -o name,data_percent,metadata_percent'")
    return Use(max(data), max(metadata))


def _lvs(group: str, seconds: float) -> str:
    import shutil  # noqa: PLC0415 - few hypervisors have thin pools
    import subprocess  # noqa: PLC0415

    program = shutil.which("lvs", path=_SYSTEM_PATH)
    if not program:
        raise KvmwatchError("there is no lvs; install lvm2")
    command = (
        *(program, "--reportformat", "json", "--select", "segtype=thin-pool"),
        *("--options", "lv_name,data_percent,metadata_percent,lv_health_status", "--", group),
    )
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=True,
            env={"PATH": _SYSTEM_PATH, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise KvmwatchError(f"lvs did not end within {seconds:.1f} s; look with 'lvs {group}'") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode("utf-8", "replace").split())
        raise KvmwatchError(f"lvs failed: {said}") from error
    except OSError as error:
        raise KvmwatchError(f"lvs cannot be run: {error.strerror}") from error
    return ran.stdout.decode("utf-8", "replace")


def _read(file: str) -> str:
    with open(file, encoding="utf-8") as opened:
        return opened.read().rstrip("\n")
