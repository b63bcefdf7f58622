"""check_kvm_process: the QEMU processes as the host sees them, and those that libvirt does not know."""

from __future__ import annotations

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Ok, ServiceState, Unknown, Warn
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Process, Snapshot
from kvmwatch.reading.connection import uri_scheme

STRAY = Condition("stray", Warn, "a QEMU process that libvirt does not know, or did not start", own=False)

_OF_ROOT = ("read", "write", "files", "files_usage")  # what the kernel shows to root only


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge the process of every active domain, and every stray one."""
    processes = {process.uuid: process for process in snapshot.processes if process.known}
    cpus: dict[str, float | None] = {}
    for domain, subject in verdict.domains(snapshot, needs_answer=False):
        process = processes.get(domain.uuid)
        if process is None:
            if not _is_explained(domain):
                subject.say(*_without_process(snapshot))
            continue
        values = figures(process)
        hidden = [part.text for part in process.unread if part.group is Group.PROCESSES and part.what]
        for metric, value in values.items():
            why = f"{metric} is not known: {hidden[0]}" if hidden and metric in _OF_ROOT else ""
            subject.measure(metric, value, most=100 if metric == "files_usage" else None, why=why)
        if process.stats.open_files is not None and values["files_usage"] is None:
            subject.spare("files_usage")  # there is no limit
        if hidden:
            verdict.note = "only root sees read, write and files"
        subject.say(Ok, f"PID {process.pid}")
        cpus[domain.name] = values["cpu"]
        subject.rank = values["cpu"] or 0
    strays = [process for process in snapshot.processes if not process.known]
    for process in strays:
        name = process.name or process.uuid or "without a name"
        subject = verdict.subject(f"QEMU process {process.pid} ({name})")
        subject.say(STRAY, stray(process, snapshot))
    parts = [count(len(processes), "QEMU process", "QEMU processes")]
    if strays:
        parts.append(f"{len(strays)} unknown to libvirt")
    verdict.overview = ", ".join([*parts, *highest("CPU", cpus, "%")])


def _without_process(snapshot: Snapshot) -> tuple[ServiceState, str]:
    if uri_scheme(snapshot.uri) != "qemu":
        return Ok, "cannot have a QEMU process: its driver is another"
    return Unknown, "has no QEMU process that could be found"


def _is_explained(domain: Domain) -> bool:
    """Whether its record says why it has no process that is known: then the frame tells it."""
    return any(part.group is Group.PROCESSES for part in domain.unread)


def stray(process: Process, snapshot: Snapshot) -> str:
    """What is said of a process that looks like a QEMU, and is none that this libvirt is known to have started."""
    for domain in snapshot.domains:
        if domain.uuid == process.uuid:
            if _is_explained(domain):
                return f"claims the UUID of {domain.name}, and nothing shows that libvirt started it"
            return f"claims the UUID of {domain.name}, but libvirt did not start it"
    return "is not one of this libvirt's: started by hand, by another libvirt (a user's), or left behind by one"


def figures(process: Process) -> dict[str, float | None]:
    """The values of a process by metric; CPU in % of one CPU, as top has it."""
    rates, stats = process.rates, process.stats
    return {
        "cpu": None if rates.cpu_time is None else rates.cpu_time * 100,
        "rss": stats.rss,
        "read": rates.read_bytes,
        "write": rates.write_bytes,
        "threads": stats.threads,
        "files": stats.open_files,
        "files_usage": derived.files_usage(process),
        "swap": stats.swap,
    }


CHECK = plugin.Check(
    name="process",
    description="Judges the QEMU process of each active domain as top, iotop and lsof show it, and warns of QEMU\n"
    "processes that libvirt does not know. Runs on the hypervisor itself; only root sees read, write and files.",
    groups=Group.DEFINED | Group.PROCESSES | Group.POLICY,
    metrics=(
        MetricSpec("cpu", "%", "CPU use, % of one CPU"),
        MetricSpec("rss", "B", "memory resident on the host, bytes"),
        MetricSpec("read", "B/s", "read from storage, bytes/s"),
        MetricSpec("write", "B/s", "written to storage, bytes/s"),
        MetricSpec("threads", "", "threads"),
        MetricSpec("files", "", "open files, sockets and pipes"),
        # one that has no more cannot take a new disk or interface, nor a backup or a migration
        MetricSpec("files_usage", "%", "the same, % of what it may have open", "80", "95"),
        MetricSpec("swap", "B", "memory of it that the host has swapped out, bytes"),
    ),
    judge=judge,
    conditions=(STRAY,),
    of_each_domain=False,
    by_default=False,
    needs_rates=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
