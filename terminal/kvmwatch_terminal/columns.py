"""The columns of ``kvmwatch list``: the one table from which its formats, -o, --sort and man page follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Union

from kvmwatch.model import derived, measured, states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Disk, Interface
from kvmwatch.model.units import human, two_units
from kvmwatch_terminal import rows
from kvmwatch_terminal.rows import Line, Row

#: in base units; None: it has none, or it could not be had (see ``unknown``)
Value = Union[str, float, bool, list[str], None]

NONE, NOT_KNOWN = "-", "?"

#: where a column is shown without being asked for: in the table; with --wide; in csv and JSON as well; nowhere
TABLE, WIDE, DATA, ASKED = range(4)

#: what QEMU is asked for, so that one that does not answer is the reason where it is missing
_OF_QEMU = Group.CPU | Group.MEMORY | Group.DISK | Group.INTERFACE

#: how long a column is kept on a narrow terminal: from the first on longer than all figures, and texts are cut
#: to TIGHT before it is left out; with the second as long as can be
HELD, ALWAYS = 900, 999
TIGHT = 8  # columns of the terminal in which a text still tells something


class Column(NamedTuple):
    """One column. ``unit`` as in :mod:`kvmwatch.model.units`, or None for text; ``needs`` is read for it."""

    name: str
    header: str
    unit: str | None
    help: str
    of: Callable[[Any], Value]  # of a Row, or of a Thing
    needs: Group = Group.NONE
    shown: int = TABLE
    text: Callable[[Any], str] | None = None  # for people, where it is not just the value with its unit
    least: int | None = None  # columns of the terminal to which it can be cut; None: it is never cut
    tight: int = TIGHT  # the same, where else it or what is as important would be left out
    if_any: bool = False  # in the table only where a VM has a value
    kept: int = 0  # on a narrow terminal those with the lowest go first
    rated: bool = False  # whether it needs two readings
    judged: bool = False  # whether the checks are asked for it

    @property
    def is_number(self) -> bool:
        """Whether it is a figure, which stands to the right and is sorted from the highest."""
        return self.unit is not None


def called(text: str, columns: Mapping[str, Column]) -> Column | None:
    """The one of these by name that somebody calls so: also CPU, or read-iops."""
    return columns.get(text.strip().lower().replace("-", "_"))


def unknown(column: Column, row: Line) -> bool:
    """Whether a value is missing though there should be one."""
    if column.of(row) is not None:
        return False
    if row.held:
        return True
    if not column.needs:
        return False
    return (row.silent and bool(column.needs & _OF_QEMU)) or any(part.group in column.needs for part in row.unread)


def cell(column: Column, row: Line) -> str:
    """The value for people; it may have control characters that others wrote."""
    value = column.of(row)
    if value is None or value == []:
        return NOT_KNOWN if unknown(column, row) else NONE
    return column.text(row) if column.text else in_words(value, column.unit)


def in_words(value: Value, unit: str | None) -> str:
    """A value in its unit for people: yes, 4 GiB, a; b."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return human(value, unit or "")
    return "; ".join(value) if isinstance(value, list) else value or ""


def link(interface: Interface) -> Value:
    """Its way to the network, or what it was taken out of."""
    number = derived.link(interface)
    return interface.detached or (None if number is None else derived.LINKS[int(number)])


def ago(row: Line, at: float | None) -> str:
    """How long ago a Unix time was when it was read."""
    return f"{two_units(max(0.0, row.now - (at or 0)))} ago"


def _sum(values: Iterable[float | None]) -> float | None:
    """None where one of them is unknown, or there is none."""
    known = list(values)
    return sum(value or 0 for value in known) if known and None not in known else None


def _of_disks(rate: str) -> Callable[[Row], Value]:
    return lambda row: _sum(getattr(disk.rates, rate) for disk in measured.disks(row.domain))


def _bits(rate: str) -> Callable[[Row], Value]:
    def of(row: Row) -> Value:
        octets = _sum(getattr(interface.rates, rate) for interface in measured.interfaces(row.domain))
        return None if octets is None else octets * 8

    return of


