"""check_kvm_agent: whether the QEMU guest agent is connected, and how full the file systems are that it tells."""

from __future__ import annotations

from collections.abc import Iterator

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Ok, Unknown, Warn
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Subject, Verdict
from kvmwatch.model import derived, states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.units import human

DISCONNECTED = Condition("disconnected", Warn, "there is a channel for a guest agent, and none is connected")


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every running domain; one without a channel for an agent is OK, it was not meant to have one."""
    usages: dict[str, float | None] = {}
    connected = running = 0
    for domain, subject in verdict.domains(snapshot, parts=_keys):
        if domain.state not in (states.RUNNING, states.BLOCKED):
            subject.say(Ok, f"{states.label(domain.state)}, no guest agent runs in it")
            continue
        running += 1
        if any(part.group is Group.DEFINITION for part in domain.unread):
            continue  # whether it has a channel is not known, which is said
        connected += bool(domain.agent_connected)
        if domain.agent_connected is None:
            subject.say(Ok, "has no channel for a guest agent")
            subject.judge("filesystem", None, why="there is no guest agent to tell its file systems")
            subject.spare("filesystem", unless_own=True)
        elif not domain.agent_connected:
            subject.say(DISCONNECTED, "guest agent is not connected")
        else:
            _connected(domain, subject, verdict, usages)
    parts = [f"guest agent connected in {connected} of {count(running, 'running domain')}"]
    verdict.overview = ", ".join([*parts, *highest("file system", usages, "%")])


def _keys(domain: Domain) -> Iterator[str]:
    # only the guest knows them, so that without its answer there are none
    return (filesystem.mountpoint for filesystem in domain.filesystems or ())


def _connected(domain: Domain, subject: Subject, verdict: Verdict, usages: dict[str, float | None]) -> None:
    if domain.filesystems is None:  # not asked, or the frame says why it did not tell
        subject.say(Ok, "guest agent connected")
        subject.judge("filesystem", None, why="its file systems are not known: only --guest-agent asks for them")
        return
    if not domain.filesystems:
        subject.say(Unknown, "guest agent is connected but reports no file systems")
        return
    subject.say(Ok, f"guest agent connected, {count(len(domain.filesystems), 'file system')}")
    for filesystem in domain.filesystems:
        usage = derived.filesystem_usage(filesystem)
        part = verdict.part(domain, subject, filesystem.mountpoint, filesystem.mountpoint)
        part.rank = usage or 0
        part.measure("filesystem", usage, most=100, text=None if usage is None else f"{human(usage, '%')} used")
        usages[f"{domain.name} {filesystem.mountpoint}"] = usage


CHECK = plugin.Check(
    name="agent",
    description="Judges the QEMU guest agent of each running domain: whether it is connected and, with\n"
    "--guest-agent, how full the file systems are that it reports.",
    groups=Group.DEFINED | Group.DEFINITION,
    metrics=(MetricSpec("filesystem", "%", "used, % of a guest's file system", "85", "95"),),
    judge=judge,
    conditions=(DISCONNECTED,),
    by_default=False,  # of VMs that have none it would say nothing
    guest_agent=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
