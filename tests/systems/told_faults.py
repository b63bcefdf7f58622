"""Thirty faults and ten minutes of normal life, each told once and to the right ones: "make test-faults".

A real Nagios and a real Icinga 2 watch one hypervisor, whose VMs are of three teams: two by patterns in the file of
--config, one by what its VMs say in their metadata; what is no VM's is the operators'. First administrators do what
they do all day, of which nobody is to be told. Then faults are made, those at the same time of which none is
another's cause, and each has to be told once, of one service, to the contact of one team, and its end as well.

A minute has MINUTE=6 seconds in all definitions alike, so that what is told when is as it would be (MINUTE=60: it is
one). Prints what was told, and writes it to docs/faults-told.md; exits with 1 if it was not as it should be.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from operator import methodcaller
from pathlib import Path
from typing import Any, NamedTuple

import inside
import libvirt
from bed import Bed
from commands import Command
from guests import disk, guest, interface, qcow2, watch
from injected import AGENT, Victims, ip
from pager import MINUTE, QUIET, IcingaPager, NagiosPager
from running import running
from waiting import eventually, eventually_equal

WORK = inside.WORK / "faults"
HOST = "kvm1"
OPERATIONS, SHOP, DB, WEB = TEAMS = ("operations", "team-shop", "team-db", "team-web")
CHECKS = ("state", "agent", "cpu", "disk", "memory", "network", "snapshot", "host", "net", "pool", "process")
STALE_AFTER = round(5 * MINUTE)
LONGEST = 25 * MINUTE  # until somebody is told
PAGE = Path(__file__).parents[2] / "docs" / "faults-told.md"
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
_METADATA = (libvirt.VIR_DOMAIN_METADATA_ELEMENT, "kvmwatch", "urn:kvmwatch:1", libvirt.VIR_DOMAIN_AFFECT_LIVE)
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
    command_line  /bin/echo "$NOTIFICATIONTYPE$,$CONTACTNAME$,$HOSTNAME$,,$HOSTSTATE$" >> {told}
}}
define command {{
    command_name  tell-service
    command_line  /bin/echo "$NOTIFICATIONTYPE$,$CONTACTNAME$,$HOSTNAME$,$SERVICEDESC$,$SERVICESTATE$" >> {told}
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
  command = [ "/bin/sh", "-c", "echo \\"$$type,$$user,$$host,$$service,$$state\\" >> {told}" ]
  env = {{ type = "$notification.type$", user = "$user.name$", host = "$host.name$" }}
}}
object NotificationCommand "tell-host" {{ import "tell"; env.state = "$host.state$" }}
object NotificationCommand "tell-service" {{
  import "tell"
  env.service = "$service.name$"
  env.state = "$service.state$"
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


class Fault(NamedTuple):
    """Something that can be wrong: what, where and how bad it is, who is to be told, how it is made and mended."""

    what: str
    contact: str
    host: str
    service: str  # empty: the host itself
    state: str
    make: Callable[[], object]
    mend: Callable[[], object]

    @property
    def full(self) -> str:
        """The service as it is called; empty: the host itself."""
        return f"KVM {self.service}" if self.service else ""


# --- what is watched -----------------------------------------------------------------------------------------------


class Hypervisor(Bed):
    """The lab's hypervisor with VMs of three teams, networks and pools, of which nothing is wrong."""

    def up(self) -> None:
        """Have all of it, so that each has its services before anything is wrong with it."""
        connection = self.connect()
        self._networks(connection)
        spare = connection.networkDefineXML("<network><name>spare</name><bridge name='virbr-spare'/></network>")
        spare.create()
        spare.setAutostart(1)
        (WORK / "small").mkdir(parents=True)
        inside.mount("-t", "tmpfs", "-o", "size=2m", "lab-small", WORK / "small")
        (WORK / "lost").mkdir()
        for name, folder in (
            ("images", inside.WORK / "pool"),
            ("tiny", inside.WORK / "tiny"),
            ("small", WORK / "small"),
            ("lost", WORK / "lost"),
        ):
            pool = connection.storagePoolDefineXML(
                f"<pool type='dir'><name>{name}</name><target><path>{folder}</path></target></pool>"
            )
            pool.setAutostart(1)
            pool.create()
        self._vms()

    def _vms(self) -> None:
        self.vm("shop-off", autostart=True)
        self.vm("shop-saved", autostart=True)
        self.vm("shop-expect")
        self.vm("shop-many", start=False, devices=self.image("shop-many"))
        self.vm("shop-busy", "lab.cpu=60", start=False)
        self.vm("shop-cut", devices=interface("default", mac(1)))
        self.vm(
            "shop-loud", "lab.net=10 lab.ip=192.168.122.5/24", start=False, devices=interface("default", mac(2))
        )
        full = inside.WORK / "tiny" / "full.qcow2"
        qcow2(full, "32M")
        self.vm(
            "shop-full",
            "lab.disk=4096 lab.dev=vda",
            start=False,
            devices=disk(full, "vda", extra="error_policy='stop'"),
        )
        self.vm("shop-backup", devices=self.image("shop-backup"))
        self.lookup("shop-backup").checkpointCreateXML("<domaincheckpoint><name>backup</name></domaincheckpoint>")
        self.vm("db-panic", "lab.crash=1", start=False)
        self.vm("db-hung")
        self.vm("db-agent", "lab.agent=1", devices=AGENT)
        self.vm("db-old", start=False, devices=self.image("db-old"))
        self.vm("db-bridge", devices=interface("default", mac(3)))
        self.vm("db-typo")
        self.vm("db-job", devices=self.image("db-job"))
        self.vm("db-paused").suspend()
        self.vm("db-wide", start=False, vcpus=64)
        self.vm("db-large", start=False, memory=16 << 10)
        self.vm("web-held", own="")
        self.vm("web-idle", own="expect='shutoff'", start=False)
        self.vm("web-place", own="expect-host='kvm1'")
        self.vm(
            "web-auto", own="", inner="<severity condition='state.no_autostart' is='warning'/>", autostart=True
        )
        self.vm("web-tight", "lab.mem=16", own="", inner=warn("memory.usage", "5"), start=False)
        self.vm("web-mute", "lab.agent=1", own="", devices=AGENT)
        self.vm("web-link", own="", devices=interface("default", mac(4)))
        busy = "lab.disk=512 lab.dev=vda"
        self.vm(
            "web-slow", busy, own="", devices=self.image("web-slow", extra="cache='none'"),
            inner=warn("disk.read_latency", "0.1") + warn("disk.write_latency", "0.1"),
        )  # fmt: skip
        self.vm(
            "web-grow", busy, own="", devices=self.image("web-grow", "8M"), start=False,
            inner=warn("disk.allocation", "5"),
        )  # fmt: skip

    def vm(
        self,
        name: str,
        args: str | None = None,
        *,
        own: str | None = None,
        inner: str = "",
        start: bool = True,
        autostart: bool = False,
        **more: Any,
    ) -> Any:
        """Define a VM; ``own``: attributes of its metadata, which says its team as well."""
        metadata = "" if own is None else watch(f"contact-groups='{WEB}' {own}", inner)
        more.setdefault("memory", 16 if args is None else 96)
        domain = self.define(guest(name, args, metadata=metadata, **more), start=start)
        domain.setAutostart(autostart)
        return domain

    def image(self, name: str, size: str = "64M", extra: str = "") -> str:
        """XML of a disk of its own."""
        qcow2(WORK / f"{name}.qcow2", size)
        return disk(WORK / f"{name}.qcow2", "vda", extra=extra)

    def answers(self, name: str) -> bool:
        """Whether its guest agent does."""
        return Victims(self)._ask(name, "guest-ping")


