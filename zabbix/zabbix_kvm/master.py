"""The master items: a hypervisor's document with all that its dependent items pick from, and a guest's own.

Counters are given as they are (Zabbix makes the rates: "change per second"), so no state is kept. A value
that is not known has no key. Domains that are to be ignored are named but carry no values.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from kvmwatch import __version__
from kvmwatch.model import derived, measured, states
from kvmwatch.model.derived import DERIVED
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import NodeStats, ProcessStats, declarations
from kvmwatch.model.snapshot import LONGEST_WHY, Domain, Host, Network, Pool, Snapshot, Unread, Uplink
from kvmwatch.model.text import readable
from zabbix_kvm import conditions, discovery

GROUPS = (
    Group.SHUT_OFF
    | Group.AUTOSTART
    | Group.LISTS
    | Group.SNAPSHOTS
    | Group.DEFINITION
    | Group.CPU
    | Group.MEMORY
    | Group.DISK
    | Group.INTERFACE
    | Group.CONTROL
    | Group.HOST
    | Group.POOLS
    | Group.NETWORKS
    | Group.STARTED
    | Group.STRAYS
    | Group.ADDRESSES
    | Group.UPLINKS
)

#: What of the catalogue the documents do not carry, and why: a VM has about one KB, an agent item 512.
LEFT_OUT = {
    "host.cpu_user": "in cpu_busy_per_cpu",
    "host.cpu_system": "in cpu_busy_per_cpu",
    "host.cpu_iowait": "as cpu_iowait_per_cpu",
    "host.cpu_idle": "what cpu_busy_per_cpu and cpu_iowait_per_cpu leave",
    **{f"host.cpu_{of}": "kvmwatch show --host's, and the exporters'" for of in ("guest", "steal")},
    **{f"host.pressure_{of}": "kvmwatch show --host's, and the exporters'" for of in ("cpu", "memory", "io")},
    **{
        f"host.{name}": "kvmwatch show --host's, and the exporters'"
        for name in ("swap_in", "swap_out", "ksm_saved")
    },
    **{f"node.{name}": "kvmwatch show --host's, and the exporters'" for name in declarations(NodeStats)},
    "domain.cpu_time": "in cpu_time_per_vcpu and emulator_time",
    "domain.vcpu_time": "as cpu_time_per_vcpu",
    "domain.cpu_user": "emulator and guest are not told apart by it",
    "domain.cpu_system": "emulator and guest are not told apart by it",
    "domain.cpu_delay": "as cpu_delay_per_vcpu",
    "domain.vcpu_maximum": "changes only with the definition",
    "domain.memory_available": "in memory_usage",
    "domain.memory_unused": "in memory_usage where it is the best there is",
    "domain.memory_caches": "in memory_usable",
    "domain.newest_checkpoint": "check_kvm_snapshot's; the master item does not ask for checkpoints",
    "domain.minor_faults": "no sign of trouble",
    "network.addresses": "in usage",
    **{f"domain.swap_{way}": "in swap" for way in ("in", "out")},
    **{f"interface.{way}_{what}": f"in {what}" for way in ("rx", "tx") for what in ("errors", "drops")},
    "interface.attached": "in link",
    **{f"uplink.{way}_packets": "bytes, errors and drops tell what is wrong" for way in ("rx", "tx")},
    "disk.highest_offset": "matters only to thin volumes on block devices",
    **{
        f"process.{name}": "the process view is check_kvm_process's; CPU and memory of QEMU are in domain"
        for name in declarations(ProcessStats)
    },
}
#: of the documents: what the templates need that older ones do not have
FORMAT = 2
_DIGITS = 4  # 0.1 ms
_LONGEST_TEXT = 2000  # characters; a problem's name holds 2048
_LONGEST_CHAR = 255  # of an item's value
_MORE = ", …"

Json = dict[str, Any]


def document(snapshot: Snapshot) -> Json:
    """Make a hypervisor's document of a snapshot that was read with GROUPS."""
    made: Json = {
        "time": round(snapshot.time, 3),
        "version": __version__,
        "format": FORMAT,
        # only of a reading that worked: the time from one to the next tells whether they were interrupted
        "read": round(snapshot.time, 3),
        "discovery": {},
        "unread": _unread(snapshot),
        "mistakes": _mistakes(snapshot),
    }
    if snapshot.has(Group.NONE):
        # one that is not in it is gone
        made["conditions"] = conditions.of_all(snapshot)
    if snapshot.host:
        made["host"] = _host(snapshot.host, snapshot.domains)
    made["domains"] = [_domain(domain, snapshot.time) for domain in snapshot.domains]
    # a list without them would tell Zabbix that they are gone; and hosts of guests are called after their
    # hypervisor, and would all get another name
    named = snapshot.has(Group.HOST) and (not snapshot.host or snapshot.host.hostname)
    if snapshot.has(Group.NONE) and named and all(map(_known_to_be_watched, snapshot.domains)):
        made["discovery"]["domains"] = list(discovery.domains_with_parts(snapshot))
    if not any(part.group is Group.STRAYS for part in snapshot.unread):
        made["strays"] = _strays(snapshot)
    full = conditions.without_room(snapshot)
    made["stopped"] = _stopped(snapshot, full)  # none while pools are not known: then each VM tells it
    if snapshot.has(Group.POOLS):
        made["discovery"]["pools"] = list(discovery.pools(snapshot))
        stopped = Counter(full.values())
        made["pools"] = [_pool(pool, stopped[pool.uuid]) for pool in snapshot.pools]
    if snapshot.has(Group.NETWORKS):
        made["discovery"]["networks"] = list(discovery.networks(snapshot))
        made["networks"] = [_network(network) for network in snapshot.networks]
    if snapshot.uplinks is not None:
        if discovery.knows_uplinks(snapshot):
            made["discovery"]["uplinks"] = list(discovery.uplinks(snapshot))
        made["uplinks"] = [_uplink(uplink) for uplink in snapshot.uplinks]
    return made


