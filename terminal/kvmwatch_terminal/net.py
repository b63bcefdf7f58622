"""kvmwatch net: the network devices that VMs' traffic passes, whose each is, and what passes it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser, add_common, takes
from kvmwatch.model import states, topology
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot, texts
from kvmwatch.model.topology import BRIDGE, PORT, UPLINK, Node
from kvmwatch.reading.connection import is_local
from kvmwatch.reading.deadline import Deadline
from kvmwatch_terminal import formats, net_columns, net_peers, reading
from kvmwatch_terminal.columns import DATA, TABLE, WIDE, Column, called
from kvmwatch_terminal.net_columns import NOT_SEEN
from kvmwatch_terminal.order import in_order
from kvmwatch_terminal.rows import Thing
from kvmwatch_terminal.table import table

FORMATS = ("table", "csv", "json")

_GROUPS = (
    *(Group.DEFINITION, Group.INTERFACE, Group.NETWORKS, Group.CONTROL),
    *(Group.ADDRESSES, Group.UPLINKS, Group.BRIDGES),
)
#: what comes after the VMs' interfaces
_ORDER = (PORT, BRIDGE, UPLINK)
_MOST = 20  # pairs of addresses in a table
_NAMED = 3  # VMs in a message

LEGEND = """\
VMs' interfaces come first, then other ports of their bridges, the bridges and the uplinks; of each the busiest.
IN and OUT are the VMs': of an uplink what comes in by it and what goes out, the host's own traffic with it. Nobody
counts what passes a bridge from port to port: its own figures are what the host sends into it and takes out of it,
as all that it routes. - stands for what a thing does not have, ? for what it should have and could not be had.
Rates are of the time since the last run, if that was less than a minute ago, else of a second.

