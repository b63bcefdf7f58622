"""One problem of a VM is told by one of its services: what the definitions and the publisher do for that."""

from __future__ import annotations

import re

import pytest
from check_kvm import process
from check_kvm.frame import plugin
from check_kvm.frame.output import Style
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import Thresholds
from nagios_kvm import icinga2, judging, nagios
from nagios_kvm.definitions import Site
from nagios_kvm.services import checks, services
from nagios_kvm.vm_hosts import VmHost

from kvmwatch.model import states
from kvmwatch.model.policy import Policy
from kvmwatch.model.snapshot import Domain, Process, Snapshot

NAMED = ("state", "cpu", "disk")
ON_ITS_HOST = VmHost("{name}")


def snapshot(**more: object) -> Snapshot:
    domain = Domain("uuid-web1", "web1", states.RUNNING, 1, 1, 0)._replace(**more)  # type: ignore[arg-type]
    seen = Process(4000, 1, domain.uuid, domain.name, 1000.0)
    return Snapshot("qemu:///system", 2000.0, 0.01, domains=(domain,), processes=(seen,))


def rendered(of_format: object, names: tuple[str, ...], vm_host: VmHost | None) -> str:
    listed = services(snapshot(), checks(names), vm_host)
    text: str = of_format.render(Site("kvm1", None, False, 300), listed)  # type: ignore[attr-defined]
    return text


def test_in_nagios_the_services_on_a_vms_host_depend_on_its_state() -> None:
    text = rendered(nagios, NAMED, ON_ITS_HOST)
    (found,) = (block for block in text.split("define ") if "criteria  c,u" in block)
    assert found.startswith("servicedependency {")
    assert dict(line.split(None, 1) for line in found.split("\n")[1:5]) == {
        "host_name": "web1",
        "service_description": "KVM state",
        "dependent_host_name": "web1",
        "dependent_service_description": "KVM cpu,KVM disk",
    }


def test_in_icinga_they_say_on_which_service_they_depend() -> None:
    text = rendered(icinga2, NAMED, ON_ITS_HOST)
    blocks = re.findall(r'object Service "(.*)" \{\n((?:  .*\n)*)', text)
    after = {name: "vars.kvm_after" in block for name, block in blocks}
    assert after == {"KVM state": False, "KVM cpu": True, "KVM disk": True}


@pytest.mark.parametrize(
    ("names", "vm_host"), [(("cpu", "disk"), ON_ITS_HOST), (("state",), ON_ITS_HOST), (NAMED, None)]
)
def test_without_a_state_or_hosts_of_their_own_they_depend_on_the_hypervisor_alone(
    names: tuple[str, ...], vm_host: VmHost | None
) -> None:
    assert "criteria  c,u" not in rendered(nagios, names, vm_host)
    assert "kvm_after" not in rendered(icinga2, names, vm_host)


@pytest.mark.parametrize(("names", "speaker"), [((*NAMED, "process"), "KVM state"), (("cpu", "disk"), "KVM cpu")])
def test_metadata_that_cannot_be_used_are_told_by_one_service(names: tuple[str, ...], speaker: str) -> None:
    odd = snapshot(policy=Policy(error="expect='runing' is none of them"))
    told = judging.results(odd, checks(names), SiteConfig(), Style(), ON_ITS_HOST)
    assert [result.service for result in told if "runing" in result.output] == [speaker]


def test_a_process_is_seen_though_qemu_does_not_answer() -> None:
    check = process.CHECK
    verdict = plugin.judged(check, snapshot(not_responding=95.0), Thresholds(check.name, check.metrics))
    assert [subject.line() for subject in verdict.subjects if "4000" in subject.line()]
    assert "not responding" not in "".join(subject.line() for subject in verdict.subjects)
