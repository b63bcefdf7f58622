"""libvirt's daemons: libvirtd, or the modular ones that RHEL 9 and Fedora run instead of it.

KVMWATCH_LAB_DAEMONS=modular chooses the latter. Debian does not pack them; modular/build makes them.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import inside
import libvirt
from waiting import eventually

URI = "qemu:///system"
MODULAR = os.environ.get("KVMWATCH_LAB_DAEMONS") == "modular"

_SOCKETS = """
unix_sock_group = "libvirt"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:{log}"
"""
_PORT = """
listen_tls = 0
listen_tcp = 1
listen_addr = "127.0.0.1"
auth_tcp = "none"
"""
#: what serves the port in its place, for clients of other machines and old ones
_PROXY = "virtproxyd"


class Daemon:
    """One program, started and ended by its PID."""

    def __init__(self, name: str, uri: str, folder: Path | None = None) -> None:
        """``uri`` is what it serves; ``folder`` is where the program is, if it is not in PATH."""
        self.name = name
        self.log = inside.WORK / f"{name}.log"
        self._uri = uri
        self._program = str(folder / name) if folder else name
        self._listens = name in ("libvirtd", _PROXY)
        self._process: subprocess.Popen[bytes] | None = None
        configuration = _SOCKETS.format(log=self.log) + (_PORT if self._listens else "")
        Path(f"/etc/libvirt/{name}.conf").write_text(configuration)

    @property
    def socket(self) -> Path:
        """Its socket for read-only clients."""
        return Path("/run/libvirt") / f"{'libvirt' if self._listens else self.name}-sock-ro"

    @property
    def pid(self) -> int:
        """The PID of the running daemon."""
        assert self._process, f"{self.name} does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--listen"] if self.name == "libvirtd" else []  # the proxy needs no word for it
        with open(self.log.with_suffix(".out"), "ab") as out:
            self._process = subprocess.Popen(
                [self._program, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        eventually(f"{self.name} answers", self.answers)

    def answers(self) -> bool:
        """Whether a client can connect."""
        try:
            libvirt.openReadOnly(self._uri).close()
        except libvirt.libvirtError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def open_files(self) -> int:
        """How many file descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def admin(self, command: str) -> dict[str, int]:
        """What virt-admin tells of its threads or clients."""
        ran = subprocess.run(
            ["virt-admin", "--connect", f"{self.name}:///system", command, self.name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        pairs = (line.split(":") for line in ran.stdout.splitlines() if ":" in line)
        return {name.strip(): int(value) for name, value in pairs}

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait; guests live on."""
        if self._process:
            self.send(number)
            self._process.wait()
            self._process = None


class Daemons:
    """All of them: ``main`` has the guests; with modular ones the ``others`` have the rest, by name."""

    def __init__(self) -> None:
        self._virtlogd = subprocess.Popen(["virtlogd"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        uris = {"libvirtd": URI}
        if MODULAR:  # in the order in which systemd would start them
            kinds = {"virtnetworkd": "network", "virtstoraged": "storage", "virtnodedevd": "nodedev"}
            uris = {name: f"{kind}:///system" for name, kind in {**kinds, "virtsecretd": "secret"}.items()}
            uris |= {"virtqemud": URI, _PROXY: f"{URI}?mode=legacy"}
        folder = inside.MODULAR if MODULAR else None
        self._all = [Daemon(name, uri, folder) for name, uri in uris.items()]
        self.main = next(daemon for daemon in self._all if daemon.name in ("libvirtd", "virtqemud"))
        self.others = {daemon.name: daemon for daemon in self._all if daemon is not self.main}

    def start(self) -> None:
        """Start all."""
        for daemon in self._all:
            daemon.start()

    def stop(self) -> None:
        """End all."""
        for daemon in reversed(self._all):
            daemon.end()
        self._virtlogd.terminate()
        self._virtlogd.wait()