Exit: 0 it was shown; 3 there is nothing of that name, or the hypervisor or an option could not be read."""


def add_options(command: Parser) -> None:
    """Add the options of the command to its parser."""
    from check_kvm.frame.check_options import add_state_dir  # noqa: PLC0415 - only when it is used

    command.usage = "kvmwatch net [-h] [OPTION ...] [WHAT]"
    command.description = (
        "Shows every tap, macvtap and bridge of VMs and the uplinks: what each is, whose, and what passes it."
    )
    command.epilog = _epilog()
    command.add_argument(
        "what",
        metavar="WHAT",
        nargs="?",
        help="only what is called so, and what that is connected to: an interface (vnet7), a bridge, an uplink, "
        "a MAC address, an IP address that is known here, a VM, a network",
    )
    command.add_argument(
        "--peers",
        action="store_true",
        help="the addresses with which the VM WHAT has connections, by this host's connection tracking; as root",
    )
    add_common(command)
    add_state_dir(command)
    sort = command.add_argument(
        "--sort",
        default="traffic",
        metavar="COLUMN",
        help="by this column: figures from the highest, text from A, what is not known last (default: traffic)",
    )
    takes(sort, lambda options: _by_name(_of(options)))
    command.add_argument("--reverse", action="store_true", help="the other way round")
    command.add_argument("--wide", action="store_true", help="more columns, all peers, and nothing cut")
    formats.add_options(command, FORMATS, "a table for people; csv or json with all columns in base units")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Outcome:
    if options.peers and not options.what:
        raise UsageError("--peers is of one VM; name it", "usage: kvmwatch net [-h] [OPTION ...] VM --peers")
    if options.what == "":  # a variable that is not set
        raise UsageError("name what to show, or nothing for all")
    deadline = Deadline.of_command(options.timeout)
    by = _column(options.sort, _of(options))
    selection = Selection.parse(options.domain, options.exclude)
    snapshot = _read(options)
    found = chosen(snapshot, options.what, selection)
    reading.tell(options, snapshot)
    reading.tell_unmatched(selection, snapshot)
    if not found:
        reading.say(f"no VM {'that is chosen ' if selection else ''}is on any network here ({snapshot.uri})")
    if snapshot.uplinks is None:
        if options.peers:
            raise KvmwatchError(_not_seen(options.uri, "connections"))
        reading.say(_not_seen(options.uri, "bridges and uplinks"))
    if options.peers:
        return _peers(options, snapshot, found, by, deadline)
    rows = in_order([net_columns.thing(node, snapshot) for node in found], by, options.reverse)
    rows.sort(key=lambda row: _ORDER.index(row.of.kind) if row.of.kind in _ORDER else -1)
    return Outcome(_printed(options, _head(snapshot), "devices", rows, net_columns.COLUMNS))


def _read(options: argparse.Namespace) -> Snapshot:
    """Read all VMs, whichever are shown: whose an address is, and who uses a bridge, follows from all of them."""
    from check_kvm.frame.siteconfig import SiteConfig  # noqa: PLC0415 - only when it is used

    # what is of a VM that does not run is found by its definition
    groups = reduce(or_, _GROUPS) | (Group.DEFINED if options.what else Group.NONE)
    return reading.read(options, "kvm_net", groups, (), Selection(), SiteConfig(), rates=not options.peers)


def chosen(snapshot: Snapshot, what: str | None, selection: Selection) -> tuple[Node, ...]:
    """The nodes that are asked for. Raises KvmwatchError when there is none called ``what``."""
    found = every = topology.nodes(snapshot)
    if selection:
        found = topology.ways_of(every, lambda domain: selection.matches(domain.name, domain.uuid, snapshot.uuids))
    if what is None:
        return found
    through = topology.through(found, what)
    if not through and topology.through(every, what):
        raise KvmwatchError(f"{what} has nothing to do with the VMs that -d and -x choose; leave these out")
    if not through:
        raise KvmwatchError(_unfound(snapshot, what))
    return through


def _unfound(snapshot: Snapshot, what: str) -> str:
    off = next((each for each in snapshot.domains if not each.active and topology.belongs_to(each, what)), None)
    if off:
        whose = "" if topology.is_vm(off, what) else f"of {off.name}, which is "
        return f"{what} is {whose}{states.label(off.state)}, and so on no network"
    if any(topology.is_vm(each, what) and not each.unread for each in snapshot.domains):
        return f"{what} has no network interface"
    for network in snapshot.networks:
        if what in (network.name, network.bridge) and not network.active:
            return f"network {network.name} is not active, and so nothing is on it; 'virsh net-start' starts it"
    untold = [node.domain.name for node in topology.nodes(snapshot) if node.domain and node.kind is None]
    perhaps = f"; the interfaces of {', '.join(untold[:_NAMED])} are not known just now" if untold else ""
    unread = (part for each in snapshot.domains for part in each.unread if part.group is Group.ADDRESSES)
    perhaps += "".join(f"; {text}" for text in texts(unread))
    if any(what == network.name for network in snapshot.networks):
        return f"no VM that runs is on network {what}, which has no bridge of its own{perhaps}"
    return (
        f"nothing here is called {what}: no interface, MAC or known IP address of a VM, no VM, bridge, uplink or "
        f"network{perhaps}; 'kvmwatch net' shows all"
    )


def _not_seen(uri: str, what: str) -> str:
    if is_local(uri):
        return f"{what} {NOT_SEEN}: libvirtd is in another network namespace than this process"
    return f"{what} {NOT_SEEN}; run 'kvmwatch net' on the hypervisor itself"


def _peers(
    options: argparse.Namespace, snapshot: Snapshot, found: Sequence[Node], by: Column, deadline: Deadline
) -> Outcome:
    nodes = [node for node in found if node.domain and topology.is_called(node, options.what)]
    names = {node.domain.name for node in nodes if node.domain}
    if len(names) != 1:
        raise KvmwatchError(f"{options.what} is no VM's, or several have it; name one VM for --peers")
    told = net_peers.read(names.pop(), nodes, deadline)
    for note in told.notes:
        reading.say(note)
    rows = in_order([Thing(pair, snapshot.time, pair.unread) for pair in told.pairs], by, options.reverse)
    if options.format == "table" and not options.wide and len(rows) > _MOST:
        reading.say(f"{len(rows) - _MOST} more pairs of addresses: --wide shows all")
        rows = rows[:_MOST]
    head = _head(snapshot, told.notes)
    head |= {"vm": told.vm, "addresses": told.addresses}
    return Outcome(_printed(options, head, "peers", rows, net_peers.COLUMNS))


def _head(snapshot: Snapshot, notes: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "uri": snapshot.uri,
        "time": formats.rounded(snapshot.time),
        "unread": [*texts(snapshot.unread), *notes],
    }


def _printed(
    options: argparse.Namespace, head: dict[str, Any], key: str, rows: Sequence[Thing], columns: Sequence[Column]
) -> str:
    """The rows in the format that is asked for; in JSON they are under ``key``, after ``head``."""
    if options.format == "json":
        return formats.json_text({**head, key: [_as_json(row, columns) for row in rows]})
    if options.format == "csv":
        return formats.as_csv(rows, columns, reading.fit())
    most = WIDE if options.wide else TABLE
    usual = [column for column in columns if column.shown <= most]
    return table(rows, usual, None if options.wide else reading.room())


def _as_json(row: Thing, columns: Sequence[Column]) -> dict[str, Any]:
    values: dict[str, Any] = {column.name: formats.rounded(column.of(row)) for column in columns}
    return {**values, "unread": texts(row.unread)}


def _of(options: argparse.Namespace) -> tuple[Column, ...]:
    return net_peers.COLUMNS if options.peers else net_columns.COLUMNS


def _by_name(columns: Sequence[Column]) -> dict[str, Column]:
    return {column.name: column for column in columns if column.shown <= DATA}


def _column(text: str, columns: Sequence[Column]) -> Column:
    names = _by_name(columns)
    found = called(text, names)
    if not found:
        raise UsageError(f"no column {text!r}; there are {', '.join(names)}")
    return found


def _epilog() -> str:
    lines = map(formats.columns_epilog, (net_columns.COLUMNS, net_peers.COLUMNS))
    return "columns, with their units in csv and JSON:\n{}\n\ncolumns of --peers:\n{}\n\n{}".format(*lines, LEGEND)
