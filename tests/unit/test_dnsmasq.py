"""Whether what gives a network's guests addresses and names still runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmwatch.reading import dnsmasq

ME = Path("/proc/self/comm").read_text("utf-8").rstrip("\n")
NOBODY = 2**31 - 1  # more than there can be


@pytest.mark.parametrize(
    ("pid", "program", "seen", "runs"),
    [
        (os.getpid(), ME, True, True),
        (os.getpid(), ME, False, True),
        (os.getpid(), "dnsmasq", True, False),  # another process has its number by now
        (NOBODY, "dnsmasq", True, False),
        (NOBODY, "dnsmasq", False, None),  # a PID namespace of its own, hidepid: libvirt is not to be seen, either
        ("nonsense", "dnsmasq", True, None),
        (None, "dnsmasq", True, None),  # it has none: a bridge of the host, dns and DHCP switched off
    ],
)
def test_by_its_pid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: Any, program: str, seen: bool, runs: Optional[bool]
) -> None:
    monkeypatch.setattr(dnsmasq, "_PROGRAM", program)
    monkeypatch.setattr(dnsmasq, "_DAEMONS", ("no-such-daemon", ME))
    folder = tmp_path / "libvirt/network"
    folder.mkdir(parents=True)
    if pid is not None:
        (folder / "büro.pid").write_text(f"{pid}\n")
    (tmp_path / f"{ME}.pid").write_text(f"{os.getpid() if seen else NOBODY}\n")
    assert dnsmasq.runs("büro", str(tmp_path)) is runs
