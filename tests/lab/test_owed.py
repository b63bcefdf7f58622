"""What a VM is owed: its place, its start, a backup, and an end of what copies its disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("modular")

DAY = 86400


@pytest.fixture
def vm(bed: Bed) -> Iterator[Any]:
    """A small one with a disk."""
    import guests

    image = guests.WORK / "owed1.qcow2"
    guests.qcow2(image, "8M")
    metadata = guests.watch("expect-host='nowhere'")
    yield bed.define(guests.guest("owed1", devices=guests.disk(image, "vda"), metadata=metadata))
    bed.remove("owed1")


def test_its_place_and_its_start(vm: Any, command: Command) -> None:
    host = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    ran = command("check_kvm_state", "-d", "owed1", "-w", "uptime=5min:", "--severity", "no_autostart=critical")
    assert (ran.code, ran.first.partition(" | ")[0]) == (2, "KVM_STATE CRITICAL - owed1 without autostart")
    ran = command("check_kvm_state", "-d", "owed1", "-w", "uptime=5min:")
    assert ran.code == 1
    assert f"on {host}" in ran.first
    assert "expected on nowhere" in ran.first
    assert "(under 5 min)" in ran.first
    assert "uptime=" in ran.first


def test_its_backup(vm: Any, command: Command, bed: Bed) -> None:
    asked = ("check_kvm_snapshot", "-d", "owed1", "-w", "backup_age=2d")
    assert command(*asked).code == 3
    checkpoint = vm.checkpointCreateXML("<domaincheckpoint><name>c1</name></domaincheckpoint>")
    try:
        ran = command(*asked)
        assert (ran.code, "owed1 no snapshots, the newest checkpoint" in ran.first) == (0, True), ran.out
        ran = command(*asked, env=bed.later(3 * DAY))
        assert (ran.code, "the newest checkpoint 3 d old (over 2 d)" in ran.first) == (1, True), ran.out
    finally:
        checkpoint.delete()


def test_a_copy_that_does_not_end(vm: Any, command: Command, bed: Bed, tmp_path: Path) -> None:
    copy = tmp_path / "copy.qcow2"
    tmp_path.chmod(0o755)
    asked = ("check_kvm_disk", "-d", "owed1", "-w", "block_job=1h", "-v")
    assert "block job" not in command(*asked).out
    vm.blockCopy(
        "vda", f"<disk><source file='{copy}'/><driver type='qcow2'/></disk>", {}, 4
    )  # VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    try:
        assert "block job (copy), first seen now" in command(*asked).out
        ran = command(*asked, env=bed.later(2 * 3600))
        assert (ran.code, "owed1 vda block job (copy) for 2 h since first seen (over 60 min)" in ran.first) == (
            1,
            True,
        )
    finally:
        vm.blockJobAbort("vda", 0)
    assert "block job" not in command(*asked).out
