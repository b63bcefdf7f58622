"""All checks for all VMs from one collection, by the same functions as the single checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from check_kvm.frame import output, plugin
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model.snapshot import Snapshot
from nagios_kvm.services import services


class Result(NamedTuple):
    """What a service is told: the plugin's output without the newline at its end, and its exit code."""

    service: str
    code: int
    output: str


class Taken(NamedTuple):
    """How many results were taken, and why one was not, other than that its service is not known there."""

    number: int
    why: str = ""


def results(
    snapshot: Snapshot, checks: Iterable[Check], config: SiteConfig, style: output.Style
) -> Iterator[Result]:
    """Judge every service of a snapshot that has rates and was read with the groups of all checks."""
    chosen = tuple(checks)
    applied = config.applied(snapshot)
    thresholds = {check.name: plugin.checked_thresholds(check, config) for check in chosen}
    for service in services(applied, chosen):
        check = service.check
        verdict = plugin.judged(check, service.part(applied), thresholds[check.name], bool(service.domain))
        text, code = output.render(check.name, verdict, style)
        yield Result(service.name, code, text.rstrip("\n"))
