"""A real Nagios Core 4 with our definitions, and a real NRPE."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import installed
from monitor import USER, Monitor
from waiting import eventually

DEFINITIONS = installed.CHECKOUT / "checks" / "nagios" / "kvmwatch.cfg"
NRPE_DEFINITIONS = installed.CHECKOUT / "checks" / "nrpe" / "kvmwatch.cfg"
PASSIVE, BIG = "kvm1-passive", "big1"  # hosts that only take results
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALWAYS = (
    "define timeperiod {\n    timeperiod_name  always\n    alias            always\n"
    + "".join(f"    {day}  00:00-24:00\n" for day in _DAYS)
    + "}\n"
)
#: what every site has of its own; intervals are in units of 5 seconds here
OBJECTS = f"""{ALWAYS}
define contact {{
    contact_name                   admin
    host_notification_commands     nothing
    service_notification_commands  nothing
    host_notification_period       always
    service_notification_period    always
}}
define command {{
    command_name  nothing
    command_line  /bin/true
}}
define host {{
    name                generic-host
    register            0
    check_period        always
    check_command       nothing
    max_check_attempts  1
    contacts            admin
}}
define service {{
    name                  generic-service
    register              0
    check_period          always
    check_interval        1
    retry_interval        1
    max_check_attempts    1
    notification_interval 0
    contacts              admin
}}
"""
HOST = """
define host {{
    host_name  {name}
    use        kvm-hypervisor
    address    127.0.0.1
}}
"""
CHECK = """
define service {{
    use                  kvm-service
    host_name            kvm1
    service_description  all {check}
    check_command        {command}
}}
"""
MAIN = """
log_file={work}/var/nagios.log
log_passive_checks=1
cfg_file={definitions}
cfg_dir={work}/objects
object_cache_file={work}/var/objects.cache
precached_object_file={work}/var/objects.precache
resource_file={work}/resource.cfg
status_file={work}/var/status.dat
status_update_interval=1
nagios_user={user}
nagios_group={user}
check_external_commands=1
command_file={work}/rw/nagios.cmd
lock_file={work}/var/nagios.lock
temp_file={work}/var/nagios.tmp
temp_path={work}/var
check_result_path={work}/spool
check_result_reaper_frequency=1
state_retention_file={work}/var/retention.dat
retain_state_information=0
interval_length=5
service_check_timeout=60
check_service_freshness=1
service_freshness_check_interval=2
additional_freshness_latency=0
enable_notifications=0
execute_service_checks=1
accept_passive_service_checks=1
use_syslog=0
illegal_object_name_chars=`~!$%^&*|'"<>?,()=
illegal_macro_output_chars=`~$&|'"<>
enable_environment_macros=0
date_format=iso8601
use_regexp_matching=1
"""
NRPE = """
server_address=127.0.0.1
server_port=5666
nrpe_user={user}
nrpe_group={user}
allowed_hosts=127.0.0.1
dont_blame_nrpe=0
command_timeout=60
include={definitions}
"""


class Nagios(Monitor):
    """The daemon; services come from files of the folder ``objects``."""

    def __init__(self) -> None:
        super().__init__("nagios")
        self.own("objects")
        self.write("resource.cfg", f"$USER1$={self.work}/plugins\n")
        self.main = self.write(
            "nagios.cfg", MAIN.format(work=self.work, user=USER, definitions=self._copied(DEFINITIONS))
        )
        hosts = "".join(HOST.format(name=name) for name in ("kvm1", PASSIVE, BIG))
        self.write("objects/site.cfg", OBJECTS + hosts)

    @property
    def validate(self) -> str:
        """The command that tells whether the configuration is valid."""
        return f"nagios4 -v {self.main}"

    def checks(self, names: tuple[str, ...]) -> None:
        """Define a service for each check, that runs it without options."""
        texts = (CHECK.format(check=name, command=f"check_kvm_{name}") for name in names)
        self.write("objects/checks.cfg", "".join(texts))

    def up(self) -> None:
        """Start it, and wait until it takes commands."""
        self.start("nagios4", self.main)
        eventually("Nagios has a command file", (self.work / "rw" / "nagios.cmd").exists)

    def nrpe(self) -> None:
        """Start NRPE with our command lines."""
        # they name the plugins where Debian has them; here they are in the lab's folder
        text = NRPE_DEFINITIONS.read_text(encoding="utf-8")
        commands = self.write("nrpe-commands.cfg", text.replace("/usr/lib/nagios/plugins", f"{self.work}/plugins"))
        self.start("nrpe", "-n", "-f", "-c", self.write("nrpe.cfg", NRPE.format(user=USER, definitions=commands)))
        eventually("NRPE answers", lambda: self.check_nrpe().returncode == 0)

    def check_nrpe(self, command: str = "") -> subprocess.CompletedProcess[str]:
        """Ask NRPE as Nagios would."""
        arguments = ["/usr/lib/nagios/plugins/check_nrpe", "-n", "-H", "127.0.0.1", "-t", "60"]
        return subprocess.run(
            [*arguments, *(("-c", command) if command else ())], capture_output=True, text=True, check=False
        )

    def services(self, host: str) -> dict[str, dict[str, str]]:
        """The services of a host in the status file, by name."""
        file = self.work / "var" / "status.dat"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        blocks = re.findall(r"^servicestatus \{\n(.*?)\n\t\}", text, re.DOTALL | re.MULTILINE)
        found = [dict(line.strip().split("=", 1) for line in block.split("\n")) for block in blocks]
        return {block["service_description"]: block for block in found if block["host_name"] == host}

    def states(self, host: str) -> dict[str, str]:
        """Service to the word of its state, of those that have been checked."""
        return {
            name: STATES[int(service["current_state"])]
            for name, service in self.services(host).items()
            if service["has_been_checked"] == "1"
        }

    def _copied(self, path: Path) -> Path:
        return self.write(path.name, path.read_text(encoding="utf-8"))
