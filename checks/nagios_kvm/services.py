"""Which services there are: each check of a VM for each VM, each check of the hypervisor once."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import NamedTuple

from check_kvm.plugin import Check

from kvmwatch.errors import UsageError
from kvmwatch.groups import Group
from kvmwatch.snapshot import Domain, Snapshot
from nagios_kvm.names import ServiceName

#: of each VM; state comes first because it tells why others have nothing to judge
DOMAIN_CHECKS = ("state", "cpu", "memory", "disk", "network", "snapshot", "agent")
HYPERVISOR_CHECKS = ("host", "pool", "process")
#: of VMs that have neither snapshots nor a guest agent these would say nothing
DEFAULT_CHECKS = ("state", "cpu", "memory", "disk", "network", "host", "pool")


class Service(NamedTuple):
    """One service on the hypervisor's host."""

    check: Check
    domain: Domain | None = None

    @property
    def name(self) -> str:
        """As Nagios and Icinga call it."""
        return str(ServiceName(self.check.name, self.domain.name if self.domain else None))

    def part(self, snapshot: Snapshot) -> Snapshot:
        """What of a hypervisor's snapshot this service is about, as if only that had been read."""
        if not self.domain:
            return snapshot
        return snapshot._replace(domains=(self.domain,))


def checks(names: Iterable[str]) -> tuple[Check, ...]:
    """The checks with these short names, in the order of a VM's services. Raises UsageError for an unknown one."""
    wanted = set(names)
    known = (*DOMAIN_CHECKS, *HYPERVISOR_CHECKS)
    if unknown := sorted(wanted.difference(known)):
        raise UsageError(f"unknown check {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(importlib.import_module(f"check_kvm.{name}").CHECK for name in known if name in wanted)


def groups(of: Iterable[Check]) -> Group:
    """What is to be read for all of these checks at once."""
    return reduce(or_, (check.groups for check in of), Group.NONE)


def services(snapshot: Snapshot, of: Iterable[Check]) -> Iterator[Service]:
    """The services, those of the hypervisor first, then by VM; VMs to be left alone have none."""
    chosen = tuple(of)
    for check in chosen:
        if check.name in HYPERVISOR_CHECKS:
            yield Service(check)
    for domain in sorted(snapshot.domains, key=lambda domain: domain.name):
        if domain.policy.ignore:
            continue
        for check in chosen:
            if check.name in DOMAIN_CHECKS:
                yield Service(check, domain)
