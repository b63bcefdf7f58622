"""A real Nagios and a real Icinga 2 side by side that tell somebody: twenty VMs, and every notification counted.

Both watch the same VMs twice: host *active* has services that run their checks, host *passive*, whose VMs have
hosts of their own, is fed by a thread that publishes once a minute. A minute is short here, in all definitions
alike, so that what is told when is as it would be. That is why this is for "make test-pager", and no part of "make
test": on a machine that has more to do than such a minute allows, other things are told.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import guests
import icinga
import inside
import nagios
from commands import Command
from waiting import eventually_equal

if TYPE_CHECKING:
    from bed import Bed

MINUTE = float(os.environ.get("MINUTE", "6"))  # seconds
LEVELS = ("warning", "critical")
VMS = tuple(f"pager{number:02}" for number in range(20))
ACTIVE, PASSIVE = "active", "passive"
SELECTED = {ACTIVE: ("-d", "pager0[0-4]"), PASSIVE: ("-d", "pager*")}  # checks for all are much for two CPUs
STALE_AFTER = round(5 * MINUTE)
OF_VM_HOSTS = ("--vm-host", "{name}")
CHECKS = ("--check", "state", "--check", "cpu")
#: how busy this machine is just now is not to be told
QUIET = "[defaults]\n" + "".join(
    f"{metric}.{level} =\n"
    for metric in (
        *(f"host.{of}" for of in ("cpu", "memory", "load", "latency", "swap")),
        "cpu.usage",
        "cpu.steal",
    )
    for level in LEVELS
)

NAGIOS_OBJECTS = """
define contact {{
    contact_name                   admin
    host_notification_commands     tell-host
    service_notification_commands  tell-service
    host_notification_period       always
    service_notification_period    always
    host_notification_options      d,u,r
    service_notification_options   w,u,c,r
}}
define contactgroup {{
    contactgroup_name  admins
    members            admin
}}
define command {{
    command_name  tell-host
    command_line  /bin/echo "$NOTIFICATIONTYPE$ $HOSTNAME$ $HOSTSTATE$" >> {told}
}}
define command {{
    command_name  tell-service
    command_line  /bin/echo "$NOTIFICATIONTYPE$ $HOSTNAME$ $SERVICEDESC$ $SERVICESTATE$" >> {told}
}}
define command {{
    command_name  check-host-alive
    command_line  /bin/sh -c 'test -e {up} || exit 2'
}}
define host {{
    name                 generic-host
    register             0
    notification_period  always
    check_period         always
    check_command        check-host-alive
    max_check_attempts   10
    notification_interval 0
}}
define service {{
    name                  generic-service
    register              0
    notification_period   always
    check_period          always
    check_interval        10
    retry_interval        2
    max_check_attempts    3
    notification_interval 0
    contact_groups        admins
}}
define host {{
    use             kvm-hypervisor
    host_name       {active}
    contact_groups  admins
}}
define host {{
    use             kvm-hypervisor
    host_name       {passive}
    contact_groups  admins
}}
"""

ICINGA_OBJECTS = """
object CheckCommand "alive" {{ command = [ "/bin/sh", "-c", "test -e {up} || exit 2" ] }}
object User "admin" {{ }}
object NotificationCommand "tell-host" {{
  command = [ "/bin/sh", "-c", "echo \\"$$type $$host $$state\\" >> {told}" ]
  env = {{ type = "$notification.type$", host = "$host.name$", state = "$host.state$" }}
}}
object NotificationCommand "tell-service" {{
  command = [ "/bin/sh", "-c", "echo \\"$$type $$host $$service $$state\\" >> {told}" ]
  env = {{ type = "$notification.type$", host = "$host.name$", service = "$service.name$", state = "$service.state$" }}
}}
object NotificationComponent "notification" {{ }}
apply Notification "mail" to Host {{
  command = "tell-host"
  users = [ "admin" ]
  interval = 0
  assign where host.vars.kvm_checks
}}
apply Notification "mail" to Service {{
  command = "tell-service"
  users = [ "admin" ]
  interval = 0
  assign where host.vars.kvm_checks || host.vars.kvm_uuid
}}
object Host "{active}" {{ import "generic-host"; import "kvmwatch-{active}"; check_command = "alive"; vars.kvm_config = "{config}" }}
object Host "{passive}" {{ import "generic-host"; import "kvmwatch-{passive}"; check_command = "alive" }}
"""


class Told:
    """The notifications that a monitoring system has sent: each a line, as ``PROBLEM active DOWN``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = 0

    def all(self) -> list[str]:
        """Those since the last time that somebody forgot."""
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        return lines[self._seen :]

    def forget(self) -> None:
        """Count from here on."""
        self._seen += len(self.all())

    def of(self, host: str) -> list[str]:
        """What is told of a hypervisor, its services and its VMs' hosts; only PASSIVE has such."""
        return [line for line in self.all() if (line.split(" ")[1] == ACTIVE) == (host == ACTIVE)]


