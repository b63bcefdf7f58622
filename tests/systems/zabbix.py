"""A real Zabbix: server, PostgreSQL, front end with its API, and an agent with our UserParameters.

Only for use inside the lab's namespaces; everything is on their loopback and in their tmpfs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import inside
import installed
import postgres
import pyzabbix
from commands import Command, Ran
from waiting import PATIENCE, eventually

WORK = inside.WORK / "zabbix"
CHECKOUT = Path(__file__).parents[2]
HV = "kvm1"  # the lab's hypervisor as a host
URL = "http://127.0.0.1:8088"
USER, PASSWORD = "Admin", "zabbix"
LOGIN = {"ZABBIX_URL": URL, "ZABBIX_USER": USER, "ZABBIX_PASSWORD": PASSWORD}
CONFIG = str(WORK / "agentd.conf")

SERVER_CONF = f"""
LogFile={WORK}/server.log
PidFile={WORK}/server.pid
SocketDir={WORK}
DBHost=127.0.0.1
DBName=zabbix
DBUser=postgres
ListenIP=127.0.0.1
StartPollers=3
StartPreprocessors=2
StartTrappers=2
StartPingers=0
StartDiscoverers=0
StartLLDProcessors=2
CacheUpdateFrequency=1
CacheSize=1G
HistoryCacheSize=64M
ValueCacheSize=64M
TrendCacheSize=64M
HistoryIndexCacheSize=32M
Timeout=10
ExternalScripts={WORK}/external
"""
AGENT_CONF = f"""
LogFile={WORK}/agent.log
PidFile={WORK}/agent.pid
Server=127.0.0.1
ServerActive=127.0.0.1
ListenIP=127.0.0.1
Hostname=kvm1
Timeout=10
Include={WORK}/agent.d/*.conf
"""
FRONT_END_CONF = """<?php
$DB['TYPE']='POSTGRESQL';$DB['SERVER']='127.0.0.1';$DB['PORT']='5432';$DB['DATABASE']='zabbix';
$DB['USER']='postgres';$DB['PASSWORD']='none';$DB['SCHEMA']='';$DB['ENCRYPTION']=false;$DB['DOUBLE_IEEE754']=true;
$ZBX_SERVER='127.0.0.1';$ZBX_SERVER_PORT='10051';$ZBX_SERVER_NAME='kvmwatch lab';
$IMAGE_FORMAT_DEFAULT=IMAGE_FORMAT_PNG;
"""


class Zabbix:
    """The daemons, and the API as an administrator."""

    def __init__(self) -> None:
        """Prepare the folders."""
        self._running: list[subprocess.Popen[bytes]] = []
        self._postgres = postgres.Postgres(WORK / "pg", 5432)
        self.api: Any = None
        for folder in (WORK, WORK / "agent.d", WORK / "external", WORK / "bin"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)

    def up(self) -> None:
        """Start everything; takes a quarter of a minute."""
        self._database()
        (WORK / "server.conf").write_text(SERVER_CONF)
        self._front_end()
        self._start("zabbix", "zabbix_server", "--foreground", "--config", WORK / "server.conf")
        self.agent()
        eventually("Zabbix's API answers", self._logs_in)

    def down(self) -> None:
        """End everything that was started, in turn."""
        for process in reversed(self._running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        self._postgres.down()

    def call(self, method: str, **parameters: Any) -> Any:
        """Call the API."""
        return self.api.do_request(method, parameters)["result"]

    def agent(self) -> None:
        """Start this machine's agent, as its own user, with the UserParameters that we ship."""
        installed.commands(WORK / "bin")
        shutil.copy(CHECKOUT / "zabbix" / "agent" / "kvmwatch.conf", WORK / "agent.d")
        shutil.copy(WORK / "bin" / "zabbix_kvm_external", WORK / "external" / "zabbix_kvm")
        (WORK / "agentd.conf").write_text(AGENT_CONF)
        self._agent = self._start("zabbix", "zabbix_agentd", "--foreground", "--config", WORK / "agentd.conf")

    def end_agent(self) -> None:
        """End it, as when its machine goes down."""
        self._agent.terminate()
        self._agent.wait(20)
        self._running.remove(self._agent)

    def active_agent(self, name: str) -> None:
        """Start an agent that is only active, for a host whose interval is 5 s.

        It asks for its checks when it starts and then once a minute, so the server has to know them by then.
        """
        eventually(
            f"the server has checks for {name}", lambda: "5" in [str(delay).rstrip("s") for delay in delays(name)]
        )
        configuration = WORK / f"{name}.conf"
        configuration.write_text(
            f"LogFile={WORK}/{name}.log\nPidFile={WORK}/{name}.pid\nServerActive=127.0.0.1\nStartAgents=0\n"
            f"Hostname={name}\nTimeout=10\nInclude={WORK}/agent.d/*.conf\n"
        )
        self._start("zabbix", "zabbix_agentd", "--foreground", "--config", configuration)

    def host(self, name: str) -> dict[str, Any]:
        """A host by its technical name."""
        (host,) = self.call("host.get", filter={"host": name}, output="extend", selectInventory="extend")
        made: dict[str, Any] = host
        return made

    @property
    def has_template_groups(self) -> bool:
        """Whether templates are in groups of their own, and not in host groups (since 6.2)."""
        major, minor = self.api.api_version().split(".")[:2]
        return (int(major), int(minor)) >= (6, 2)

    def group_of_templates(self, name: str) -> str:
        """The number of a group that templates may be in."""
        kind = "templategroup" if self.has_template_groups else "hostgroup"
        (group,) = self.call(f"{kind}.get", filter={"name": name}, output=["groupid"])
        return str(group["groupid"])

    def delete(self, kind: str, numbers: list[str]) -> None:
        """Delete objects. Zabbix's database refuses it while a discovery rule is putting items into a host."""

        def deleted() -> bool:
            try:
                self.api.do_request(f"{kind}.delete", numbers)
            except pyzabbix.ZabbixAPIException as error:
                if "SQL statement execution has failed" not in str(error):
                    raise
                return False
            return True

        eventually(f"{kind}s are deleted", deleted)

    def inventory(self) -> dict[str, set[str]]:
        """The numbers of all macros of hosts, hosts and host groups: what provisioning makes, in the order to delete."""
        keys = {"usermacro": "hostmacroid", "host": "hostid", "hostgroup": "groupid"}
        return {
            kind: {found[key] for found in self.call(f"{kind}.get", output=[key])} for kind, key in keys.items()
        }

    def items(self, host: str, **more: Any) -> dict[str, dict[str, Any]]:
        """The items of a host by key."""
        hosts = self.call("host.get", filter={"host": host}, output=["hostid"])
        if not hosts:
            return {}
        found = self.call(
            "item.get",
            hostids=[hosts[0]["hostid"]],
            output=[
                "key_",
                "name",
                "state",
                "error",
                "lastvalue",
                "lastclock",
                "value_type",
                "units",
                "type",
                "history",
            ],
            selectPreprocessing="extend",
            **more,
        )
        return {item["key_"]: item for item in found}

    def problems(self, host: str) -> dict[str, int]:
        """The triggers of the open problems of a host by name, with their severities."""
        return {name: int(problem["severity"]) for name, problem in self._problems(host).items()}

    def told(self, host: str) -> dict[str, str]:
        """The same with what a mail would have as its subject."""
        return {name: str(problem["name"]) for name, problem in self._problems(host).items()}

    def _problems(self, host: str, **more: Any) -> dict[str, dict[str, Any]]:
        number = self.host(host)["hostid"]
        found = self.call("problem.get", hostids=[number], output=["name", "severity", "objectid"], **more)
        triggers = self.call(
            "trigger.get",
            triggerids=[problem["objectid"] for problem in found],
            output=["description"],
            expandDescription=True,
        )
        names = {trigger["triggerid"]: trigger["description"] for trigger in triggers}
        return {names[problem["objectid"]]: problem for problem in found if problem["objectid"] in names}

    def availability(self, host: str) -> set[str]:
        """The names of the open problems about availability."""
        return set(self._problems(host, tags=[{"tag": "scope", "value": "availability", "operator": 1}]))

    def set_macros(self, host: str, **macros: str) -> None:
        """Set macros of a host: KVM_VM_CPU=... is {$KVM.VM.CPU}."""
        number = self.host(host)["hostid"]
        known = {
            m["macro"]: m["hostmacroid"] for m in self.call("usermacro.get", hostids=[number], output="extend")
        }
        for name, value in macros.items():
            macro = f"{{${name.replace('_', '.')}}}"
            if macro in known:
                self.call("usermacro.update", hostmacroid=known[macro], value=value)
            else:
                self.call("usermacro.create", hostid=number, macro=macro, value=value)

    def _database(self) -> None:
        self._postgres.up()
        self._postgres.run("postgres", "create database zabbix")
        for part in ("schema", "images", "data"):
            self._postgres.load("zabbix", Path(f"/usr/share/zabbix-server-pgsql/{part}.sql.gz"))
        # without statistics the planner is so far off that linking a template takes minutes
        self._postgres.run("zabbix", "analyze")

    def _front_end(self) -> None:
        configuration = Path("/etc/zabbix")
        inside.mount("-t", "tmpfs", "-o", "mode=0755", "lab-zabbix", configuration)
        (configuration / "zabbix.conf.php").write_text(FRONT_END_CONF)
        settings = {
            **{
                "memory_limit": "512M",
                "max_execution_time": "300",
                "max_input_time": "300",
                "post_max_size": "64M",
            },
            **{"date.timezone": "UTC", "display_errors": "0", "log_errors": "1"},
            "opcache.enable_cli": "1",  # else each request compiles the front end
        }
        options = [text for name, value in settings.items() for text in ("-d", f"{name}={value}")]
        address = URL.removeprefix("http://")
        self._start("zabbix", "php", *options, "-S", address, "-t", "/usr/share/zabbix")

    def _logs_in(self) -> bool:
        try:
            self.api = pyzabbix.ZabbixAPI(URL, timeout=300)
            self.api.login(USER, PASSWORD)
        except Exception:
            return False
        return True

    def _start(self, user: str, *arguments: object) -> subprocess.Popen[bytes]:
        path = f"{WORK}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with open(WORK / f"{user}.out", "ab") as log:
            self._running.append(
                subprocess.Popen(
                    ["chroot", f"--userspec={user}:{user}", "/", *map(str, arguments)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={"PATH": path, "HOME": "/", "LC_ALL": "C.UTF-8"},
                )
            )
        return self._running[-1]


def delays(host: str) -> list[Any]:
    """How often an active agent of a host is to check what, as the server tells it: seconds, in 7.0 with a suffix."""
    asked = json.dumps({"request": "active checks", "host": host}).encode()
    with (
        socket.create_connection(("127.0.0.1", 10051), timeout=PATIENCE) as server,
        server.makefile("rb") as answer,
    ):
        server.sendall(b"ZBXD\1" + struct.pack("<Q", len(asked)) + asked)
        return [check["delay"] for check in json.loads(answer.read()[13:]).get("data", ())]


def unsupported(zabbix: Zabbix, host: str) -> list[tuple[str, str]]:
    """The items of a host that are not supported, and why."""
    return [(key, item["error"]) for key, item in zabbix.items(host).items() if item["state"] == "1"]


def provision(kvm: Command, *arguments: str, timeout: float = PATIENCE) -> Ran:
    """Run zabbix_kvm provision, for so many seconds at most."""
    return kvm("zabbix_kvm", "provision", *arguments, env=LOGIN, timeout=timeout)
