"""Every command that the pages for users show, run in the order of the page on a new system with our packages.

The system is a Debian of this machine's release with systemd, Nagios, NRPE, Icinga and a Zabbix agent, beside the
lab's hypervisor and Zabbix server. What the pages call by example names stands here for what there is in the lab.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pages
import pytest
from machine import PACKAGES, THIS_RELEASE, Machine, needed
from pages import ROOT, Step
from prepared import Prepared
from waiting import PATIENCE, eventually

from zabbix import LOGIN, URL, USER

if TYPE_CHECKING:
    from bed import Bed
    from commands import Ran

    from zabbix import Zabbix

pytestmark = needed
#: what a reader has before reading: the monitoring systems, and the tools that the pages use
INSTALLED = (
    "systemd-sysv", "dbus", "sudo", "man-db", "python3-venv",
    "libvirt-clients", "nagios4-core", "nagios-nrpe-server", "nagios-nrpe-plugin", "icinga2-bin",
    "zabbix-agent", "zabbix-sender", "python3-libvirt", "python3-psutil", "python3-nagiosplugin",
    "python3-pyzabbix", "openssh-client",
    "openssh-server", "netcat-openbsd",  # of the hypervisor elsewhere; libvirt-daemon there has virt-ssh-helper
)  # fmt: skip
#: run by other tests, and which
ELSEWHERE = {
    r"make ": "tests/unit/test_pages.py",  # looks that there is such a target; the wheel is made by the fixture below
    r"icingacli ": "tests/systems/test_director.py",
    r"apt install icingaweb2-module-fileshipper": "tests/systems/test_director.py",
    r"apt purge": "tests/systems/test_packages.py",
}
#: sections that other tests read, and which
SECTIONS_ELSEWHERE = {"The hypervisor is another machine": "tests/systems/test_distributed.py"}
#: the example names of the pages
STAND_INS = (
    (r"https://zabbix\.example\.com/zabbix", URL),
    (r"https://icinga\.example\.com", "https://kvm1"),
    (r"192\.0\.2\.1\d", "127.0.0.2"),  # where the agent of this system listens, beside the lab's own
    (r"nagios\.example\.com", "kvm1"),
    (r"qemu\+ssh://[\w-]+@\w+/system(?!\?keyfile)", "qemu:///system"),  # test_zabbix_ways.py goes over ssh
    (r"\b(dommemstat) web1", r"\1 alone1"),  # the lab's other tests need web1 as it is
    (r"\bNAME\b", "web1"),
    (r"\bvnet7\b", "vnet0"),
    (r"\bURI$", "qemu:///system"),
)
#: the lab's Zabbix has hosts of these names already
ZABBIX_HOSTS = ((r"\bkvm1\b", "docs1"), (r"\bkvm2\b", "docs2"))
#: a reader who publishes has services already
NAGIOS_HAS = (
    r"define host {\n use generic-host\n host_name kvm1\n address 127.0.0.1\n check_command check-host-alive\n"
    r" max_check_attempts 3\n}\ndefine service {\n use generic-service\n host_name kvm1\n"
    r" service_description KVM host\n check_command check-host-alive\n}\n"
)
#: what has to happen before a page is read, or before one of its commands
BEFORE = {
    "ln -s /usr/bin/zabbix_kvm": "mkdir -p /usr/lib/zabbix/externalscripts",  # of the server's package
    "useradd": "groupadd --system --force kvm",  # every hypervisor has it, of those who may use /dev/kvm
    "sed 's/^/restrict": "cp /etc/kvmwatch/ssh/id_ed25519.pub /root/",
    # the lab has no address but its own loopback, for which nsca does not look by itself
    "systemctl restart nsca": "sed -i 's/^#server_address=.*/server_address=127.0.0.1/' /etc/nsca.cfg",
    "python3 -m venv": "apt-get -qq purge kvmwatch",  # "elsewhere" is where our packages are not
    "docs/install.md": f"printf '{NAGIOS_HAS}' > /etc/nagios4/conf.d/kvm1.cfg; systemctl start nagios4",
    "docs/checkmk.md": "mkdir -p /usr/lib/check_mk_agent/local",  # of its agent's package
    "docs/troubleshooting.md": "virsh metadata web1 --uri urn:kvmwatch:1 --key kvmwatch --live --set '<watch/>'",
}
#: these exit with a state, those have to wait until the monitoring system knows of new hosts and services
JUDGES = re.compile(r"^(?!man |ls )(?!.*--version).*(check_kvm_\w+|zabbix_kvm verify)")
SENDS = re.compile(r"check_nrpe|zabbix_kvm send|nagios_kvm publish|start kvmwatch-(send|publish)")
#: these change nothing and take a second for a rate; a page that shows one again runs it once
LOOKS = re.compile(r"kvmwatch (list|show|net|top)\b")
STATUS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def here(step: Step) -> bool:
    """Whether a step is done here."""
    return step.section not in SECTIONS_ELSEWHERE and not any(
        re.match(pattern, step.command) for pattern in ELSEWHERE
    )


def make_base(prepared: Prepared) -> Machine:
    """Make a system with what a reader has; our packages lie in its /root."""
    made = prepared.up(Machine(THIS_RELEASE))
    made.apt("install", *INSTALLED)
    for package in prepared.take("packages").glob("*_all.deb"):
        shutil.copy(package, made.path("/root"))
    made.path("/etc/apt/apt.conf.d/99yes").write_text('APT::Get::Assume-Yes "true";\n')
    with open(made.path("/etc/zabbix/zabbix_agentd.conf"), "a") as agent:
        agent.write("ListenIP=127.0.0.2\n")
    # Icinga's own example is a host with this machine's name, which is kvm1, too
    made.path("/etc/icinga2/conf.d/hosts.conf").unlink()
    subprocess.run(["make", "--silent", "wheel", f"DIST={made.path('/root/dist')}"], check=True, cwd=ROOT)
    return made


def make_installed(prepared: Prepared) -> Machine:
    """Make one on which our packages are installed."""
    made = prepared.up(Machine(THIS_RELEASE, like=prepared.take("a reader's system")))
    made.do("sh", "-c", "apt-get -qq install /root/*.deb")
    return made


#: whose reader installs our packages there
INSTALLS = "docs/install.md"
SYSTEMS = {"a reader's system": make_base, "one with our packages": make_installed}
WANTED = {**PACKAGES, **SYSTEMS}


@pytest.fixture(scope="module")
def systems(prepared: Prepared, bed: Bed) -> dict[str, Machine]:
    return {name: prepared.take(name) for name in SYSTEMS}


@pytest.fixture(scope="module", autouse=True)
def restored(watched: Zabbix) -> Iterator[None]:
    """Take out of Zabbix what the pages have brought in: other tests look at the same server."""
    before = watched.inventory()
    yield
    for kind, numbers in watched.inventory().items():
        if made := sorted(numbers - before[kind]):
            watched.delete(kind, made)


@pytest.fixture(scope="module")
def token(watched: Zabbix) -> str:
    """An API token of Zabbix's administrator."""
    (user,) = watched.call("user.get", filter={"username": USER})
    (number,) = watched.call("token.create", name=f"docs {time.time()}", userid=user["userid"])["tokenids"]
    (made,) = watched.api.do_request("token.generate", [number])["result"]
    return str(made["token"])