def state_in_words(row: Row, every_reason: bool = True) -> str:
    """State, reason and whether its QEMU answers; of one that just runs the reason may be left out."""
    domain = row.domain
    usual = domain.state in (states.RUNNING, states.BLOCKED) and domain.why.meaning is states.EXPECTED
    text = states.label(domain.state)
    if (every_reason or not usual) and domain.why.text != "unknown":
        text += f" ({domain.why.text})"
    return text if domain.not_responding is None else f"{text}, not responding"


def _state_name(row: Row) -> Value:
    state = row.domain.state
    return states.NAMES[state] if 0 <= state < len(states.NAMES) else f"state{state}"


def _vcpus(row: Row) -> Value:
    return row.domain.defined_vcpus if row.domain.stats.vcpu_count is None else row.domain.stats.vcpu_count


def _agent(row: Row) -> Value:
    connected = row.domain.agent_connected
    return None if connected is None else "connected" if connected else "not connected"


def _expected(row: Row) -> Value:
    domain = row.domain
    if domain.expected is None:
        return None
    return domain.policy.expect or ("autostart" if domain.autostart else "any")


def _addresses(row: Row) -> Value:
    return [address for interface in row.domain.interfaces for address in interface.addresses] or None


def _disks(row: Row) -> Value:
    return [f"{disk.name} {_image(disk)}" for disk in row.domain.disks if disk.path] or None


def _image(disk: Disk) -> str:
    path = disk.path or ""
    return f"{disk.pool}/{path}" if disk.pool and not path.startswith("/") else path


def _status(row: Row) -> Value:
    return "left alone" if row.domain.policy.ignore else row.status


def _problems(row: Row) -> Value:
    return rows.in_words(row.problems or ()) or None


_XML = Group.DEFINED | Group.DEFINITION