def mac(number: int) -> str:
    """An address for an interface."""
    return f"52:54:00:00:04:{number:02x}"


def warn(metric: str, limit: str) -> str:
    """XML of a threshold of a VM's own."""
    return f"<threshold metric='{metric}' warning='{limit}' critical=''/>"


# --- who watches it ------------------------------------------------------------------------------------------------


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
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [Line(*line.split(",")) for line in text.splitlines()]


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


# --- normal life ---------------------------------------------------------------------------------------------------


def live(site: Site) -> list[str]:
    """Ten minutes of what administrators do all day. Give what was told."""
    bed, before = site.bed, site.lines()
    end = time.monotonic() + 10 * MINUTE
    deeds: dict[str, Callable[[], object]] = {
        "a VM becomes busy": bed.lookup("shop-busy").create,
        "a guest is rebooted": lambda: bed.lookup("web-auto").reset(0),
        "a VM without autostart is shut off": bed.lookup("web-held").destroy,
        "a VM is stopped and started": lambda: (bed.lookup("shop-off").destroy(), bed.lookup("shop-off").create()),
        "a snapshot is taken": lambda: snapshot(bed, "shop-backup"),
        "the VM is no longer busy": bed.lookup("shop-busy").destroy,
        "a disk is backed up": lambda: back_up(bed, "db-job"),
        "the VM that was shut off is started": bed.lookup("web-held").create,
        "libvirtd is restarted": lambda: (bed.daemon.end(), bed.daemon.start()),
        "nothing is published once": lambda: miss_one(site),
    }
    print(f"Normal life for ten minutes of {MINUTE:g} s:", flush=True)
    for what, do in deeds.items():
        print(f"  {time.strftime('%H:%M:%S')} {what}", flush=True)
        do()
        time.sleep(MINUTE)
    time.sleep(max(0.0, end - time.monotonic()))
    time.sleep(3 * MINUTE)
    site.settle()
    return [
        f"normal life: {name} told {','.join(line)}"
        for name, lines in site.lines().items()
        for line in lines[len(before[name]) :]
    ]


