"""Our Debian packages on new systems: built, installed, used by nagios and zabbix, run by systemd, upgraded, removed."""

from __future__ import annotations

import json
import re
import shutil
from email.utils import format_datetime, localtime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import installed
import pytest
from commands import CHECKS
from machine import PACKAGES, RELEASES, THIS_RELEASE, Machine, needed
from prepared import Prepared
from running import running
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

pytestmark = needed
NAMES = ("kvmwatch", "kvmwatch-nagios", "kvmwatch-zabbix", "kvmwatch-exporters")
MONITORING = ("nagios4-core", "nagios-nrpe-server", "zabbix-agent", "zabbix-sender", "icinga2-bin")
BUILDING = [
    "build-essential",
    "debhelper",
    "dh-python",
    "pybuild-plugin-pyproject",
    "python3-all",
    "python3-setuptools",
    "lintian",
]
TIMERS = ("kvmwatch-send", "kvmwatch-guests", "kvmwatch-publish", "kvmwatch-config", "kvmwatch-textfile")
READ_ONLY = "org.libvirt.unix.monitor"
#: the part of libvirt's policy that is about this, for a site that has closed it
CLOSED = f"""<policyconfig><action id="{READ_ONLY}"><description>Monitor</description><message>Monitor</message>
<defaults><allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>no</allow_active></defaults>
</action></policyconfig>"""
STATUS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
NRPE = "/etc/nagios/nrpe.d/kvmwatch.cfg"


def make_installed(release: str, prepared: Prepared) -> Machine:
    """Make a new system with our packages on it, and after them the monitoring systems."""
    made = prepared.up(Machine(release))
    # what is built here is what a user has, whatever the release
    made.apt("install", *prepared.take("packages").glob("*_all.deb"))
    made.apt("install", *MONITORING, "systemd-sysv", "dbus", "sudo", "polkitd", "man-db")
    return made


def make_newer(prepared: Prepared) -> list[Path]:
    """Build the source package's next version as a packager would, and have lintian look at it."""
    packages = prepared.take("packages")
    with running(Machine(THIS_RELEASE)) as builder:
        builder.apt("install", *BUILDING)
        work = builder.path("/root/build")
        work.mkdir()
        for file in packages.iterdir():
            shutil.copy(file, work)
        lintian = "lintian --fail-on warning,error"
        builder.do("sh", "-ec", f"cd /root/build; {lintian} *.dsc; dpkg-source -x *.dsc source")
        for file in ("checks/nagios/kvmwatch.cfg", "checks/nrpe/kvmwatch.cfg"):
            path = work / "source" / file
            path.write_text(path.read_text() + "# of the next version\n")
        log = work / "source" / "debian" / "changelog"
        entry = log.read_text()
        later = re.sub(r"\(([^)]+)\)", r"(\1+next)", entry, count=1)
        log.write_text(re.sub(r">  .*", f">  {format_datetime(localtime())}", later, count=1) + "\n" + entry)
        builder.do("sh", "-ec", "cd /root/build/source; dpkg-buildpackage --no-sign --build=binary 2>&1")
        builder.do("sh", "-ec", f"cd /root/build; {lintian} *+next*.changes")
        kept = packages.parent / "deb-next"
        kept.mkdir()
        return [Path(shutil.copy(file, kept)) for file in work.glob("*+next_all.deb")]


WANTED = {
    **PACKAGES,
    **{f"our packages on {release}": partial(make_installed, release) for release in RELEASES},
    "the next version": make_newer,
}


@pytest.fixture(scope="module", params=RELEASES)
def machine(request: pytest.FixtureRequest, prepared: Prepared, bed: Bed) -> Machine:
    made: Machine = prepared.take(f"our packages on {request.param}")
    return made


def test_every_command_runs_and_has_a_manual(machine: Machine) -> None:
    for name in installed.scripts():
        assert machine.do(name, "--version", user="nobody").startswith("kvmwatch ")
        assert machine.do("man", "--where", name)


