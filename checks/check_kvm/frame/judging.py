"""All checks of one reading: which there are, what they need, and the verdict of each on the host or on one VM."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, reduce
from operator import or_

from check_kvm.frame import known, plugin
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import SPOKESMAN
from check_kvm.frame.verdict import Verdict
from kvmwatch.model.errors import UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Process, Snapshot
from kvmwatch.model.text import without_password
from kvmwatch.reading.connection import is_local

_OF_THIS_MACHINE = frozenset({"process"})  # checks of what the hypervisor's own /proc tells


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check there is.

    Those of VMs come first, and of these the state, because it tells why others have nothing to judge.
    """
    found = map(known.check, known.checks())
    return tuple(sorted(found, key=lambda check: (not check.of_each_domain, check.name != "state", check.name)))


def of_domains() -> tuple[Check, ...]:
    """Those that judge VMs."""
    return tuple(check for check in all_checks() if check.of_each_domain)


def of_hypervisor(local: bool) -> tuple[Check, ...]:
    """Those that judge the hypervisor; ``local``: it is this machine, so that its processes can be seen."""
    return tuple(
        check
        for check in all_checks()
        if not check.of_each_domain and (local or check.name not in _OF_THIS_MACHINE)
    )


def chosen(names: Iterable[str], uri: str) -> tuple[Check, ...]:
    """The checks with these short names, or without any those that are asked of all VMs by default.

    ``uri``: of the hypervisor. Raises UsageError for an unknown one, and for one that can judge nothing from here.
    """
    wanted = set(names)
    if unknown := sorted(wanted.difference(known.checks())):
        raise UsageError(
            f"unknown check {unknown[0]!r}; there are {', '.join(check.name for check in all_checks())}"
        )
    of_these = (check for check in all_checks() if (check.name in wanted if wanted else check.by_default))
    if is_local(uri):
        return tuple(of_these)
    for name in wanted & _OF_THIS_MACHINE:
        raise UsageError(
            f"--check {name} needs the hypervisor's own /proc; {without_password(uri)} is not this machine"
        )
    return tuple(check for check in of_these if check.name not in _OF_THIS_MACHINE)


def groups(of: Iterable[Check]) -> Group:
    """What is to be read for all of these checks at once."""
    return reduce(or_, (check.reads for check in of), Group.NONE)


class Judges:
    """These checks of a snapshot, by a site's thresholds: each as the command of its own would judge, and say."""

    def __init__(self, checks: Iterable[Check], config: SiteConfig, snapshot: Snapshot) -> None:
        """Take a snapshot that has rates, what the site says of its VMs, and the groups of all these checks.

        Raises UsageError for a threshold that the file of ``--config`` has and a check does not.
        """
        self._snapshot = snapshot
        self._processes: dict[str | None, list[Process]] = {}
        for process in snapshot.processes:
            if process.known:
                self._processes.setdefault(process.uuid, []).append(process)
        self._alone: dict[str, Snapshot] = {}  # by UUID
        self._thresholds = {
            check.name: plugin.checked_thresholds(check, config, of_one=check.of_each_domain) for check in checks
        }
        of_domains = [check.name for check in checks if check.of_each_domain]
        if of_domains and SPOKESMAN not in of_domains:
            self._thresholds[of_domains[0]].speaks_for_all = True
        if of_domains:
            for one in self._thresholds.values():  # a typing error in a VM is one problem, not one per check
                one.tells_of_metadata = one.speaks_for_all

    def verdict(self, check: Check, domain: Domain | None = None) -> Verdict:
        """Judge the snapshot; or one of its domains, as if only that one had been read."""
        part = self._with(domain) if domain else self._snapshot
        return plugin.judged(check, part, self._thresholds[check.name], bool(domain))

    def _with(self, domain: Domain) -> Snapshot:
        """The snapshot with this one alone; the same for all checks."""
        if domain.uuid not in self._alone:
            own = tuple(self._processes.get(domain.uuid, ()))
            self._alone[domain.uuid] = self._snapshot._replace(domains=(domain,), processes=own)
        return self._alone[domain.uuid]
