"""A real Zabbix proxy beside the server, and an agent that only it may ask: both with a pre-shared key."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import inside

from zabbix import WORK as OF_ZABBIX

WORK = inside.WORK / "proxy"
NAME = "proxy1"
PROXY_PORT, AGENT_PORT = 10061, 10060
HV = "behind1"  # the lab's hypervisor, seen through the proxy
IDENTITY, KEY = "kvmwatch-lab", "0123456789abcdef" * 4
#: of the agent, with which zabbix_kvm send pushes as well
CONFIG = str(WORK / "agentd.conf")

_PROGRAM = inside.CACHE / "kvmwatch-proxy" / "usr" / "sbin" / "zabbix_proxy"
_PROXY_CONF = f"""
Server=127.0.0.1
Hostname={NAME}
ListenIP=127.0.0.1
ListenPort={PROXY_PORT}
LogFile={WORK}/proxy.log
PidFile={WORK}/proxy.pid
SocketDir={WORK}
DBName={WORK}/proxy.db
ConfigFrequency=2
DataSenderFrequency=1
StartPollers=1
StartPingers=0
StartDiscoverers=0
Timeout=10
"""
_AGENT_CONF = f"""
LogFile={WORK}/agent.log
PidFile={WORK}/agent.pid
Server=127.0.0.1
ServerActive=127.0.0.1:{PROXY_PORT}
ListenIP=127.0.0.1
ListenPort={AGENT_PORT}
Hostname={HV}
Timeout=10
TLSConnect=psk
TLSAccept=psk
TLSPSKIdentity={IDENTITY}
TLSPSKFile={WORK}/key
Include={OF_ZABBIX}/agent.d/*.conf
"""


class Proxy:
    """Both daemons."""

    def __init__(self) -> None:
        """Prepare the folder."""
        self._running: list[subprocess.Popen[bytes]] = []
        WORK.mkdir()
        WORK.chmod(0o777)
        (WORK / "proxy.conf").write_text(_PROXY_CONF)
        (WORK / "agentd.conf").write_text(_AGENT_CONF)
        (WORK / "key").write_text(KEY)
        shutil.chown(WORK / "key", "zabbix")
        (WORK / "key").chmod(0o600)
        shutil.copy(_PROGRAM, WORK)

    def up(self) -> None:
        """Start them."""
        self._start(WORK / "zabbix_proxy", WORK / "proxy.conf")
        self._start(Path("/usr/sbin/zabbix_agentd"), WORK / "agentd.conf")

    def down(self) -> None:
        """End them."""
        for process in self._running:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)

    def _start(self, program: Path, config: Path) -> None:
        path = f"{OF_ZABBIX}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with open(WORK / "out", "ab") as log:
            self._running.append(
                subprocess.Popen(
                    ["chroot", "--userspec=zabbix:zabbix", "/", program, "--foreground", "--config", config],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={"PATH": path, "HOME": "/", "LC_ALL": "C.UTF-8"},
                )
            )