COLUMNS = (
    Column("name", "NAME", None, "what libvirt calls it; in a table with the name that people know, in brackets",
           lambda row: row.domain.name, text=lambda row: row.domain.label, least=24, kept=ALWAYS),
    Column("title", "TITLE", None, "the name that people know: its title, or its name in OpenStack or OpenNebula",
           lambda row: row.domain.title, needs=_XML, shown=DATA, least=8),
    Column("project", "PROJECT", None, "its project in OpenStack, group in OpenNebula or namespace in KubeVirt",
           lambda row: row.domain.project, needs=_XML, least=8, if_any=True, kept=2),
    Column("owner", "OWNER", None, "the user whose it is in its cloud",
           lambda row: row.domain.owner, needs=_XML, shown=ASKED, least=8),
    Column("uuid", "UUID", None, "its UUID", lambda row: row.domain.uuid, shown=WIDE),
    Column("id", "ID", "", "libvirt's number of this run", lambda row: row.domain.id, shown=WIDE),
    Column("status", "STATUS", None, "the worst that the checks find: OK, WARNING, UNKNOWN or CRITICAL",
           _status, needs=Group.POLICY, kept=ALWAYS, judged=True),
    Column("state", "STATE", None, "its state; in a table with the reason, and whether its QEMU answers",
           _state_name, needs=Group.CONTROL, text=lambda row: state_in_words(row, every_reason=False), least=10,
           kept=HELD),  # what is wrong with it tells more
    Column("reason", "REASON", None, "the reason of its state", lambda row: row.domain.why.text, shown=DATA),
    Column("vcpus", "VCPUS", "", "vCPUs that it has, or would have",
           _vcpus, needs=_XML | Group.SHUT_OFF | Group.SIZE, kept=3),
    Column("cpu", "CPU", "%", "CPU use, % of its vCPUs",
           lambda row: derived.vcpu_usage(row.domain), needs=Group.CPU, kept=9, rated=True),
    Column("steal", "STEAL", "%", "time its vCPUs waited for a physical CPU, % of its vCPUs",
           lambda row: derived.steal(row.domain), needs=Group.CPU, kept=4, rated=True),
    Column("host_cpu", "CPU/1", "%", "CPU of the host that it takes, QEMU's own threads included, % of one CPU",
           lambda row: derived.percent(row.domain.rates.cpu_time, 1), needs=Group.CPU, shown=ASKED, rated=True),
    Column("cpu_time", "CPU TIME", "s", "CPU time that it has used in this run, QEMU's own threads included",
           lambda row: row.domain.stats.cpu_time, Group.CPU, shown=ASKED),
    Column("used", "USED", "B", "memory that the guest uses, as it says itself",
           lambda row: derived.memory_used(row.domain), needs=Group.MEMORY | _XML, kept=6),
    Column("memory", "MEMORY", "B", "memory given to the guest, or that it would have",
           lambda row: row.domain.stats.memory_current, needs=Group.MEMORY | Group.SHUT_OFF, kept=6),
    Column("rss", "RSS", "B", "memory of the host that its QEMU takes",
           lambda row: row.domain.stats.memory_rss, needs=Group.MEMORY, kept=5),
    Column("read", "READ", "B/s", "bytes read from all its disks per second",
           _of_disks("read_bytes"), needs=Group.DISK | _XML, kept=8, rated=True),
    Column("write", "WRITE", "B/s", "bytes written to all its disks per second",
           _of_disks("write_bytes"), needs=Group.DISK | _XML, kept=8, rated=True),
    Column("read_iops", "READS", "/s", "reads from all its disks per second",
           _of_disks("read_requests"), needs=Group.DISK | _XML, shown=WIDE, rated=True),
    Column("write_iops", "WRITES", "/s", "writes to all its disks per second",
           _of_disks("write_requests"), needs=Group.DISK | _XML, shown=WIDE, rated=True),
    Column("rx", "NET IN", "b/s", "bits that it receives per second, all interfaces",
           _bits("rx_bytes"), needs=Group.INTERFACE | _XML, kept=7, rated=True),
    Column("tx", "NET OUT", "b/s", "bits that it sends per second, all interfaces",
           _bits("tx_bytes"), needs=Group.INTERFACE | _XML, kept=7, rated=True),
    Column("agent", "AGENT", None, "whether its guest agent is connected; none: it has no channel", _agent, _XML),
    Column("expected", "EXPECTED", None,
           "what its metadata or --config wants: running, shutoff, paused, any; else autostart or any",
           _expected, Group.AUTOSTART | Group.POLICY | Group.DEFINED, kept=1),
    Column("autostart", "AUTOSTART", None, "whether it is started with the hypervisor",
           lambda row: row.domain.autostart, Group.AUTOSTART, shown=WIDE),
    Column("persistent", "PERSISTENT", None, "whether it is still there once it is shut off",
           lambda row: row.domain.persistent, Group.LISTS, shown=WIDE),
    Column("managed_save", "SAVED", None, "whether its memory is saved, with which it would go on",
           lambda row: row.domain.managed_save, Group.LISTS, shown=DATA),
    Column("snapshots", "SNAPSHOTS", "", "snapshots that it has",
           lambda row: row.domain.stats.snapshots, Group.SNAPSHOTS, shown=WIDE),
    Column("oldest_snapshot", "OLDEST SNAPSHOT", "unixtime", "when the oldest of them was made",
           lambda row: row.domain.stats.oldest_snapshot, Group.SNAPSHOTS,
           text=lambda row: ago(row, row.domain.stats.oldest_snapshot), shown=ASKED),
    Column("started", "UP", "unixtime", "when its QEMU was started; in a table for how long it has run",
           lambda row: row.domain.stats.started, Group.STARTED,
           text=lambda row: two_units(max(0.0, row.now - (row.domain.stats.started or 0))), shown=WIDE),
    Column("addresses", "ADDRESSES", None, "its IP addresses, of leases and this host's ARP table",
           _addresses, Group.ADDRESSES | Group.NETWORKS | Group.INTERFACE | _XML, shown=ASKED),
    Column("disks", "DISKS", None, "its disks with the path of the image, or its pool and volume",
           _disks, _XML, shown=ASKED, least=16),
    Column("problem", "PROBLEM", None, "what the checks find, the worst first",
           _problems, Group.POLICY, least=32, tight=16, kept=HELD + 1, judged=True),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}
