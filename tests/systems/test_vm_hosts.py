"""A VM with a host of its own moves between two hypervisors: real Nagios and Icinga keep what they know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import libvirt
import pytest
from commands import Command, Ran
from guests import guest
from running import running
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed
    from second import Second

VM, STATE = "mover1", "KVM state"
CHECKS = ("--check=state", "--check=cpu", "--check=host")
ROUTING = "[domain mover*]\ncontact_groups = team-a\nservice_groups = moving\nvars.TEAM = a\n"
#: as docs/icinga.md limits it, for both hypervisors
USER = """
object ApiUser "feeder" {
  password = "a long one"
  permissions = [ {
    permission = "actions/process-check-result"
    filter = {{ match("kvm?", host.name) || host.vars.kvm_uuid }}
  } ]
}
"""
#: it runs, so this is a problem, which moves with it
WATCH = '<watch expect="shutoff"/>'


@pytest.fixture
def mover(bed: Bed, second: Second) -> Iterator[None]:
    both = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    bed.define(guest(VM)).setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, WATCH, "kvmwatch", "urn:kvmwatch:1", both
    )
    yield
    bed.remove(VM)
    for domain in second.connect().listAllDomains():
        domain.destroy()
        domain.undefine()


def move(bed: Bed, second: Second) -> None:
    """As "virsh migrate --live --persistent" does, which leaves its definition where it was."""
    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNSAFE
    bed.lookup(VM).migrate3(second.connect(), {"migrate_uri": "tcp://127.0.0.1"}, flags)


class Site:
    """nagios_kvm for both hypervisors, with files of one monitoring system."""

    def __init__(self, kvm: Command, monitor: Any, format_: str, suffix: str, *to: str) -> None:
        from second import URI_READ_ONLY

        self._kvm, self._monitor, self._format, self._suffix, self._to = kvm, monitor, format_, suffix, to
        self._hypervisors = {"kvm1": (), "kvm2": ("-u", URI_READ_ONLY)}
        self._ini = str(monitor.write("routing.ini", ROUTING))

    def config(self, hypervisor: str, *more: str) -> Ran:
        folder = self._monitor.work / ("objects" if self._format == "nagios" else "conf.d")
        file = ("--output", str(folder / f"{hypervisor}{self._suffix}"))
        ran = self._run("config", hypervisor, "--format", self._format, "--config", self._ini, *file, *more)
        assert ran.code == 0, ran.err
        return ran

    def reloaded(self, hypervisor: str) -> Ran:
        """As the timer does it."""
        (daemon, *_) = self._monitor._running
        return self.config(hypervisor, "--validate", self._monitor.validate, "--reload", f"kill -HUP {daemon.pid}")

    def publish(self, hypervisor: str, services: int) -> None:
        ran = self._run("publish", hypervisor, *self._to)
        assert (ran.code, ran.err) == (0, "")
        assert f" {services} of {services} results for host {hypervisor}" in ran.out

    def _run(self, command: str, hypervisor: str, *more: str) -> Ran:
        own = ("--host", hypervisor, *self._hypervisors[hypervisor], "--vm-host", "{name}", "-d", VM, *CHECKS)
        return self._kvm("nagios_kvm", command, *own, *more)


def move_and_follow(
    site: Site, bed: Bed, second: Second, kept: Callable[[], bool], hypervisor: Callable[[], str]
) -> None:
    """Migrate it, and run what the timers run, the source first.

    ``kept`` tells whether is known what is to stay all the time, ``hypervisor`` whose the loaded definitions are.
    """
    site.publish("kvm1", 3)
    eventually("the problem is known, acknowledged and in a downtime", kept)
    move(bed, second)
    site.publish("kvm1", 1)
    site.publish("kvm2", 3)
    assert "unchanged" not in site.reloaded("kvm1").out, "it leaves"
    eventually("after the source's run", kept)
    site.reloaded("kvm2")
    eventually("it is taken over", lambda: hypervisor() == "kvm2")
    eventually("all is still known", kept)  # Nagios counts its downtimes again when it has loaded
    site.reloaded("kvm1")
    assert "unchanged" in site.reloaded("kvm1").out
    site.publish("kvm1", 1)
    site.publish("kvm2", 3)
    eventually("in the end", kept)


def test_nagios_keeps_what_it_knows(bed: Bed, second: Second, kvm: Command, mover: None) -> None:
    import time

    from nagios import HOST, Nagios

    nagios = Nagios()
    main = nagios.main.read_text().replace("retain_state_information=0", "retain_state_information=1")
    nagios.write("nagios.cfg", main)
    groups = "define contactgroup {\n    contactgroup_name team-a\n    members admin\n}\n"
    groups += "define servicegroup {\n    servicegroup_name moving\n}\n"
    nagios.write("objects/second.cfg", HOST.format(name="kvm2") + groups)
    pipe = nagios.work / "rw" / "nagios.cmd"
    site = Site(kvm, nagios, "nagios", ".cfg", "--to", str(pipe))
    site.config("kvm1")
    site.config("kvm2")

    def command(line: str) -> None:
        with pipe.open("w") as file:
            file.write(f"[{int(time.time())}] {line}\n")

    def shown() -> dict[str, str]:
        return nagios.services(VM).get(STATE, {})

    def kept() -> bool:
        wanted = {"current_state": "1", "problem_has_been_acknowledged": "1", "scheduled_downtime_depth": "1"}
        return wanted.items() <= shown().items()

    def hypervisor() -> str:
        return shown().get("_KVM_HYPERVISOR", "").partition(";")[2]

    with running(nagios):
        site.publish("kvm1", 3)
        eventually("it is a problem", lambda: shown().get("current_state") == "1")
        now = int(time.time())
        command(f"ACKNOWLEDGE_SVC_PROBLEM;{VM};{STATE};2;0;1;admin;known")
        command(f"SCHEDULE_SVC_DOWNTIME;{VM};{STATE};{now};{now + 9999};1;0;0;admin;moving")
        move_and_follow(site, bed, second, kept, hypervisor)
        objects = (nagios.work / "var" / "objects.cache").read_text()
        (own_host,) = (one for one in objects.split("define ") if one.startswith("host {\n\thost_name\tmover1\n"))
        for line in ("parents\tkvm2", "contact_groups\tteam-a", "_TEAM\ta", "_KVM_HYPERVISOR\tkvm2"):
            assert f"\t{line}\n" in own_host
        depends = [
            one
            for one in objects.split("define ")
            if one.startswith("servicedependency {") and f"dependent_service_description\t{STATE}\n" in one
        ]
        assert [one for one in depends if "\tservice_description\tKVM host\n" in one]
        for one in depends:
            assert "\thost_name\tkvm2\n" in one
            assert f"dependent_host_name\t{VM}\n" in one


def test_icinga_keeps_what_it_knows(bed: Bed, second: Second, kvm: Command, mover: None) -> None:
    import time

    from icinga import API, CA, Icinga

    icinga = Icinga()
    hosts = 'object Host "{0}" {{ import "generic-host"; import "kvmwatch-{0}" }}\n'
    groups = 'object ServiceGroup "moving" {}\n'
    icinga.write("conf.d/site.conf", "".join(map(hosts.format, ("kvm1", "kvm2"))) + groups)
    icinga.write("conf.d/user.conf", USER)
    credentials = icinga.write("feeder", "user = feeder\npassword = a long one\n")
    credentials.chmod(0o600)
    to = ("--to", API, "--credentials", str(credentials), "--ca-file", str(CA))
    site = Site(kvm, icinga, "icinga2", ".conf", *to)
    site.config("kvm1")
    site.config("kvm2")

    def shown() -> dict[str, Any]:
        return icinga.services(VM).get(STATE, {})

    def kept() -> bool:
        wanted = {"state": 1, "acknowledgement": 2, "downtime_depth": 1}
        return wanted.items() <= shown().items()

    def action(name: str, **more: Any) -> None:
        about = {"type": "Service", "service": f"{VM}!{STATE}", "author": "admin", "comment": "known"}
        answer = icinga._call("POST", f"/v1/actions/{name}", json={**about, **more})
        assert answer["results"][0]["code"] == 200, answer

    with running(icinga):
        site.publish("kvm1", 3)
        eventually("it is a problem", lambda: shown().get("state") == 1)
        now = int(time.time())
        action("acknowledge-problem", sticky=True)
        action("schedule-downtime", start_time=now, end_time=now + 9999, fixed=True)
        move_and_follow(site, bed, second, kept, lambda: shown().get("vars", {}).get("kvm_hypervisor", ""))
        assert shown()["vars"]["contact_groups"] == ["team-a"]
        assert shown()["vars"]["TEAM"] == "a"
        assert shown()["groups"] == ["moving"]
