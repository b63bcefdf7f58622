"""All checks for all VMs from one collection, by the same functions as the single checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from check_kvm.frame import output, plugin
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import SPOKESMAN

from kvmwatch.command.watchdog import UNKNOWN
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.model.text import without_password
from nagios_kvm.services import services
from nagios_kvm.vm_hosts import VmHost


class Result(NamedTuple):
    """What a service is told: the plugin's output without the newline at its end, and its exit code."""

    service: str
    code: int
    output: str
    host: str = ""  # the VM's own; empty: the hypervisor's

    @property
    def name(self) -> str:
        """Of the service, with that of its host where that is the VM's own."""
        return f"{self.host}!{self.service}" if self.host else self.service


def results(
    snapshot: Snapshot,
    checks: Iterable[Check],
    config: SiteConfig,
    style: output.Style,
    vm_host: VmHost | None = None,
) -> Iterator[Result]:
    """Judge every service of a snapshot that has rates and was read with the groups of all checks."""
    chosen = tuple(checks)
    applied = config.applied(snapshot)
    thresholds = {check.name: plugin.checked_thresholds(check, config) for check in chosen}
    of_domains = [check.name for check in chosen if check.of_each_domain]
    if of_domains and SPOKESMAN not in of_domains:
        thresholds[of_domains[0]].speaks_for_all = True
    if of_domains:
        for one in thresholds.values():  # a typing error in a VM is one problem, and not one for each service
            one.tells_of_metadata = one.speaks_for_all
    for service in services(applied, chosen, vm_host):
        check = service.check
        try:
            verdict = plugin.judged(check, service.part(applied), thresholds[check.name], bool(service.domain))
            text, code = output.render(check.name, verdict, style)
        except Exception as error:  # of one service, and the others are told all the same
            text, code = without_password(plugin.unknown(check, error)), UNKNOWN
        yield Result(service.name, code, text.rstrip("\n"), service.host)
