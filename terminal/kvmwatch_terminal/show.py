"""kvmwatch show: all that is known of one VM, or of the hypervisor."""

from __future__ import annotations

import argparse
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser, add_common
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot, texts
from kvmwatch.reading.connection import is_local
from kvmwatch_terminal import page, reading, whose
from kvmwatch_terminal.details import SECTIONS, WHOLE
from kvmwatch_terminal.formats import json_text, rounded
from kvmwatch_terminal.rows import Said
from kvmwatch_terminal.sections import Shown, things
from kvmwatch_terminal.verdicts import judged, said

if TYPE_CHECKING:
    from check_kvm.frame.plugin import Check

_NAMED = 5  # of the VMs that a pattern matches
_NO_PID = 1 << 31

#: beside what the checks and the lines of the whole need
_GROUPS = (
    *(Group.SHUT_OFF, Group.DEFINITION, Group.SIZE, Group.CPU, Group.MEMORY, Group.DISK, Group.INTERFACE),
    *(Group.NETWORKS, Group.ADDRESSES, Group.CONTROL, Group.LISTS, Group.CHECKPOINTS, Group.STARTED),
    Group.JOB,
)

#: where its processes can be seen
_LOCAL = (Group.PROCESSES, Group.THREADS, Group.PSS)


def add_options(command: Parser) -> None:
    """Add the options of the command to its parser."""
    from check_kvm.frame.check_options import add_site_options  # noqa: PLC0415 - only when it is used

    command.usage = "kvmwatch show [-h] [OPTION ...] [VM]"
    command.description = "Shows all that is known of one VM or of the hypervisor, and what each check says of it."
    command.epilog = (
        "Exit: 0 it was shown, whatever is wrong with it; 3 there is no such VM, or it could not be read.\n"
        "? stands for what it should have and could not be had; what it does not have is left out, or is -."
    )
    command.add_argument(
        "vm", metavar="VM", nargs="?", help="its name or UUID, or libvirt's Id where no VM is called so"
    )
    command.add_argument(
        "--pid", type=_pid, metavar="PID", help="the VM whose QEMU process, or a thread of it, this is"
    )
    command.add_argument("--host", action="store_true", help="the hypervisor, instead of a VM")
    add_common(command, selects=False)
    add_site_options(command)
    command.add_argument("--json", action="store_true", help="as JSON, in base units")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Outcome:
    if (options.vm is not None) + (options.pid is not None) + options.host != 1 or options.vm == "":
        raise UsageError("name one VM, or give --pid or --host")
    if options.host:
        from kvmwatch_terminal import show_host  # noqa: PLC0415 - a VM does without

        return show_host.run(options)
    return _show_vm(options)


def _show_vm(options: argparse.Namespace) -> Outcome:
    called = ""
    if options.pid is not None or whose.is_number(options.vm):
        domain = whose.read_number(options) if options.pid is None else whose.read_pid(options)
        options.vm, called = domain.uuid, domain.name
    shown, verdicts = read(options, called=called)
    reading.tell(options, shown.snapshot)
    if options.json:
        return Outcome(as_json(shown, verdicts))
    return Outcome(in_words(shown, verdicts, reading.room(), reading.coloured()))


def read(
    options: argparse.Namespace, goes_on: reading.GoesOn | None = None, called: str = ""
) -> tuple[Shown, list[Said]]:
    """Read the VM of the options and ask the checks; see :func:`reading.read`.

    ``called``: what people know it by, where the options have its UUID. Raises KvmwatchError.
    """
    from check_kvm.frame.check_options import site_config  # noqa: PLC0415 - only when it is used

    config = site_config(options.config)
    checks = _checks(options.uri)
    groups = reduce(or_, (*_GROUPS, *(_LOCAL if is_local(options.uri) else ())))
    if goes_on:
        groups &= ~Group.PSS  # takes the kernel too long for who asks again and again
    selection = Selection.parse([options.vm], [])
    before = reading.read(options, "kvm_show", groups, checks, selection, config, goes_on=goes_on)
    metadata = _the_one(before, options.vm, called).policy
    snapshot = config.applied(before)
    domain = _the_one(snapshot, options.vm, called)
    verdicts = [] if domain.policy.ignore else list(said(snapshot, checks, config, domain))
    # its status is the one that list gives; what only root sees of its process is beside it
    of_each = [check for check in checks if check.of_each_domain]
    (row,) = judged(snapshot._replace(domains=(domain,)), of_each, config)
    return Shown(row, snapshot, metadata), verdicts


def _checks(uri: str) -> tuple[Check, ...]:
    """Those that judge VMs, and where it can be seen from here, their processes."""
    from check_kvm.frame.judging import all_checks  # noqa: PLC0415 - only when it is used

    seen = ("process",) if is_local(uri) else ()
    return tuple(check for check in all_checks() if check.of_each_domain or check.name in seen)


def _pid(text: str) -> int:
    number = int(text) if whose.is_number(text) else 0
    if not 0 < number < _NO_PID:
        raise argparse.ArgumentTypeError(f"{text!r} is no PID")
    return number


def _the_one(snapshot: Snapshot, vm: str, called: str = "") -> Domain:
    """The VM of this name or UUID. Raises KvmwatchError when there is none, or more than one."""
    exact = [domain for domain in snapshot.domains if vm in (domain.name, domain.uuid)]
    found = exact or list(snapshot.domains)
    called = called or vm
    if not found:
        raise KvmwatchError(f"no VM {called} here; 'kvmwatch list --format names' tells which there are")
    if len(found) > 1:
        more = ", ..." if len(found) > _NAMED else ""
        names = ", ".join(domain.name for domain in found[:_NAMED])
        raise KvmwatchError(f"{called} matches {len(found)} VMs: {names}{more}; name one of them")
    return found[0]


def in_words(vm: Shown, verdicts: list[Said], room: int | None = None, coloured: bool = False) -> str:
    """The VM for people, as wide as the ``room`` in a terminal."""
    unread = texts(vm.row.unread)
    whole = [column for column in WHOLE if column.name != "reason"]  # which is in the state
    return page.in_words(vm.domain.label, whole, vm.row, _parts(vm, verdicts), unread, room, coloured)


def as_json(vm: Shown, verdicts: list[Said]) -> str:
    """The VM for programs."""
    row, snapshot = vm.row, vm.snapshot
    return json_text(
        {
            "uri": snapshot.uri,
            "time": rounded(snapshot.time),
            "name": row.domain.name,
            **page.values(WHOLE, row),
            "not_responding": rounded(row.domain.not_responding),
            **page.tables(_parts(vm, verdicts)),
            "unread": texts((*snapshot.unread, *row.unread)),
        }
    )


def _parts(vm: Shown, verdicts: list[Said]) -> list[page.Part]:
    sections = (page.Part(each.name, each.title, each.columns, things(each, vm)) for each in SECTIONS)
    return [page.checks(verdicts, vm.row.now), *sections]
