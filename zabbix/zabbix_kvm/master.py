"""The master item: one JSON document with all that dependent items pick from.

Counters are given as they are (Zabbix makes the rates: "change per second"), so no state is kept. A value
that is not known has no key.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from kvmwatch import states
from kvmwatch.groups import Group
from kvmwatch.metrics import declarations
from kvmwatch.snapshot import Domain, Host, Snapshot
from zabbix_kvm import discovery

GROUPS = (
    Group.SHUT_OFF
    | Group.AUTOSTART
    | Group.LISTS
    | Group.DEFINITION
    | Group.CPU
    | Group.MEMORY
    | Group.DISK
    | Group.INTERFACE
    | Group.CONTROL
    | Group.HOST
    | Group.POOLS
    | Group.NETWORKS
)
_DIGITS = 6  # microseconds

Json = dict[str, Any]


def document(snapshot: Snapshot) -> Json:
    """Make the document of a snapshot that was read with GROUPS."""
    made: Json = {
        "time": round(snapshot.time, 3),
        "discovery": {kind: list(rows(snapshot)) for kind, (rows, _) in discovery.KINDS.items()},
    }
    if snapshot.host:
        made["host"] = _host(snapshot.host, snapshot.domains)
    made["domains"] = [_domain(domain) for domain in snapshot.domains]
    made["pools"] = [
        _known(
            uuid=pool.uuid,
            name=pool.name,
            state=pool.state,
            autostart=int(pool.autostart),
            answered=int(pool.answered),
        )
        | _values(pool.stats)
        for pool in snapshot.pools
    ]
    made["networks"] = [
        _known(
            uuid=network.uuid,
            name=network.name,
            active=int(network.active),
            autostart=int(network.autostart),
        )
        | _values(network.stats)
        for network in snapshot.networks
    ]
    return made


def _host(host: Host, domains: tuple[Domain, ...]) -> Json:
    counts = Counter(states.NAMES[domain.state] for domain in domains)
    return {
        "hostname": host.hostname,
        "libvirt_version": host.libvirt_version,
        "hypervisor": f"{host.driver} {host.hypervisor_version}",
        "domains": {name: counts[name] for name in states.NAMES},
        **_values(host.stats),
    }


def _domain(domain: Domain) -> Json:
    made = _known(
        uuid=domain.uuid,
        name=domain.name,
        id=domain.id,
        state=domain.state,
        reason=domain.reason,
        expected=domain.expected,
        ignore=int(domain.policy.ignore),
        not_responding=round(domain.not_responding or 0, 1),
        autostart=_flag(domain.autostart),
        persistent=_flag(domain.persistent),
        managed_save=_flag(domain.managed_save),
        has_snapshots=_flag(domain.has_snapshots),
        agent=_flag(domain.agent_connected),
    ) | _values(domain.stats)
    if domain.vcpus:
        made["vcpus"] = [{"id": vcpu.number, **_values(vcpu.stats)} for vcpu in domain.vcpus]
    disks = [disk for disk in domain.disks if not disk.removable]
    if disks:
        made["disks"] = [{"name": disk.name, **_values(disk.stats)} for disk in disks]
    if domain.interfaces:
        made["interfaces"] = [
            {"mac": interface.key, "link_down": int(interface.link_down), **_values(interface.stats)}
            for interface in domain.interfaces
        ]
    if domain.filesystems:
        made["filesystems"] = [
            {"mountpoint": filesystem.mountpoint, **_values(filesystem.stats)} for filesystem in domain.filesystems
        ]
    return made


def _values(stats: Any) -> Json:
    return _known(**{name: _number(getattr(stats, name)) for name in declarations(type(stats))})


def _known(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _number(value: float | None) -> float | None:
    if value is None:
        return None
    return int(value) if value == int(value) else round(value, _DIGITS)


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)
