"""What the kernel of this machine tells of a shortage: pressure, swapping, and what sharing pages saves."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MICRO = 1_000_000


def pressure(proc: Path) -> dict[str, float]:
    """Seconds since the boot in which something waited for a CPU, memory or I/O. Raises ValueError.

    Without what the kernel does not tell: one before Linux 4.20, or one that has to be started with psi=1 for it.
    """
    found = {}
    for what in ("cpu", "memory", "io"):
        with contextlib.suppress(OSError):
            text = (proc / "pressure" / what).read_text(encoding="ascii")
            total = text.partition("some ")[2].partition("\n")[0].rpartition("total=")[2]
            found[f"pressure_{what}"] = int(total) / _MICRO
    return found


def swapping(proc: Path) -> dict[str, float]:
    """Bytes that the host has swapped in and out since the boot. Raises OSError, ValueError."""
    lines = (line.split() for line in (proc / "vmstat").read_text(encoding="ascii").splitlines())
    pages = {line[0]: int(line[1]) for line in lines if line[0] in ("pswpin", "pswpout")}
    names = {"pswpin": "swap_in", "pswpout": "swap_out"}  # a kernel without swap has neither
    return {names[name]: count * _PAGE for name, count in pages.items()}


def shared(sys: Path) -> dict[str, float]:
    """Bytes that KSM saves by giving guests one page instead of several alike. Raises ValueError."""
    try:
        pages = (sys / "kernel/mm/ksm/pages_sharing").read_text(encoding="ascii")
    except OSError:  # a kernel without it
        return {}
    return {"ksm_saved": int(pages) * _PAGE}
