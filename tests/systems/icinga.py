"""A real Icinga 2 with our CheckCommands and apply rules, and its API."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import inside
import installed
import requests
from monitor import USER, Monitor
from nagios_kvm import https
from waiting import eventually

DEFINITIONS = installed.CHECKOUT / "checks" / "icinga2" / "kvmwatch.conf"
API = "https://localhost:5665"
CA = Path("/var/lib/icinga2/certs/ca.crt")
API_USER, API_PASSWORD = "kvmwatch", "a long password"
FOLDERS = ("/etc/icinga2", "/var/lib/icinga2", "/var/log/icinga2", "/var/cache/icinga2")
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

MAIN = """
include <itl>
include <plugins>
const PluginDir = "{work}/plugins"
const NodeName = "localhost"
const ZoneName = NodeName
object Zone ZoneName {{ endpoints = [ NodeName ] }}
object Endpoint NodeName {{ }}
object CheckerComponent "checker" {{ }}
object ApiListener "api" {{ bind_host = "127.0.0.1" }}
object ApiUser "{user}" {{ password = "{password}"; permissions = [ "*" ] }}
template Host "generic-host" {{ check_command = "dummy" }}
include "{work}/kvmwatch.conf"
include "{work}/conf.d/*.conf"
"""


class Icinga(Monitor):
    """The daemon; hosts come from files of the folder ``conf.d``."""

    def __init__(self) -> None:
        super().__init__("icinga")
        self.own("conf.d")
        for folder in FOLDERS:
            inside.mount("-t", "tmpfs", "-o", f"mode=0755,uid={USER}", "lab-icinga", folder)
        Path("/run/icinga2").mkdir(exist_ok=True)
        for folder in ("features-available", "features-enabled", "conf.d", "zones.d"):
            (Path("/etc/icinga2") / folder).mkdir()
        subprocess.run(["chown", "-R", USER, "/etc/icinga2", "/run/icinga2", "/var/lib/icinga2"], check=True)
        self.write("kvmwatch.conf", DEFINITIONS.read_text(encoding="utf-8"))
        self.main = self.write("icinga2.conf", MAIN.format(work=self.work, user=API_USER, password=API_PASSWORD))
        self.credentials = self.write("credentials", f"user = {API_USER}\npassword = {API_PASSWORD}\n")
        self.credentials.chmod(0o600)
        self._session = https.session(str(CA), limit=64 << 20)  # of all services at once
        self._session.auth = (API_USER, API_PASSWORD)

    def down(self) -> None:
        """End it, and take its folders away again."""
        super().down()
        for folder in FOLDERS:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree("/run/icinga2")

    @property
    def validate(self) -> str:
        """The command that tells whether the configuration is valid."""
        return f"icinga2 daemon -C -c {self.main}"

    def up(self) -> None:
        """Make certificates, and start it."""
        subprocess.run(["icinga2", "api", "setup", "--cn", "localhost"], check=True, capture_output=True, cwd="/")
        subprocess.run(["chown", "-R", USER, "/var/lib/icinga2"], check=True)
        self.start("icinga2", "daemon", "-c", self.main)
        eventually("Icinga's API answers", self._answers)

    def services(self, host: str) -> dict[str, dict[str, Any]]:
        """The services of a host, by name."""
        found = self._call("GET", "/v1/objects/services", json={"filter": f'host.name == "{host}"'})
        return {service["attrs"]["name"]: service["attrs"] for service in found["results"]}

    def dependencies(self) -> dict[str, str]:
        """Each service that depends on another, and on which."""
        found = (one["attrs"] for one in self._call("GET", "/v1/objects/dependencies")["results"])
        return {
            f"{one['child_host_name']}!{one['child_service_name']}": f"{one['parent_host_name']}!{one['parent_service_name']}"
            for one in found
        }

    def states(self, host: str) -> dict[str, str]:
        """Service to the word of its state, of those that have been checked."""
        return {
            name: STATES[int(service["state"])]
            for name, service in self.services(host).items()
            if service["last_check_result"]
        }

    def check_now(self, host: str, service: str) -> None:
        """Have a service checked at once."""
        body = {"type": "Service", "filter": f'host.name=="{host}" && service.name=="{service}"', "force": True}
        self._call("POST", "/v1/actions/reschedule-check", json=body)

    def _call(self, method: str, path: str, **more: Any) -> Any:
        override = {"X-HTTP-Method-Override": "GET"} if method == "GET" else {}
        answer = self._session.post(API + path, headers=override, timeout=60, **more)
        return answer.json() if answer.status_code != 404 else {"results": []}

    def _answers(self) -> bool:
        try:
            return bool(self._session.get(f"{API}/v1/status", timeout=5).ok)
        except requests.RequestException:
            return False
