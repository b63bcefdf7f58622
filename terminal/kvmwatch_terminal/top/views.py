"""The views of ``kvmwatch top``: each a table over one snapshot, of the columns of list and show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import Value as Figure
from kvmwatch_terminal import details, host_details
from kvmwatch_terminal.columns import ALWAYS, COLUMNS, HELD, TABLE, Column, Value
from kvmwatch_terminal.rows import Line, Row, Thing
from kvmwatch_terminal.sections import Shown, column, things
from kvmwatch_terminal.top.taking import Taken

#: what CPU use is a percentage of
OWN, ONE, HOST = BASES = ("its own vCPUs", "one CPU", "the host's CPUs")

#: what B puts in the place of what
REQUESTS = {"read": "read_iops", "write": "write_iops", "rx": "rx_packets", "tx": "tx_packets"}


class View(NamedTuple):
    """A table; ``sort``: the column by which it is sorted first."""

    name: str
    columns: tuple[Column, ...]
    of: Callable[[Taken], Iterable[Line]]
    sort: str
    busy: tuple[str, ...] = ()  # columns that tell whether a line does something
    needs: Group = Group.NONE  # beside what is always read
    hypervisor: bool = False  # whether what the checks say of the hypervisor is shown

    @property
    def title(self) -> str:
        """What it is called for people."""
        return self.name.replace("vcpus", "vCPUs")

    def shown(self, base: str, requests: bool, cpus: Figure) -> tuple[Column, ...]:
        """The columns with CPU use in % of ``base``, and bytes, or requests in their place."""
        names = {each.name for each in self.columns}
        pairs = {one: other for one, other in REQUESTS.items() if {one, other} <= names}
        hidden = set(pairs if requests else pairs.values())
        return tuple(_based(each, base, cpus) for each in self.columns if each.name not in hidden)


def key(line: Line) -> tuple[str, ...]:
    """What tells a line from all others of its view, now and later."""
    if isinstance(line, Row):
        return (line.domain.uuid,)
    record = getattr(line.of, "vcpu", line.of)  # a vCPU stands there with what it is pinned to
    names = (
        getattr(record, name, "") for name in ("uuid", "pid", "number", "name", "key", "check", "thing", "text")
    )
    return (line.owner.uuid if line.owner else "", *map(str, names))


def uuid(line: Line) -> str | None:
    """The UUID of the VM that a line is of."""
    owner = line.domain if isinstance(line, Row) else line.owner
    return owner.uuid if owner else None


def label(line: Line) -> str:
    """What the VM of a line is called."""
    owner = line.domain if isinstance(line, Row) else line.owner
    return owner.label if owner else ""


_VM = Column(
    *("vm", "VM", None, "the VM that it is of", lambda thing: thing.owner.name if thing.owner else None),
    text=label,
    least=12,
    kept=ALWAYS,
)


def _of_vms(name: str, *kept: str) -> tuple[tuple[Column, ...], Callable[[Taken], Iterator[Line]]]:
    """The columns of a section of show, and its lines for all VMs."""
    section = next(section for section in details.SECTIONS if section.name == name)

    def lines(taken: Taken) -> Iterator[Line]:
        for row in taken.rows:
            for thing in things(section, Shown(row, taken.snapshot, row.domain.policy)):
                yield thing._replace(owner=row.domain)

    return (_VM, *_kept(section.columns, *kept)), lines


def _kept(columns: Sequence[Column], *kept: str) -> Iterator[Column]:
    """On a narrow terminal what it is called stays, then these in this order, and of the others the first."""
    for place, each in enumerate(columns):
        name = next((one for one, other in REQUESTS.items() if other == each.name), each.name)
        importance = HELD - 1 - kept.index(name) if name in kept else len(columns) - place
        yield each._replace(kept=importance if place else ALWAYS)


def _whose(line: Thing) -> str:
    """The VM of a process, or whose it says that it is."""
    return label(line) or f"{line.of.name or 'one'}, unknown to libvirt"


def _processes(taken: Taken) -> Iterator[Line]:
    domains = {row.domain.uuid: row for row in taken.rows}
    for process in taken.snapshot.processes:
        row = domains.get(process.uuid or "") if process.known else None
        if row:
            yield Thing(process, row.now, (*row.unread, *process.unread), owner=row.domain)
        else:
            yield Thing(process, taken.snapshot.time, process.unread)


def _pools(taken: Taken) -> Iterator[Line]:
    (section,) = (section for section in host_details.SECTIONS if section.name == "pools")
    yield from host_details.things(section, taken.snapshot)


def _problems(taken: Taken) -> Iterator[Line]:
    now = taken.snapshot.time
    for problem in taken.problems:
        yield Thing(problem, now, status=problem.severity)
    for row in taken.rows:
        for problem in row.problems or ():
            yield Thing(problem, now, status=problem.severity, owner=row.domain)


def _section(name: str) -> tuple[Column, ...]:
    return next(section.columns for section in (*details.SECTIONS, *host_details.SECTIONS) if section.name == name)


def _needs(columns: Iterable[Column]) -> Group:
    return reduce(or_, (each.needs for each in columns))


def _based(each: Column, base: str, cpus: Figure) -> Column:
    """A column of CPU use as a percentage of something else, if it is one."""
    if each.name != "cpu" or base == OWN:
        return each
    of: Callable[[Any], Value] = each.of
    whole = 1 if base == ONE else cpus

    def share(line: Line) -> Value:
        if isinstance(line, Row):  # all of its threads, as top has it
            return derived.percent(line.domain.rates.cpu_time, whole)
        value = of(line)
        return derived.percent(value / 100, whole) if isinstance(value, (int, float)) else None

    return each._replace(of=share, header="CPU/1" if base == ONE else "CPU/HOST")


_PROBLEM = 65  # between list's 6, memory, and its 7, the network
_BESIDE = ("id", "cpu_time", "read_iops", "write_iops")  # of what list shows only where it is asked for
_DOMAINS = tuple(
    # what is wrong has a view of its own: the figures that list keeps longest are kept longer
    each._replace(kept=_PROBLEM if each.name == "problem" else 10 * each.kept if each.kept < HELD else each.kept)
    for each in COLUMNS
    if each.shown == TABLE or each.name in _BESIDE
)
#: the share of each process in what several have takes the kernel too long to be asked for again and again
_PROCESSES = tuple(each for each in _section("processes") if not each.needs & Group.PSS)
_VCPUS = _of_vms("vcpu", "cpu", "steal")
_DISKS = _of_vms("disks", "read", "write", "write_latency", "read_latency", "error", "flush_latency", "capacity")
_INTERFACES = _of_vms("interfaces", "rx", "tx", "link", "errors", "drops", "source")

VIEWS = (
    View("domains", _DOMAINS, lambda taken: taken.rows, "cpu", ("cpu", "read", "write", "rx", "tx")),
    View("vcpus", *_VCPUS, "cpu", ("cpu", "steal")),
    View(
        *("interfaces", *_INTERFACES, "tx", ("rx", "tx", "rx_packets", "tx_packets", "errors", "drops")),
        needs=_needs(_section("interfaces")),
    ),
    View("disks", *_DISKS, "write", ("read", "write", "read_iops", "write_iops", "flush_latency")),
    View(
        "processes",
        (_VM._replace(of=_whose, text=_whose), *_kept(_PROCESSES, "cpu", "rss", "read", "write")),
        _processes,
        "cpu",
        busy=("cpu", "read", "write"),
        needs=_needs(_PROCESSES),
    ),
    View(
        "pools",
        tuple(_kept(_section("pools"), "usage", "state", "available", "capacity")),
        _pools,
        "usage",
        hypervisor=True,
    ),
    View(
        "problems",
        (
            Column("status", "STATUS", None, "how bad it is", lambda thing: thing.status, kept=ALWAYS),
            _VM,
            column("check", "CHECK", None, lambda problem: problem.check),
            column("thing", "WHAT", None, lambda problem: problem.thing or None, least=8),
            column("text", "PROBLEM", None, lambda problem: problem.text, least=32)._replace(kept=ALWAYS),
        ),
        _problems,
        "status",
        hypervisor=True,
    ),
)
BY_NAME = {view.name: view for view in VIEWS}
