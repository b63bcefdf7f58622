"""An Icinga master, and an agent on the hypervisor that runs the checks: docs/icinga.md followed on two machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pages
import pytest
from nagios_kvm.services import SETTLED
from running import running
from waiting import eventually, eventually_equal

if TYPE_CHECKING:
    from distributed import Distributed

CHECKS = ("state", "cpu", "memory", "disk", "network")
OF_VMS = {f"KVM {check} {name}" for check in CHECKS for name in ("web1", "web2")}
OF_HOST = {"KVM host", "KVM net", "KVM pool"}
OF_VM_HOSTS = ("--vm-host", "{name}")


@pytest.fixture(scope="module")
def two() -> Iterator[Distributed]:
    from distributed import Distributed

    with running(Distributed(minute=10)) as made:
        yield made


def test_the_agent_runs_the_checks_and_the_master_what_it_knows_itself(two: Distributed) -> None:
    from distributed import AGENT, MASTER

    def sources() -> dict[str, str]:
        return {name: judged.source for name, judged in two.services().items()}

    wanted = dict.fromkeys(OF_VMS | OF_HOST, AGENT) | {SETTLED: MASTER}
    eventually_equal("every service was checked, and where", sources, wanted)
    # until the agent has got the commands, it says that there are none
    eventually(
        "the agent has the commands",
        lambda: two.services()["KVM state web1"].output.startswith("KVM_STATE OK - web1 running"),
    )


def test_each_machine_has_what_is_its_own(two: Distributed) -> None:
    from distributed import READ_BY_MASTER

    received = two.agent.run("find", "/var/lib/icinga2/api/zones")
    assert "/zones/global-templates/_etc/kvmwatch.conf" in received
    assert "kvm1-vms" not in received
    assert READ_BY_MASTER not in two.master.read("/etc/icinga2/zones.d/master/kvm1-vms.conf")


@pytest.fixture(scope="module")
def fed(two: Distributed) -> Distributed:
    """With a second hypervisor, whose VMs have hosts of their own, and the API users of the page.

    The checks of the second one run at the same agent.
    """
    from distributed import AGENT, PAGE, READ_BY_MASTER

    zone = "/etc/icinga2/zones.d/master"
    config = ("nagios_kvm", "config", "--format", "icinga2", "--host", "kvm2", "--uri", READ_BY_MASTER)
    more = ("--active", "--endpoint", AGENT, *OF_VM_HOSTS)
    two.master.run(*config, *more, "--output", f"{zone}/kvm2-vms.conf")
    two.master.write(f"{zone}/kvm2.conf", 'object Host "kvm2" { import "generic-host"; import "kvmwatch-kvm2" }\n')
    (user,) = (step for step in pages.steps(PAGE) if step.file.endswith("/kvmwatch-api.conf"))
    two.master.write(user.file, user.text)
    (wider,) = re.findall(r'`(host\.name == "kvm1" \|\| .*?)`', (pages.ROOT / PAGE).read_text(encoding="utf-8"))
    text = user.text.replace('"kvmwatch"', '"wider"').replace('host.name == "kvm1"', wider)
    assert text.count(wider) == 1
    two.master.write("/etc/icinga2/conf.d/wider-api.conf", text)
    two.master.run("icinga2", "daemon", "-C")
    two.master.run("systemctl", "restart", "icinga2")
    for name in ("kvmwatch", "wider"):
        two.agent.write(f"/etc/icinga2/{name}.ini", f"user = {name}\npassword = change me\n")
        two.agent.run("chmod", "600", f"/etc/icinga2/{name}.ini")
    return two


@pytest.mark.parametrize(
    ("user", "host", "more", "taken"),
    [
        ("kvmwatch", "kvm1", (), 13),
        ("kvmwatch", "kvm2", OF_VM_HOSTS, 0),
        ("wider", "kvm1", OF_VM_HOSTS, 13),
        ("wider", "kvm2", OF_VM_HOSTS, 10),
    ],
)
def test_a_hypervisor_feeds_its_own_host_and_those_of_vms(
    fed: Distributed, user: str, host: str, more: tuple[str, ...], taken: int
) -> None:
    from distributed import MASTER, READ_BY_AGENT

    to = f"https://{MASTER}:5665"
    said = fed.agent.run(
        *("nagios_kvm", "publish", "--to", to, "--host", host, "--uri", READ_BY_AGENT, *more),
        *("--credentials", f"/etc/icinga2/{user}.ini", "--ca-file", "/var/lib/icinga2/certs/ca.crt"),
        check=taken == 13,
    )
    assert f"{to} took {taken} of 13 results for host {host}" in said, said


def test_services_on_hosts_of_vms_run_at_the_agent_of_their_hypervisor(fed: Distributed) -> None:
    from distributed import AGENT

    def sources() -> dict[str, str]:
        return {name: one.source for name, one in fed.services("web1").items()}

    wanted = dict.fromkeys((f"KVM {check}" for check in CHECKS), AGENT)
    eventually_equal("web1's services were checked at the agent", sources, wanted)
    assert fed.services("web1")["KVM state"].state == "OK"
