"""Which VMs ``kvmwatch list`` shows, by the options that virsh's list has for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain
from kvmwatch_terminal.rows import Row


class Filter(NamedTuple):
    """One filter. Of the same ``kind`` one has to hold, of different kinds each."""

    kind: str
    options: tuple[str, ...]
    help: str
    holds: Callable[[Domain], bool | None]  # None: nobody knows; such a VM is shown
    needs: Group = Group.NONE


def _is(*wanted: int) -> Callable[[Domain], bool | None]:
    return lambda domain: None if domain.state == states.NOSTATE else domain.state in wanted


def _active(domain: Domain) -> bool | None:
    return None if domain.state == states.NOSTATE else domain.active


def _negated(value: bool | None) -> bool | None:
    return None if value is None else not value


_NAMED = (states.RUNNING, states.BLOCKED, states.PAUSED, states.SHUTOFF)

FILTERS = (
    Filter("state", ("--active",), "that have a QEMU: in any state but shut off", _active),
    Filter("state", ("--running", "--state-running"), "that run", _is(states.RUNNING, states.BLOCKED)),
    Filter("state", ("--paused", "--state-paused"), "that are paused", _is(states.PAUSED)),
    Filter("state", ("--shutoff", "--state-shutoff", "--inactive"), "that are shut off", _is(states.SHUTOFF)),
    Filter("state", ("--other", "--state-other"), "in any other state: crashed, suspended, shutting down",
           lambda domain: domain.state not in _NAMED),
    Filter("autostart", ("--autostart",), "that are started with the hypervisor",
           lambda domain: domain.autostart, Group.AUTOSTART),
    Filter("autostart", ("--no-autostart",), "that are not",
           lambda domain: _negated(domain.autostart), Group.AUTOSTART),
    Filter("persistent", ("--persistent",), "that are still there once shut off",
           lambda domain: domain.persistent, Group.LISTS),
    Filter("persistent", ("--transient",), "that are gone once shut off",
           lambda domain: _negated(domain.persistent), Group.LISTS),
    Filter("managed save", ("--with-managed-save",), "whose memory is saved",
           lambda domain: domain.managed_save, Group.LISTS),
    Filter("managed save", ("--without-managed-save",), "whose memory is not saved",
           lambda domain: _negated(domain.managed_save), Group.LISTS),
    Filter("snapshot", ("--with-snapshot",), "with snapshots",
           lambda domain: domain.has_snapshots, Group.SNAPSHOTS),
    Filter("snapshot", ("--without-snapshot",), "without snapshots",
           lambda domain: _negated(domain.has_snapshots), Group.SNAPSHOTS),
    Filter("checkpoint", ("--with-checkpoint",), "with checkpoints, of incremental backups",
           lambda domain: domain.has_checkpoints, Group.CHECKPOINTS),
    Filter("checkpoint", ("--without-checkpoint",), "without checkpoints",
           lambda domain: _negated(domain.has_checkpoints), Group.CHECKPOINTS),
)  # fmt: skip


def filtered(rows: Iterable[Row], chosen: Iterable[Filter]) -> list[Row]:
    """The rows of which each kind of these filters has one that holds, or that nobody can judge."""
    kinds: dict[str, list[Filter]] = {}
    for each in chosen:
        kinds.setdefault(each.kind, []).append(each)
    return [
        row
        for row in rows
        if all(any(each.holds(row.domain) is not False for each in alike) for alike in kinds.values())
    ]
