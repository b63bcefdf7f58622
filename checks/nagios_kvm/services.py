"""Which services there are: each check of a VM for each VM, each check of the hypervisor once.

The hypervisor's own, *KVM host*, is always among them: the others depend on it, so that a libvirt that cannot be
read is one problem and not one for each VM. So they do on *KVM settled*, which no check of ours feeds: it is the
monitoring system's own word on whether the hypervisor was down a moment ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from check_kvm.frame.judging import chosen
from check_kvm.frame.plugin import Check

from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading.connection import DEFAULT_URI
from nagios_kvm.names import ServiceName
from nagios_kvm.vm_hosts import VmHost

PARENT = "host"  # the check on which the services of all others depend
FIRST = "state"  # of a VM's: while it is CRITICAL or UNKNOWN nobody is told of the others, which cannot be well
SETTLED = "KVM settled"
SETTLED_AFTER = 600  # seconds after the hypervisor's host was down, in which nothing is told of its services


class Service(NamedTuple):
    """One service, on the hypervisor's host or on the VM's own."""

    check: Check
    domain: Domain | None = None
    host: str = ""  # the VM's own; empty: the hypervisor's

    @property
    def name(self) -> str:
        """As Nagios and Icinga call it; on the VM's own host without the VM's name."""
        if self.host:
            return str(ServiceName(self.check.name))
        return str(ServiceName(self.check.name, self.domain.name if self.domain else None))


def checks(names: Iterable[str], uri: str = DEFAULT_URI) -> tuple[Check, ...]:
    """The checks with these short names and the parent, or without any those that are services by default.

    ``uri``: of the hypervisor. Raises UsageError for an unknown one, and for one that can judge nothing from here.
    """
    wanted = set(names)
    return chosen(wanted | {PARENT} if wanted else (), uri)


def pace(check: Check) -> str | None:
    """The template that says how long a problem of a check lasts before somebody is told; None: as the others.

    A rate is high for a minute now and then; the parent has to be known to be in trouble before its children are.
    """
    if check.name == PARENT:
        return "kvm-parent"
    return "kvm-rate" if check.needs_rates else None


def after_first(of: Iterable[Service]) -> dict[str, list[str]]:
    """By VM's own host that has the first of its checks as a service: the names of its other services."""
    listed = [service for service in of if service.host]
    having: dict[str, list[str]] = {service.host: [] for service in listed if service.check.name == FIRST}
    for service in listed:
        if service.host in having and service.check.name != FIRST:
            having[service.host].append(service.name)
    return having


def services(snapshot: Snapshot, of: Iterable[Check], vm_host: VmHost | None = None) -> Iterator[Service]:
    """The services, those of the hypervisor first, then by VM; VMs to be left alone have none.

    ``vm_host``: how the VMs' own hosts are called; None: their services are on the hypervisor's.
    """
    chosen = tuple(of)
    for check in chosen:
        if not check.of_each_domain:
            yield Service(check)
    for domain in sorted(snapshot.domains, key=lambda domain: domain.name):
        if domain.policy.ignore:
            continue
        for check in chosen:
            if check.of_each_domain:
                yield Service(check, domain, vm_host.of(domain) if vm_host else "")