@pytest.mark.parametrize("page", [page for page in pages.PAGES if any(map(here, pages.steps(page)))])
def test_commands_of_the_page(
    page: str, systems: dict[str, Machine], watched: Zabbix, bed: Bed, token: str
) -> None:
    base, installed = systems.values()
    reader = Reader(Machine(THIS_RELEASE, like=base if page == INSTALLS else installed), token)
    try:
        reader.start(page)
        for step in pages.steps(page):
            reader.does(step)
        if page in AFTER:
            AFTER[page](reader, watched)
    finally:
        reader.machine.down()
        for name in ("web1", "idle1"):
            subprocess.run(
                ["virsh", "metadata", name, "--uri", "urn:kvmwatch:1", "--live", "--config", "--remove"],
                check=False, capture_output=True,
            )  # fmt: skip


def test_every_virsh_command_of_a_cure_exists(systems: dict[str, Machine]) -> None:
    """What to do about an alert is said in running text, with commands that change a VM; virsh knows them."""
    named = {name for page in pages.PAGES for name in re.findall(r"virsh ([a-z-]+)", (ROOT / page).read_text())}
    assert {"domblkerror", "resume", "pool-start"} <= named
    base, _ = systems.values()
    for name in named - {"-r"}:
        assert f"{name} - " in base.do("virsh", "help", name)


