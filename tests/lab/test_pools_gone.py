"""Pools that a real libvirtd calls running while their storage is not there any more.

The file systems are of memory: libvirt takes a mount for a pool's own by its source's name and its target, and does not
mount what already is. So no block device and no NFS server is needed to have pools of type fs and netfs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import inside
import pytest
from commands import Command, Ran
from conformance import conforming

if TYPE_CHECKING:
    from bed import Bed

SIZE = 16 << 20
#: type to the mount's source and libvirt's words for it
MOUNTED = {
    "fs": ("/dev/lab-fs", "<device path='/dev/lab-fs'/><format type='auto'/>"),
    "netfs": ("kvm2:/export/vms", "<host name='kvm2'/><dir path='/export/vms'/><format type='nfs'/>"),
    "dir": ("lab-dir", ""),
}


class Made(NamedTuple):
    """A pool with two volumes."""

    pool: Any
    target: Path
    name: str = "goner"


@contextlib.contextmanager
def pool_on(bed: Bed, kind: str, target: Path, mounted: bool) -> Iterator[Made]:
    """A running pool of a type, on a file system of its own or on its parent's."""
    target.mkdir(parents=True)
    source, described = MOUNTED[kind]
    if mounted:
        inside.mount("-t", "tmpfs", "-o", f"size={SIZE}", source, target)
    pool = bed.connect().storagePoolCreateXML(
        f"<pool type='{kind}'><name>goner</name><source>{described}</source><target><path>{target}</path></target></pool>"
    )
    try:
        for name in ("v1", "v2"):
            pool.createXML(
                f"<volume><name>{name}</name><capacity unit='MiB'>4</capacity><target><format type='qcow2'/></target>"
                "</volume>"
            )
        yield Made(pool, target)
    finally:
        pool.destroy()  # which unmounts fs and netfs
        subprocess.run(["umount", "--quiet", target], check=False)
        shutil.rmtree(target.parent, ignore_errors=True)


@pytest.fixture
def folder() -> Path:
    return inside.WORK / "gone"


def judged(command: Command, made: Made) -> Ran:
    """What the check says of this pool, and that it says it as plugins do."""
    ran = command("check_kvm_pool", "-d", made.name)
    conforming(ran.out, ran.code)
    return ran


def of_zabbix(command: Command, made: Made) -> dict[str, Any]:
    document = json.loads(command("zabbix_kvm", "collect").out)
    (pool,) = (pool for pool in document["pools"] if pool["name"] == made.name)
    return pool  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["fs", "netfs"])
def test_a_pool_whose_mount_is_gone(command: Command, bed: Bed, folder: Path, kind: str) -> None:
    with pool_on(bed, kind, folder / "p", mounted=True) as made:
        assert judged(command, made).code == 0
        assert of_zabbix(command, made)["capacity"] == SIZE
        others = command("check_kvm_pool", "-x", made.name).first
        subprocess.run(["umount", made.target], check=True)
        ran = judged(command, made)
        assert ran.code == 2
        assert f"goner nothing is mounted at {made.target}" in ran.first
        assert not re.search("=[0-9]", ran.first), "no figures of another file system"
        told = of_zabbix(command, made)
        assert told["fault"] == f"nothing is mounted at {made.target}"
        assert "usage" not in told
        assert command("check_kvm_pool", "-x", made.name).first.split("|")[0] == others.split("|")[0]
        inside.mount("-t", "tmpfs", "-o", f"size={SIZE}", MOUNTED[kind][0], made.target)
        ran = judged(command, made)
        assert "nothing is mounted" not in ran.out
        assert of_zabbix(command, made)["fault"] == ""


def test_a_pool_whose_directory_is_renamed_and_comes_back(command: Command, bed: Bed, folder: Path) -> None:
    with pool_on(bed, "dir", folder / "p", mounted=False) as made:
        assert judged(command, made).code in (0, 1)
        made.target.rename(folder / "moved")
        ran = judged(command, made)
        assert (ran.code, re.search("=[0-9]", ran.first)) == (2, None)
        assert f"goner its directory {made.target} is gone" in ran.first
        made.target.write_text("")
        assert f"its directory {made.target} is no directory" in judged(command, made).first
        made.target.unlink()
        made.target.symlink_to("nothing")
        assert f"its directory {made.target} is a symlink to nothing" in judged(command, made).first
        made.target.unlink()
        (folder / "moved").rename(made.target)
        assert "is gone" not in judged(command, made).out


def test_a_directory_pool_whose_file_system_is_gone_below_it(command: Command, bed: Bed, folder: Path) -> None:
    with pool_on(bed, "dir", folder / "p", mounted=True) as made:
        assert judged(command, made).code == 0
        subprocess.run(["umount", made.target], check=True)
        ran = judged(command, made)
        assert (ran.code, re.search("=[0-9]", ran.first)) == (2, None)
        assert f"goner none of its 2 volumes is at {made.target}" in ran.first


def test_a_volume_that_was_removed_costs_that_volume(command: Command, bed: Bed, folder: Path) -> None:
    with pool_on(bed, "dir", folder / "p", mounted=True) as made:
        (made.target / "v1").unlink()
        told = of_zabbix(command, made)
        assert (told["volumes"], told["provisioned"]) == (1, 4 << 20)
        assert judged(command, made).code == 0
        with (
            open(made.target / "filler", "wb", buffering=0) as filler,
            contextlib.suppress(OSError),
        ):  # until there is no room
            while True:
                filler.write(bytes(1 << 16))
        assert judged(command, made).code == 2


@pytest.mark.parametrize("kind", ["fs", "dir"])
def test_what_only_this_process_does_not_see_is_not_known(
    command: Command, bed: Bed, folder: Path, kind: str
) -> None:
    with pool_on(bed, kind, folder / "p", mounted=True) as made:
        ran = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'umount "$0" && exec "$@"',
             made.target, command.bin / "check_kvm_pool", "-d", made.name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 3, ran.stdout
        assert "mount namespace" in ran.stdout


def test_a_path_that_another_user_may_not_see_has_libvirts_figures(
    command: Command, bed: Bed, folder: Path
) -> None:
    from bed import as_nobody

    with pool_on(bed, "dir", folder / "p", mounted=True) as made:
        os.chmod(folder, 0o700)
        ran = as_nobody("check_kvm.pool", "-d", made.name)
        assert ran.returncode == 0, ran.stdout
        assert f"{made.target} cannot be looked into by user nobody" in ran.stdout
        os.chmod(folder, 0o755)
        subprocess.run(["umount", made.target], check=True)
        ran = as_nobody("check_kvm.pool", "-d", made.name)
        assert (ran.returncode, "none of its 2 volumes" in ran.stdout) == (2, True)