def _unread(snapshot: Snapshot) -> Json:
    """How many things could not be read, which and why, worst for the whole first; cut to what an item takes."""
    every = (
        readable(f"{whose}{f'{part.what}: ' if part.what else ''}{part.why}", LONGEST_WHY)
        for whose, part in _all_unread(snapshot)
        if not part.absent
    )
    told = list(dict.fromkeys(every))  # what lacks several groups for one reason is one thing
    return {"count": len(told), "text": readable("; ".join(told), _LONGEST_TEXT)}


def _mistakes(snapshot: Snapshot) -> str:
    """What of the owners' metadata cannot be used, and whose it is; empty when all can."""
    told = [
        readable(f"VM {domain.name}: {domain.policy.error}", LONGEST_WHY)
        for domain in snapshot.domains
        if domain.policy.error
    ]
    return readable("; ".join(told), _LONGEST_TEXT)


def _strays(snapshot: Snapshot) -> str:
    """The processes that look like a QEMU and are no VM's; empty when there are none."""
    told = [f"PID {process.pid} ({process.name})" for process in snapshot.processes if not process.known]
    return readable(", ".join(told), _LONGEST_TEXT)


def _stopped(snapshot: Snapshot, without_room: Mapping[str, str]) -> str:
    """The pools that stop VMs because they are full, and these; empty when there are none."""
    told = []
    for pool in snapshot.pools:
        names = [domain.label for domain in snapshot.domains if without_room.get(domain.uuid) == pool.uuid]
        if names:
            told.append(f"{pool.name}: {', '.join(sorted(names))}")
    return readable("; ".join(told), _LONGEST_TEXT)


def _all_unread(snapshot: Snapshot) -> Iterator[tuple[str, Unread]]:
    """Whose it is, and what could not be read; a domain that does not answer has a problem of its own."""
    things: list[tuple[str, Any]] = [("", snapshot), ("", snapshot.host)] if snapshot.host else [("", snapshot)]
    things += [(f"pool {pool.name}: ", pool) for pool in snapshot.pools]
    things += [(f"network {network.name}: ", network) for network in snapshot.networks]
    for domain in snapshot.domains:
        if domain.not_responding is None and not domain.policy.ignore:
            things.append((f"VM {domain.name}: ", domain))
            parts: list[Any] = [*(disk for disk in domain.disks if not disk.removable), *domain.interfaces]
            things += [(f"VM {domain.name} {part.name}: ", part) for part in parts if part.unread]
    return ((whose, part) for whose, thing in things for part in thing.unread)


def _known_to_be_watched(domain: Domain) -> bool:
    """Whether it is known if its owner wants it left alone."""
    return not any(part.group is Group.POLICY for part in domain.unread)


def failure(message: str) -> Json:
    """Make the document of a hypervisor that could not be read: items keep what they have, the error is told."""
    now = round(time.time(), 3)
    return {"time": now, "version": __version__, "format": FORMAT, "error": readable(message, _LONGEST_TEXT)}