def test_user_nagios_judges_every_vm(machine: Machine) -> None:
    for check in CHECKS:
        ran = machine.run(f"/usr/lib/nagios/plugins/check_kvm_{check}", user="nagios")
        assert ran.first.startswith(f"KVM_{check.upper()} {STATUS[ran.code]} - "), ran
        assert ran.code < 3, ran
        assert not ran.err
    assert "crash1 crashed" in machine.run("check_kvm_state", user="nagios").first
    kept = machine.path("/var/lib/kvmwatch/nagios")
    assert list(kept.glob("kvm_cpu-*.json"))
    assert "nagios:nagios 750" in machine.do("stat", "--format=%U:%G %a", "/var/lib/kvmwatch/nagios")


def test_user_zabbix_collects(machine: Machine, bed: Bed) -> None:
    made = json.loads(machine.do("zabbix_kvm", "collect", user="zabbix"))
    assert len(made["discovery"]["domains"]) == len(bed.connect().listAllDomains()) - 1  # one is to be left alone
    assert "zabbix:zabbix 750" in machine.do("stat", "--format=%U:%G %a", "/var/lib/kvmwatch/zabbix")


def test_sudo_allows_one_command_line_when_asked_for(machine: Machine) -> None:
    check = "/usr/lib/nagios/plugins/check_kvm_process"
    assert machine.run("sudo", "-n", check, user="nagios").code == 1  # sudo's own refusal
    for side in ("nagios", "zabbix"):
        example = f"/usr/share/doc/kvmwatch-{side}/examples/kvmwatch-{side}"
        machine.do("install", "-m", "440", example, "/etc/sudoers.d/")
        machine.do("visudo", "-cf", f"/etc/sudoers.d/kvmwatch-{side}")
    assert re.search(r"'web1.read'=\d", machine.run("sudo", "-n", check, user="nagios").out)
    assert "'web1.read'=U;" in machine.run(check, user="nagios").out, "only root may read that"
    assert "a password is required" in machine.run("sudo", "-n", check, "-u", "qemu:///system", user="nagios").err
    agent = machine.run("sudo", "-n", check.replace("process", "agent"), "--guest-agent", user="nagios")
    assert "web1" in agent.out
    collect = ("zabbix_kvm", "collect", "--for-agent", "-t", "2.5", "--guest-agent")
    made = json.loads(machine.do("sudo", "-n", "/usr/bin/zabbix_kvm", *collect[1:], user="zabbix"))
    assert any(domain.get("filesystems") for domain in made["discovery"]["domains"])


def test_monitoring_systems_find_our_files(machine: Machine) -> None:
    main = machine.path("/etc/nagios4/nagios.cfg")
    main.write_text(main.read_text() + "cfg_file=/usr/share/kvmwatch/nagios/kvmwatch.cfg\n")
    assert "Total Errors:   0" in machine.do("nagios4", "-v", "/etc/nagios4/nagios.cfg")

    main = machine.path("/etc/icinga2/icinga2.conf")
    main.write_text(main.read_text() + "include <kvmwatch>\n")
    assert "CheckCommands" in machine.do("icinga2", "daemon", "-C")

    command = re.search(r"^command\[check_kvm_state\]=(.*)$", machine.path(NRPE).read_text(), re.MULTILINE)
    assert command
    assert machine.run(*command.group(1).split(), user="nagios").code == 2
    assert f"include_dir={Path(NRPE).parent}/" in machine.path("/etc/nagios/nrpe.cfg").read_text()

    told = machine.do("zabbix_agentd", "-c", "/etc/zabbix/zabbix_agentd.conf", "-t", "kvm.collect", user="zabbix")
    assert '"web1"' in told


