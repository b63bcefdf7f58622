"""From which file to which a VM's own host goes, when the files of several hypervisors lie in one folder.

Nagios and Icinga refuse all of their configuration when two files define a host; and when none does for a moment,
they forget its downtimes, acknowledgements and history. So a host changes the file in one step, by the run for the
hypervisor on which its VM runs now: it is taken out of the other file, for the same reload. Until then the other
file keeps it, for GRACE seconds after its VM went away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kvmwatch.model import states
from kvmwatch.model.snapshot import Domain
from nagios_kvm import manifest
from nagios_kvm.manifest import HOST, LEAVES, VM, Beside, Entry
from nagios_kvm.names import encode
from nagios_kvm.services import Service

GRACE = 900  # seconds: two runs of the timer that comes every five minutes, and what they take


class Settled(NamedTuple):
    """What a file is to have."""

    services: tuple[Service, ...]
    kept: str  # the old text of hosts that leave
    lines: tuple[str, ...]  # of the manifest
    notes: tuple[str, ...]  # what is to be told
    others: Mapping[Path, str]  # other files without the hosts that are taken over


class _Place(NamedTuple):
    """What becomes of a VM: its entry (None: another file has it), the file that gives it away, what is told."""

    entry: Entry | None
    taken_from: Beside | None = None
    note: str = ""


def settled(
    services: Iterable[Service],
    hypervisor: str,
    before: str,
    others: Sequence[Beside],
    gone: Iterable[Entry],
    now: float,
) -> Settled:
    """Settle which VMs' hosts a file has; *before* is its old text, *gone* what of it is not on the hypervisor."""
    kept: list[Service] = []
    places: dict[str, _Place] = {}
    for service in services:
        domain = service.domain
        if domain and domain.uuid not in places:
            places[domain.uuid] = _place(service, domain, hypervisor, others)
        if not domain or places[domain.uuid].entry:
            kept.append(service)
    entries = [place.entry for place in places.values() if place.entry]
    notes = [place.note for place in places.values() if place.note]
    leaving = _leaving(gone, entries, others, now) if others else []
    if renamed := _renamed(before, entries):
        # to keep the old name would be to show, for ever, one that nobody knows any more
        notes.append(f"renamed, so that its history and downtimes stay with the old name: {', '.join(renamed)}")
    return Settled(
        tuple(kept),
        manifest.only(before, {entry.name for entry in leaving}),
        tuple(map(str, (*entries, *leaving))),
        tuple(notes),
        _given(places.values()),
    )


def _place(service: Service, domain: Domain, hypervisor: str, others: Sequence[Beside]) -> _Place:
    if not service.host:
        return _Place(Entry(VM, domain.uuid, encode(domain.name)))
    mine = Entry(HOST, domain.uuid, service.host)
    if service.host == hypervisor:
        return _Place(None, note=f"{domain.name} would have the hypervisor's own host: use another --vm-host")
    for other in others:
        for entry in other.entries:
            if entry.name != service.host or entry.kind == VM:
                continue
            if entry.kind == LEAVES or (entry.uuid == domain.uuid and states.is_active(domain.state)):
                return _Place(mine, other)
            if entry.uuid == domain.uuid:
                why = f"{other.path.name} has its host; if it moved for good, virsh undefine it here"
                return _Place(None, note=f"{domain.name} does not run here: {why}")
            why = (
                f"{other.path.name} has a host {service.host} for another VM: rename one, or use another --vm-host"
            )
            return _Place(None, note=f"{domain.name} has no services: {why}")
    return _Place(mine)


def _leaving(gone: Iterable[Entry], entries: Iterable[Entry], others: Iterable[Beside], now: float) -> list[Entry]:
    """The hosts of VMs that are gone, as long as another hypervisor may take them over."""
    have = {entry.name for entry in entries} | {
        entry.name for other in others for entry in other.entries if entry.kind != VM
    }
    left = (entry for entry in gone if entry.kind != VM and entry.name not in have)
    # from now on where it was not known to leave, or the clock was set back meanwhile
    leaving = [entry._replace(kind=LEAVES, since=min(entry.since or int(now), int(now))) for entry in left]
    return [entry for entry in leaving if now - entry.since <= GRACE]


def _renamed(before: str, entries: Sequence[Entry]) -> list[str]:
    names = {(entry.kind, entry.uuid): entry.name for entry in entries}
    changed = ((old, names.get((old.kind, old.uuid), old.name)) for old in manifest.read(before))
    return [f"{old.name} is {new} now" for old, new in changed if new != old.name]


def _given(places: Collection[_Place]) -> dict[Path, str]:
    texts: dict[Path, str] = {}
    for place in places:
        if place.taken_from and place.entry:
            path = place.taken_from.path
            texts[path] = manifest.without(texts.get(path, place.taken_from.text), {place.entry.name})
    return texts