def snapshot(bed: Hypervisor, name: str) -> None:
    """Take a snapshot of a disk, beside it, and commit it again."""
    image = WORK / f"{name}.snapshot"
    domain = bed.lookup(name)
    domain.snapshotCreateXML(
        "<domainsnapshot><name>s</name><disks><disk name='vda' snapshot='external'>"
        f"<source file='{image}'/></disk></disks></domainsnapshot>",
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA,
    )
    domain.blockCommit("vda", None, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
    eventually("the commit is done", lambda: finished(domain))
    domain.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)


def finished(domain: Any) -> bool:
    """Whether a block job waits for its end only."""
    job = domain.blockJobInfo("vda", 0)
    return bool(job) and job["cur"] == job["end"] and "ready='yes'" in domain.XMLDesc()


def back_up(bed: Hypervisor, name: str) -> None:
    """Copy its disk while it runs."""
    domain, target = bed.lookup(name), WORK / f"{name}.backup"
    target.unlink(missing_ok=True)
    domain.backupBegin(
        f"<domainbackup><disks><disk name='vda' type='file'><target file='{target}'/></disk></disks></domainbackup>",
        None,
    )
    eventually("the backup is done", lambda: domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE)


def miss_one(site: Site) -> None:
    """One run of publish does not take place."""
    with site.silence():
        time.sleep(MINUTE)


# --- faults --------------------------------------------------------------------------------------------------------


def slow_to_tell(site: Site) -> list[Fault]:
    """Made before all others, and told after them: a guest's report is old after five minutes, of 60 s each."""
    victims, bed = Victims(site.bed), site.bed
    return [
        Fault("guest stops reporting its memory", WEB, "web-mute", "memory", "WARNING", lambda: victims.inside("web-mute", "rmmod", "virtio_balloon"), lambda: again(bed, "web-mute")),
    ]  # fmt: skip


