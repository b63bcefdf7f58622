"""What is exported: a row for each thing of a reading, and the table of all names; every format is made of these.

A row has only what is known: what is None in the snapshot is in no row, and so in no format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from kvmwatch import __version__
from kvmwatch.model import derived, states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import GAUGE, ONE, Declaration, Metric, catalogue
from kvmwatch.model.snapshot import Domain, Filesystem, Pool
from kvmwatch.model.text import readable
from kvmwatch_exporters.reading import Reading

#: characters of a label; a path may have 4096
_LONGEST = 4096


def _ours(entity: str, name: str, unit: str, help_: str) -> Metric:
    return Metric(entity, name, Declaration(GAUGE, unit, "", "kvmwatch", help_, ONE))


#: what is exported besides the catalogue; entity "" is the reading itself
OURS = (
    _ours("", "up", "", "1 while the hypervisor could be read, else 0"),
    _ours("", "reading", "unixtime", "When the hypervisor was read"),
    _ours("", "reading_duration", "s", "How long reading and judging took"),
    _ours("check", "status", "", "What a check says: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"),
    _ours("domain", "autostart", "", "1 while it starts with the host, else 0"),
    _ours("domain", "persistent", "", "1 while it has a definition that outlives it, else 0"),
    _ours("domain", "managed_save", "", "1 while its memory is saved for the next start, else 0"),
    _ours(
        "domain",
        "agent_connected",
        "",
        "1 while its guest agent is connected, 0 while not, though it has a channel",
    ),
    _ours("domain", "not_responding", "s", "For how long its QEMU has not answered; 0 while it does"),
    _ours("interface", "link", "", f"Its way to the network: {derived.numbered(derived.LINKS)}"),
    _ours("pool", "active", "", "1 while it is active, else 0"),
    _ours("pool", "autostart", "", "1 while it starts with the host, else 0"),
    _ours("pool", "answered", "", "1 while its storage answers, else 0"),
    _ours("network", "active", "", "1 while it is active, else 0"),
    _ours("network", "autostart", "", "1 while it starts with the host, else 0"),
)
METRICS = (*OURS, *catalogue())
#: entity to the words of its state
STATES: dict[str, tuple[str, ...]] = {"domain": states.NAMES, "pool": states.POOL_LABELS}
_OF_INTERFACE = ("name", "kind", "source", "bridge", "model")
#: labels that are called otherwise than their fields
_CALLED = {"name": "tap"}
#: what has names to be looked up by others
NAMED = ("build", "host", "domain", "disk", "interface", "filesystem", "pool", "network", "uplink")


class Row(NamedTuple):
    """One thing at one moment: ``values`` by the names of METRICS."""

    entity: str
    labels: Mapping[str, str]  # what it is told from others by, in whatever time
    values: Mapping[str, float]
    info: Mapping[str, str] = {}
    state: Optional[str] = None
    text: str = ""  # what a check says


def failed() -> Iterator[Row]:
    """The rows of a reading that failed."""
    yield from _of_us({"up": 0})


def rows(reading: Reading) -> Iterator[Row]:
    """All rows of a reading; no two of an entity have the same labels."""
    seen = set()
    for row in _rows(reading):
        key = (row.entity, *row.labels.values())
        if key not in seen:  # two series of one name would cost the consumer all of them
            seen.add(key)
            yield row


def _rows(reading: Reading) -> Iterator[Row]:
    snapshot = reading.snapshot
    yield from _of_us({"up": 1, "reading": snapshot.time, "reading_duration": reading.seconds})
    for said in reading.judged:
        labels = {"check": said.check} | (_named("domain", said.domain) if said.domain else {})
        yield Row("check", labels, {"status": said.code}, text=said.text)
    if snapshot.host:
        fields = ("hostname", "driver", "libvirt_version", "hypervisor_version")
        yield Row("host", {}, _values(snapshot.host.stats), _info(snapshot.host, *fields))
        for node in snapshot.host.nodes:
            yield Row("node", {"node": str(node.number)}, _values(node.stats))
    known = {process.uuid: process for process in snapshot.processes if process.known}
    for domain in snapshot.domains:
        yield from _of_domain(domain, reading.groups)
        if process := known.get(domain.uuid):
            yield Row("process", _named("domain", domain), _values(process.stats))
    for pool in snapshot.pools:
        yield _pool(pool)
    for network in snapshot.networks:
        values = _values(network.stats) | _flags(network, "active", "autostart")
        yield Row("network", _named("network", network), values, _info(network, "bridge"))
    for uplink in snapshot.uplinks or ():
        carries = {"carries": _clean(" ".join(uplink.carries))} if uplink.carries else {}
        yield Row("uplink", {"device": _clean(uplink.name)}, _values(uplink.stats), carries)


def _of_us(values: Mapping[str, float]) -> Iterator[Row]:
    yield Row("", {}, values)
    yield Row("build", {}, {}, {"version": __version__})


def _of_domain(domain: Domain, groups: Group) -> Iterator[Row]:
    named = _named("domain", domain)
    values = _values(domain.stats) | _flags(domain, "autostart", "persistent", "managed_save", "agent_connected")
    # who does not run has no QEMU that could answer
    if Group.CONTROL in groups and domain.active and domain.silent_for is not None:
        values["not_responding"] = float(domain.silent_for)
    state = states.NAMES[domain.state] if 0 <= domain.state < len(states.NAMES) else states.label(domain.state)
    yield Row("domain", named, values, _info(domain, "title"), state)
    parts: tuple[tuple[Group, str, str, tuple[Any, ...], Callable[[Any], object], tuple[str, ...]], ...] = (
        (Group.CPU, "vcpu", "vcpu", domain.vcpus, lambda vcpu: vcpu.number, ()),
        (Group.DISK, "disk", "disk", domain.disks, lambda disk: disk.name, ("path", "device", "bus", "kind")),
        (Group.INTERFACE, "interface", "mac", domain.interfaces, lambda nic: nic.key, _OF_INTERFACE),
        (Group.FILESYSTEM, "filesystem", "mountpoint", domain.filesystems or (), _mountpoint, ("kind",)),
    )  # fmt: skip
    for group, entity, label, things, key, fields in parts:
        for thing in things if group in groups else ():  # an XML has them all
            of = _values(thing.stats)
            if entity == "interface" and domain.active and (link := derived.link(thing)) is not None:
                of["link"] = link
            yield Row(entity, named | {label: _clean(key(thing))}, of, _info(thing, *fields))


def _mountpoint(filesystem: Filesystem) -> str:
    return filesystem.mountpoint


def _pool(pool: Pool) -> Row:
    named = _named("pool", pool)
    if not pool.kind:  # it is there, and that is all that could be read
        return Row("pool", named, _flags(pool, "answered"))
    known = 0 <= pool.state < len(states.POOL_LABELS)
    return Row(
        "pool",
        named,
        _values(pool.stats) | _flags(pool, "active", "autostart", "answered"),
        _info(pool, "kind", "path"),
        states.POOL_LABELS[pool.state] if known else str(pool.state),
    )


def _named(kind: str, thing: Any) -> dict[str, str]:
    return {"uuid": thing.uuid, kind: _clean(thing.name)}


def _values(stats: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(stats._fields, stats) if value is not None}


def _flags(thing: Any, *names: str) -> dict[str, float]:
    return {name: float(value) for name in names if (value := getattr(thing, name)) is not None}


def _info(thing: Any, *names: str) -> dict[str, str]:
    return {_CALLED.get(name, name): _clean(value) for name in names if (value := getattr(thing, name))}


def _clean(text: object) -> str:
    return readable(str(text), _LONGEST)
