"""The QEMU processes of this machine, as top, iotop and lsof would show them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import psutil

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Process, Snapshot, Unread
from kvmwatch.reading import emulators, pid_files, process_stats
from kvmwatch.reading.connection import is_local, uri_scheme, uuid_of
from kvmwatch.reading.emulators import Running
from kvmwatch.reading.hypervisor import Hypervisor
from kvmwatch.reading.listing import Survey
from kvmwatch.reading.threads import stat_of


def with_processes(
    hypervisor: Hypervisor,
    snapshot: Snapshot,
    survey: Survey,
    again: Callable[[], Survey],
    strays: bool = True,
    folders: Sequence[pid_files.Folder] | None = None,
) -> Snapshot:
    """Add the processes of the snapshot's domains, and what only looks like one (``known`` is False).

    ``survey`` has all domains of the hypervisor: what claims to be one that is not in the snapshot is left out.
    ``again`` gives them as they are now. ``strays``: also those that claim to be none. ``folders``: of the pid
    files. Raises KvmwatchError when the hypervisor is another machine.
    """
    uri = hypervisor.uri
    if not is_local(uri):
        raise KvmwatchError(
            f"{uri}: QEMU processes can be seen only on their own machine; run the check there (NRPE)"
        )
    folders = pid_files.run_folders(uri) if folders is None else folders
    read, missing = _read(uri, survey, folders)
    lost = any(domain.active and domain.uuid in missing for domain in snapshot.domains)
    if lost or not all(process.known for process in read):
        # a domain that has ended or started since it was listed is no fault, and its process no stray
        survey = again()
        snapshot = snapshot._replace(domains=tuple(_settled(snapshot.domains, survey)))
        read, missing = _read(uri, survey, folders)
    looked_at = {domain.uuid for domain in snapshot.domains}
    others = survey.uuids - looked_at
    return snapshot._replace(
        domains=tuple(_without(domain, missing.get(domain.uuid)) for domain in snapshot.domains),
        processes=tuple(
            process
            for process in read
            if process.uuid in looked_at or (strays and not process.known and process.uuid not in others)
        ),
    )


def names() -> dict[str, str]:
    """UUID to name of everything that looks like a QEMU, whether it is libvirt's or not."""
    return {process.uuid: process.name or process.uuid for process in _strays(set()) if process.uuid}


def _without(domain: Domain, why: str | None) -> Domain:
    if why is None:
        return domain
    unread = Unread(Group.PROCESSES, "", f"has no QEMU process that could be found: {why}")
    return domain._replace(unread=(*domain.unread, unread))


def _read(
    uri: str, survey: Survey, folders: Sequence[pid_files.Folder]
) -> tuple[list[Process], Mapping[str, str]]:
    """Every process that is libvirt's or looks like a QEMU, by PID; and UUIDs to why libvirt's was not found.

    What another user may not see (/proc/PID/io and fd need root or the process's own user) is None.
    """
    active = (domain for domain, fields in survey.listed if states.is_active(fields["state.state"]))
    running = [Running(uuid_of(domain), domain.name(), domain.ID()) for domain in active]
    running += [Running(uuid, name, -1) for uuid, (name, _) in survey.held.items()]
    found = emulators.find(running if uri_scheme(uri) == "qemu" else (), folders)
    read, missing = [], found.missing
    for uuid, emulator in found.processes.items():
        try:
            read.append(_process(*emulator, uuid)._replace(known=True))
        except OSError:
            missing[uuid] = f"PID {emulator.pid} ended while it was read"
    read += _strays(found.pids)
    return sorted(read, key=lambda process: process.pid), missing


def _strays(known: set[int]) -> Iterator[Process]:
    """What looks like a QEMU, other than libvirt's and what these fork or are only asked what they can do."""
    for pid in psutil.pids():
        try:
            if (
                pid not in known
                and emulators.looks_like_qemu(pid)
                and stat_of(f"/proc/{pid}/stat").ppid not in known
            ):
                arguments = emulators.arguments(pid)
                if arguments and not emulators.is_question(arguments):  # the kernel's threads have none
                    yield _process(pid, arguments, emulators.uuid_of(arguments))
        except OSError:
            continue  # it ended


def _settled(before: Sequence[Domain], survey: Survey) -> Iterator[Domain]:
    """The domains without those that are gone by a later survey, and with the state of those that have ended.

    The rest stays as it was read: the statistics of a domain belong to the run that it was in.
    """
    now = {uuid_of(domain): fields for domain, fields in survey.listed}
    for domain in before:
        fields = now.get(domain.uuid)
        if domain.uuid in survey.held:
            yield domain
        elif fields is not None:
            state, reason = fields["state.state"], fields["state.reason"]
            ended = domain.active and not states.is_active(state)
            yield domain._replace(id=None, state=state, reason=reason) if ended else domain


def _process(pid: int, arguments: Sequence[str], uuid: str | None) -> Process:
    name = _guest_name(emulators.option(arguments, "-name"))
    started, stats, unread = process_stats.of(pid)
    return Process(pid, started, uuid, name, time.monotonic(), stats, known=False, unread=unread)


def _guest_name(option: str | None) -> str | None:
    """The name in ``-name guest=NAME,debug-threads=on`` or ``-name NAME``; a comma in it is doubled."""
    if option is None:
        return None
    parts = option.replace(",,", "\0").split(",")
    name = next((part[len("guest=") :] for part in parts if part.startswith("guest=")), parts[0])
    return name.replace("\0", ",")
