"""What the beds of Nagios, NRPE and Icinga share: processes of a daemon's user, and folders of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import inside
import installed

USER = "nagios"
#: options for five services of each VM
BIG_CHECKS = tuple(f"--check={name}" for name in ("state", "cpu", "memory", "disk", "network"))
DUMMY = Path("/usr/lib/nagios/plugins/check_dummy")


class Monitor:
    """A folder below the lab's, with our plugins in it, and daemons that run as user nagios."""

    def __init__(self, name: str) -> None:
        self.work = inside.WORK / name
        self._running: list[subprocess.Popen[bytes]] = []
        self.own("", "var", "spool", "rw", "state")
        installed.commands(self.work / "plugins", self.work / "state")
        shutil.copy(DUMMY, self.work / "plugins")

    def own(self, *folders: str) -> None:
        """Make folders that belong to the daemon's user."""
        for folder in folders:
            path = self.work / folder
            path.mkdir(parents=True, exist_ok=True)
            shutil.chown(path, USER, USER)
            path.chmod(0o755)

    def write(self, name: str, text: str) -> Path:
        """Write a file that the daemon can read."""
        path = self.work / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        return path

    def command(self, *arguments: object) -> list[str]:
        """A command line that runs as the daemon's user."""
        return ["chroot", f"--userspec={USER}:{USER}", "/", *map(str, arguments)]

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a daemon in the foreground."""
        with open(self.work / "out", "ab") as log:
            process = subprocess.Popen(
                self.command(*arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        self._running.append(process)
        return process

    def down(self) -> None:
        """End what was started, and leave nothing to the next of this name."""
        for process in reversed(self._running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        shutil.rmtree(self.work, ignore_errors=True)
