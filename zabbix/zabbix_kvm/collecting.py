"""zabbix_kvm discover, collect and send: what is read from libvirt for Zabbix."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import add_common, add_guest_agent, not_empty, path
from kvmwatch.command.roster import Roster
from kvmwatch.model.errors import KvmwatchError, what_ended
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot, timings
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline
from zabbix_kvm import conditions, discovery, master

COLLECT_KEY = "kvm.collect"
GUEST_KEY = "kvm.guest"
#: bytes that a Zabbix agent carries of a user parameter's output (6.0: MAX_EXECUTE_OUTPUT_LEN)
AGENT_LIMIT = 512 * 1024

_FAILED = 2
#: without which it is not known what a domain has, and whether it is to be left alone
_OF_LISTS = (Group.DEFINITION, Group.POLICY)


def add_commands(commands: Any) -> None:
    """Add the three commands to the parser's."""
    discover = commands.add_parser("discover", help="print the discovery list of a KIND", allow_abbrev=False)
    discover.add_argument("kind", choices=list(discovery.KINDS), metavar="KIND", help=", ".join(discovery.KINDS))
    collect = commands.add_parser("collect", help="print the master item", allow_abbrev=False)
    collect.add_argument(
        "--for-agent",
        action="store_true",
        help="for a UserParameter: what goes wrong is told inside of the JSON (key error) and the exit code is 0, "
        "so that items keep what they have instead of becoming unsupported; also when the document is over "
        "the 512 KiB that an agent carries",
    )
    send = commands.add_parser(
        "send", help="push the master item, and a value per guest, to trapper items", allow_abbrev=False
    )
    for command in (discover, collect, send):
        add_common(command)
        add_guest_agent(command)
    for command in (discover, collect):
        command.add_argument("--pretty", action="store_true", help="indent the JSON, for people")
    _add_send_options(send)
    discover.set_defaults(run=_discover)
    collect.set_defaults(run=_collect, too_late=_collected_too_late)
    send.set_defaults(run=_send)


def _add_send_options(send: argparse.ArgumentParser) -> None:
    send.add_argument(
        "--config",
        type=path,
        metavar="FILE",
        help="agent configuration with ServerActive, Hostname and TLS settings "
        "(default: the agent's or agent 2's in /etc/zabbix)",
    )
    send.add_argument(
        "--host",
        type=not_empty,
        metavar="NAME",
        help="the hypervisor's host name in Zabbix (default: Hostname of the agent configuration)",
    )
    send.add_argument(
        "--guests", action="store_true", help=f"also push {GUEST_KEY} to the host of each guest (named by UUID)"
    )
    send.add_argument(
        "--guests-only", action="store_true", help="only that, where an agent item collects the hypervisor"
    )
    send.add_argument(
        "--sender",
        type=not_empty,
        metavar="PROGRAM",
        default="zabbix_sender",
        help="the sender (default: zabbix_sender)",
    )


def _discover(options: argparse.Namespace) -> Outcome:
    rows, groups = discovery.KINDS[options.kind]
    snapshot = _read(options, groups)
    nameless = snapshot.host.unread if snapshot.host and not snapshot.host.hostname else ()
    parts = [part for domain in snapshot.domains for part in domain.unread if part.group in _OF_LISTS]
    for part in (*snapshot.unread, *nameless, *parts):  # a list without them would tell Zabbix that they are gone
        raise KvmwatchError(part.text)
    for domain in snapshot.domains:
        if domain.held:
            raise KvmwatchError(
                f"VM {domain.name} is held by a start, a stop, a hook or a job that does not end: what it has is "
                "not known; see 'virsh list', or leave it out with -x"
            )
    if Group.UPLINKS in groups and snapshot.uplinks is None:
        raise KvmwatchError(
            f"{options.uri}: the interfaces that carry its VMs are not to be seen from here; run this on the "
            "hypervisor itself"
        )
    return Outcome(_json(list(rows(snapshot)), options.pretty))


def _collect(options: argparse.Namespace) -> Outcome:
    try:
        return _collected(options)
    except Exception as error:  # also where it is our mistake: an agent makes items unsupported for anything else
        if not options.for_agent:
            raise
        return _failed(options, what_ended(error))


