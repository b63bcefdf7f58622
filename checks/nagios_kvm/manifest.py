"""What a file of definitions says of itself to later runs, in comments: which VMs it has, under which names.

A line for each: ``# vm UUID NAME`` (services on the hypervisor's host), ``# host UUID NAME`` (a host of its own),
or ``# leaves SINCE UUID NAME`` (that host, of a VM that is not here any more). The objects of a host are
paragraphs, so that they can be kept, or taken out, without what made them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

VM, HOST, LEAVES = "vm", "host", "leaves"

_MADE_BY = "Made by: nagios_kvm config"
_LINE = re.compile(rf"^(?:#|//) ({VM}|{HOST}|{LEAVES} \d+) ([0-9a-f-]{{36}}) (.+)\n", re.MULTILINE)
_LIMIT = 256 * 1024 * 1024  # bytes of a file, as in the module files
#: the line of a paragraph that says for which host it is, in Nagios's and in Icinga's language
_PLACE = re.compile(
    r' *host_name +([^=].*)|object Host "(.*)" \{|  host_name = "(.*)"|  assign where host\.name == "(.*)"'
)


class Entry(NamedTuple):
    """A VM in a file."""

    kind: str
    uuid: str
    name: str  # the host's, or the VM's as it is in the names of services
    since: int = 0  # of one that leaves: Unix time

    def __str__(self) -> str:
        """The line, without what makes it a comment."""
        kind = f"{self.kind} {self.since}" if self.kind == LEAVES else self.kind
        return f"{kind} {self.uuid} {self.name}"


class Beside(NamedTuple):
    """The file of another hypervisor in the same folder."""

    path: Path
    text: str
    entries: tuple[Entry, ...]


def head(of_format: str, hypervisor: str) -> str:
    """The first line of a file."""
    return f"{_MADE_BY} --format {of_format}{_of(hypervisor)}"


def _of(hypervisor: str) -> str:
    return f" --host {hypervisor}; do not edit."


def read(text: str) -> tuple[Entry, ...]:
    """The lines in a file."""
    return tuple(_entry(*found) for found in _LINE.findall(text))


def _entry(kind: str, uuid: str, name: str) -> Entry:
    kind, _, since = kind.partition(" ")
    return Entry(kind, uuid, name, int(since or 0))


def has_hosts(text: str) -> bool:
    """Whether a file has hosts of VMs' own."""
    return any(entry.kind != VM for entry in read(text))


def beside(path: Path, hypervisor: str) -> Iterator[Beside]:
    """The files of other hypervisors in the folder of one; what cannot be read is none of ours."""
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        try:
            if other.name == path.name or not other.is_file() or other.stat().st_size > _LIMIT:
                continue
            with open(other, encoding="utf-8") as file:
                first = file.readline()
                if _MADE_BY in first and _of(hypervisor) not in first:
                    text = first + file.read()
                    yield Beside(other, text, read(text))
        except (OSError, UnicodeDecodeError):
            continue


def without(text: str, hosts: Collection[str]) -> str:
    """A file without what it has for these hosts."""

    def line(found: re.Match[str]) -> str:
        return "" if found[3] in hosts and found[1] != VM else found[0]

    return _filtered(_LINE.sub(line, text), lambda host: host not in hosts)


def only(text: str, hosts: Collection[str]) -> str:
    """What a file has for these hosts."""
    return _filtered(text, lambda host: host in hosts)


def _filtered(text: str, wanted: Callable[[str | None], bool]) -> str:
    kept = [paragraph for paragraph in text.rstrip("\n").split("\n\n") if wanted(_host(paragraph))]
    return "\n\n".join(kept) + "\n" if kept else ""


def _host(paragraph: str) -> str | None:
    """The host that a paragraph is for."""
    places = (_PLACE.fullmatch(line) for line in paragraph.split("\n"))
    return next((next(filter(None, place.groups())) for place in places if place), None)
