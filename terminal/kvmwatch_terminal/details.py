"""What ``kvmwatch show VM`` shows: the sections, and what stands in each, for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from check_kvm import disk as disks
from check_kvm import network as interfaces

from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Console, Disk, Domain, Interface, Vcpu
from kvmwatch_terminal import process_sections
from kvmwatch_terminal.columns import BY_NAME, Column, Value, ago, link, state_in_words
from kvmwatch_terminal.rows import Row
from kvmwatch_terminal.sections import Section, Shown, column
from kvmwatch_terminal.whose import is_number


class Wanted(NamedTuple):
    """An expectation, a severity or a threshold of this VM, and where it comes from."""

    what: str
    value: str | None
    warning: str | None
    critical: str | None
    source: str


def _age(of: Callable[[Any], float | None]) -> Callable[[Any], str]:
    return lambda row: ago(row, of(row))


def _stat(name: str) -> Callable[[Row], Value]:
    def of(row: Row) -> Value:
        value: Value = getattr(row.domain.stats, name)
        return value

    return of


def _rate(name: str) -> Callable[[Row], Value]:
    def of(row: Row) -> Value:
        value: Value = getattr(row.domain.rates, name)
        return value

    return of


def _job(name: str) -> Callable[[Row], Value]:
    def of(row: Row) -> Value:
        value: Value = getattr(row.domain.job, name, None)
        return value

    return of


_CONFIG = Group.DEFINED | Group.DEFINITION
_ADDRESSES = Group.ADDRESSES | Group.NETWORKS | _CONFIG

#: the VM as a whole, a line each; what it does not have is left out
WHOLE: tuple[Column, ...] = (
    *(BY_NAME[name] for name in ("uuid", "title", "project", "owner", "id", "status")),
    BY_NAME["state"]._replace(text=state_in_words),
    BY_NAME["reason"],
    Column("state_since", "STATE SEEN SINCE", "unixtime", "when a passing state was first seen",
           lambda row: row.domain.since, text=_age(lambda row: row.domain.since)),
    Column("job", "JOB", None, "what libvirt does with it just now: a migration, save, dump, backup",
           _job("operation"), Group.JOB),
    Column("job_elapsed", "JOB RUNS FOR", "s", "for how long that has run", _job("elapsed")),
    Column("job_progress", "JOB DONE", "%", "how far it is", _job("progress")),
    Column("job_remaining", "JOB HAS LEFT", "B", "what it has still to copy", _job("remaining")),
    BY_NAME["started"]._replace(text=_age(lambda row: row.domain.stats.started), header="STARTED"),
    BY_NAME["expected"],
    Column("expected_hosts", "EXPECTED ON", None, "the hypervisors on which it belongs",
           lambda row: list(row.domain.policy.hosts) or None, needs=Group.POLICY),
    *(BY_NAME[name] for name in ("autostart", "persistent", "managed_save", "agent", "vcpus")),
    Column("vcpus_maximum", "VCPUS AT MOST", "", "vCPUs it can be given", _stat("vcpu_maximum"), Group.CPU),
    *(BY_NAME[name] for name in ("cpu", "steal", "cpu_time")),
    Column("emulator", "EMULATOR", "%", "CPU of QEMU's emulator and I/O threads, % of one CPU",
           lambda row: derived.emulator_usage(row.domain), Group.CPU),
    BY_NAME["used"],
    Column("usage", "USED, %", "%", "memory used, % of what the guest has",
           lambda row: derived.memory_usage(row.domain), Group.MEMORY | _CONFIG),
    BY_NAME["memory"],
    Column("memory_maximum", "MEMORY AT MOST", "B", "memory it can be given",
           _stat("memory_maximum"), Group.MEMORY),
    BY_NAME["rss"],
    Column("balloon_updated", "REPORTED", "unixtime", "when the guest last reported its memory",
           _stat("balloon_updated"), Group.MEMORY, text=_age(lambda row: row.domain.stats.balloon_updated)),
    Column("balloon_period", "REPORTS EVERY", "s", "how often the guest reports its memory; none: once",
           lambda row: row.domain.balloon_period or None, _CONFIG),
    Column("swap_in", "SWAPPED IN", "B/s", "memory that the guest swaps in", _rate("swap_in"), Group.MEMORY),
    Column("swap_out", "SWAPPED OUT", "B/s", "memory that the guest swaps out", _rate("swap_out"), Group.MEMORY),
    *(BY_NAME[name] for name in ("snapshots", "oldest_snapshot")),
    Column("newest_checkpoint", "CHECKPOINT", "unixtime", "when the newest was made, with which a backup begins",
           _stat("newest_checkpoint"), Group.CHECKPOINTS,
           text=_age(lambda row: row.domain.stats.newest_checkpoint)),
)  # fmt: skip

CHECKS = (
    column("check", "CHECK", None, lambda said: said.check),
    column("status", "STATUS", None, lambda said: said.severity),
    column("text", "TEXT", None, lambda said: list(said.lines), least=40),
)


class Pinned(NamedTuple):
    """A vCPU, and the host's CPUs to which it is pinned; None: to none in particular."""

    vcpu: Vcpu
    to: str | None


