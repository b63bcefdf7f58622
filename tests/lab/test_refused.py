"""A hypervisor that refuses: one line of what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commands import Command

if TYPE_CHECKING:
    from bed import Bed


def test_permission_denied(bed: Bed, tmp_path: Path) -> None:
    from bed import as_nobody

    socket = bed.daemon.socket
    assert as_nobody("check_kvm.state").stdout.startswith("KVM_STATE CRITICAL - ")
    socket.chmod(0o700)
    try:
        ran = as_nobody("check_kvm.state")
    finally:
        socket.chmod(0o777)
    assert (ran.returncode, ran.stderr, ran.stdout.count("\n")) == (3, "", 1)
    assert "Permission denied; let user nobody read the socket" in ran.stdout


def test_wrong_driver(command: Command, bed: Bed) -> None:
    ran = command("check_kvm_state", "-u", "nonsense:///system")
    assert (ran.code, ran.err, ran.out.count("\n")) == (3, "", 1)
    assert "check the URI" in ran.out
