"""kvmwatch show: all that is known of one VM."""

from __future__ import annotations

import argparse
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser, add_common
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.text import readable
from kvmwatch.reading.connection import is_local
from kvmwatch_terminal import reading
from kvmwatch_terminal.columns import NONE, Column, cell
from kvmwatch_terminal.details import CHECKS, SECTIONS, WHOLE, Shown, things
from kvmwatch_terminal.formats import json_text, rounded
from kvmwatch_terminal.rows import Said, Thing, judged, said
from kvmwatch_terminal.table import table
from kvmwatch_terminal.width import cut, fill, width

if TYPE_CHECKING:
    from check_kvm.frame.plugin import Check

_NAMED = 5  # of the VMs that a pattern matches

#: beside what the checks and the lines of the whole need
_GROUPS = (
    *(Group.SHUT_OFF, Group.DEFINITION, Group.SIZE, Group.CPU, Group.MEMORY, Group.DISK, Group.INTERFACE),
    *(Group.NETWORKS, Group.ADDRESSES, Group.CONTROL, Group.LISTS, Group.CHECKPOINTS, Group.STARTED),
)


def add_options(made: Parser) -> None:
    """Add the options of the command to its parser."""
    from check_kvm.frame.check_options import add_site_options  # noqa: PLC0415 - only when it is used

    made.description = "Shows all that is known of one VM, and what each check says of it."
    made.epilog = (
        "Exit: 0 it was shown, whatever is wrong with it; 3 there is no such VM, or it could not be read.\n"
        "? stands for what it should have and could not be had; what it does not have is left out, or is -."
    )
    made.add_argument("vm", metavar="VM", help="its name or UUID")
    add_common(made, selects=False)
    add_site_options(made)
    made.add_argument("--json", action="store_true", help="as JSON, in base units")
    made.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Outcome:
    from check_kvm.frame.check_options import site_config  # noqa: PLC0415 - only when it is used

    config = site_config(options.config)
    checks = _checks(options.uri)
    groups = reduce(or_, _GROUPS) | (Group.PROCESSES if is_local(options.uri) else Group.NONE)
    selection = Selection.parse([options.vm], [])
    before = reading.read(options, "kvm_show", groups, checks, selection, config)
    metadata = _the_one(before, options.vm).policy
    snapshot = config.applied(before)
    domain = _the_one(snapshot, options.vm)
    reading.tell(options, snapshot)
    verdicts = [] if domain.policy.ignore else list(said(snapshot, checks, config, domain))
    # its status is the one that list gives; what only root sees of its process is beside it
    of_each = [check for check in checks if check.of_each_domain]
    (row,) = judged(snapshot._replace(domains=(domain,)), of_each, config)
    made = _as_json if options.json else _in_words
    return Outcome(made(Shown(row, snapshot, metadata), verdicts))


def _checks(uri: str) -> tuple[Check, ...]:
    """Those that judge VMs, and where it can be seen from here, their processes."""
    from check_kvm.frame.judging import all_checks  # noqa: PLC0415 - only when it is used

    seen = ("process",) if is_local(uri) else ()
    return tuple(check for check in all_checks() if check.of_each_domain or check.name in seen)


def _the_one(snapshot: Snapshot, called: str) -> Domain:
    """The VM of this name. Raises KvmwatchError when there is none, or more than one."""
    exact = [domain for domain in snapshot.domains if called in (domain.name, domain.uuid)]
    found = exact or list(snapshot.domains)
    if not found:
        raise KvmwatchError(f"no VM {called} here; 'kvmwatch list --format names' tells which there are")
    if len(found) > 1:
        more = ", ..." if len(found) > _NAMED else ""
        names = ", ".join(domain.name for domain in found[:_NAMED])
        raise KvmwatchError(f"{called} matches {len(found)} VMs: {names}{more}; name one of them")
    return found[0]


def _in_words(vm: Shown, verdicts: list[Said]) -> str:
    row, room = vm.row, reading.room()
    lines = [row.domain.label, ""]
    shown = [(each.header.lower(), readable(cell(each, row), reading.LONGEST)) for each in WHOLE]
    widest = max(width(label) for label, _ in shown)
    lines += [f"  {fill(label, widest)}  {text}" for label, text in shown if text != NONE and label != "reason"]
    checks = [Thing(each, row.now, status=each.severity) for each in verdicts]
    tables: list[tuple[str, tuple[Column, ...], list[Thing]]] = [("Checks", CHECKS, checks)]
    tables += [(each.title, each.columns, things(each, vm)) for each in SECTIONS]
    for title, columns, rows in tables:
        if not rows:
            continue
        kept = [each for each in columns if any(cell(each, thing) != NONE for thing in rows)]
        inner = None if room is None else max(1, room - 2)
        text = table(rows, kept, inner, kept, reading.coloured())
        lines += ["", title, *(f"  {line}" for line in text.split("\n"))]
    unread = [part.text for part in row.domain.unread]
    lines += ["", "Could not be had", *(f"  {text}" for text in unread)] if unread else []
    return "\n".join(lines if room is None else [line if "\x1b" in line else cut(line, room) for line in lines])


def _as_json(vm: Shown, verdicts: list[Said]) -> str:
    row, snapshot = vm.row, vm.snapshot

    def values(columns: Any, of: Any) -> dict[str, Any]:
        return {each.name: rounded(each.of(of)) for each in columns}

    document = {
        "uri": snapshot.uri,
        "time": rounded(snapshot.time),
        "name": row.domain.name,
        **values(WHOLE, row),
        "not_responding": rounded(row.domain.not_responding),
        "checks": [values(CHECKS, Thing(each, snapshot.time)) for each in verdicts],
        **{each.name: [values(each.columns, thing) for thing in things(each, vm)] for each in SECTIONS},
        "unread": [part.text for part in (*snapshot.unread, *row.unread)],
    }
    return json_text(document)