def test_systemd_runs_the_timers_hardened(machine: Machine) -> None:
    """Every service runs once for real; none has a timer that the administrator did not enable."""
    machine.boot()
    for name in (*TIMERS, "kvmwatch-send@second", "kvmwatch-publish@second", "kvmwatch-config@second"):
        assert machine.run("systemctl", "is-enabled", f"{name}.timer").out.strip() == "disabled"
        verified = machine.run("systemd-analyze", "verify", "--man=no", f"{name}.service", f"{name}.timer")
        assert (verified.code, verified.out, verified.err) == (0, "", "")
    for name in ("kvmwatch-send", "kvmwatch-guests", "kvmwatch-publish"):
        rated = machine.do("systemd-analyze", "security", f"{name}.service").splitlines()[-1]
        assert float(re.findall(r"\d+\.\d+", rated)[0]) < 3, rated
    machine.do("systemctl", "start", "nagios4")
    settings = machine.path("/etc/default/kvmwatch-config")
    settings.write_text(settings.read_text().replace("--format nagios", "--format nagios --host localhost"))
    machine.do("systemctl", "start", "kvmwatch-config")
    assert "KVM state web1" in machine.path("/etc/nagios4/conf.d/kvm-vms.cfg").read_text()
    settings = machine.path("/etc/default/kvmwatch-publish")
    settings.write_text(settings.read_text().replace("nagios.cmd", "nagios.cmd --host localhost"))
    publish = ("systemctl", "start", "kvmwatch-publish")
    eventually("Nagios takes results", lambda: machine.run(*publish).code == 0)
    status = machine.path("/var/lib/nagios4/status.dat")
    eventually("Nagios knows of the crash", lambda: "crash1 crashed" in status.read_text())
    machine.do("systemctl", "enable", "--now", "kvmwatch-publish.timer")


def test_polkit_rule_opens_a_closed_socket_to_our_users_only(machine: Machine) -> None:
    """As libvirtd asks polkit on a site that denies everybody the read-only socket."""
    machine.path("/usr/share/polkit-1/actions/org.libvirt.unix.policy").write_text(CLOSED)

    def may_read(user: str) -> bool:
        check = f"pkcheck --action-id {READ_ONLY} --process $$"
        return machine.run("sh", "-c", check, user=user).code == 0

    assert not may_read("nagios")
    machine.do("cp", "/usr/share/doc/kvmwatch/examples/60-kvmwatch.rules", "/etc/polkit-1/rules.d/")
    eventually("polkit has read the rule", lambda: may_read("nagios"))
    assert may_read("zabbix")
    assert not may_read("nobody")


def test_upgrade_keeps_what_the_administrator_changed(machine: Machine, prepared: Prepared) -> None:
    newer = prepared.take("the next version")
    nrpe = machine.path(NRPE)
    nrpe.write_text(nrpe.read_text().replace("check_kvm_cpu\n", "check_kvm_cpu -w 80\n", 1))
    counters = set(machine.path("/var/lib/kvmwatch/nagios").glob("*.json"))
    machine.apt("install", *newer)
    assert "+next" in machine.do("dpkg-query", "-W", "kvmwatch")
    assert "check_kvm_cpu -w 80\n" in nrpe.read_text()
    assert "the next version" in machine.path("/usr/share/kvmwatch/nagios/kvmwatch.cfg").read_text()
    assert counters <= set(machine.path("/var/lib/kvmwatch/nagios").iterdir())
    assert machine.run("systemctl", "is-active", "kvmwatch-publish.timer").out.strip() == "active"
    assert machine.run("check_kvm_state", user="nagios").code == 2


def test_removal_leaves_configuration_and_purging_nothing(machine: Machine) -> None:
    machine.apt("remove", *NAMES)
    assert not any(machine.path(f"/usr/bin/{name}").is_symlink() for name in installed.scripts())
    assert machine.path(NRPE).exists()
    assert machine.run("systemctl", "is-active", "kvmwatch-publish.timer").out.strip() == "inactive"
    machine.apt("purge", *NAMES)
    found = machine.do(
        "find", "/", "-xdev", "-path", "/root", "-prune", "-o", "-path", "/run", "-prune", "-o",
        "(", "-name", "*kvmwatch*", "-o", "-name", "check_kvm*", "-o", "-name", "nagios_kvm*", "-o", "-name", "zabbix_kvm*", "-o", "-path", "*kvmwatch/*", ")", "-print",
    ).splitlines()  # fmt: skip
    # what the test itself made
    assert set(found) == {
        "/etc/sudoers.d/kvmwatch-nagios",
        "/etc/sudoers.d/kvmwatch-zabbix",
        "/etc/polkit-1/rules.d/60-kvmwatch.rules",
    }
