"""Which of libvirt's daemons run here, and what they started, by the PID files that only root can write."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Optional

from kvmwatch.reading.proc_files import content

_COMM = 15  # bytes of a program's name that the kernel keeps


def pid_of(program: str, file: str) -> Optional[int]:
    """The PID in a PID file; None: that has ended, or is another program's by now. Raises OSError, ValueError."""
    # libvirt has names in UTF-8, whatever the locale
    with open(file.encode("utf-8", "surrogateescape"), encoding="ascii") as opened:
        pid = int(opened.read(64))
    try:
        called = os.fsdecode(content(f"/proc/{pid}/comm"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid if program[:_COMM] in called else None  # it may be .dnsmasq-wrap


def first(names: Iterable[str], folder: str) -> Optional[int]:
    """The PID of the first of these daemons that runs; None: none, or in a PID namespace of its own."""
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            if pid := pid_of(name, f"{folder}/{name}.pid"):
                return pid
    return None