def _pinned(shown: Shown) -> Iterator[Pinned]:
    to = dict(shown.domain.pinned)
    return (Pinned(vcpu, to.get(vcpu.number)) for vcpu in shown.domain.vcpus)


class Way(NamedTuple):
    """A console, and the command that opens it on the hypervisor; None: there is none for such a one."""

    console: Console
    command: str | None


def _in_a_command(domain: Domain) -> str:
    """What a VM is called where virsh and virt-viewer take it for no Id or option, and a terminal shows it all."""
    name = domain.name
    return shlex.quote(domain.uuid if is_number(name) or name[0] == "-" or not name.isprintable() else name)


def _consoles(shown: Shown) -> Iterator[Way]:
    name = _in_a_command(shown.domain)
    for console in shown.domain.consoles:
        command = f"virt-viewer {name}" if console.kind in ("vnc", "spice") else None
        if console.way == "pty":
            device = f" --devname {shlex.quote(console.device)}" if console.device else ""
            command = f"virsh console {name}{device}"
        yield Way(console, command)


def _limits(disk: Disk) -> Value:
    """In libvirt's words and units: bytes and operations per second."""
    return [f"{name} {value}" for name, value in disk.limits] or None


def _percent(name: str) -> Callable[[Any], Value]:
    return lambda pinned: derived.percent(getattr(pinned.vcpu.rates, name), 1)


def _disk(name: str) -> Callable[[Disk], Value]:
    return lambda disk: disks.figures(disk)[name]


def _interface(name: str) -> Callable[[Interface], Value]:
    return lambda interface: interfaces.figures(interface)[name]


def _addresses(interface: Interface) -> Value:
    return list(interface.addresses) or None


def _wanted(shown: Shown) -> Iterator[Wanted]:
    """What is wanted of this VM and not of all, the weakest first, as it is judged."""
    policy, own = shown.domain.policy, shown.metadata
    if policy.ignore:
        yield Wanted("ignore", "yes", None, None, _source(bool(own.ignore)))
    if policy.expect:
        yield Wanted("expect", policy.expect, None, None, _source(own.expect == policy.expect))
    if policy.hosts:
        yield Wanted("expect-host", " ".join(policy.hosts), None, None, _source(own.hosts == policy.hosts))
    for each in policy.thresholds:
        yield Wanted(each.metric, None, each.warning, each.critical, _source(each in own.thresholds))
    for condition, severity in policy.severities:
        yield Wanted(condition, severity, None, None, _source((condition, severity) in own.severities))


def _source(is_own: bool) -> str:
    return "its metadata" if is_own else "--config"


