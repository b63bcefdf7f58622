"""What follows from measured values and is wanted alike by checks, Zabbix and tables: percentages and shares.

Every function takes a record of the snapshot and gives None where a value that it needs is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kvmwatch.model import pool_kinds
from kvmwatch.model.metrics import COUNTER, GAUGE, Value
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import OTHER, Disk, Domain, Filesystem, Host, Interface, Network, Pool, Process


def memory_usage(domain: Domain) -> Value:
    """What the guest cannot give away, in % of what it has; None when it does not tell."""
    return percent(memory_used(domain), domain.stats.memory_available)


def memory_used(domain: Domain) -> Value:
    """Bytes that the guest cannot give away; None when it does not tell."""
    stats = domain.stats
    # guests before Linux 3.14 tell only what is not used at all
    free = stats.memory_unused if stats.memory_usable is None else stats.memory_usable
    return _minus(stats.memory_available, free)


def vcpu_usage(domain: Domain) -> Value:
    """CPU use in % of the vCPUs whose rates are known.

    Without vCPUs' times it is that of all of the domain's threads, of which the vCPUs had 100 % at most.
    """
    rated = [vcpu for vcpu in domain.vcpus if vcpu.rates.time is not None]
    if domain.stats.vcpu_time is not None:
        return percent(domain.rates.vcpu_time, len(rated))
    usage = percent(domain.rates.cpu_time, domain.stats.vcpu_count)
    return None if usage is None else min(usage, 100.0)


def steal(domain: Domain) -> Value:
    """The time that vCPUs waited for a physical CPU, in % of those whose rates are known."""
    return percent(domain.rates.cpu_delay, sum(vcpu.rates.delay is not None for vcpu in domain.vcpus))


def emulator_usage(domain: Domain) -> Value:
    """What the emulator and I/O threads take, in % of one physical CPU; None without vCPUs' times."""
    if domain.stats.vcpu_time is None or any(vcpu.rates.time is None for vcpu in domain.vcpus):
        return None  # what one of these has used cannot be told from the emulator's
    share = percent(_minus(domain.rates.cpu_time, domain.rates.vcpu_time), 1)
    return None if share is None else max(0.0, share)  # the two are not read at the same moment


#: seconds after which the guest's memory report is stale, unless its period is longer than a third of it
STALE_AFTER = 300.0


def balloon_limit(period: int | None) -> float:
    """Seconds by which the guest's memory report may be older than now, or newer where clocks differ."""
    return max(STALE_AFTER, 3 * (period or 0))


def allocation_usage(disk: Disk) -> Value:
    """The room that the image takes on the host, in % of the size the guest sees."""
    return percent(disk.stats.allocation, disk.stats.capacity)


def filesystem_usage(filesystem: Filesystem) -> Value:
    """Used, in % of the file system's size."""
    return percent(filesystem.stats.used, filesystem.stats.total)


def pool_usage(pool: Pool) -> Value:
    """Used, in % of what is used or can be written, as df counts it; None for kinds of which nothing fills up.

    Of one that shares its capacity with others (Ceph) it is what all of them use.
    """
    use, stats = pool_kinds.of(pool.kind).use, pool.stats
    if use == pool_kinds.FILLS:
        return percent(stats.used, _plus(stats.used, stats.available))
    if use == pool_kinds.SHARED:
        return percent(_minus(stats.capacity, stats.available), stats.capacity)
    return None


def pool_used(pool: Pool) -> Value:
    """Bytes in use or made volumes of; of one that shares its capacity with others what all of them use."""
    use, stats = pool_kinds.of(pool.kind).use, pool.stats
    if use in (pool_kinds.LUNS, pool_kinds.UNTOLD):
        return None
    return _minus(stats.capacity, stats.available) if use == pool_kinds.SHARED else stats.used


def pool_allocation(pool: Pool) -> Value:
    """Made volumes of, in % of the capacity of a volume group or a disk; None for all other kinds."""
    if pool_kinds.of(pool.kind).use != pool_kinds.HANDED_OUT:
        return None
    return percent(pool.stats.used, pool.stats.capacity)


