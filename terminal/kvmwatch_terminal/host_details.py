"""What ``kvmwatch show --host`` shows of the hypervisor: lines of the whole, and sections of what it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from check_kvm import host as host_check

from kvmwatch.model import derived, states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Host, Pool, Snapshot, Unread, Unreads
from kvmwatch.model.units import two_units
from kvmwatch_terminal.columns import Column, Value
from kvmwatch_terminal.rows import Thing
from kvmwatch_terminal.sections import Section, column


class Whole(NamedTuple):
    """What the lines of the whole look at."""

    host: Host
    snapshot: Snapshot


def whole(snapshot: Snapshot) -> Thing | None:
    """The hypervisor; None: its host could not be read."""
    host = snapshot.host
    return Thing(Whole(host, snapshot), snapshot.time, (*snapshot.unread, *host.unread)) if host else None


def things(section: Section, snapshot: Snapshot) -> list[Thing]:
    """What stands in a section."""
    return [Thing(each, snapshot.time, _unread(each)) for each in section.of(snapshot)]


def _unread(thing: Any) -> Unreads:
    found: Unreads = getattr(thing, "unread", ())
    if isinstance(thing, Pool) and not thing.answered:
        found = (*found, Unread(Group.POOLS, "", "its storage does not answer"))
    return found


def _of_host(name: str, header: str, unit: str | None, of: Callable[[Host], Value]) -> Column:
    return column(name, header, unit, lambda whole: of(whole.host), Group.HOST)


def _stat(name: str, header: str, unit: str) -> Column:
    return _of_host(name, header, unit, lambda host: getattr(host.stats, name))


def _figure(name: str, header: str, unit: str = "%") -> Column:
    return _of_host(name, header, unit, lambda host: host_check.figures(host)[name])


def _mode(name: str, header: str) -> Column:
    """Time in a mode of the CPUs, % of all of them."""
    return _of_host(name, header, "%", lambda host: derived.percent(getattr(host.rates, name), host.stats.cpus))


def _pressure(name: str, header: str) -> Column:
    """Time in which something waited, % of all time."""
    return _of_host(name, header, "%", lambda host: derived.percent(getattr(host.rates, name), 1))


def _fits(host: Host, promised: float | None) -> float | None:
    """Memory of the largest VM that can be started and given all of its memory, when the others take theirs."""
    stats = host.stats
    if None in (stats.memory_total, stats.memory_available, promised):
        return None
    # a VM is of the one or the other
    at_hand = max(stats.memory_available or 0, stats.hugepages_free or 0)
    return max(0.0, min(at_hand, (stats.memory_total or 0) - (promised or 0)))


def _promised(snapshot: Snapshot, of: Callable[[Domain], float | None]) -> float | None:
    """The sum over the VMs that run, and those that would after a boot of the hypervisor."""
    total = 0.0
    for domain in snapshot.domains:
        if not domain.active and domain.autostart is False:
            continue
        value = of(domain)
        if value is None or (not domain.active and domain.autostart is None):
            return None
        total += value
    return total


def _vcpus(domain: Domain) -> float | None:
    return domain.stats.vcpu_count if domain.stats.vcpu_count is not None else domain.defined_vcpus


WHOLE = (
    _of_host("hostname", "HOST", None, lambda host: host.hostname),
    _of_host("libvirt", "LIBVIRT", None, lambda host: host.libvirt_version),
    _of_host("driver", "DRIVER", None, lambda host: host.driver),
    _of_host("hypervisor", "HYPERVISOR", None, lambda host: host.hypervisor_version),
    column("uptime", "UP", "s",
           lambda whole: whole.host.stats.uptime, Group.HOST,
           text=lambda thing: two_units(thing.of.host.stats.uptime)),
    _stat("latency", "LIBVIRT ANSWERS IN", "s"),
    _stat("cpus", "CPUS", ""),
    _figure("cpu", "CPU"),
    _mode("cpu_user", "CPU, USER"),
    _mode("cpu_system", "CPU, KERNEL"),
    _mode("cpu_iowait", "CPU, I/O WAIT"),
    _mode("cpu_guest", "CPU, GUESTS"),
    _mode("cpu_steal", "CPU, STEAL"),
    *(_stat(f"load{minutes}", f"LOAD, {minutes} MIN", "") for minutes in (1, 5, 15)),
    _stat("memory_total", "MEMORY", "B"),
    _stat("memory_available", "STILL AVAILABLE", "B"),
    _figure("memory", "MEMORY TAKEN"),
    _stat("hugepages_total", "HUGE PAGES", "B"),
    _stat("hugepages_free", "HUGE PAGES FREE", "B"),
    _stat("swap_total", "SWAP", "B"),
    _stat("swap_used", "SWAP USED", "B"),
    _of_host("swap_in", "SWAPPED IN", "B/s", lambda host: host.rates.swap_in),
    _of_host("swap_out", "SWAPPED OUT", "B/s", lambda host: host.rates.swap_out),
    _pressure("pressure_cpu", "CPU PRESSURE"),
    _pressure("pressure_memory", "MEMORY PRESSURE"),
    _pressure("pressure_io", "I/O PRESSURE"),
    _stat("ksm_saved", "SAVED BY KSM", "B"),
    _stat("vcpus_assigned", "VCPUS PROMISED", ""),
    _figure("vcpu_overcommit", "VCPUS, % OF CPUS"),
    _stat("memory_assigned", "MEMORY PROMISED", "B"),
    _figure("memory_overcommit", "PROMISED, % OF MEMORY"),
    _of_host("fits", "LARGEST VM THAT FITS", "B", lambda host: _fits(host, host.stats.memory_assigned)),
    column("vcpus_with_autostart", "VCPUS, WITH ALL AUTOSTARTED", "",
           lambda whole: _promised(whole.snapshot, _vcpus), Group.SIZE | Group.AUTOSTART),
    column("memory_with_autostart", "MEMORY, WITH ALL AUTOSTARTED", "B",
           lambda whole: _promised(whole.snapshot, lambda domain: domain.stats.memory_maximum),
           needs=Group.SIZE | Group.AUTOSTART),
)  # fmt: skip


def _states(snapshot: Snapshot) -> Iterator[tuple[str, int]]:
    counts = Counter(domain.state for domain in snapshot.domains)
    return ((states.label(state), number) for state, number in sorted(counts.items()))


def _pool_state(pool: Pool) -> Value:
    if not pool.answered:
        return "does not answer"
    label = states.POOL_LABELS[pool.state] if 0 <= pool.state < len(states.POOL_LABELS) else f"state {pool.state}"
    return pool.fault or label


SECTIONS = (
    Section(
        "nodes",
        "NUMA nodes",
        (
            column("node", "NODE", "", lambda node: node.number),
            column("cpus", "CPUS", None, lambda node: node.cpus or None, least=12),
            column("memory_total", "MEMORY", "B", lambda node: node.stats.memory_total),
            column("memory_free", "FREE", "B", lambda node: node.stats.memory_free),
            column("hugepages_total", "HUGE PAGES", "B", lambda node: node.stats.hugepages_total),
            column("hugepages_free", "HUGE PAGES FREE", "B", lambda node: node.stats.hugepages_free),
        ),
        lambda snapshot: snapshot.host.nodes if snapshot.host else (),
    ),
    Section(
        "states",
        "VMs",
        (
            column("state", "STATE", None, lambda counted: counted[0]),
            column("vms", "VMS", "", lambda counted: counted[1]),
        ),
        _states,
    ),
    Section(
        "pools",
        "Storage pools",
        (
            column("name", "POOL", None, lambda pool: pool.name, least=12),
            column("kind", "TYPE", None, lambda pool: pool.kind or None, Group.POOLS),
            column("state", "STATE", None, _pool_state, least=10),
            column("autostart", "AUTOSTART", None, lambda pool: pool.autostart),
            column("persistent", "PERSISTENT", None, lambda pool: pool.persistent),
            column("usage", "USE", "%", derived.pool_usage, Group.POOLS),
            column("capacity", "SIZE", "B", lambda pool: pool.stats.capacity, Group.POOLS),
            column("used", "USED", "B", derived.pool_used, Group.POOLS),
            column("available", "AVAILABLE", "B", lambda pool: pool.stats.available, Group.POOLS),
            column("provisioned", "PROMISED", "B", lambda pool: pool.stats.provisioned, Group.POOLS),
            column("volumes", "VOLUMES", "", lambda pool: pool.stats.volumes, Group.POOLS),
            column("path", "PATH", None, lambda pool: pool.path, least=12),
        ),
        lambda snapshot: snapshot.pools,
    ),
    Section(
        "networks",
        "Networks",
        (
            column("name", "NETWORK", None, lambda network: network.name, least=12),
            column("active", "ACTIVE", None, lambda network: network.active),
            column("autostart", "AUTOSTART", None, lambda network: network.autostart),
            column("persistent", "PERSISTENT", None, lambda network: network.persistent),
            column("bridge", "BRIDGE", None, lambda network: network.bridge, Group.NETWORKS),
            column("leases", "LEASES", "", lambda network: network.stats.leases, Group.NETWORKS),
            column("addresses", "ADDRESSES", "", lambda network: network.stats.addresses, Group.NETWORKS),
        ),
        lambda snapshot: snapshot.networks,
    ),
    Section(
        "uplinks",
        "Interfaces of the host that carry VMs",
        (
            column("name", "INTERFACE", None, lambda uplink: uplink.name),
            column("up", "UP", None, lambda uplink: None if uplink.stats.up is None else bool(uplink.stats.up)),
            column("speed", "SPEED", "b/s", lambda uplink: uplink.stats.speed),
            column("carries", "CARRIES", None, lambda uplink: list(uplink.carries), least=10),
            column("rx_bytes", "RECEIVED", "B", lambda uplink: uplink.stats.rx_bytes),
            column("tx_bytes", "SENT", "B", lambda uplink: uplink.stats.tx_bytes),
            column("rx_errors", "ERRORS IN", "", lambda uplink: uplink.stats.rx_errors),
            column("tx_errors", "ERRORS OUT", "", lambda uplink: uplink.stats.tx_errors),
            column("rx_drops", "DROPS IN", "", lambda uplink: uplink.stats.rx_drops),
            column("tx_drops", "DROPS OUT", "", lambda uplink: uplink.stats.tx_drops),
        ),
        lambda snapshot: snapshot.uplinks or (),
    ),
)
