"""A real Nagios and a real Icinga 2 that tell three teams and the operators of one hypervisor and its VMs.

Two teams have VMs by patterns in the file of --config, one by what its VMs say in their metadata; what is no VM's is
the operators'. VMs have hosts of their own, and both systems are fed by publish, once a minute of MINUTE seconds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import inside
from commands import Command
from pager import MINUTE, QUIET, IcingaPager, NagiosPager
from waiting import eventually, eventually_equal

if TYPE_CHECKING:
    from teams_hypervisor import Hypervisor

WORK = inside.WORK / "faults"
HOST = "kvm1"
OPERATIONS, SHOP, DB, WEB = TEAMS = ("operations", "team-shop", "team-db", "team-web")
CHECKS = ("state", "agent", "cpu", "disk", "memory", "network", "snapshot", "host", "net", "pool", "process")
STALE_AFTER = round(5 * MINUTE)
#: teams by pattern, and limits under which what a small guest does is too much
CONFIG = f"""{QUIET}contact_groups = {OPERATIONS}
allow_metadata = team-*
host.vcpu_overcommit.warning = 3000
host.memory_overcommit.warning = 50
[domain shop-*]
contact_groups = {SHOP}
[domain db-*]
contact_groups = {DB}
[domain db-hung]
state.not_responding.severity = critical
[domain shop-busy]
cpu.usage.warning = 20
[domain shop-loud]
network.tx.warning = 10k
[domain shop-expect]
expect = running
[domain db-paused]
expect = paused
[domain shop-backup]
snapshot.backup_age.warning = 26h
[domain db-job]
disk.block_job.warning = 5
"""
#: whom Nagios tells: each contact group has one contact of the same name
NAGIOS_OBJECTS = (
    "".join(
        f"""
define contact {{{{
    contact_name                   {team}
    host_notification_commands     tell-host
    service_notification_commands  tell-service
    host_notification_period       always
    service_notification_period    always
    host_notification_options      d,u,r
    service_notification_options   w,u,c,r
}}}}
define contactgroup {{{{
    contactgroup_name  {team}
    members            {team}
}}}}
"""
        for team in TEAMS
    )
    + """
define command {{
    command_name  tell-host
    command_line  /bin/echo "$NOTIFICATIONTYPE$,$CONTACTNAME$,$HOSTNAME$,,$HOSTSTATE$," >> {told}
}}
define command {{
    command_name  tell-service
    command_line  /bin/echo "$NOTIFICATIONTYPE$,$CONTACTNAME$,$HOSTNAME$,$SERVICEDESC$,$SERVICESTATE$,$SERVICEOUTPUT$" >> {told}
}}
define command {{
    command_name  check-host-alive
    command_line  /bin/sh -c 'test -e {up} || exit 2'
}}
define host {{
    name                  generic-host
    register              0
    notification_period   always
    check_period          always
    check_command         check-host-alive
    max_check_attempts    10
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
}}
"""
    + f"""
define host {{{{
    use             kvm-hypervisor
    host_name       {HOST}
    contact_groups  {OPERATIONS}
}}}}
"""
)
#: whom Icinga tells: the rule of docs/icinga.md, and one for what is of no team
ICINGA_OBJECTS = (
    "".join(
        f'object UserGroup "{team}" {{{{ }}}}\nobject User "{team}" {{{{ groups = [ "{team}" ] }}}}\n'
        for team in TEAMS
    )
    + """
object CheckCommand "alive" {{ command = [ "/bin/sh", "-c", "test -e {up} || exit 2" ] }}
object NotificationCommand "tell" {{
  command = [ "/bin/sh", "-c", "echo \\"$$type,$$user,$$host,$$service,$$state,$$text\\" | head -n 1 >> {told}" ]
  env = {{ type = "$notification.type$", user = "$user.name$", host = "$host.name$" }}
}}
object NotificationCommand "tell-host" {{ import "tell"; env.state = "$host.state$" }}
object NotificationCommand "tell-service" {{
  import "tell"
  env.service = "$service.name$"
  env.state = "$service.state$"
  env.text = "$service.output$"
}}
object NotificationComponent "notification" {{ }}
apply Notification "teams" to Service {{
  command = "tell-service"
  interval = 0
  user_groups = service.vars.contact_groups
  assign where service.vars.contact_groups
}}
"""
    + f"""
