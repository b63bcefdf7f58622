"""An Icinga master and an Icinga agent on another machine, set up as docs/icinga.md says: files, commands, certificates.

Each is a machine of its own in what Icinga sees: network, host name, /etc and /var of Icinga, and the plugins. The
hypervisor is libvirt's test driver, which the agent reads by its own default URI.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import inside
import installed
import pages
from icinga import STATES
from monitor import USER
from testdriver import node
from waiting import eventually

PAGE, SECTION = "docs/icinga.md", "The hypervisor is another machine"
WORK = inside.WORK / "distributed"
MASTER, AGENT = "icinga.example.com", "kvm1"
ADDRESSES = {MASTER: "192.0.2.1", AGENT: "192.0.2.11"}
READ_BY_MASTER, READ_BY_AGENT = (f"test://{WORK}/{name}.xml" for name in ("from-master", "from-agent"))
VMS = ("web1", "web2")
FOLDERS = ("/var/lib/icinga2", "/var/log/icinga2", "/var/cache/icinga2", "/run/icinga2", "/var/lib/kvmwatch")
#: of the plugins that Debian's Icinga uses itself
OTHERS = ("check_ping", "check_dummy")

#: what makes a machine of a process with mounts and a network of its own
PREPARE = """
hostname {name}
for folder in {folders}; do
    mkdir -p $folder
    mount -t tmpfs -o mode=0755,uid={user} lab-icinga $folder
done
cp -a /etc/icinga2 {work}/etc
mount --bind {work}/etc /etc/icinga2
mkdir -p /usr/share/kvmwatch/icinga2
mount --bind {work}/share /usr/share/kvmwatch/icinga2
mount --bind {work}/plugins /usr/lib/nagios/plugins
mount --bind {work}/hosts /etc/hosts
mkdir -p /etc/default
mount -t tmpfs lab-icinga /etc/default
ip link set lo up
# as systemd sets it: Debian 13's ping has no privilege of its own
echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range
touch {work}/ready
exec sleep infinity
"""

#: as much of it as the page uses; a daemon that was told to end has ended before the next one starts
SYSTEMCTL = """#!/bin/sh
pid=$(cat /run/icinga2/icinga2.pid 2>/dev/null)
case "$*" in
    "stop icinga2" | "restart icinga2")
        [ -z "$pid" ] || { kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; }
        [ "$1" = stop ] || icinga2 daemon -d >/var/log/icinga2/start.log || { cat /var/log/icinga2/start.log; exit 1; } ;;
    "reload icinga2") kill -HUP "$pid" ;;
    "start kvmwatch-config") . /etc/default/kvmwatch-config; eval nagios_kvm config "$OPTIONS" ;;
    "enable --now kvmwatch-config.timer") ;;
    *) echo "systemctl $*?"; exit 1 ;;
