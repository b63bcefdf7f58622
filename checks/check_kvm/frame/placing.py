"""Whether a VM is on the hypervisor that it belongs on (``expect-host``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot

if TYPE_CHECKING:
    from check_kvm.frame.plugin import Check
    from check_kvm.frame.siteconfig import SiteConfig
    from kvmwatch.reading.collect import Reader


def with_hostname(reader: Reader, snapshot: Snapshot, config: SiteConfig, checks: Iterable[Check]) -> Snapshot:
    """Give the snapshot its host's name where one of the checks compares it, and a VM says where it belongs."""
    compared = any(Group.HOSTNAME in check.reads for check in checks)
    if not compared or not any(_bound(domain) for domain in config.applied(snapshot).domains):
        return snapshot
    return reader.with_hostname(snapshot)


def misplaced(domain: Domain, snapshot: Snapshot) -> str | None:
    """What is wrong with the place of an active domain; None: nothing, or it is said in :func:`untold`."""
    if not _bound(domain) or snapshot.hostname is None or is_one_of(snapshot.hostname, domain.policy.hosts):
        return None
    return f"on {snapshot.hostname}, expected on {' or '.join(domain.policy.hosts)}"


def untold(domain: Domain, snapshot: Snapshot) -> str | None:
    """Why it cannot be told whether an active domain is in its place; None: it can, or it has none."""
    if not _bound(domain) or snapshot.hostname is not None:
        return None
    why = next((part.text for part in snapshot.unread if part.group is Group.HOSTNAME), "host name was not asked")
    return f"expected on {' or '.join(domain.policy.hosts)}, and this {why}"


def is_one_of(hostname: str, expected: Iterable[str]) -> bool:
    """Whether a host is called so; where either has no domain (``kvm1``), by the first part of the names."""
    return any(_same(hostname.lower().rstrip("."), name.lower().rstrip(".")) for name in expected)


def _same(one: str, other: str) -> bool:
    if "." in one and "." in other:
        return one == other
    return one.partition(".")[0] == other.partition(".")[0]


def _bound(domain: Domain) -> bool:
    return domain.active and bool(domain.policy.hosts) and not domain.policy.ignore
