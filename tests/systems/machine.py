"""A Debian of its own beside the lab's hypervisor, in which our packages are installed as a user would.

It starts as a fresh minimal system (an overlay over a debootstrap), has the packages of its release at hand but not
installed, and shares the lab's loopback and libvirt sockets. Booted, systemd runs in it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import inside
import pytest
from commands import Ran
from prepared import Prepared
from waiting import eventually

RELEASES = ("bookworm", "trixie")
#: the one that the tests run on; packages and pages are tried out on it where one is enough
THIS_RELEASE = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
CHECKOUT = Path(__file__).parents[2]
_CACHE = inside.LAB.parent
_POLICY = "usr/sbin/policy-rc.d"  # keeps packages from starting anything while nothing has been booted
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_MOUNTS = ("run", "sys", "dev", "proc")
#: where there is nothing to start from, tools/setup has said why
needed = pytest.mark.skipif(
    not all((_CACHE / f"kvmwatch-{release}-packages").is_dir() for release in RELEASES),
    reason="made from this machine's mirror, which must be a Debian's",
)


def build(_prepared: Prepared) -> Path:
    """Build our source and binary packages from the checkout; give their folder."""
    folder = inside.WORK / "deb"
    subprocess.run([CHECKOUT / "tools" / "deb", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


#: for those who want them
PACKAGES = {"packages": build}


class Machine:
    """The system; commands run in it."""

    def __init__(self, release: str, like: Machine | None = None) -> None:
        """``release`` is one of RELEASES; ``like`` another one that is up but not booted: all it has is there, too."""
        self.release = release
        self._like = like
        self._work = Path(tempfile.mkdtemp(prefix=f"{release}-", dir=inside.WORK))
        self._work.chmod(0o755)
        self.root = self._work / "root"
        self._lower = str(_CACHE / f"kvmwatch-{release}-packages")  # what it is laid over
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0  # the PID of its systemd

    def up(self) -> None:
        """Make it."""
        layers = {name: self._work / name for name in ("upper", "work", "root")}
        for folder in layers.values():
            folder.mkdir()
        if self._like:
            self._lower = f"{self._like._work / 'upper'}:{self._like._lower}"
        options = f"lowerdir={self._lower},upperdir={layers['upper']},workdir={layers['work']}"
        inside.mount("-t", "overlay", "-o", options, "overlay", self.root)
        inside.mount("-t", "proc", "proc", self.root / "proc")
        inside.mount("--rbind", "/dev", self.root / "dev")
        inside.mount("--rbind", "/sys", self.root / "sys")
        inside.mount("-t", "tmpfs", "tmpfs", self.root / "run")
        (self.root / "run" / "libvirt").mkdir()
        inside.mount("--bind", "/run/libvirt", self.root / "run" / "libvirt")
        self.path("/etc/hosts").write_text(Path("/etc/hosts").read_text())
        self.path("/etc/hostname").write_text(f"{inside.HOSTNAME}\n")

    def down(self) -> None:
        """Shut it down and forget it."""
        if self._nspawn:
            os.kill(self._init or self._nspawn.pid, signal.SIGKILL)  # its kernel ends the rest
            self._nspawn.wait(60)
        self._unmount(*_MOUNTS, "")
        shutil.rmtree(self._work)

    def boot(self) -> None:
        """Start systemd in it."""
        (self.root / _POLICY).unlink(missing_ok=True)
        self._unmount(*_MOUNTS)  # it makes its own
        command = (
            f"mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec systemd-nspawn --quiet --register=no --keep-unit "
            f"--console=pipe --bind=/run/libvirt --resolv-conf=off "
            f"--directory={self.root} --boot"
        )
        with open(self._work / "console", "wb") as console:
            self._nspawn = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", command],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        eventually(f"{self.release} has booted", self._booted)

    def run(self, *arguments: object, user: str = "root", env: dict[str, str] | None = None) -> Ran:
        """Run a command as one of its users, with a login's environment and nothing else."""
        begun = time.monotonic()
        where = (
            ["nsenter", "--target", str(self._init), "--all", "--root", "--wd"]
            if self._init
            else ["chroot", str(self.root)]
        )
        ran = subprocess.run(
            [*where, "/usr/sbin/runuser", "-u", user, "--", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
            cwd="/",
            env={**ENVIRONMENT, **(env or {})},
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr, time.monotonic() - begun)

    def do(self, *arguments: object, user: str = "root") -> str:
        """Run a command that must work, and give what it printed."""
        ran = self.run(*arguments, user=user)
        assert ran.code == 0, f"{arguments}: {ran.out[-3000:]}{ran.err[-3000:]}"
        return ran.out

    def apt(self, *arguments: object) -> str:
        """Call apt-get; what it installs has been downloaded, and packages of ours are given as files.

        Configuration that was changed here is kept, without asking.
        """
        files = []
        for argument in arguments:
            if isinstance(argument, Path):
                shutil.copy(argument, self.root / "root")
                files.append(f"/root/{argument.name}")
            else:
                files.append(str(argument))
        options = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
        command = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qqy", "--no-install-recommends", *options)
        return self.do(*command, *files)

    def path(self, path: str) -> Path:
        """A path of it, seen from outside."""
        return self.root / path.lstrip("/")

    def _unmount(self, *folders: str) -> None:
        for folder in folders:
            subprocess.run(["umount", "--recursive", "--lazy", self.root / folder], check=False, **_QUIET)

    def _booted(self) -> bool:
        self._init = self._init or self._find_init()
        if not self._init:
            return False
        return self.run("systemctl", "is-system-running").out.strip() in ("running", "degraded")

    def _find_init(self) -> int:
        assert self._nspawn
        assert self._nspawn.poll() is None, (self._work / "console").read_text()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                same = os.path.samefile(process / "root", self.root)
                is_systemd = (process / "comm").read_text() == "systemd\n"
            except OSError:
                continue
            if same and is_systemd and self._is_ours(int(process.name)):
                return int(process.name)
        return 0

    def _is_ours(self, pid: int) -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        inner = re.search(r"^NSpid:.*\t1$", status, re.MULTILINE)
        return inner is not None


_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
