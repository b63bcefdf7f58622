"""Which options a real Icinga 2 gives each check, told by the command lines that it ran. Needs no hypervisor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from commands import EXAMPLE_URI, Command
from running import running
from waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from icinga import Icinga

#: per VM: of one by --config
TEAMS = """\
[domain web1]
vars.kvm_cpu_warning = steal=7
"""
PLAIN, GENERAL = "plain", "general"
SITE = """\
object Host "plain" { import "generic-host"; import "kvmwatch-plain" }
object Host "general" {
  import "generic-host"
  import "kvmwatch-general"
  vars.kvm_warning = [ "usage=81", "steal=11" ]
  vars.kvm_memory_warning = [ "swap=1", "usage=82" ]
  vars.kvm_disk_verbose = true
  vars.kvm_timeout = 21
}
"""
CHECKS = ("--check=cpu", "--check=memory", "--check=disk")


@pytest.fixture(scope="module")
def icinga(kvm: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Icinga]:
    from icinga import Icinga

    teams: Path = tmp_path_factory.mktemp("teams") / "teams.ini"
    teams.write_text(TEAMS, encoding="utf-8")
    made = Icinga()
    for host in (PLAIN, GENERAL):
        file = str(made.work / "conf.d" / f"{host}.conf")
        options = ("--host", host, "--active", "--config", str(teams), "-u", EXAMPLE_URI, *CHECKS)
        ran = kvm("nagios_kvm", "config", "--format", "icinga2", "--output", file, *options)
        assert ran.code == 0, ran.err
    made.write("conf.d/site.conf", SITE)
    with running(made):
        yield made


def _ran(icinga: Icinga, host: str, service: str) -> list[str]:
    """The options that a service's check was run with, but for what all have."""
    icinga.check_now(host, service)
    result = eventually(f"{service} ran", lambda: icinga.services(host)[service]["last_check_result"])
    command: list[str] = result["command"]
    options = iter(command[1:])
    flags = {"--verbose"}
    pairs = [(option, "" if option in flags else next(options)) for option in options]
    return [f"{name} {value}".strip() for name, value in pairs if name not in ("--domain", "--uri", "--perfdata")]


@pytest.mark.parametrize(
    ("host", "service", "options"),
    [
        # nothing is said, so nothing is given
        (PLAIN, "KVM memory db1", []),
        # of one VM and one check, and of no other
        (PLAIN, "KVM cpu web1", ["--warning steal=7"]),
        (PLAIN, "KVM memory web1", []),
        (PLAIN, "KVM cpu db1", []),
        # of all checks; a list is a list
        (GENERAL, "KVM cpu db1", ["--timeout 21", "--warning usage=81", "--warning steal=11"]),
        (GENERAL, "KVM cpu web1", ["--timeout 21", "--warning steal=7"]),
        # of one check, instead of that of all
        (GENERAL, "KVM memory web1", ["--timeout 21", "--warning swap=1", "--warning usage=82"]),
        (GENERAL, "KVM disk db1", ["--timeout 21", "--verbose", "--warning usage=81", "--warning steal=11"]),
    ],
)
def test_options_of_a_command(icinga: Icinga, host: str, service: str, options: list[str]) -> None:
    assert sorted(_ran(icinga, host, service)) == sorted(options)


def test_perfdata_is_known_unless_it_is_said(icinga: Icinga) -> None:
    icinga.check_now(PLAIN, "KVM cpu db1")
    result = eventually("it ran", lambda: icinga.services(PLAIN)["KVM cpu db1"]["last_check_result"])
    command = result["command"]
    assert command[command.index("--perfdata") + 1] == "known"