SECTIONS = (
    Section(
        "vcpu",
        "vCPUs",
        (
            column("number", "VCPU", "", lambda pinned: pinned.vcpu.number),
            column("pinned", "PINNED TO", None, lambda pinned: pinned.to, _CONFIG),
            column("cpu", "CPU", "%", _percent("time"), Group.CPU),
            column("steal", "STEAL", "%", _percent("delay"), Group.CPU),
            column("cpu_time", "CPU TIME", "s", lambda pinned: pinned.vcpu.stats.time, Group.CPU),
        ),
        _pinned,
    ),
    Section(
        "disks",
        "Disks",
        (
            column("name", "DISK", None, lambda disk: disk.name),
            column("device", "DEVICE", None, lambda disk: disk.device, _CONFIG),
            column("bus", "BUS", None, lambda disk: disk.bus, _CONFIG),
            column("capacity", "SIZE", "B", lambda disk: disk.stats.capacity, Group.DISK),
            column("allocation", "TAKES", "B", lambda disk: disk.stats.allocation, Group.DISK),
            column("read", "READ", "B/s", _disk("read_bytes"), Group.DISK),
            column("write", "WRITE", "B/s", _disk("write_bytes"), Group.DISK),
            column("read_iops", "READS", "/s", _disk("read_iops"), Group.DISK),
            column("write_iops", "WRITES", "/s", _disk("write_iops"), Group.DISK),
            column("read_latency", "READ TAKES", "s", _disk("read_latency"), Group.DISK),
            column("write_latency", "WRITE TAKES", "s", _disk("write_latency"), Group.DISK),
            column("flush_latency", "FLUSH TAKES", "s", _disk("flush_latency"), Group.DISK),
            column("error", "ERROR", None, lambda disk: disk.error, Group.DISK),
            column("job", "JOB", None, lambda disk: disk.mirror, _CONFIG),
            column("limits", "LIMITS", None, _limits, _CONFIG, least=12),
            column("kind", "KIND", None, lambda disk: disk.kind, _CONFIG),
            column("path", "PATH", None, lambda disk: disk.path, _CONFIG, least=20),
            column("backing", "BACKED BY", None, lambda disk: list(disk.backing) or None, _CONFIG, least=12),
        ),
        lambda shown: shown.domain.disks,
    ),
    Section(
        "interfaces",
        "Interfaces",
        (
            column("name", "TAP", None, lambda interface: interface.name),
            column("mac", "MAC", None, lambda interface: interface.key),
            column("kind", "KIND", None, lambda interface: interface.kind, _CONFIG),
            column("source", "SOURCE", None, lambda interface: interface.source, _CONFIG),
            column("model", "MODEL", None, lambda interface: interface.model, _CONFIG),
            column("link", "LINK", None, link, _CONFIG, least=8),
            column("rx", "IN", "b/s", _interface("rx"), Group.INTERFACE),
            column("tx", "OUT", "b/s", _interface("tx"), Group.INTERFACE),
            column("rx_packets", "PACKETS IN", "/s", _interface("rx_packets"), Group.INTERFACE),
            column("tx_packets", "PACKETS OUT", "/s", _interface("tx_packets"), Group.INTERFACE),
            column("errors", "ERRORS", "/s", _interface("errors"), Group.INTERFACE),
            column("drops", "DROPS", "/s", _interface("drops"), Group.INTERFACE),
            column("addresses", "ADDRESSES", None, _addresses, _ADDRESSES),
        ),
        lambda shown: shown.domain.interfaces,
    ),
    Section(
        "consoles",
        "Consoles",
        (
            column("kind", "KIND", None, lambda way: way.console.kind),
            column("way", "BY", None, lambda way: way.console.way),
            column("address", "ADDRESS", None, lambda way: way.console.address),
            column("port", "PORT", None, lambda way: way.console.port),
            column("tls_port", "TLS PORT", None, lambda way: way.console.tls_port),
            column("path", "PATH", None, lambda way: way.console.path, least=12),
            column("command", "COMMAND", None, lambda way: way.command, least=12),
        ),
        _consoles,
    ),
    *process_sections.SECTIONS,
    Section(
        "wanted",
        "Wanted of it in particular",
        (
            column("what", "WHAT", None, lambda wanted: wanted.what),
            column("value", "IS", None, lambda wanted: wanted.value),
            column("warning", "WARNING", None, lambda wanted: wanted.warning),
            column("critical", "CRITICAL", None, lambda wanted: wanted.critical),
            column("source", "FROM", None, lambda wanted: wanted.source),
        ),
        _wanted,
    ),
)
