"""Our commands as a user runs them."""

from __future__ import annotations

import io
import multiprocessing.connection
import os
import pkgutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.metadata import distribution
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from born import Role, be, be_on_terminal
from check_kvm.frame import plugin
from check_kvm.frame.judging import all_checks

from kvmwatch.command.frame import Run
from kvmwatch.command.watchdog import Said

EXAMPLE_URI = f"test://{Path(__file__).parents[1] / 'examples' / 'hypervisor.xml'}"
CHECKS = tuple(check.name for check in all_checks())
#: how many services EXAMPLE_URI has: eight of its nine VMs are watched
EXAMPLE_SERVICES = sum(8 if check.of_each_domain else 1 for check in all_checks() if check.by_default)
#: those that need more than libvirt, which the test driver cannot give
LOCAL_CHECKS = ("process",)
SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ, since Python 3.10
KINDS = ("domains", "disks", "interfaces", "vcpus", "filesystems", "pools", "networks", "uplinks")
LOCAL_KINDS = ("uplinks",)


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
            env=self._environment(env),
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr, time.monotonic() - begun)

    def on_terminal(self, end: int, name: str, *arguments: str, env: Mapping[str, str]) -> BaseProcess:
        """Begin a command on the terminal that this is the end of. TERM is linux unless given, and empty: not set."""
        environment = self._environment({"TERM": "linux", **env})
        for variable in ("COLUMNS", "LINES", "NO_COLOR"):
            if variable not in env:
                environment.pop(variable, None)
        if not environment["TERM"]:
            del environment["TERM"]
        role = Role(self._entry(name, env), [str(self.bin / name), *arguments], os.getcwd(), environment)
        with Connection(os.dup(end)) as terminal:
            process = _BORN.Process(target=be_on_terminal, args=(role, terminal))
            process.start()
        return process

    def _entry(self, name: str, env: Mapping[str, str]) -> str | None:
        """What is called in a process that has imported all; None: it is started."""
        return None

    def _environment(self, env: Mapping[str, str] | None) -> dict[str, str]:
        return {**os.environ, "KVMWATCH_STATE_DIR": str(self._state), **(env or {})}


def together(command: Command, calls: Iterable[tuple[str, ...]], at_once: int = 4) -> list[Ran]:
    """Run some commands, a few at a time: most of them wait, for the second of a sample."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda words: command(*words), calls))


def _modules() -> list[str]:
    """All of ours, and what they import only when it is needed."""
    folders = {
        "kvmwatch": ".",
        "check_kvm": "checks",
        "nagios_kvm": "checks",
        "zabbix_kvm": "zabbix",
        "kvmwatch_terminal": "terminal",
        "kvmwatch_exporters": "exporters",
    }
    root = Path(__file__).parents[1]
    ours = (
        module.name
        for package, folder in folders.items()
        for module in pkgutil.walk_packages([str(root / folder / package)], f"{package}.")
    )
    return [
        *(name for name in ours if not name.endswith(".warm")),
        "configparser",
        "psutil",
        "pyzabbix",
        "requests",
    ]


#: a process that has imported all that commands need, and has done nothing with it, gives birth to them
_BORN = multiprocessing.get_context("forkserver")
_BORN.set_forkserver_preload(_modules())


def make_ready() -> None:
    """Start that process; the processes that are forked from this one use it, too."""
    forkserver.ensure_running()
    # who has not started it cannot ask whether it runs
    os.register_at_fork(after_in_child=lambda: setattr(forkserver._forkserver, "ensure_running", lambda: None))


_ENTRIES = {
    entry.name: entry.value for entry in distribution("kvmwatch").entry_points if entry.group == "console_scripts"
}
#: what is read when Python, a library or a module of ours is loaded
_OF_THE_START = ("LANG", "LC_", "PATH", "PYTHON", "LIBVIRT_DEBUG", "LIBVIRT_LOG")


class _Quicker(Command, ABC):
    """Runs commands without a start of Python, but those whose environment is read then."""

    def __call__(
        self,
        name: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> Ran:
        if self._entry(name, env or {}) is None:
            return super().__call__(name, *arguments, env=env, timeout=timeout)
        return self._run(name, arguments, self._environment(env), timeout)

    def _entry(self, name: str, env: Mapping[str, str]) -> str | None:
        return None if any(variable.startswith(_OF_THE_START) for variable in env) else _ENTRIES.get(name)

    @abstractmethod
    def _run(self, name: str, arguments: tuple[str, ...], environment: dict[str, str], timeout: float) -> Ran:
        """Run one that is not started."""


class Forked(_Quicker):
    """Runs commands in processes of their own, forked from one that has imported everything: most of a start's time.

    What a process has is its own: stdin, stdout and stderr, arguments, environment, signals, exit code. Only /proc
    does not show its environment (that of the programs it starts, it does). What concerns the start of Python, and
    of course each command's, needs a :class:`Command`.
    """

    def _run(self, name: str, arguments: tuple[str, ...], environment: dict[str, str], timeout: float) -> Ran:
        words = [str(self.bin / name), *arguments]
        role = Role(_ENTRIES[name], words, os.getcwd(), environment)
        (out, stdout), (err, stderr) = _BORN.Pipe(duplex=False), _BORN.Pipe(duplex=False)
        process = _BORN.Process(target=be, args=(role, stdout, stderr))
        with out, err:
            with stdout, stderr:
                process.start()
            begun = time.monotonic()  # of the process: many at once are born one after the other
            try:
                said = _whole((out, err), begun + timeout)
                process.join(begun + timeout - time.monotonic())
                if process.exitcode is None:
                    raise TimeoutError(f"{words} does not end")
                return Ran(process.exitcode, *said, time.monotonic() - begun)
            finally:
                process.kill()


def _whole(ends: Sequence[Connection], end: float) -> list[str]:
    """What comes out of these, until all who hold the other ends have closed them. Raises TimeoutError."""
    said = {of: bytearray() for of in ends}
    open_ = set(ends)
    while open_:
        ready = multiprocessing.connection.wait(open_, max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError(f"somebody holds its output: {list(said.values())}")
        for of in ready:
            piece = os.read(of.fileno(), 65536)
            said[of] += piece
            if not piece:
                open_.remove(of)
    return [text.decode() for text in said.values()]


class InProcess(_Quicker):
    """Runs commands within this process: what they say is the same, and a process took most of the time.

    There is no watchdog: what hangs hangs the test. That what they say gets out, and how a process ends, needs a
    :class:`Forked`; test_commands.py compares them.
    """

    def _run(self, name: str, arguments: tuple[str, ...], environment: dict[str, str], timeout: float) -> Ran:
        begun = time.monotonic()
        out, err = io.StringIO(), io.StringIO()
        # each run begins now, not when this process did
        since_now = patch("kvmwatch.reading.deadline.begun", time.monotonic)
        with since_now, patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
            try:
                said = _said(name, arguments)
            except SystemExit as ended:  # argparse has printed the help or the version
                if ended.code:
                    raise
                said = Said("", 0)
        (err if said.on_stderr else out).write(said.text)
        return Ran(said.code, out.getvalue(), err.getvalue(), time.monotonic() - begun)


def _said(name: str, arguments: Sequence[str]) -> Said:
    """What a command says whose process this is not."""
    module = import_module(_ENTRIES[name].partition(":")[0])
    check = getattr(module, "CHECK", None)
    return plugin.said(check, arguments) if check else Run(module.parser(), arguments).said()