class NagiosPager(nagios.Nagios):
    """Nagios with a contact, or with those of other objects of a site."""

    def __init__(self, watched: Watched, objects: str = NAGIOS_OBJECTS) -> None:
        super().__init__()
        up, self._config = watched.up_file, watched.config
        self.told = Told(self.work / "var" / "told")
        text = self.main.read_text(encoding="utf-8")
        for old, new in (
            ("interval_length=5", f"interval_length={MINUTE:g}"),
            ("enable_notifications=0", "enable_notifications=1"),
            ("service_freshness_check_interval=2", "service_freshness_check_interval=1"),
        ):
            assert old in text
            text = text.replace(old, new)
        self.write("nagios.cfg", text + "cached_host_check_horizon=1\n")  # 15 by default, a quarter of a minute
        self.to = ("--to", str(self.work / "rw" / "nagios.cmd"))
        self.write(
            "objects/site.cfg",
            nagios.ALWAYS + objects.format(told=self.work / "var" / "told", up=up, active=ACTIVE, passive=PASSIVE),
        )

    def define(self, kvm: Command) -> None:
        """Have the services written, at our pace."""
        for host, more in HOSTS.items():
            ran = kvm("nagios_kvm", "config", "--format", "nagios", "--host", host, *SELECTED[host], *more)
            assert ran.code == 0, ran.err
            text = ran.out.replace("kvm_settled!600", f"kvm_settled!{round(10 * MINUTE)}")
            text = re.sub("(check_kvm_host)$", rf"\1!--config {self._config}", text, flags=re.MULTILINE)
            self.write(f"objects/{host}.cfg", text)


class IcingaPager(icinga.Icinga):
    """Icinga with a user, or with those of other objects of a site."""

    def __init__(self, watched: Watched, objects: str = ICINGA_OBJECTS) -> None:
        super().__init__()
        up = watched.up_file
        self.told = Told(self.work / "var" / "told")
        self.to = ("--to", icinga.API, "--credentials", str(self.credentials), "--ca-file", str(icinga.CA))
        text = icinga.DEFINITIONS.read_text(encoding="utf-8")
        text = re.sub(r"(_interval = )(\d+)m$", lambda m: f"{m[1]}{int(m[2]) * MINUTE}s", text, flags=re.MULTILINE)
        text = re.sub(
            r"(_interval = )(\d+)s$", lambda m: f"{m[1]}{int(m[2]) * MINUTE / 60}s", text, flags=re.MULTILINE
        )
        self.write("kvmwatch.conf", text.replace("kvm_settled_after = 600", f"kvm_settled_after = {10 * MINUTE}"))
        self.write(
            "conf.d/site.conf",
            objects.format(
                told=self.work / "var" / "told", up=up, active=ACTIVE, passive=PASSIVE, config=watched.config
            ),
        )

    def define(self, kvm: Command) -> None:
        """Have the host templates written."""
        for host, more in HOSTS.items():
            ran = kvm("nagios_kvm", "config", "--format", "icinga2", "--host", host, *SELECTED[host], *more)
            assert ran.code == 0, ran.err
            self.write(f"conf.d/{host}.conf", ran.out)


HOSTS = {
    ACTIVE: ("--active", "--check", "state"),
    PASSIVE: ("--stale-after", str(STALE_AFTER), *OF_VM_HOSTS, *CHECKS),
}


class Watched:
    """The VMs, the hypervisor that goes up and down, and the thread that publishes."""

    def __init__(self, bed: Bed, kvm: Command) -> None:
        self._bed = bed
        self._kvm = kvm
        folder = inside.WORK / "pager"
        folder.mkdir()
        self.up_file = folder / "up"
        self.config = folder / "thresholds.ini"
        self._ended, self._silent = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.up_file.touch()
        self.config.write_text(QUIET)

    def up(self) -> None:
        """Start the VMs."""
        for name in VMS:
            self._bed.define(guests.guest(name, memory=16)).setAutostart(True)

    def publish_to(self, pager: Any) -> None:
        """Publish once a minute from now on."""
        self._threads.append(threading.Thread(target=self._publish_on, args=(pager.to,)))
        self._threads[-1].start()

    def _publish_on(self, to: tuple[str, ...]) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += MINUTE  # as a timer does it, whatever a run takes
            if not self._silent.is_set():
                self._kvm(
                    *("nagios_kvm", "publish", *to, "--host", PASSIVE, *OF_VM_HOSTS, *SELECTED[PASSIVE], *CHECKS),
                    *("--config", str(self.config)),
                )

    def down(self) -> None:
        """End and remove everything."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for name in VMS:
            self._bed.remove(name)

    @contextlib.contextmanager
    def without_libvirtd(self) -> Iterator[None]:
        """Nobody answers meanwhile; the VMs run on."""
        self._bed.daemon.end()
        try:
            yield
        finally:
            self._bed.daemon.start()

    def reboot(self, minutes: float) -> None:
        """Guests are shut down in turn, the hypervisor is away for so long, answers pings, starts libvirt and them."""
        for name in VMS:
            self._bed.lookup(name).destroy()
            time.sleep(MINUTE / 10)
        self._silent.set()
        self._bed.daemon.end()
        self.up_file.unlink()
        time.sleep(minutes * MINUTE)
        self.up_file.touch()
        time.sleep(2 * MINUTE)
        self._bed.daemon.start()
        for name in VMS:
            self._bed.lookup(name).create()
            time.sleep(MINUTE / 10)
        self._silent.clear()

    @contextlib.contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """A VM's CPU use is too high meanwhile, whatever it is."""
        self.config.write_text(f"{QUIET}[domain {name}]\ncpu.usage.critical = @0:\n")
        try:
            yield
        finally:
            self.config.write_text(QUIET)


def settle(pager: Any) -> None:
    """Wait until every service of both hosts has been judged and all is well."""

    def bad() -> tuple[int, list[tuple[str, str]]]:
        states = [pair for host in (*HOSTS, *VMS) for pair in pager.states(host).items()]
        return len(states), [(name, state) for name, state in states if state != "OK"]

    eventually_equal("all services are OK", bad, (5 + 2 * len(VMS) + 2 * len(HOSTS), []))