def waves(site: Site) -> list[list[Fault]]:
    """Those of each can be made at the same time: each is of another service, and none another's cause."""
    bed, victims = site.bed, Victims(site.bed)
    connection = bed.connect()
    images, idle = connection.storagePoolLookupByName("images"), connection.networkLookupByName("idle")
    image, gib = WORK / "small" / "x", "16 GiB"

    def do(name: str, deed: str) -> Callable[[], object]:
        return lambda: methodcaller(deed)(bed.lookup(name))

    def starts(what: str, contact: str, name: str, service: str, state: str) -> Fault:
        return Fault(what, contact, name, service, state, do(name, "create"), do(name, "destroy"))

    def say(name: str, own: str) -> None:
        bed.lookup(name).setMetadata(_METADATA[0], f"<watch {own}/>" if own else None, *_METADATA[1:])

    def bridge(name: str, *words: str) -> None:
        number = bed.lookup(name).XMLDesc().partition("<target dev='vnet")[2].partition("'")[0]
        ip("link", "set", f"vnet{number}", *words)

    return [
        [
            Fault("VM with autostart is shut off", SHOP, "shop-off", "state", "CRITICAL", do("shop-off", "destroy"), do("shop-off", "create")),
            Fault("VM with autostart is saved to disk", SHOP, "shop-saved", "state", "CRITICAL", do("shop-saved", "managedSave"), do("shop-saved", "create")),
            Fault("VM is shut off, which the file says runs", SHOP, "shop-expect", "state", "CRITICAL", do("shop-expect", "destroy"), do("shop-expect", "create")),
            starts("guest crashes", DB, "db-panic", "state", "CRITICAL"),
            Fault("VM is held by an I/O error, its pool is full", SHOP, "shop-full", "state", "CRITICAL", do("shop-full", "create"), lambda: empty(bed)),
            Fault("VM is paused", WEB, "web-held", "state", "WARNING", do("web-held", "suspend"), do("web-held", "resume")),
            Fault("QEMU does not answer", DB, "db-hung", "state", "CRITICAL", lambda: victims.hung("db-hung", signal.SIGSTOP), lambda: victims.hung("db-hung", signal.SIGCONT)),
            starts("VM runs, whose metadata say it does not", WEB, "web-idle", "state", "WARNING"),
            Fault("VM runs, which the file says is paused", DB, "db-paused", "state", "WARNING", do("db-paused", "resume"), do("db-paused", "suspend")),
            Fault("VM is on the wrong hypervisor", WEB, "web-place", "state", "WARNING", lambda: say("web-place", "expect-host='kvm9'"), lambda: say("web-place", "expect-host='kvm1'")),
            Fault("metadata cannot be used", DB, "db-typo", "state", "WARNING", lambda: say("db-typo", "expect='runing'"), lambda: say("db-typo", "")),
            Fault("VM loses its autostart", WEB, "web-auto", "state", "WARNING", lambda: bed.lookup("web-auto").setAutostart(0), lambda: bed.lookup("web-auto").setAutostart(1)),
            starts("CPU is busy", SHOP, "shop-busy", "cpu", "WARNING"),
            starts("memory is low", WEB, "web-tight", "memory", "WARNING"),
            Fault("guest agent is gone", DB, "db-agent", "agent", "WARNING", lambda: victims.inside("db-agent", "killall", "qemu-ga"), lambda: again(bed, "db-agent")),
            Fault("many snapshots", SHOP, "shop-many", "snapshot", "WARNING", lambda: victims.snapshots("shop-many", 12), lambda: no_snapshots(bed, "shop-many")),
            Fault("snapshot is nine days old", DB, "db-old", "snapshot", "WARNING", lambda: victims.snapshots("db-old", 1, 9 * 86400), lambda: no_snapshots(bed, "db-old")),
            Fault("last backup is two days old", SHOP, "shop-backup", "snapshot", "WARNING", lambda: backed_up(bed, 2 * 86400), lambda: backed_up(bed, 0)),
            Fault("disk is slow", WEB, "web-slow", "disk", "WARNING", lambda: victims.throttle(4, "web-slow"), lambda: victims.throttle(0, "web-slow")),
            Fault("block job does not end", DB, "db-job", "disk", "WARNING", lambda: copy(bed, "db-job"), lambda: bed.lookup("db-job").blockJobAbort("vda")),
            starts("image grows", WEB, "web-grow", "disk", "WARNING"),
            Fault("tap is down", SHOP, "shop-cut", "network", "CRITICAL", lambda: victims.tap("shop-cut", "down"), lambda: victims.tap("shop-cut", "up")),
            Fault("tap is not in its bridge", DB, "db-bridge", "network", "CRITICAL", lambda: bridge("db-bridge", "nomaster"), lambda: bridge("db-bridge", "master", "virbr0")),
            Fault("link is set down", WEB, "web-link", "network", "WARNING", lambda: link(bed, "down"), lambda: link(bed, "up")),
            starts("too much traffic", SHOP, "shop-loud", "network", "WARNING"),
            Fault("pool is full (see shop-full)", OPERATIONS, HOST, "pool", "CRITICAL", nothing, nothing),
            Fault("network is inactive", OPERATIONS, HOST, "net", "CRITICAL", lambda: idle.setAutostart(1), idle.create),
        ],
        [
            Fault("pool is nearly full", OPERATIONS, HOST, "pool", "WARNING", lambda: image.write_bytes(bytes(1880 << 10)), image.unlink),
            Fault("network's bridge is down", OPERATIONS, HOST, "net", "CRITICAL", lambda: ip("link", "set", "virbr-spare", "down"), lambda: ip("link", "set", "virbr-spare", "up")),
            Fault("too many vCPUs are promised (64 more)", OPERATIONS, HOST, "host", "WARNING", do("db-wide", "create"), do("db-wide", "destroy")),
            Fault("QEMU that libvirt does not know", OPERATIONS, HOST, "process", "WARNING", victims.stray, victims.no_stray),
        ],
        [
            Fault("pool is inactive", OPERATIONS, HOST, "pool", "CRITICAL", images.destroy, images.create),
            Fault(f"too much memory is promised ({gib} more)", OPERATIONS, HOST, "host", "WARNING", do("db-large", "create"), do("db-large", "destroy")),
        ],
        [
            Fault("pool's folder is gone", OPERATIONS, HOST, "pool", "CRITICAL", (WORK / "lost").rmdir, (WORK / "lost").mkdir),
        ],
    ]  # fmt: skip


