"""Whom Icinga's rules tell of VMs: Debian's conf.d, the rules of docs/icinga.md, and hosts for VMs or not.

Told by the notifications that a validation makes. Needs neither a hypervisor nor a running Icinga.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import installed
import pages
import pytest
from commands import EXAMPLE_URI, Command

DEBIAN = Path("/etc/icinga2/conf.d")
PAGE = "docs/icinga.md"
MAIN = """\
include <itl>
include <plugins>
const NodeName = "localhost"
const PluginDir = "/usr/lib/nagios/plugins"
include "{folder}/conf.d/*.conf"
include "{definitions}"
object UserGroup "team-db" {{ }}
"""
TEAMS = "[domain db1]\ncontact_groups = team-db\n"
#: VMs of the example hypervisor that have services, and checks of each
CHOSEN = ("-d", "web1", "-d", "db1", "--check=state", "--check=cpu")
AS_ROOT = ("-DRunAsUser=root", "-DRunAsGroup=root")
ADMINS, TEAM = "icingaadmins", "team-db"
#: on the hypervisor's own host: the services of its own
OF_HYPERVISOR = {f"kvm1!{service}": {ADMINS} for service in ("KVM host", "KVM settled")}


class Site:
    """A folder with Debian's configuration and what a reader of the page writes beside it."""

    def __init__(self, folder: Path, kvm: Command) -> None:
        self._folder = folder
        self._kvm = kvm
        shutil.copytree(DEBIAN, folder / "conf.d")
        (folder / "conf.d" / "hosts.conf").unlink()  # this machine's own
        self._main = folder / "icinga2.conf"
        definitions = installed.CHECKOUT / "checks" / "icinga2" / "kvmwatch.conf"
        self._main.write_text(MAIN.format(folder=folder, definitions=definitions))
        (folder / "teams.ini").write_text(TEAMS)
        for step in pages.steps(PAGE):
            if step.file in ("/etc/icinga2/conf.d/kvm1.conf", "/etc/icinga2/conf.d/kvmwatch-told.conf"):
                (folder / "conf.d" / Path(step.file).name).write_text(step.text)
            elif step.command.startswith("sed ") and step.section == "Who is told":
                command = step.command.replace(str(DEBIAN), str(folder / "conf.d"))
                subprocess.run(["sh", "-c", command], check=True)

    def told(self, *options: str) -> dict[str, set[str]]:
        """Host or service of ours to the groups that are told of it, one notification for each."""
        file = str(self._folder / "conf.d" / "kvm1-vms.conf")
        ran = self._kvm(
            "nagios_kvm", "config", "--format", "icinga2", "--host", "kvm1", "-u", EXAMPLE_URI, *CHOSEN,
            *("--output", file, "--validate", self._validate, "-t", "60", *options),
        )  # fmt: skip
        assert (ran.code, ran.err) == (0, ""), ran.err
        told: dict[str, set[str]] = {}
        for name, groups in self._notifications():
            of = name.rpartition("!")[0]
            if "KVM" in of or "!" not in of:
                assert of not in told, f"{of} is told twice: {told[of]} and {groups}"
                told[of] = groups
        return told

    @property
    def _validate(self) -> str:
        constants = ("DataDir", "LogDir", "CacheDir", "InitRunDir", "SpoolDir")
        defined = [f"-D{name}={self._folder}" for name in constants]
        there = subprocess.run(["icinga2", "daemon", "--help"], capture_output=True, text=True, check=True).stdout
        dump = ["--dump-objects"] if "--dump-objects" in there else []  # before 2.14 it dumps always
        return " ".join(["icinga2 daemon -C", *dump, "-c", str(self._main), *defined, *AS_ROOT])

    def _notifications(self) -> Iterator[tuple[str, set[str]]]:
        """Names, and groups that are told, of the dump: JSON with its length before it."""
        dump = (self._folder / "icinga2.debug").read_bytes()
        while dump:
            size, _, rest = dump.partition(b":")
            dumped: dict[str, Any] = json.loads(rest[: int(size)])
            if dumped["type"] == "Notification":
                yield dumped["properties"]["__name"], set(dumped["properties"].get("user_groups") or ())
            dump = rest[int(size) + 1 :]


@pytest.fixture
def site(tmp_path: Path, kvm: Command) -> Site:
    return Site(tmp_path, kvm)


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("own_hosts", [False, True])
@pytest.mark.parametrize("teams", [False, True])
def test_whom_the_page_tells(site: Site, tmp_path: Path, active: bool, own_hosts: bool, teams: bool) -> None:
    """All of it is told, once; a VM's team is told instead of those whom the hypervisor's host tells."""
    options = ("--vm-host", "{name}") if own_hosts else ()
    options += ("--active",) if active else ()
    options += ("--config", str(tmp_path / "teams.ini")) if teams else ()
    wanted = {"kvm1": {ADMINS}, **OF_HYPERVISOR}
    for name in ("web1", "db1"):
        groups = {TEAM} if teams and name == "db1" else {ADMINS}
        for check in ("state", "cpu"):
            wanted[f"{name}!KVM {check}" if own_hosts else f"kvm1!KVM {check} {name}"] = groups
        if own_hosts:
            wanted[name] = groups
    assert site.told(*options) == wanted