def pool_overcommit(pool: Pool) -> Value:
    """What is promised to the volumes, in % of the pool's size; None for kinds whose size does not tell that."""
    if not pool_kinds.of(pool.kind).promises:
        return None
    return percent(pool.stats.provisioned, pool.stats.capacity)


def network_usage(network: Network) -> Value:
    """DHCP leases, in % of the addresses that its ranges have; over 100 where hosts have addresses beside them."""
    return percent(network.stats.leases, network.stats.addresses)


def host_memory_usage(host: Host) -> Value:
    """Memory that cannot be given out any more, in % of what is not set aside as huge pages.

    The two are pools of their own: a domain of the one kind can take nothing from the other.
    """
    normal = _minus(host.stats.memory_total, host.stats.hugepages_total or 0)
    return percent(_minus(normal, host.stats.memory_available), normal)


def hugepages_usage(host: Host) -> Value:
    """Huge pages that are in use or promised, in % of all; None where there are none."""
    stats = host.stats
    return percent(_minus(stats.hugepages_total, stats.hugepages_free), stats.hugepages_total)


def load_per_cpu(host: Host) -> Value:
    """Load average over 5 minutes per CPU."""
    return _per(host.stats.load5, host.stats.cpus)


#: the values of ``interface.link``, for people; the last where it cannot be seen from here
LINKS = ("up", "set down", "cut off", "set up")


def files_usage(process: Process) -> Value:
    """Files, sockets and pipes that it has open, in % of what it may; None where there is no limit."""
    return percent(process.stats.open_files, process.stats.files_limit)


def other_cpu(process: Process) -> Value:
    """What a process takes beside its vCPUs, I/O threads and vhost, in % of one CPU; None without its threads."""
    if process.rates.vcpu_time is None or process.rates.cpu_time is None:
        return None
    told = [thread for thread in process.threads if thread.kind != OTHER and not thread.apart]
    rest = process.rates.cpu_time - sum(thread.rates.cpu_time or 0 for thread in told)
    return max(0.0, rest) * 100  # the two are not read at the same moment


def link(interface: Interface) -> Value:
    """Whether the guest can reach the network by it: the number of one of LINKS; None without its XML."""
    if interface.stats.attached == 0:
        return 2
    if interface.kind is None:  # whether it is set down is said there
        return None
    if interface.link_down:
        return 1
    return 3 if interface.stats.attached is None else 0


def percent(part: Value, whole: Value) -> Value:
    """*part* in % of *whole*; None where either is unknown or there is no whole."""
    return None if part is None or not whole else part / whole * 100


def _per(value: Value, count: Value) -> Value:
    return None if value is None or not count else value / count


def _plus(one: Value, other: Value) -> Value:
    return None if one is None or other is None else one + other


def _total(domain: Domain, parts: Iterable[Disk | Interface], *names: str) -> Value:
    """The sum of these counters of a domain's parts that have any.

    None where one should have them and they are not known: the sum of the others would jump when they come back.
    """
    from kvmwatch.model import measured  # noqa: PLC0415 - what a check wants of this module needs no sums

    known = []
    for part in parts:
        values = [getattr(part.stats, name) for name in names]
        if None in values and (part.unread or measured.missing(domain, part)):
            return None
        known += [value for value in values if value is not None]
    return sum(known) if known else None


def _storage(domain: Domain) -> list[Disk]:
    """Its disks without the drives, whose media are not its own."""
    return [disk for disk in domain.disks if not disk.removable]


def _minus(one: Value, other: Value) -> Value:
    return None if one is None or other is None else one - other


def numbered(texts: Iterable[str]) -> str:
    """What each number of these means, for people."""
    return ", ".join(f"{number} {text}" for number, text in enumerate(texts))


def _vcpu_time(domain: Domain) -> Value:
    return domain.stats.cpu_time if domain.stats.vcpu_time is None else domain.stats.vcpu_time


class Derived(Record):
    """A derived value, declared as the catalogue declares measured ones."""

    entity: str
    name: str
    kind: str
    unit: str
    help: str
    of: Callable[[Any], Value]