esac
"""


class Judged(NamedTuple):
    """What the master knows of a service."""

    state: str
    hard: bool
    source: str  # the node that ran the check
    output: str


class Node:
    """One of the two machines."""

    def __init__(self, name: str, minute: float) -> None:
        """``minute``: how many seconds a minute in our definitions has."""
        self.name = name
        self.work = WORK / name
        for folder in ("share", "bin"):
            (self.work / folder).mkdir(parents=True)
        text = (installed.CHECKOUT / "checks" / "icinga2" / "kvmwatch.conf").read_text(encoding="utf-8")
        (self.work / "share" / "kvmwatch.conf").write_text(hurried(text, minute), encoding="utf-8")
        state = self.work / "state"
        state.mkdir()
        shutil.chown(state, USER, USER)
        installed.commands(self.work / "plugins", state)
        installed.commands(self.work / "bin", self.work / "root-state")
        for plugin in OTHERS:
            shutil.copy(f"/usr/lib/nagios/plugins/{plugin}", self.work / "plugins")
        systemctl = self.work / "bin" / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        (self.work / "hosts").write_text(
            "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in ADDRESSES.items())
        )
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Make the machine; nothing runs there yet."""
        script = PREPARE.format(name=self.name, folders=" ".join(FOLDERS), user=USER, work=self.work)
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "--propagation", "private", "sh", "-ec", script]
        )
        eventually(f"{self.name} is there", (self.work / "ready").exists)

    def down(self) -> None:
        """End its Icinga, and the machine."""
        if self._process and self._process.poll() is None:
            self.run("systemctl", "stop", "icinga2", check=False)
            self._process.kill()
            self._process.wait(20)

    @property
    def pid(self) -> int:
        """Of the process whose namespaces the machine is."""
        assert self._process
        return self._process.pid

    @property
    def _enter(self) -> tuple[str, ...]:
        # --root: a mount namespace that was made in a chroot has the root of the machine around it
        return ("nsenter", "--target", str(self.pid), "--mount", "--net", "--uts", "--root", "--wd=/")

    def run(self, *words: str, check: bool = True, **environment: str) -> str:
        """Run a command there as root and give what it printed."""
        settings = {"PATH": f"{self.work}/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment}
        ran = subprocess.run(
            [*self._enter, "env", "-i"]
            + [f"{name}={value}" for name, value in settings.items()]
            + list(words),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0 or not check, f"{self.name}: {words}\n{ran.stdout[-4000:]}{ran.stderr[-2000:]}"
        return ran.stdout + ran.stderr

    def write(self, path: str, text: str) -> None:
        """Give a file there a text."""
        subprocess.run(
            [*self._enter, "sh", "-c", f"cat > {path}"],
            input=text, text=True, check=True,
        )  # fmt: skip

    def read(self, path: str) -> str:
        """The text of a file there."""
        return Path(f"/proc/{self.pid}/root{path}").read_text(encoding="utf-8", errors="replace")


def hurried(definitions: str, minute: float) -> str:
    """The definitions with shorter minutes."""
    units = {"m": minute, "s": minute / 60}
    return re.sub(
        r"(_interval = )(\d+)([ms])$",
        lambda match: f"{match[1]}{int(match[2]) * units[match[3]]}s",
        definitions,
        flags=re.MULTILINE,
    )


class Distributed:
    """Master and agent, and a cable between them."""

    def __init__(self, minute: float, more: str = "") -> None:
        """``more``: options for "nagios_kvm config" that the page does not have."""
        WORK.mkdir()
        self._more = more
        self.master, self.agent = Node(MASTER, minute), Node(AGENT, minute)
        for uri in (READ_BY_MASTER, READ_BY_AGENT):
            Path(uri.removeprefix("test://")).write_text(node(VMS))

    def up(self) -> None:
        """Do what the page says."""
        for one in (self.master, self.agent):
            one.up()
        ends = ("cable", str(self.master.pid)), ("cable", str(self.agent.pid))
        (near, first), (far, second) = ends
        subprocess.run(
            ["ip", "link", "add", near, "netns", first, "type", "veth", "peer", "name", far, "netns", second],
            check=True,
        )
        for one in (self.master, self.agent):
            one.run("ip", "address", "add", f"{ADDRESSES[one.name]}/24", "dev", "cable")
            one.run("ip", "link", "set", "cable", "up")
        # the plugins at the agent have no URI from the master: this is what they read by default
        for plugin in (self.agent.work / "plugins").glob("check_kvm_*"):
            text = plugin.read_text()
            plugin.write_text(text.replace("exec env", f"exec env LIBVIRT_DEFAULT_URI={READ_BY_AGENT}", 1))
        ticket = ""
        for block in section(PAGE, SECTION):
            where = re.search(r"On (the master|`kvm1`)|on (the master)", block.before)
            assert where, f"{block.page}:{block.line}: on which machine?"
            machine = self.agent if where[1] == "`kvm1`" else self.master
            text = re.sub(
                r"('?)qemu\+ssh://[\w-]+@\w+/system(\?keyfile=[\w/]+)?\1",
                f"{READ_BY_MASTER} {self._more}",
                block.text,
            )
            if block.language in pages.FILES:
                path = re.search(r"`(/etc/[^`]+)`:$", block.before)
                assert path
                machine.write(path[1], text)
                continue
            text = re.sub("^apt .*", "", text, flags=re.MULTILINE).replace("TICKET", ticket)
            said = machine.run("sh", "-ec", text)
            ticket = (re.findall("^[0-9a-f]{40}$", said, re.MULTILINE) or [ticket])[-1]

    def down(self) -> None:
        """End both machines."""
        for one in (self.agent, self.master):
            one.down()
        shutil.rmtree(WORK, ignore_errors=True)

    def ask(self, path: str, **body: object) -> list[dict[str, Any]]:
        """The results of a query of the master's API, as its root user."""
        password = re.search(r'password = "(.*)"', self.master.read("/etc/icinga2/conf.d/api-users.conf"))
        assert password
        said = self.master.run(
            *("curl", "--silent", "--show-error", "--cacert", "/var/lib/icinga2/certs/ca.crt"),
            *("--retry", "30", "--retry-delay", "1", "--retry-all-errors"),  # it may be loading
            *("--user", f"root:{password[1]}", "--header", "X-HTTP-Method-Override: GET"),
            *("--header", "Accept: application/json", "--data", json.dumps(body), f"https://{MASTER}:5665{path}"),
        )
        answer, _ = json.JSONDecoder().raw_decode(said)  # behind it curl tells of its tries
        results: list[dict[str, Any]] = answer.get("results", [])
        return results

    def services(self, host: str = AGENT) -> dict[str, Judged]:
        """Our services of a host that were checked."""
        found = self.ask("/v1/objects/services", filter=f'host.name == "{host}" && match("KVM *", service.name)')
        return {
            one["attrs"]["name"]: Judged(
                STATES[int(one["attrs"]["state"])],
                one["attrs"]["state_type"] == 1,
                result["check_source"],
                result["output"],
            )
            for one in found
            if (result := one["attrs"]["last_check_result"])
        }

    def told(self) -> list[str]:
        """The notifications of the hypervisor's host and its services, from the master's log."""
        log = self.master.read("/var/log/icinga2/icinga2.log")
        found = re.findall(rf"Sending '(\w+)' notification '{AGENT}!(.*)!?mail-icingaadmin' for user", log)
        return [f"{kind} {of.rstrip('!') or 'the host'}" for kind, of in found]


def section(page: str, heading: str) -> Iterable[pages.Block]:
    """The code blocks of a section."""
    return [block for block in pages.blocks(page) if block.section == heading]
