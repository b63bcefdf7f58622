"""A file of definitions: what libvirt lists, put together with what the file and those beside it had."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from kvmwatch.model.errors import KvmwatchError
from nagios_kvm import files, handing_over, manifest
from nagios_kvm.definitions import Renderer, Site
from nagios_kvm.services import Service


class Definitions:
    """A file to be, in a format; ``notes``, ``number`` (of services) and ``others`` are those of its last text."""

    def __init__(
        self,
        renderer: Renderer,
        site: Site,
        services: Iterable[Service],
        notes: Iterable[str] = (),
        there: Collection[str] = (),
        moved: Collection[str] = (),
    ) -> None:
        """``there``: UUIDs of all VMs that the hypervisor has; ``moved``: of those of them that moved away."""
        self._renderer = renderer
        self._site = site
        self._services = tuple(services)
        self._notes = tuple(notes)
        self._there = frozenset(there).difference(moved)
        self._moved = frozenset(moved)
        self.notes: tuple[str, ...] = ()
        self.number = 0
        self.others: Mapping[Path, str] = {}  # files beside it that give VMs' hosts away

    def text(self, before: str = "", path: Path | None = None, force: bool = False) -> str:
        """The text that follows *before* in the file *path*.

        Raises KvmwatchError where too much would be gone, or the file is another hypervisor's, or not ours at all.
        """
        foreign = manifest.foreign(before, " ".join(self._site.heading))
        if foreign and path and not force:
            raise KvmwatchError(f"{path} stays as it is: {foreign}")
        if foreign:  # nothing of it suits what is to replace it: its hosts may have another parent
            before = ""
        own = any(service.host for service in self._services) or manifest.has_hosts(before)
        beside = tuple(manifest.beside(path, self._site.host)) if path and own else ()
        gone = [entry for entry in manifest.read(before) if entry.uuid not in self._there]
        settled = handing_over.settled(self._services, self._site.host, before, beside, gone, time.time())
        site = self._site
        if self._renderer.COMMENT:
            site = site._replace(heading=(*site.heading, *settled.lines), kept=settled.kept)
        text = self._renderer.render(site, settled.services)
        if path and not force:
            empty = not any(service.domain for service in settled.services)
            moved = {entry.name for entry in manifest.read(before) if entry.uuid in self._moved}
            files.refuse_loss(path, before, text, self._renderer.ENTRY, empty, moved)
        self.notes = (*self._notes, *settled.notes)
        self.number = len(settled.services)
        self.others = settled.others
        return text

    def untold(self, said: str) -> list[str]:
        """Of which hosts and services of the file nobody would be told, by what the daemon's validation said."""
        without = set(self._renderer.WITHOUT_CONTACTS.findall(said))
        host = self._site.host  # those of VMs are always up
        found = [f"nobody is told when {host} is down: give this host contacts or contact_groups"]
        notes = found if ("", host) in without else []
        named = [
            f"{one.name} on {one.host or host}"
            for one in self._services
            if (one.name, one.host or host) in without
        ]
        if named:
            these = named[0] if len(named) == 1 else f"{len(named)} services, as {named[0]}"
            notes.append(f"nobody is told of {these}: give them or their hosts contacts or contact_groups")
        return notes
