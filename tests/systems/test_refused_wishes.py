"""What one VM's metadata asks for and a real Nagios or Icinga refuses is left out, and all VMs have their services.

By their validation alone: no daemon runs, and no hypervisor.
"""

from __future__ import annotations

from pathlib import Path

import installed
import pytest
from commands import Command
from nagios import HOST, OBJECTS
from testdriver import node

WATCH = '<metadata><watch xmlns="urn:kvmwatch:1" {attribute}="{name}"/></metadata>'
#: the VM that asks for something that there is not; one that asks for what there is; one that asks for nothing
WRONG, RIGHT, OTHER = "web2", "web20", "web3"
NAGIOS = """\
cfg_file={definitions}/nagios/kvmwatch.cfg
cfg_file={folder}/site.cfg
cfg_file={folder}/vms
check_result_path={folder}
log_file={folder}/log
lock_file={folder}/lock
nagios_user=root
nagios_group=root
"""
NAGIOS_SITE = f"""{OBJECTS}{HOST.format(name="kvm1")}
define contactgroup {{
    contactgroup_name  there
    members            admin
}}
define servicegroup {{
    servicegroup_name  there
}}
define hostgroup {{
    hostgroup_name  there
}}
define service {{
    name      there
    register  0
}}
define host {{
    name      there
    register  0
}}
"""
ICINGA = """\
include <itl>
const NodeName = "localhost"
const PluginDir = "/usr/lib/nagios/plugins"
include "{definitions}/icinga2/kvmwatch.conf"
include "{folder}/vms"
object Host "kvm1" {{ check_command = "dummy"; import "kvmwatch-kvm1" }}
object ServiceGroup "there" {{ }}
object HostGroup "there" {{ }}
template Service "there" {{ }}
template Host "there" {{ }}
object User "somebody" {{ }}
object UserGroup "there" {{ }}
object NotificationCommand "tell" {{ command = [ "true" ] }}
apply Notification "teams" to Service {{
  command = "tell"
  user_groups = service.vars.contact_groups
  assign where service.vars.contact_groups
}}
"""
_FOLDERS = ("DataDir", "LogDir", "CacheDir", "InitRunDir", "SpoolDir")


@pytest.fixture
def validate(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The command, of Nagios or Icinga, that judges a configuration with the file ``vms`` in it."""
    places = {"folder": tmp_path, "definitions": installed.CHECKOUT / "checks"}
    if request.getfixturevalue("format_") == "nagios":
        (tmp_path / "site.cfg").write_text(NAGIOS_SITE)
        (tmp_path / "nagios.cfg").write_text(NAGIOS.format(**places))
        return f"nagios4 -v {tmp_path}/nagios.cfg"
    (tmp_path / "icinga2.conf").write_text(ICINGA.format(**places))
    defined = " ".join(f"-D{name}={tmp_path}" for name in _FOLDERS)
    return f"icinga2 daemon -C -c {tmp_path}/icinga2.conf {defined} -DRunAsUser=root -DRunAsGroup=root"


@pytest.mark.parametrize("format_", ["nagios", "icinga2"])
@pytest.mark.parametrize("options", [(), ("--vm-host", "{name}")])
@pytest.mark.parametrize("attribute", ["contact-groups", "service-groups", "templates"])
def test_of_services(
    kvm: Command, tmp_path: Path, validate: str, format_: str, options: tuple[str, ...], attribute: str
) -> None:
    left_out(kvm, tmp_path, validate, format_, attribute, *options)


@pytest.mark.parametrize("format_", ["nagios", "icinga2"])
@pytest.mark.parametrize("attribute", ["host-groups", "host-templates"])
def test_of_hosts(kvm: Command, tmp_path: Path, validate: str, format_: str, attribute: str) -> None:
    left_out(kvm, tmp_path, validate, format_, attribute, "--vm-host", "{name}")


def left_out(kvm: Command, folder: Path, validate: str, format_: str, attribute: str, *options: str) -> None:
    """Have the definitions written, and look what there is of whom."""
    xml = node([WRONG, RIGHT, OTHER])
    for vm, name in ((WRONG, "typo"), (RIGHT, "there")):
        called = f"<name>{vm}</name>"
        xml = xml.replace(called, called + WATCH.format(attribute=attribute, name=name))
    (folder / "node.xml").write_text(xml)
    (folder / "teams.ini").write_text("[defaults]\nallow_metadata = *\n")
    file = folder / "vms"
    ran = kvm(
        *("nagios_kvm", "config", "--format", format_, "--host", "kvm1", "-u", f"test://{folder}/node.xml"),
        *("--check=state", "--check=cpu", "--config", str(folder / "teams.ini"), "-t", "60"),
        *("--output", str(file), "--validate", validate, *options),
    )
    assert (ran.code, ran.out) == (2, f"{file}: 7 services\n"), ran.err
    (line,) = ran.err.splitlines()
    assert line.startswith(f"nagios_kvm: left out what the metadata of {WRONG} (typo) asks for: ")
    text = file.read_text()
    assert "there" in text
    assert "typo" not in text