def guests(snapshot: Snapshot) -> Iterator[tuple[str, Json]]:
    """Give the UUID and the document of each domain that is a host of its own in Zabbix.

    One that was migrated away is left to the hypervisor that has it now. One that is to be left alone tells only
    that, so that its host falls silent.
    """
    hypervisor = snapshot.host.hostname if snapshot.host else None
    full = conditions.without_room(snapshot)
    for domain in snapshot.domains:
        if domain.why.meaning is states.ELSEWHERE:
            continue
        head = _known(time=round(snapshot.time, 3), hypervisor=hypervisor, condition=conditions.of(domain, full))
        if not domain.policy.ignore:
            found = {kind: list(part.rows(domain)) for kind, part in discovery.PARTS.items()}
            head["discovery"] = {**found, "vm": [{"{#VM.UUID}": domain.uuid}]}
        yield domain.uuid, head | _domain(domain, snapshot.time)


def _host(host: Host, domains: tuple[Domain, ...]) -> Json:
    counts = Counter(domain.state for domain in domains)
    known = host.driver and host.hypervisor_version
    return {
        **_known(hostname=host.hostname, libvirt_version=host.libvirt_version),
        **_known(hypervisor=f"{host.driver} {host.hypervisor_version}" if known else None),
        "domains": {name: counts[state] for state, name in enumerate(states.NAMES)},
        **_values("host", host),
    }


def _domain(domain: Domain, now: float) -> Json:
    identity = {
        "uuid": domain.uuid,
        "name": domain.name,
        "state": domain.state,
        "reason": _reason(domain),
    }
    if domain.policy.ignore:
        return identity | {"ignore": 1}
    made = identity | _known(
        id=domain.id,
        title=domain.title,
        addresses=_addresses(domain),
        expected=domain.expected,
        not_responding=None if domain.silent_for is None else round(domain.silent_for, 1),
        agent=_flag(domain.agent_connected),
        memory_report=_memory_report(domain, now),
        **_values("domain", domain),
    )
    parts = {
        "vcpus": [{"id": vcpu.number, **_values("vcpu", vcpu)} for vcpu in domain.vcpus],
        "disks": [{"name": disk.name, **_values("disk", disk)} for disk in measured.disks(domain)],
        "interfaces": [
            {"mac": interface.key, **_values("interface", interface)} for interface in measured.interfaces(domain)
        ],
        "filesystems": [
            {"mountpoint": filesystem.key, **_values("filesystem", filesystem)}
            for filesystem in domain.filesystems or ()
        ],
    }
    return made | {name: part for name, part in parts.items() if part}


def _addresses(domain: Domain) -> str | None:
    """All of its IP addresses that are known, or as many as an item of characters holds; None: none is known."""
    made = ""
    found = {ip_address(address) for interface in domain.interfaces for address in interface.addresses}
    for address in map(str, sorted(found, key=lambda address: (address.version, address.packed))):
        longer = f"{made}, {address}" if made else address
        if len(longer) > _LONGEST_CHAR - len(_MORE):
            return made + _MORE
        made = longer
    return made or None


def _reason(domain: Domain) -> str:
    """The reason of its state, and which disks hold it."""
    faulty = [f"{disk.name}: {disk.error}" for disk in domain.disks if disk.error]
    return f"{domain.why.text} ({', '.join(faulty)})" if faulty else domain.why.text


def _memory_report(domain: Domain, now: float) -> int | None:
    """0: the guest reports its memory; 1: it has stopped; 2: it answers without values; None: it need not."""
    stats = domain.stats
    if domain.state not in (states.RUNNING, states.BLOCKED) or not domain.balloon_period:
        return None
    if not stats.balloon_updated or domain.not_responding is not None:
        return None
    if now - stats.balloon_updated > derived.balloon_limit(domain.balloon_period):
        return 1
    return 2 if derived.memory_usage(domain) is None else 0


def _pool(pool: Pool, stopped: int) -> Json:
    return _known(
        uuid=pool.uuid,
        name=pool.name,
        state=pool.state,
        autostart=int(pool.autostart),
        answered=int(pool.answered),
        fault=pool.fault or "",
        stopped=stopped,
        **_values("pool", pool),
    )


def _network(network: Network) -> Json:
    return _known(
        uuid=network.uuid,
        name=network.name,
        active=int(network.active),
        autostart=int(network.autostart),
        **_values("network", network),
    )


def _uplink(uplink: Uplink) -> Json:
    return _known(name=discovery.in_context(uplink.name), **_values("uplink", uplink))


def _values(entity: str, record: Any) -> Json:
    values = {
        name: getattr(record.stats, name)
        for name in declarations(type(record.stats))
        if f"{entity}.{name}" not in LEFT_OUT
    }
    values |= {derived.name: derived.of(record) for derived in DERIVED if derived.entity == entity}
    return _known(**{name: _number(value) for name, value in values.items()})


def _known(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _number(value: float | None) -> float | None:
    if value is None:
        return None
    return int(value) if value == int(value) else round(value, _DIGITS)


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)