#: what the master item carries besides the measured values
DERIVED = (
    Derived("host", "cpu_busy_per_cpu", COUNTER, "s", "CPU time in user mode and kernel, per CPU",
            lambda host: _per(_plus(host.stats.cpu_user, host.stats.cpu_system), host.stats.cpus)),
    Derived("host", "cpu_iowait_per_cpu", COUNTER, "s", "CPU time idle with I/O outstanding, per CPU",
            lambda host: _per(host.stats.cpu_iowait, host.stats.cpus)),
    Derived("host", "memory_usage", GAUGE, "%", "Memory that is not available any more, huge pages apart",
            host_memory_usage),
    Derived("host", "hugepages_usage", GAUGE, "%", "Huge pages in use or promised", hugepages_usage),
    Derived("host", "swap_usage", GAUGE, "%", "Swap space in use",
            lambda host: percent(host.stats.swap_used, host.stats.swap_total)),
    Derived("host", "load_per_cpu", GAUGE, "", "Load average over 5 minutes, per CPU", load_per_cpu),
    Derived("host", "vcpu_overcommit", GAUGE, "%", "vCPUs of active domains, of the CPUs",
            lambda host: percent(host.stats.vcpus_assigned, host.stats.cpus)),
    Derived("host", "memory_overcommit", GAUGE, "%", "Memory that active domains can take, of the host's",
            lambda host: percent(host.stats.memory_assigned, host.stats.memory_total)),
    Derived("domain", "cpu_time_per_vcpu", COUNTER, "s", "CPU time its vCPUs used, per vCPU the domain has",
            lambda domain: _per(_vcpu_time(domain), domain.stats.vcpu_count)),
    Derived("domain", "emulator_time", COUNTER, "s", "CPU time that QEMU's emulator and I/O threads used",
            lambda domain: _minus(domain.stats.cpu_time, domain.stats.vcpu_time)),
    Derived("domain", "cpu_delay_per_vcpu", COUNTER, "s",
            "Time waited for a physical CPU, per vCPU the domain has",
            lambda domain: _per(domain.stats.cpu_delay, domain.stats.vcpu_count)),
    Derived("domain", "disk_bytes", COUNTER, "B", "Bytes read and written, all disks",
            lambda domain: _total(domain, _storage(domain), "read_bytes", "write_bytes")),
    Derived("domain", "network_bytes", COUNTER, "B", "Bytes received and sent, all interfaces",
            lambda domain: _total(domain, domain.interfaces, "rx_bytes", "tx_bytes")),
    Derived("domain", "memory_usage", GAUGE, "%", "Memory the guest cannot give away", memory_usage),
    Derived("domain", "swap", COUNTER, "B", "Memory the guest swapped in and out",
            lambda domain: _plus(domain.stats.swap_in, domain.stats.swap_out)),
    Derived("disk", "bytes", COUNTER, "B", "Bytes the guest read and wrote",
            lambda disk: _plus(disk.stats.read_bytes, disk.stats.write_bytes)),
    Derived("interface", "errors", COUNTER, "", "Errors, both directions",
            lambda interface: _plus(interface.stats.rx_errors, interface.stats.tx_errors)),
    Derived("interface", "drops", COUNTER, "", "Packets dropped, both directions",
            lambda interface: _plus(interface.stats.rx_drops, interface.stats.tx_drops)),
    Derived("interface", "link", GAUGE, "", f"Way to the network: {numbered(LINKS)}", link),
    Derived("disk", "allocation_usage", GAUGE, "%", "Room the image takes, of the capacity", allocation_usage),
    Derived("filesystem", "usage", GAUGE, "%", "Bytes in use, of the size", filesystem_usage),
    Derived("pool", "usage", GAUGE, "%", "Bytes in use, of those used or still to be written", pool_usage),
    Derived("pool", "allocation", GAUGE, "%", "Made volumes of, of a volume group's or disk's size",
            pool_allocation),
    Derived("pool", "overcommit", GAUGE, "%", "Bytes promised to volumes, of the pool's size", pool_overcommit),
    Derived("network", "usage", GAUGE, "%", "DHCP leases, of the addresses in its ranges", network_usage),
)  # fmt: skip