def of_the_whole(site: Site) -> list[Fault]:
    """Those behind which all others are not to be seen, one after the other."""
    return [
        Fault("libvirtd is dead", OPERATIONS, HOST, "host", "UNKNOWN", site.bed.daemon.end, site.bed.daemon.start),
        Fault("nothing is published", OPERATIONS, HOST, "host", "UNKNOWN", lambda: site.silent(True), lambda: site.silent(False)),
        Fault("hypervisor is down", OPERATIONS, HOST, "", "DOWN", lambda: (site.silent(True), site.watched.up_file.unlink()), lambda: (site.watched.up_file.touch(), site.silent(False))),
    ]  # fmt: skip


def nothing() -> None:
    """Another fault makes it."""


def again(bed: Hypervisor, name: str) -> None:
    """Boot a VM anew."""
    bed.lookup(name).destroy()
    bed.lookup(name).create()


def empty(bed: Hypervisor) -> None:
    """Make room on the full pool."""
    bed.lookup("shop-full").destroy()
    qcow2(inside.WORK / "tiny" / "full.qcow2", "32M")


def no_snapshots(bed: Hypervisor, name: str) -> None:
    """Delete all of a VM."""
    for found in bed.lookup(name).listAllSnapshots():
        found.delete(0)


def backed_up(bed: Hypervisor, age: float) -> None:
    """Have libvirt believe that its checkpoint is so old, in seconds."""
    domain = bed.lookup("shop-backup")
    xml = domain.checkpointLookupByName("backup").getXMLDesc(0)
    before, _, behind = xml.partition("<creationTime>")
    clock = behind.partition("<")[0]
    aged = f"{before}<creationTime>{int(time.time() - age)}{behind[len(clock) :]}"
    domain.checkpointCreateXML(aged, libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE)


