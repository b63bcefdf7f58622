"""The sections of ``kvmwatch show VM`` about its QEMU process: what it takes, and what its threads do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from check_kvm import process as processes

from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import IOTHREAD, OTHER, VCPU, VHOST, Process, Thread
from kvmwatch_terminal.columns import Value
from kvmwatch_terminal.sections import Section, Shown, column


def _process(name: str) -> Callable[[Process], Value]:
    return lambda process: processes.figures(process)[name]


class Alike(NamedTuple):
    """The threads of a process that do the same."""

    process: Process
    kind: str  # VCPU, IOTHREAD, VHOST or OTHER
    threads: tuple[Thread, ...]


_KINDS = {VCPU: "vCPUs", IOTHREAD: "I/O threads", VHOST: "vhost", OTHER: "other"}


def _own_processes(shown: Shown) -> list[Process]:
    return [p for p in shown.snapshot.processes if p.known and p.uuid == shown.domain.uuid]


def _alike(shown: Shown) -> Iterator[Alike]:
    for process in _own_processes(shown):
        for kind in _KINDS:
            threads = tuple(thread for thread in process.threads if thread.kind == kind)
            if threads:
                yield Alike(process, kind, threads)


def _cpu(alike: Alike) -> Value:
    """In % of one CPU; of the others with those that have ended."""
    if alike.kind == OTHER:
        return derived.other_cpu(alike.process)
    return derived.percent(getattr(alike.process.rates, f"{alike.kind}_time"), 1)


def _busiest(alike: Alike) -> Value:
    rates = _known(alike, "cpu_time")
    return max(rates) * 100 if rates else None


def _waits(alike: Alike) -> Value:
    """In % of the time of one thread."""
    rates = _known(alike, "io_delay")
    return sum(rates) * 100 if rates else None


def _known(alike: Alike, name: str) -> list[float]:
    rates = (getattr(thread.rates, name) for thread in alike.threads)
    return [rate for rate in rates if rate is not None]


SECTIONS = (
    Section(
        "processes",
        "QEMU process",
        (
            column("pid", "PID", None, lambda process: str(process.pid)),
            column("age", "AGE", "s", lambda process: process.stats.age, Group.PROCESSES),
            column("cpu", "CPU", "%", _process("cpu"), Group.PROCESSES),
            column("rss", "RSS", "B", _process("rss"), Group.PROCESSES),
            column("pss", "PSS", "B", lambda process: process.stats.pss, Group.PSS),
            column("swap", "SWAP", "B", _process("swap"), Group.PROCESSES),
            column("read", "READ", "B/s", _process("read"), Group.PROCESSES),
            column("write", "WRITE", "B/s", _process("write"), Group.PROCESSES),
            column("threads", "THREADS", "", _process("threads"), Group.PROCESSES),
            column("files", "FILES", "", _process("files"), Group.PROCESSES),
            column("files_limit", "FILES AT MOST", "", lambda process: process.stats.files_limit, Group.PROCESSES),
        ),
        _own_processes,
        lambda process: process.unread,
    ),
    Section(
        "threads",
        "Threads of the QEMU process",
        (
            column("kind", "THREADS", None, lambda alike: alike.kind, text=lambda thing: _KINDS[thing.of.kind]),
            column("count", "NUMBER", "", lambda alike: len(alike.threads)),
            column("cpu", "CPU", "%", _cpu, Group.THREADS),
            column("busiest", "BUSIEST", "%", _busiest, Group.THREADS),
            column("io_delay", "STORAGE WAIT", "%", _waits, Group.THREADS),
        ),
        _alike,
        lambda alike: alike.process.unread,
    ),
)
