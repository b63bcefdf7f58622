"""Which VM is meant where it is not named: by libvirt's number of its run, or by a process of this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Process, Snapshot
from kvmwatch.reading.connection import is_local
from kvmwatch_terminal import reading

_NAMED = 3  # VMs in a message


def is_number(text: str) -> bool:
    """Whether a text can be libvirt's number of a run; it can be a name all the same."""
    return text.isascii() and text.isdigit()


def read_number(options: argparse.Namespace) -> Domain:
    """The VM that is called ``options.vm``, else the one that runs by that number. Raises KvmwatchError."""
    return of_number(_read(options, Group.NONE), options.vm)


def of_number(snapshot: Snapshot, text: str) -> Domain:
    """The same of a snapshot of all VMs; a name is never taken for a number."""
    named = next((domain for domain in snapshot.domains if domain.name == text), None)
    found = named or next((domain for domain in snapshot.domains if domain.id == int(text)), None)
    if not found:
        held = [domain for domain in snapshot.domains if domain.held]
        raise KvmwatchError(
            f"no VM {text} here, neither a name nor an Id{_perhaps('Id', held)}; 'kvmwatch list -o name,id' tells "
            "which there are, and --pid whose a process is"
        )
    return found


def read_pid(options: argparse.Namespace) -> Domain:
    """The VM whose QEMU, or a thread of it, is ``options.pid``; which thread is said. Raises KvmwatchError."""
    if not is_local(options.uri):
        raise KvmwatchError(f"{options.uri}: a PID is known only on the hypervisor itself; run it there")
    return of_pid(_read(options, Group.PROCESSES | Group.THREADS), options.pid)


def of_pid(snapshot: Snapshot, pid: int, proc: str = "/proc") -> Domain:
    """The same of a snapshot of all VMs with the threads of their processes."""
    domains = {domain.uuid: domain for domain in snapshot.domains}
    for process in snapshot.processes:
        thread = next((thread for thread in process.threads if thread.tid == pid), None)
        if pid != process.pid and not thread:
            continue
        domain = domains.get(process.uuid or "") if process.known else None
        if not domain:
            raise KvmwatchError(_stray(process))
        if thread and pid != process.pid:
            reading.say(f"{pid} is the thread {thread.name} of the QEMU process {process.pid} of {domain.name}")
        return domain
    lost = [each for each in snapshot.domains if any(part.group is Group.PROCESSES for part in each.unread)]
    raise KvmwatchError(f"{_no_vms(pid, proc)}{_perhaps('QEMU process', lost)}")


def _read(options: argparse.Namespace, groups: Group) -> Snapshot:
    from check_kvm.frame.siteconfig import SiteConfig  # noqa: PLC0415 - only when it is used

    return reading.read(options, "kvm_show", groups, (), Selection(), SiteConfig(), rates=False)


def _stray(process: Process) -> str:
    return (
        f"{process.pid} is a QEMU process ({process.name or 'without a name'}) that this libvirt does not know; "
        "'kvmwatch list --problems' tells of such"
    )


def _no_vms(pid: int, proc: str) -> str:
    try:
        name = Path(f"{proc}/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return (
            f"there is no process or thread {pid} here; a QEMU that was killed leaves its VM shut off (crashed): "
            "'kvmwatch list --shutoff -o name,reason'"
        )
    return f"{pid} ({name}) is neither a QEMU process of a VM nor a thread of one"


def _perhaps(what: str, of: list[Domain]) -> str:
    """Of which VMs that is not known."""
    more = ", ..." if len(of) > _NAMED else ""
    names = ", ".join(domain.name for domain in of[:_NAMED])
    return f" (the {what} of {names}{more} is not known just now)" if of else ""
