"""collectd's exec plugin: values under the names of its own virt plugin, and a notification of each problem.

A line of 1,200 bytes ends it all: exec hears nothing more of a program whose line its buffer cannot hold, and
waits for the end of it. So each part of a line has a limit here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, Optional

from kvmwatch.command.watchdog import UNKNOWN
from kvmwatch.model.snapshot import Domain, Pool
from kvmwatch.model.text import LONGEST_LABEL, fitting, readable
from kvmwatch_exporters.reading import Reading
from kvmwatch_exporters.rows import Row, rows

_SEVERITIES = ("okay", "warning", "failure", "warning")
_VIRT, _OURS = "virt", "kvmwatch"
_LONGEST_PART = 127  # bytes of a part of an identifier, or collectd refuses the value
_LONGEST_MESSAGE = 255  # bytes of a message that collectd keeps
#: of a problem whose VM is not there any more, has another name now, or is to be left alone
GONE = "it is gone, or not judged any more"


class Type(NamedTuple):
    """A type of types.db, with the catalogue's names of its values; a counter is sent as a whole number."""

    type: str
    instance: str  # {} is the part's own name
    values: tuple[str, ...]
    times: int = 1
    counter: bool = True


_NS, _MS = 10**9, 10**3
#: entity to the label that is the part's name, and its types, as collectd's virt plugin has them; its
#: disk_allocation is our highest_offset, its disk_physical our allocation
VIRT: Mapping[str, tuple[Optional[str], tuple[Type, ...]]] = {
    "domain": (
        None,
        (
            Type("virt_cpu_total", "", ("cpu_time",), _NS),
            Type("ps_pagefaults", "", ("minor_faults", "major_faults")),
            Type("memory", "total", ("memory_current",), counter=False),
            Type("memory", "actual_balloon", ("memory_current",), counter=False),
            Type("memory", "available", ("memory_available",), counter=False),
            Type("memory", "usable", ("memory_usable",), counter=False),
            Type("memory", "unused", ("memory_unused",), counter=False),
            Type("memory", "disk_caches", ("memory_caches",), counter=False),
            Type("memory", "rss", ("memory_rss",), counter=False),
            Type("memory", "swap_in", ("swap_in",), counter=False),
            Type("memory", "swap_out", ("swap_out",), counter=False),
        ),
    ),
    "vcpu": ("vcpu", (Type("virt_vcpu", "{}", ("time",), _NS),)),
    "disk": (
        "disk",
        (
            Type("disk_octets", "{}", ("read_bytes", "write_bytes")),
            Type("disk_ops", "{}", ("read_requests", "write_requests")),
            Type("disk_time", "{}", ("read_time", "write_time"), _MS),
            Type("total_requests", "flush-{}", ("flush_requests",)),
            Type("total_time_in_ms", "flush-{}", ("flush_time",), _MS),
            Type("disk_allocation", "{}", ("highest_offset",), counter=False),
            Type("disk_capacity", "{}", ("capacity",), counter=False),
            Type("disk_physical", "{}", ("allocation",), counter=False),
        ),
    ),
    "interface": (
        "mac",
        (
            Type("if_octets", "{}", ("rx_bytes", "tx_bytes")),
            Type("if_packets", "{}", ("rx_packets", "tx_packets")),
            Type("if_errors", "{}", ("rx_errors", "tx_errors")),
            Type("if_dropped", "{}", ("rx_drops", "tx_drops")),
        ),
    ),
}


class Problem(NamedTuple):
    """What a check says, for a notification."""

    host: str  # in collectd
    check: str
    code: int
    text: str
    name: str  # for people
    uuid: str = ""  # of a VM


Key = tuple[str, str]  # host and check


class Told(NamedTuple):
    """A reading for collectd: lines of values, and the verdicts by what they are of."""

    values: list[str]
    verdicts: dict[Key, Problem]
    unread: frozenset[str] = frozenset()  # UUIDs of VMs that are there, and of which nothing was read


def told(host: str, interval: float, reading: Reading) -> Told:
    """Make of a reading what collectd is told; ``host`` is the hypervisor's name in collectd."""
    made = list(rows(reading))
    time = f"{reading.snapshot.time:.3f}"
    things: list[Domain | Pool] = [*reading.snapshot.domains, *reading.snapshot.pools]
    odd = frozenset(_odd(things))
    verdicts = [
        Problem(
            _host(host, row.labels, odd),
            row.labels["check"],
            int(row.values["status"]),
            row.text,
            row.labels.get("domain", host),
            row.labels.get("uuid", ""),
        )
        for row in made
        if row.entity == "check"
    ]
    values = [
        f"PUTVAL {_quoted(name)} interval={interval:g} {time}:{':'.join(numbers)}"
        for row in made
        for name, numbers in _values(host, row, odd)
    ]
    unread = reading.snapshot.uuids - {domain.uuid for domain in reading.snapshot.domains}
    return Told(values, {(verdict.host, verdict.check): verdict for verdict in verdicts}, unread)