def copy(bed: Hypervisor, name: str) -> None:
    """Begin to copy its disk, and leave the copy waiting."""
    bed.lookup(name).blockCopy(
        "vda",
        f"<disk type='file'><source file='{WORK}/{name}.copy'/><driver type='qcow2'/></disk>",
        {},
        libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB,
    )


def link(bed: Hypervisor, state: str) -> None:
    """Set the link of web-link."""
    xml = interface("default", mac(4)).replace("<model", f"<link state='{state}'/><model")
    bed.lookup("web-link").updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)


class Row(NamedTuple):
    """A fault, and by system what was told of its service while it was there, and of its end."""

    fault: Fault
    told: dict[str, list[Line]]

    def right(self, system: str) -> bool:
        """Whether one notification went to the right contact, and one of the end."""
        fault = self.fault
        where, end = (fault.contact, fault.host, fault.full), "OK" if fault.service else "UP"
        wanted = [Line("PROBLEM", *where, fault.state), Line("RECOVERY", *where, end)]
        return self.told[system] == wanted


def about(fault: Fault, lines: list[Line]) -> list[Line]:
    """Those that are of a fault's service."""
    return [line for line in lines if (line.host, line.service) == (fault.host, fault.full)]


class Run:
    """Makes faults, and keeps what was told of each; and what was told of no fault."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.rows: list[Row] = []
        self.besides: list[str] = []

    def all(self) -> None:
        """Make each."""
        begun = self._site.lines()
        slow = slow_to_tell(self._site)
        for fault in slow:
            fault.make()
        self._site.lasting = frozenset((fault.host, fault.full) for fault in slow)
        for wave in waves(self._site):
            self._one(wave)
        self._told(slow, begun, 300 + LONGEST)
        self._site.lasting = frozenset()
        self._mend(slow, begun)
        for fault in of_the_whole(self._site):
            self._one([fault])

    def _one(self, wave: list[Fault]) -> None:
        begun = self._site.lines()
        for fault in wave:
            try:
                fault.make()
            except (libvirt.libvirtError, OSError) as error:
                print(f"  cannot be made: {fault.what}: {error}", flush=True)
        self._told(wave, begun, LONGEST)
        self._mend(wave, begun)

    def _new(self, begun: dict[str, list[Line]]) -> dict[str, list[Line]]:
        return {name: lines[len(begun[name]) :] for name, lines in self._site.lines().items()}

    def _told(self, faults: list[Fault], begun: dict[str, list[Line]], seconds: float) -> None:
        """Wait until each has been told by both, and whether more comes."""

        def all_told() -> bool:
            return all(about(fault, lines) for lines in self._new(begun).values() for fault in faults)

        with contextlib.suppress(AssertionError):
            eventually("all are told", all_told, seconds)
        time.sleep((3 if len(faults) > 1 else 6) * MINUTE)

    def _mend(self, faults: list[Fault], begun: dict[str, list[Line]]) -> None:
        """Mend them, wait for their ends, and print and keep what was told."""
        for fault in faults:
            try:
                fault.mend()
            except (libvirt.libvirtError, OSError) as error:
                print(f"  cannot be mended: {fault.what}: {error}", flush=True)
        try:
            self._site.settle()
        except AssertionError as error:
            self.besides.append(f"not OK though mended: {error}")
        time.sleep(MINUTE)
        new = self._new(begun)
        for fault in faults:
            row = Row(fault, {name: about(fault, lines) for name, lines in new.items()})
            self.rows.append(row)
            print(f"  {in_table(row)}", flush=True)
        ours = {(fault.host, fault.full) for fault in [*faults, *slow_to_tell(self._site)]}
        for name, lines in new.items():
            others = [line for line in lines if (line.host, line.service) not in ours]
            if len(faults) > 1 or faults[0].service != "memory":  # that one has lasted through all of the others
                self.besides += [f"{name}: {','.join(line)}" for line in others]


# --- what is said of it --------------------------------------------------------------------------------------------

VERSIONS = {"Nagios": ("nagios4", "--version"), "Icinga": ("icinga2", "--version")}
DEEDS = (
    "a guest rebooted, VMs stopped and started, a snapshot taken and committed, a disk backed up, a VM busy for five "
    "minutes, libvirtd restarted, a run of the publisher missed"
)
HEADING = """# What was told of which fault