class Reader:
    """Does what a page says, as root in its home, and looks that it works."""

    def __init__(self, system: Machine, token: str) -> None:
        self.machine = system
        self._token = token
        self._environment: dict[str, str] = {}
        self._looked: set[str] = set()

    def start(self, page: str) -> None:
        """Boot the system."""
        if page == "docs/troubleshooting.md":  # whose reader has set Zabbix up
            self._environment = LOGIN
        self.machine.up()
        self.machine.boot()
        if page in BEFORE:
            self.machine.do("sh", "-c", BEFORE[page])

    def does(self, step: Step) -> None:
        """Do one step."""
        where = f"{step.page}:{step.line}"
        if not here(step):
            return
        if step.file:
            path = self.machine.path(step.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._here(step.text, step.file))
            return
        command = self._here(step.command, step.command)
        if command.startswith("export "):
            self._environment |= dict(pair.split("=", 1) for pair in command.split()[1:])
            return
        if LOOKS.match(command):
            if command in self._looked:
                return
            self._looked.add(command)
        for beginning, first in BEFORE.items():
            if command.startswith(beginning):
                self.machine.do("sh", "-c", first)
        ran = self._run(command)
        end = time.monotonic() + (PATIENCE if SENDS.search(command) else 0)
        while (problem := wrong(command, ran)) and time.monotonic() < end:
            time.sleep(1)
            ran = self._run(command)
        if problem:
            journal = self.machine.run("journalctl", "-o", "cat", "-n", "30").out
            pytest.fail(f"{where}: {command}\n{problem}\n{ran.out[-2000:]}{ran.err[-2000:]}{journal}")

    def _run(self, command: str) -> Ran:
        return self.machine.run("sh", "-c", f"cd /root; {command}", env=self._environment)

    def _here(self, text: str, place: str) -> str:
        for pattern, stand_in in STAND_INS:
            text = re.sub(pattern, stand_in, text)
        if re.search(r"zabbix_kvm|hypervisors\.ini|kvmwatch-send", place):
            for pattern, stand_in in ZABBIX_HOSTS:
                text = re.sub(pattern, stand_in, text)
        return text.replace("0123456789abcdef...", self._token).replace(
            "ZABBIX_TOKEN=...", f"ZABBIX_TOKEN={self._token}"
        )


def wrong(command: str, ran: Ran) -> str:
    """What is wrong with a command that has run; empty when nothing is."""
    if not JUDGES.search(command):
        return f"exit code {ran.code}" if ran.code else ""
    first = re.match(r"KVM[_ ]\w+ (\w+) - ", ran.first)
    if "has no QEMU process that could be found" in ran.first and ran.code == 3:
        return ""  # this system has PIDs of its own, and not those of the lab's hypervisor
    if not first or ran.code == 3 or STATUS.index(first[1]) != ran.code:
        return f"exit code {ran.code}"
    return f"on stderr: {ran.err}" if ran.err else ""


def told(reader: Reader, log: str, notification: str) -> None:
    """Publish, as the page's timer does once a minute, until somebody is told of a VM that crashed."""

    def is_told() -> bool:
        nonlocal said
        ran = reader.machine.run("sh", "-c", ". /etc/default/kvmwatch-publish; eval nagios_kvm publish $OPTIONS")
        said = ran.out + ran.err
        return bool(re.search(notification, text()))

    def text() -> str:
        return reader.machine.path(log).read_text(errors="replace")

    said = ""
    try:
        eventually(f"{log} has {notification}", is_told)
    except AssertionError as error:
        heard = [line for line in text().splitlines() if "ALERT" in line or "otif" in line]
        pytest.fail("\n".join([str(error), said, *heard[-40:]]))


def in_icinga(reader: Reader, _zabbix: Zabbix) -> None:
    """The administrator of Debian's Icinga is told."""
    told(
        reader,
        "/var/log/icinga2/icinga2.log",
        "Sending 'Problem' notification 'kvm1!KVM state crash1![^']*' for user 'icingaadmin'",
    )


def in_nagios(reader: Reader, _zabbix: Zabbix) -> None:
    """The checks through NRPE and the passive results are there, and the administrator of Debian's Nagios is told."""
    told(reader, "/var/log/nagios4/nagios.log", "SERVICE NOTIFICATION: nagiosadmin;kvm1;KVM state crash1;CRITICAL")
    status = reader.machine.path("/var/lib/nagios4/status.dat")
    # how busy web1 is hangs on how busy this machine is just now
    for text in ("KVM_STATE CRITICAL - crash1 crashed", "KVM_HOST ", r"KVM_CPU \w+ - web1 "):
        eventually(f"Nagios shows {text}", lambda: re.search(text, status.read_text()))  # noqa: B023


def in_zabbix(_reader: Reader, zabbix: Zabbix) -> None:
    """The hypervisor that was asked through the agent, and the one that was pushed, have values."""

    def reported(host: str) -> bool:
        return bool(zabbix.items(host)["kvm.host.hostname"]["lastvalue"] == "kvm1")

    eventually("both have values", lambda: reported("docs1") and reported("docs2"))


AFTER: dict[str, Callable[[Reader, Zabbix], None]] = {
    "docs/nagios.md": in_nagios,
    "docs/icinga.md": in_icinga,
    "docs/zabbix.md": in_zabbix,
}
