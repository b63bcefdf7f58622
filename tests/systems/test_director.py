"""Our baskets and lists in a real Icinga Director, which deploys them to a real Icinga."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import installed
import pytest
from commands import EXAMPLE_SERVICES, EXAMPLE_URI, Command
from running import running
from waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from director import Director

BASKET = installed.CHECKOUT / "checks" / "icinga2" / "director-basket.json"
IMPORT_BASKET = BASKET.with_name("director-import-basket.json")
CONFIG = ("nagios_kvm", "config", "--format", "director", "--host", "kvm1", "-u", EXAMPLE_URI)
#: what Director needs of an Icinga: the zone for what is the same everywhere
ICINGA = """
object Zone "director-global" { global = true }
object Host "kvm1" { check_command = "dummy" }
"""
LIST = ("nagios_kvm", "config", "--format", "director-import", "--host", "kvm1", "-u", EXAMPLE_URI)


@pytest.fixture(scope="module")
def director() -> Iterator[Director]:
    from director import Director

    with running(Director()) as made:
        yield made


def test_commands_and_templates(director: Director) -> None:
    for _ in range(2):
        director.cli("basket", "restore", text=BASKET.read_text(encoding="utf-8"))
    command = director.show("command", "check_kvm_disk")
    assert command["arguments"]["--warning"]["repeat_key"] is True
    value = command["arguments"]["--warning"]["value"]
    assert value["type"] == "Function"
    assert value["body"].index("$kvm_disk_warning$") < value["body"].index("$kvm_warning$")
    assert "$kvm_disk_verbose$" in command["arguments"]["--verbose"]["set_if"]


def test_service_set_follows_the_vms(director: Director, kvm: Command) -> None:
    director.cli("basket", "restore", text=kvm(*CONFIG).out)
    assert len(director.services()) == EXAMPLE_SERVICES
    director.cli("basket", "restore", text=kvm(*CONFIG, "-x", "web1").out)
    assert "KVM cpu web1" not in director.services()
    assert "has been generated" in director.cli("config", "render")


def _imported(director: Director) -> None:
    """As the page has it, the synchronisation in another second than the import.

    Director removes what the last import has no more and the last one before the last synchronisation had; one of
    the same second is none before it.
    """
    director.cli("importsource", "run", "--id", "1")
    time.sleep(1)
    director.cli("syncrule", "run", "--id", "1")


def test_hosts_follow_the_list(director: Director, kvm: Command, tmp_path: Path) -> None:
    for basket in (BASKET, IMPORT_BASKET, IMPORT_BASKET):
        director.cli("basket", "restore", text=basket.read_text(encoding="utf-8"))
    assert "1 | kvmwatch VMs" in director.cli("importsource", "list")
    assert "1 | kvmwatch VMs" in director.cli("syncrule", "list")
    teams = tmp_path / "teams.ini"
    teams.write_text("[domain web1]\ncontact_groups = team-web\nvars.kvm_cpu_warning = steal=7\n")
    file = director.lists / "vms.json"
    write = (*LIST, "--active", "--config", str(teams), "--output", str(file))
    assert kvm(*write).code == 0
    _imported(director)
    assert len(director.hosts()) == 8
    web1 = director.show("host", "web1")
    assert web1["imports"] == ["kvm-vm"]
    assert web1["display_name"] == "web1"
    assert web1["vars"].items() >= {"contact_groups": ["team-web"], "kvm_cpu_warning": "steal=7"}.items()
    assert "Nothing has been changed" in director.cli("syncrule", "run", "--id", "1")
    # what is said no more is gone, and so is a VM; what an administrator added stays
    director.cli("host", "set", "web1", "--address", "192.0.2.1")
    teams.write_text("")
    assert kvm(*write, "-x", "db1").code == 0

    _imported(director)
    assert "db1" not in director.hosts()
    web1 = director.show("host", "web1")
    assert web1["address"] == "192.0.2.1"
    assert "contact_groups" not in web1["vars"]


def test_what_director_refuses(director: Director, kvm: Command, tmp_path: Path) -> None:
    teams, file = tmp_path / "teams.ini", director.lists / "vms.json"
    write = (*LIST, "--active", "--config", str(teams), "--output", str(file))
    teams.write_text("[domain web1]\nhost_templates = nowhere\n")
    assert kvm(*write).code == 0

    def told() -> bool:  # it says so here, and not by the exit code
        _imported(director)
        return 'failed to load icinga_host "nowhere"' in director.cli("syncrule", "list")

    eventually("the Sync Rule fails", told)


def test_deploying(director: Director, kvm: Command, tmp_path: Path) -> None:
    """The hypervisor's own services by the basket, its VMs by the list; Icinga runs what it is given."""
    from icinga import API_PASSWORD, API_USER, Icinga

    director.cli("basket", "restore", text=kvm(*CONFIG, "--check", "host", "--check", "pool").out)
    teams = tmp_path / "teams.ini"
    teams.write_text("[domain web1]\nvars.kvm_cpu_warning = steal=7\n")
    assert kvm(*LIST, "--active", "--config", str(teams), "--output", str(director.lists / "vms.json")).code == 0

    def follows() -> bool:
        _imported(director)
        return "kvm_cpu_warning" in director.show("host", "web1")["vars"]

    eventually("the list is imported", follows)
    made = Icinga()
    made.write("kvmwatch.conf", "")  # its templates are Director's here
    made.write("conf.d/site.conf", ICINGA)
    with running(made):
        user = {"username": API_USER, "password": API_PASSWORD}
        director.deploys_to(endpoint="localhost", host="127.0.0.1", port="5665", **user)
        assert "has been deployed" in director.cli("config", "deploy")
        services = eventually("Icinga has the services of a VM", lambda: made.services("web1"))
        assert services.keys() == {"KVM state", "KVM cpu", "KVM disk", "KVM memory", "KVM network"}
        assert made.services("kvm1").keys() == {"KVM host", "KVM pool"}
        assert made.dependencies() == {
            f"{host}!{service}": "kvm1!KVM host"
            for host, names in (("kvm1", ["KVM pool"]), *((host, services) for host in director.hosts()))
            for service in names
        }
        for service, warned in (("KVM cpu", True), ("KVM memory", False)):
            made.check_now("web1", service)
            ran = eventually("it ran", lambda name=service: made.services("web1")[name]["last_check_result"])
            command = ran["command"]
            assert command[command.index("--domain") + 1] == director.show("host", "web1")["vars"]["kvm_uuid"]
            assert command[command.index("--uri") + 1] == EXAMPLE_URI
            assert ("steal=7" in command) == warned
