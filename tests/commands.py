"""Our commands as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from check_kvm.frame import plugin
from nagios_kvm.services import all_checks

EXAMPLE_URI = f"test://{Path(__file__).parents[1] / 'examples' / 'hypervisor.xml'}"
CHECKS = tuple(check.name for check in all_checks())
#: how many services EXAMPLE_URI has: eight of its nine VMs are watched
EXAMPLE_SERVICES = sum(8 if check.of_each_domain else 1 for check in all_checks() if check.by_default)
#: those that need more than libvirt, which the test driver cannot give
LOCAL_CHECKS = ("process",)
KINDS = ("domains", "disks", "interfaces", "vcpus", "filesystems", "pools", "networks")


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def first(self) -> str:
        """The first line of its output."""
        return self.out.split("\n", 1)[0]


class Command:
    """Runs our commands as a user does, with their own state directory."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.bin = Path(sys.executable).parent

    def __call__(
        self,
        name: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        user: int | None = None,
        timeout: float = 60,
    ) -> Ran:
        begun = time.monotonic()
        ran = subprocess.run(
            [self.bin / name, *arguments],
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
            user=user,
            env={**os.environ, "KVMWATCH_STATE_DIR": str(self._state), **(env or {})},
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr, time.monotonic() - begun)


def together(command: Command, calls: Sequence[tuple[str, ...]], at_once: int = 4) -> list[Ran]:
    """Run some commands, a few at a time: most of them wait, for the second of a sample."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda words: command(*words), calls))


class InProcess(Command):
    """Runs checks within this process: what is said is the same, and starting one took most of the time."""

    def __call__(self, name: str, *arguments: str, **_options: object) -> Ran:
        check = next(check for check in all_checks() if f"check_kvm_{check.name}" == name)
        begun = time.monotonic()
        said = plugin.said(check, ["--state-dir", str(self._state), *arguments])
        return Ran(said.code, said.text, "", time.monotonic() - begun)