<!-- made by 'make test-faults' -->
A real Nagios {nagios} and a real Icinga {icinga} watched a hypervisor with VMs of three teams, as their pages say: a host for
each VM, contact groups by pattern in the file of `--config` (team-shop, team-db) or in a VM's metadata (team-web), and
`nagios_kvm publish` once a minute. Each fault was made for real, and mended when it had been told; those at the same time of
which none is another's cause. A minute had {minute:g} s in all definitions alike: what is told after how many looks is as it
is with 60. Limits of load were low, because the guests are small; the disk was slow by a limit on its requests, and
snapshots and a backup were old by what libvirt was told of them. Made by *make test-faults*, as root.

{life}

| fault | service | Nagios told | Icinga told | its end was told by |
|---|---|---|---|---|
"""


def in_table(row: Row) -> str:
    """A line of the table."""
    fault = row.fault
    service = f"{fault.host}: KVM {fault.service}" if fault.service else f"{fault.host}"
    columns = [fault.what, service]
    for lines in row.told.values():
        told = [f"{line.contact} {line.state}" for line in lines if line.kind == "PROBLEM"]
        columns.append(", ".join(told) or "nobody")
    ends = [
        name
        for name, lines in row.told.items()
        if [(line.kind, line.contact) for line in lines].count(("RECOVERY", fault.contact)) == 1
    ]
    columns.append("both" if len(ends) == len(row.told) else ", ".join(ends) or "nobody")
    return f"| {' | '.join(columns)} |"


def version(command: tuple[str, ...]) -> str:
    """The version that a daemon says it is."""
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", out)
    return found[0] if found else ""


def page(run: Run, lived: list[str] | None) -> str:
    """The page."""
    said = "Normal life was left out of this run."
    if lived is not None:
        told = "; ".join(lived) or "nothing was told to anybody"
        said = f"In ten minutes of normal life ({DEEDS}): {told}."
    versions = {name.lower(): version(command) for name, command in VERSIONS.items()}
    text = HEADING.format(minute=MINUTE, life=said, **versions) + "".join(f"{in_table(row)}\n" for row in run.rows)
    once = {name: sum(row.right(name) for row in run.rows) for name in run.rows[0].told} if run.rows else {}
    text += (
        "\n"
        + ", ".join(
            f"{name}: {number} of {len(run.rows)} told once, to the right contact, and their ends"
            for name, number in once.items()
        )
        + ".\n"
    )
    if run.besides:
        text += "\nTold besides:\n\n" + "".join(f"* {line}\n" for line in run.besides)
    return text


def main() -> None:
    """Live, break, write the page; exit with 1 if something was told that should not be, or was not."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    parts = os.environ.get("PARTS", "life faults").split()
    WORK.mkdir()
    with running(Hypervisor()) as bed, running(Site(bed)) as site:
        lived = live(site) if "life" in parts else None
        print("\n".join(lived or []), flush=True)
        run = Run(site)
        try:
            if "faults" in parts:
                run.all()
        finally:
            if run.rows:  # those of a run that was cut off as well
                PAGE.write_text(page(run, lived))
        print("publish said:", {said: times for said, times in site.said.items() if times}, flush=True)
        print(f"slowest run of publish: {site.slowest:.1f} s", flush=True)
    wrong = [
        *(lived or []),
        *(
            f"{name}: {row.fault.what}: {row.told[name]}"
            for row in run.rows
            for name in row.told
            if not row.right(name)
        ),
        *run.besides,
    ]
    print("\n".join(wrong) or "Everything was told as it should be.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
