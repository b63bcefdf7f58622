"""All checks for all VMs from one collection, by the same functions as the single checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from check_kvm.frame import output, plugin
from check_kvm.frame.judging import Judges
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import Titles

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
    uuid: str = ""  # of the VM whose own host that is

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
    titles: Titles = lambda _uuids: {},
) -> Iterator[Result]:
    """Judge every service of a snapshot that has rates and was read with the groups of all checks.

    ``titles`` gives those of VMs with a problem, when these checks have not read the XML.
    """
    chosen = tuple(checks)
    applied = config.applied(snapshot)
    judges = Judges(chosen, config, applied)
    for service in services(applied, chosen, vm_host):
        check = service.check
        try:
            verdict = judges.verdict(check, service.domain)
            verdict.entitle(titles)
            text, code = output.render(check.name, verdict, style)
        except Exception as error:  # of one service, and the others are told all the same
            text, code = without_password(plugin.unknown(check, error)), UNKNOWN
        uuid = service.domain.uuid if service.domain and service.host else ""
        yield Result(service.name, code, text.rstrip("\n"), service.host, uuid)