def following(before: Mapping[Key, Problem], made: Told) -> dict[Key, Problem]:
    """The verdicts after these of a reading before: what was bad and is not judged any more is no problem now.

    That of a VM which is there and could not be read stays.
    """
    rest = {key: problem for key, problem in before.items() if problem.code and key not in made.verdicts}
    return made.verdicts | {
        key: problem if problem.uuid in made.unread else problem._replace(code=0, text=GONE)
        for key, problem in rest.items()
    }


def notifications(before: Mapping[Key, Problem], now: Mapping[Key, Problem], time: float) -> Iterator[str]:
    """A line for each verdict that is another one than before; what was never bad is not told to be well."""
    for key, problem in now.items():
        earlier = before[key].code if key in before else 0
        if problem.code != earlier:
            yield notification(problem, time)


def notification(problem: Problem, time: float) -> str:
    """One line of PUTNOTIF."""
    # each of its lines begins with the name, and there is little room
    text = re.sub(rf"(^|; ){re.escape(problem.name)} ", r"\1", problem.text)
    said = f"UNKNOWN: {text}" if problem.code == UNKNOWN else text
    message = readable(f"KVM {problem.check} of {readable(problem.name, LONGEST_LABEL)}: {said}", _LONGEST_MESSAGE)
    return (
        f"PUTNOTIF severity={_SEVERITIES[problem.code]} time={time:.3f} host={_quoted(_part(problem.host))} "
        f"plugin={_OURS} type=gauge type_instance={_quoted(_part(f'check_{problem.check}'))} "
        f"message={_quoted(fitting(message, _LONGEST_MESSAGE))}"
    )


def up(host: str, interval: float, whether: bool) -> str:
    """The line that says whether the hypervisor could be read."""
    return f"PUTVAL {_quoted(_name(host, _OURS, 'gauge', 'up'))} interval={interval:g} N:{int(whether)}"


def _values(host: str, row: Row, odd: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    of = _host(host, row.labels, odd)
    if row.entity in VIRT:
        label, types = VIRT[row.entity]
        for kind in types:
            numbers = [row.values.get(value) for value in kind.values]
            if None not in numbers:  # a type with several values needs all of them
                instance = kind.instance.format(row.labels[label] if label else "")
                yield _name(of, _VIRT, kind.type, instance), [_number(kind, number or 0) for number in numbers]
        if "link" in row.values:
            yield _name(of, _OURS, "gauge", f"link_{row.labels['mac']}"), [f"{row.values['link']:g}"]
    elif row.entity == "check":
        yield _name(of, _OURS, "gauge", f"check_{row.labels['check']}"), [f"{row.values['status']:g}"]
    elif row.entity == "pool":
        for instance, value in (("used", "used"), ("free", "available")):
            if value in row.values:
                yield (
                    _name(host, _named(f"{_OURS}-{{}}", row.labels, "pool", odd), "df_complex", instance),
                    [repr(row.values[value])],
                )


def _number(kind: Type, value: float) -> str:
    return str(math.floor(value * kind.times)) if kind.counter else repr(value)


def _host(hypervisor: str, labels: Mapping[str, str], odd: Collection[str]) -> str:
    """What the host of these labels is called in collectd."""
    return _named("{}", labels, "domain", odd) if "domain" in labels else hypervisor


def _named(form: str, labels: Mapping[str, str], label: str, odd: Collection[str]) -> str:
    """A part of an identifier with a name in it; with the UUID where that is ``odd``, or collectd would refuse it.

    Its plugins that write files make no folder that begins with a dot.
    """
    part = form.format(_part(labels[label]))
    refused = labels["uuid"] in odd or len(part.encode()) > _LONGEST_PART or part.startswith(".")
    return form.format(labels["uuid"]) if refused else part


def _odd(things: Collection[Domain | Pool]) -> Iterator[str]:
    """The UUIDs of those whose name would be another one's: that without what is not shown of it, or its UUID."""
    uuids = {thing.uuid for thing in things}
    for thing in things:
        if thing.name in uuids or readable(thing.name, len(thing.name)) != thing.name:
            yield thing.uuid


def _name(host: str, plugin: str, kind: str, instance: str) -> str:
    of = f"-{fitting(_part(instance), _LONGEST_PART)}" if instance else ""
    return f"{_part(host)}/{_part(plugin)}/{kind}{of}"


def _part(text: str) -> str:
    """A part of an identifier, in which there is no slash, but something."""
    return text.replace("/", "_") or "_"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
