r"""What a file of definitions says of itself to later runs, in comments: which VMs it has, under which names.

A line for each: ``# vm UUID NAME`` (services on the hypervisor's host), ``# host UUID NAME`` (a host of its own),
or ``# waits UUID NAME``: it runs here, and another file still has that host. Nagios and Icinga refuse all of their
configuration when two files define a host, so the hypervisors' files in a folder take turns: what another file has
is not defined, and who sees that another one waits for a VM that does not run here lets go of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kvmwatch.model import states
from kvmwatch.model.snapshot import Domain
from nagios_kvm.names import encode
from nagios_kvm.services import Service

_MADE_BY = "Made by: nagios_kvm config"
VM, HOST, WAITS = "vm", "host", "waits"

_LINE = re.compile(rf"^(?:#|//) ({VM}|{HOST}|{WAITS}) ([0-9a-f-]{{36}}) (.+)$", re.MULTILINE)
_LIMIT = 256 * 1024 * 1024  # bytes of a file, as in the module files


class Entry(NamedTuple):
    """A VM in a file."""

    kind: str
    uuid: str
    name: str

    def __str__(self) -> str:
        """The line, without what makes it a comment."""
        return f"{self.kind} {self.uuid} {self.name}"


class Beside(NamedTuple):
    """Another file of the folder, and what it has."""

    name: str
    entries: tuple[Entry, ...]


class Settled(NamedTuple):
    """What a file is to have, with the lines that say so, and what is to be told of it."""

    services: tuple[Service, ...]
    lines: tuple[str, ...]
    notes: tuple[str, ...]


def head(of_format: str, hypervisor: str) -> str:
    """The first line of a file."""
    return f"{_MADE_BY} --format {of_format}{_of(hypervisor)}"


def _of(hypervisor: str) -> str:
    return f" --host {hypervisor}; do not edit."


def read(text: str) -> tuple[Entry, ...]:
    """The lines in a file."""
    return tuple(Entry(*found) for found in _LINE.findall(text))


def has_hosts(text: str) -> bool:
    """Whether a file has hosts of VMs' own."""
    return any(entry.kind == HOST for entry in read(text))


def beside(path: Path, hypervisor: str) -> Iterator[Beside]:
    """The files of other hypervisors in the folder of one; what cannot be read is none of ours."""
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        try:
            if other.name == path.name or not other.is_file() or other.stat().st_size > _LIMIT:
                continue
            with open(other, encoding="utf-8") as file:
                head = file.readline()
                if _MADE_BY in head and _of(hypervisor) not in head:
                    yield Beside(other.name, read(file.read()))
        except (OSError, UnicodeDecodeError):
            continue


def let_go(before: str, others: Iterable[Beside], moved: Collection[str]) -> frozenset[str]:
    """The hosts in the text *before* whose VMs moved, or that another file has or waits for: they are not lost.

    ``moved``: UUIDs.
    """
    wanted = set(moved) | {
        entry.uuid for other in others for entry in other.entries if entry.kind in (HOST, WAITS)
    }
    return frozenset(entry.name for entry in read(before) if entry.kind == HOST and entry.uuid in wanted)


def settled(services: Iterable[Service], hypervisor: str, before: str, others: Sequence[Beside]) -> Settled:
    """Leave out what another file has, and say what was renamed since the text *before*."""
    kept: list[Service] = []
    entries: dict[str, Entry] = {}
    notes: list[str] = []
    for service in services:
        domain = service.domain
        if domain and domain.uuid not in entries:
            entries[domain.uuid], note = _entry(service, domain, hypervisor, others)
            notes += filter(None, [note])
        if not domain or entries[domain.uuid].kind in (VM, HOST):
            kept.append(service)
    if renamed := list(_renamed(entries, read(before))):
        # to keep the old name would be to show, for ever, one that nobody knows any more
        notes.append(f"renamed, so that its history and downtimes stay with the old name: {', '.join(renamed)}")
    lines = tuple(str(entry) for entry in entries.values() if entry.kind)
    return Settled(tuple(kept), lines, tuple(notes))


def _entry(service: Service, domain: Domain, hypervisor: str, others: Sequence[Beside]) -> tuple[Entry, str]:
    """The entry of a VM, of no kind where it is left to another file; and what is to be told."""
    if not service.host:
        return Entry(VM, domain.uuid, encode(domain.name)), ""
    mine = Entry(HOST, domain.uuid, service.host)
    left = mine._replace(kind="")
    if service.host == hypervisor:
        return left, f"{domain.name} has no services, its host would be the hypervisor's: use another --vm-host"
    runs = states.is_active(domain.state)
    for other in others:
        for entry in other.entries:
            if entry.kind == HOST and entry.name == service.host and entry.uuid != domain.uuid:
                why = (
                    f"{other.name} has a host {service.host} for another VM: rename one, or use another --vm-host"
                )
                return left, f"{domain.name} has no services: {why}"
            if entry.kind == HOST and entry.name == service.host and runs:
                why = f"{other.name} still has its host, until nagios_kvm config has run for that, too"
                return mine._replace(kind=WAITS), f"{domain.name} runs here now, and waits: {why}"
            if entry.kind in (HOST, WAITS) and entry.name == service.host and not runs:
                why = f"{other.name} has its host; if it moved for good, virsh undefine it here"
                return left, f"{domain.name} does not run here: {why}"
    return mine, ""


def _renamed(entries: Mapping[str, Entry], before: Iterable[Entry]) -> Iterator[str]:
    for old in before:
        new = entries.get(old.uuid, old)
        if new.name != old.name and new.kind == old.kind:
            yield f"{old.name} is {new.name} now"
