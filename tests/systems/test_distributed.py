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

NAMES = {
    f"KVM {check} {name}" for check in ("state", "cpu", "memory", "disk", "network") for name in ("web1", "web2")
}


@pytest.fixture(scope="module")
def two() -> Iterator[Distributed]:
    from distributed import Distributed

    with running(Distributed(minute=6)) as made:
        yield made


def test_the_agent_runs_the_checks_and_the_master_what_it_knows_itself(two: Distributed) -> None:
    from distributed import AGENT, MASTER

    def sources() -> dict[str, str]:
        return {name: judged.source for name, judged in two.services().items()}

    wanted = dict.fromkeys(NAMES | {"KVM host", "KVM net", "KVM pool"}, AGENT) | {SETTLED: MASTER}
    eventually_equal("every service was checked, and where", sources, wanted)
    assert two.services()["KVM state web1"].output.startswith("KVM_STATE OK - web1 running")


def test_the_agent_has_the_commands_from_the_master_and_reads_its_own_libvirt(two: Distributed) -> None:
    from distributed import READ_BY_MASTER

    listed = two.agent.run("icinga2", "object", "list", "--type", "CheckCommand", "--name", "check_kvm_state")
    assert "/var/lib/icinga2/api/zones/global-templates/_etc/kvmwatch.conf" in listed
    assert "kvm1-vms" not in two.agent.run("find", "/var/lib/icinga2/api/zones")
    assert READ_BY_MASTER not in two.master.read("/etc/icinga2/zones.d/master/kvm1-vms.conf")