apply Notification "operations" to Service {{{{
  command = "tell-service"
  interval = 0
  user_groups = [ "{OPERATIONS}" ]
  assign where host.vars.kvm_checks
}}}}
apply Notification "operations" to Host {{{{
  command = "tell-host"
  interval = 0
  user_groups = [ "{OPERATIONS}" ]
  assign where host.vars.kvm_checks || host.vars.kvm_uuid
}}}}
object Host "{HOST}" {{{{ import "generic-host"; import "kvmwatch-{HOST}"; check_command = "alive" }}}}
"""
)


class Line(NamedTuple):
    """A notification, as either of them writes it; the service is empty for a host."""

    kind: str  # PROBLEM or RECOVERY
    contact: str
    host: str
    service: str
    state: str
    text: str = ""  # of a service, its first line


class Watched:
    """The file of --config, and whether the hypervisor answers pings; what the pagers want to know of it."""

    def __init__(self) -> None:
        self.up_file = WORK / "up"
        self.config = WORK / "config.ini"
        self.up_file.touch()
        self.config.write_text(CONFIG)


class Told:
    """Has the definitions made, and reads what was told."""

    work: Path
    format_: str
    file: str

    def define(self, kvm: Command) -> None:
        """Have the definitions written."""
        ran = kvm("nagios_kvm", "config", "--format", self.format_, "--stale-after", str(STALE_AFTER), *OF_BOTH)
        assert (ran.code, ran.err) == (0, ""), ran.err
        path = self.work / self.file
        path.write_text(ran.out.replace("kvm_settled!600", f"kvm_settled!{round(10 * MINUTE)}"))
        path.chmod(0o644)

    def lines(self) -> list[Line]:
        """All notifications until now."""
        path = self.work / "var" / "told"
        told = path.read_text(encoding="utf-8") if path.exists() else ""
        return [Line(*line.split(",", 5)) for line in told.splitlines()]


class Nagios(Told, NagiosPager):
    """Nagios with a contact of each team."""

    format_, file = "nagios", f"objects/{HOST}.cfg"


class Icinga(Told, IcingaPager):
    """Icinga with a user of each team."""

    format_, file = "icinga2", f"conf.d/{HOST}.conf"


OF_BOTH = (
    *("--host", HOST, "--vm-host", "{name}", "--config", str(WORK / "config.ini")),
    *(f"--check={check}" for check in CHECKS),
)


class Site:
    """The hypervisor, both systems, and a thread for each that publishes once a minute, with counters of its own."""

    def __init__(self, bed: Hypervisor) -> None:
        self.bed = bed
        self.kvm = Command(WORK / "state")
        self.watched = Watched()
        self.systems: dict[str, Any] = {
            "Nagios": Nagios(self.watched, NAGIOS_OBJECTS),  # type: ignore[arg-type]
            "Icinga": Icinga(self.watched, ICINGA_OBJECTS),  # type: ignore[arg-type]
        }
        self._ended, self._silent = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.said: Counter[str] = Counter()
        self.slowest = 0.0
        self.lasting: frozenset[tuple[str, str]] = frozenset()  # hosts with the services that are wrong for long

    def up(self) -> None:
        """Start both, and wait until all is well."""
        for name in ("db-agent", "web-mute"):
            eventually(f"the agent of {name} answers", lambda: self.bed.answers(name))  # noqa: B023
        for system in self.systems.values():
            system.define(self.kvm)
            system.up()
        for name, system in self.systems.items():
            self._threads.append(threading.Thread(target=self._publish_on, args=(name, system.to)))
            self._threads[-1].start()
        self.settle()

    def down(self) -> None:
        """End all of it."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for system in self.systems.values():
            system.down()

    def _publish_on(self, name: str, to: tuple[str, ...]) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + MINUTE, time.monotonic())  # as a timer does it
            if not self._silent.is_set():
                ran = self.kvm("nagios_kvm", "publish", *to, *OF_BOTH, "--state-dir", str(WORK / f"state-{name}"))
                self.said[f"{name}: {ran.err.strip()}"[:300]] += bool(ran.err)
                self.slowest = max(self.slowest, ran.seconds)

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Nothing is published meanwhile."""
        self._silent.set()
        try:
            yield
        finally:
            self._silent.clear()

    def silent(self, yes: bool) -> None:
        """Publish nothing, or go on."""
        (self._silent.set if yes else self._silent.clear)()

    def bad(self) -> dict[str, list[str]]:
        """By system the services that are not OK, or have not been judged."""
        hosts = [HOST, *(domain.name() for domain in self.bed.connect().listAllDomains())]
        found = {}
        for name, system in self.systems.items():
            states = {(host, service): state for host in hosts for service, state in system.states(host).items()}
            wanted = len(hosts) * 7 - 7 + 5
            found[name] = [
                f"{'!'.join(where)} {state}"
                for where, state in states.items()
                if state != "OK" and where not in self.lasting
            ]
            found[name] += [f"only {len(states)} of {wanted} services"] if len(states) < wanted else []
        return found

    def settle(self) -> None:
        """Wait until all services are OK."""
        eventually_equal("all services are OK", self.bad, {name: [] for name in self.systems})

    def lines(self) -> dict[str, list[Line]]:
        """What each has told until now."""
        return {name: system.lines() for name, system in self.systems.items()}
