"""What a file of definitions says of itself to later runs, in comments: which VMs it has, under which names.

A line for each: ``# vm UUID NAME`` (services on the hypervisor's host), ``# host UUID NAME`` (a host of its own),
or ``# leaves SINCE UUID NAME`` (that host, of a VM that is not here any more). The objects of a host are
paragraphs, so that they can be kept, or taken out, without what made them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

VM, HOST, LEAVES = "vm", "host", "leaves"

_MADE_BY = "Made by: nagios_kvm config"
#: what :func:`head` gives; the first versions did not say for which host
_HEAD = rf"{_MADE_BY} --format ([a-z0-9-]+)(?: --host (.+))?; do not edit\."
#: where it stands: in the first line, or what a basket of Director's says of its service set
_IN_COMMENT = re.compile(rf"(?:#|//) {_HEAD}")
_IN_BASKET = re.compile(rf'^      "description": "{_HEAD}",$', re.MULTILINE)
#: a list for Director has rows, and in each the hypervisor
_ROW = re.compile(r"^  \{$", re.MULTILINE)
_OF_ROW = re.compile(r'^    "hypervisor": ("(?:[^"\\]|\\.)*"),?$', re.MULTILINE)
_LIST = "director-import"
_LINE = re.compile(rf"^(?:#|//) ({VM}|{HOST}|{LEAVES} \d+) ([0-9a-f-]{{36}}) (.+)\n", re.MULTILINE)
LIMIT = 256 * 1024 * 1024  # bytes of a file; 100,000 services have a fifth of it
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


class Maker(NamedTuple):
    """What made a file: ``nagios_kvm config`` for a format, and for these hosts (none: it does not say it)."""

    of_format: str
    hypervisors: frozenset[str]


class Beside(NamedTuple):
    """The file of another hypervisor in the same folder."""

    path: Path
    text: str
    entries: tuple[Entry, ...]


def head(of_format: str, hypervisor: str) -> str:
    """The first line of a file."""
    return f"{_MADE_BY} --format {of_format} --host {hypervisor}; do not edit."


def maker(text: str) -> Maker | None:
    """What a file says of who made it; None: somebody else, as far as it says anything."""
    try:
        return _maker(text)
    except ValueError:  # somebody else's JSON, or what looks like it
        return None


def _maker(text: str) -> Maker | None:
    if text.startswith("["):
        found = _OF_ROW.findall(text)
        ours = len(found) == len(_ROW.findall(text)) and (found or not text.strip("[] \n"))
        return Maker(_LIST, frozenset(map(json.loads, found))) if ours else None
    in_basket = text.startswith("{")
    head = _IN_BASKET.search(text) if in_basket else _IN_COMMENT.fullmatch(text.partition("\n")[0])
    if not head:
        return None
    host = head[2] and (json.loads(f'"{head[2]}"') if in_basket else head[2])
    return Maker(head[1], frozenset([host] if host else ()))


def foreign(before: str, heading: str) -> str | None:
    """Why the text of a file is not of the maker that this heading has, who may replace it; None: it is.

    An empty file is nobody's.
    """
    made, ours = maker(before), maker(f"# {heading}")
    if not before.strip() or not ours:
        return None
    if not made:
        return "nagios_kvm config did not make it; name another --output, or give --force to replace it"
    if made.of_format != ours.of_format:
        return f"it is of --format {made.of_format}; name another --output, or give --force to replace it"
    if not made.hypervisors <= ours.hypervisors:
        (other, *more), (host,) = sorted(made.hypervisors - ours.hypervisors), ours.hypervisors
        others = f"{other} and {len(more)} more" if more else other
        renamed = f"if {other} is called {host} now"
        return f"it is of --host {others}; name another --output, or, {renamed}, give --force"
    return None


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
    """The files of other hypervisors in the folder of one, each once whatever links there are to it.

    What cannot be read is none of ours, and what begins with a dot is not read by a daemon either.
    """
    seen = {os.path.realpath(path)}
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        try:
            real = os.path.realpath(other)
            hidden = other.name.startswith(".")
            if real in seen or hidden or not other.is_file() or other.stat().st_size > LIMIT:
                continue
            seen.add(real)
            with open(other, encoding="utf-8") as file:
                first = file.readline()
                head = _IN_COMMENT.fullmatch(first.rstrip("\n"))
                if head and head[2] not in (None, hypervisor):
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