def _collected(options: argparse.Namespace) -> Outcome:
    snapshot = _read(options, master.GROUPS)
    text = _json(master.document(snapshot), options.pretty)
    size = len(text.encode())
    if options.for_agent and size >= AGENT_LIMIT:
        return _failed(
            options,
            f"the data of {len(snapshot.domains)} VMs is {size // 1024} KiB, and a Zabbix agent carries 512; "
            "let a timer push it: zabbix_kvm send, with the template KVM Hypervisor by Zabbix trapper",
        )
    return Outcome(text)


def _collected_too_late(options: argparse.Namespace, message: str) -> Outcome | None:
    return _failed(options, message) if options.for_agent else None


def _failed(options: argparse.Namespace, why: str) -> Outcome:
    return Outcome(_json(master.failure(why), options.pretty))


def _send(options: argparse.Namespace) -> Outcome:
    from zabbix_kvm import sender  # noqa: PLC0415 - brings subprocess, which the agent's items do not need

    config = options.config or sender.default_config()
    deadline = Deadline.of_command(options.timeout)
    failed: KvmwatchError | None = None
    snapshot: Snapshot | None = None
    try:
        # what is left of the time is for sending
        snapshot = _read(options, master.GROUPS, deadline.share(0.6))
        document = master.document(snapshot)
    except KvmwatchError as error:
        if options.guests_only:
            raise
        failed = error
        document = master.failure(str(error))

    def sent(values: list[Any]) -> list[Any]:
        return sender.send(values, config, options.sender, deadline) if values else []

    # apart from its guests: who took how many is all that the sender tells
    own = [] if options.guests_only else sent([_own(options, document)])
    if failed:
        raise failed
    assert snapshot
    guests = sent(list(_guests(options, snapshot, left_alone=False)))
    # few of these are hosts: whose VM is to be left alone only since a moment ago, and they fall silent by it
    with contextlib.suppress(KvmwatchError):
        sent(list(_guests(options, snapshot, left_alone=True)))
    return _told(own, guests, options)


def _told(own: list[Any], guests: list[Any], options: argparse.Namespace) -> Outcome:
    """What is said of the answers, and whether it is a failure: a VM that is no host in Zabbix is none."""
    said = [f"{answer.server} accepted {answer.processed} of {answer.total} values" for answer in own]
    said += [
        f"{answer.server} accepted {answer.processed} of {answer.total} values of guests" for answer in guests
    ]
    if not said:
        return Outcome("nothing to send: no guests")
    refused = [answer for answer in own if answer.processed < answer.total]
    if options.guests_only:
        refused += [answer for answer in guests if not answer.processed]
    text = "; ".join(said)
    if refused:
        print(
            f"zabbix_kvm: {text}; Zabbix refuses values for hosts that it does not know (yet), that another "
            "server or proxy monitors, whose TLS settings differ, or that lack the item "
            f"({COLLECT_KEY}: template KVM Hypervisor by Zabbix trapper; {GUEST_KEY}: template KVM Guest): "
            "see zabbix_kvm verify",
            file=sys.stderr,
        )
        return Outcome("", _FAILED)
    missing = max((answer.total - answer.processed for answer in guests), default=0)
    if missing:
        text += f"; {missing} guests are no hosts of their own there (yet)"
    return Outcome(text)


def _own(options: argparse.Namespace, document: master.Json) -> Any:
    from zabbix_kvm.sender import CONFIGURED_HOST, Value  # noqa: PLC0415

    return Value(options.host or CONFIGURED_HOST, COLLECT_KEY, document["time"], _json(document))


def _guests(options: argparse.Namespace, snapshot: Snapshot, left_alone: bool) -> Iterator[Any]:
    from zabbix_kvm.sender import Value  # noqa: PLC0415

    if options.guests or options.guests_only:
        for uuid, document in master.guests(snapshot):
            if (document["condition"] == conditions.LEFT_ALONE) == left_alone:
                yield Value(uuid, GUEST_KEY, snapshot.time, _json(document))


def _read(options: argparse.Namespace, groups: Group, deadline: Deadline | None = None) -> Snapshot:
    selection = Selection.parse(options.domain, options.exclude)
    if options.guest_agent:
        groups |= Group.FILESYSTEM
    deadline = deadline or Deadline.of_command(options.timeout)
    snapshot = Reader(options.uri, groups, selection, deadline, Roster(None, options.uri)).read()
    if options.verbose >= 3:
        print(timings(snapshot), file=sys.stderr)
    return snapshot


def _json(made: Any, pretty: bool = False) -> str:
    if pretty:
        return json.dumps(made, ensure_ascii=False, indent=2)
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))
