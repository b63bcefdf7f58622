"""kvmwatch show --host: what the hypervisor has, what it promised, and what the checks say of it."""

from __future__ import annotations

import argparse
from functools import reduce
from operator import or_

from kvmwatch.command.frame import Outcome
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot, texts
from kvmwatch.reading.connection import is_local
from kvmwatch_terminal import page, reading
from kvmwatch_terminal.formats import json_text, rounded
from kvmwatch_terminal.host_details import SECTIONS, WHOLE, things, whole
from kvmwatch_terminal.rows import Said
from kvmwatch_terminal.verdicts import said

_GROUPS = (Group.SHUT_OFF, Group.SIZE, Group.AUTOSTART, Group.HOST, Group.POOLS, Group.NETWORKS)


def run(options: argparse.Namespace) -> Outcome:
    """Read and show it."""
    from check_kvm.frame.check_options import site_config  # noqa: PLC0415 - only when it is used
    from check_kvm.frame.judging import of_hypervisor  # noqa: PLC0415

    config = site_config(options.config)
    local = is_local(options.uri)
    checks = of_hypervisor(local)
    groups = reduce(or_, _GROUPS) | (Group.UPLINKS | Group.DEFINITION | Group.INTERFACE if local else Group.NONE)
    before = reading.read(options, "kvm_show", groups, checks, Selection(), config, readers=("host",))
    snapshot = config.applied(before)
    verdicts = list(said(snapshot, checks, config))
    reading.tell(options, snapshot._replace(unread=()))
    if options.json:
        return Outcome(as_json(snapshot, verdicts))
    return Outcome(in_words(snapshot, verdicts, reading.room(), reading.coloured()))


def in_words(snapshot: Snapshot, verdicts: list[Said], room: int | None = None, coloured: bool = False) -> str:
    """The hypervisor for people, as wide as the ``room`` in a terminal."""
    host = snapshot.host
    title = (host.hostname if host else None) or snapshot.uri
    parts = _parts(snapshot, verdicts)
    return page.in_words(title, WHOLE, whole(snapshot), parts, _unread(snapshot), room, coloured)


def as_json(snapshot: Snapshot, verdicts: list[Said]) -> str:
    """The hypervisor for programs."""
    return json_text(
        {
            "uri": snapshot.uri,
            "time": rounded(snapshot.time),
            **page.values(WHOLE, whole(snapshot)),
            **page.tables(_parts(snapshot, verdicts)),
            "unread": _unread(snapshot),
        }
    )


def _parts(snapshot: Snapshot, verdicts: list[Said]) -> list[page.Part]:
    sections = (page.Part(each.name, each.title, each.columns, things(each, snapshot)) for each in SECTIONS)
    return [page.checks(verdicts, snapshot.time), *sections]


def _unread(snapshot: Snapshot) -> list[str]:
    host = snapshot.host.unread if snapshot.host else ()
    return texts(part for part in (*snapshot.unread, *host) if not part.absent)
