"""One reading: a snapshot with rates, and the verdict of every check on it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from check_kvm.frame import judging, placing, plugin
from check_kvm.frame.check_options import site_config
from check_kvm.frame.plugin_api import Ok
from check_kvm.frame.sampling import rated
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import Verdict

from kvmwatch.command.roster import Roster
from kvmwatch.command.watchdog import UNKNOWN
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.connection import is_local
from kvmwatch.reading.deadline import Deadline

#: what the catalogue's metrics need
_FIGURES = (
    Group.SHUT_OFF | Group.AUTOSTART | Group.LISTS | Group.SNAPSHOTS | Group.CHECKPOINTS | Group.POLICY
    | Group.DEFINITION | Group.SIZE | Group.CPU | Group.MEMORY | Group.DISK | Group.INTERFACE | Group.CONTROL
    | Group.HOST | Group.POOLS | Group.NETWORKS
)  # fmt: skip
_LOCAL = Group.PROCESSES | Group.STARTED | Group.UPLINKS
_LONGEST = 1000  # characters of what a check says


class Judged(NamedTuple):
    """What a check says of one domain, or of the hypervisor (None)."""

    check: str
    domain: Optional[Domain]
    code: int  # 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
    text: str  # one line; empty where there is nothing to say


class Reading(NamedTuple):
    """All that is exported of one moment."""

    snapshot: Snapshot
    judged: tuple[Judged, ...]
    seconds: float  # that reading and judging took
    unmatched: tuple[str, ...] = ()  # each -d that selects nothing
    groups: Group = ~Group.NONE  # what was asked for


def read(options: argparse.Namespace, deadline: Deadline) -> Reading:
    """Read the hypervisor once and judge it. Raises KvmwatchError, UsageError among them.

    ``options``: the common ones, ``--check``, ``--config``, ``--state-dir``, and ``reader``: for whom counters are
    kept. With ``--check`` nothing is read but what these checks need.
    """
    begun = time.monotonic()
    checks = judging.chosen(options.check, options.uri)
    groups = judging.groups(checks)
    if not options.check:
        groups |= _FIGURES | (_LOCAL if is_local(options.uri) else Group.NONE)
    elif Group.INTERFACE in groups:
        groups |= Group.DEFINITION  # which has the MAC addresses that interfaces are called by
    config = site_config(options.config)
    selection = Selection.parse(options.domain, options.exclude)
    roster = Roster(options.state_dir, options.uri)
    reader = Reader(options.uri, groups, selection, deadline, roster, goes_on=True)
    snapshot = reader.read()
    if any(check.remembers for check in checks):
        # what was not read this time is not to be kept for the next one
        kept_for = (options.reader, *sorted(set(options.check)))
        snapshot = rated(reader, snapshot, "kvm_export", options, selection, deadline, *kept_for)
    snapshot = placing.with_hostname(reader, snapshot, config, checks)
    said = tuple(judged(snapshot, checks, config))
    unmatched = tuple(selection.unmatched(snapshot))
    return Reading(snapshot, said, time.monotonic() - begun, unmatched, groups)


def judged(snapshot: Snapshot, checks: tuple[plugin.Check, ...], config: SiteConfig) -> Iterator[Judged]:
    """Every check of every domain that is not to be left alone, and those of the hypervisor."""
    applied = config.applied(snapshot)
    judges = judging.Judges(checks, config, applied)
    watched = [domain for domain in applied.domains if not domain.policy.ignore]
    for check in checks:
        of: list[Domain | None] = [*watched] if check.of_each_domain else [None]
        for domain in of:
            try:
                code, text = _said(judges.verdict(check, domain))
            except Exception as error:  # of one verdict, and the others are told all the same
                code, text = UNKNOWN, plugin.unknown(check, error)
            yield Judged(check.name, domain, code, readable(without_password(text), _LONGEST))


def _said(verdict: Verdict) -> tuple[int, str]:
    state = verdict.state
    bad = () if state is Ok else verdict.bad_subjects()
    return state.code, "; ".join(subject.line(worst_only=True) for subject in bad) or verdict.overview
