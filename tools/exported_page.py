"""Write docs/exported.md, all names that ``kvmwatch export`` tells, from the exporters' own tables: "make docs"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from kvmwatch_exporters import prometheus
from kvmwatch_exporters.collectd import VIRT
from kvmwatch_exporters.rows import METRICS, NAMED, STATES

from kvmwatch.model.derived import DERIVED

PAGE = Path(__file__).parents[1] / "docs" / "exported.md"

_INTRODUCTION = """# Names that kvmwatch export tells

Made from the tables of the exporters by `make docs`; do not edit. [How they get to each system](exporters.md).

In JSON a value is `values.NAME` of a row with this `entity` and these `labels`; for Telegraf it is the field `NAME` of
the measurement `kvm_ENTITY` (`time` of a vCPU is `vcpu_time`), and of `kvm` where there is no entity, with the labels
as tags. Each value that also stands in [the reference](metrics.md) has its unit and its source there; what is in bits
is in bytes in Prometheus. One that is not known is left out, and is never 0.
"""

_TITLES = {
    "": "The reading itself (no entity)",
    "check": "`check`: a verdict, of a VM or of the hypervisor",
    "host": "`host`: the hypervisor",
    "node": "`node`: a NUMA node of it",
    "domain": "`domain`: a VM",
    "vcpu": "`vcpu` of a VM",
    "disk": "`disk` of a VM",
    "interface": "`interface` of a VM (directions as the guest sees them)",
    "filesystem": "`filesystem` of a guest",
    "pool": "`pool`: a storage pool",
    "network": "`network`: a virtual network",
    "uplink": "`uplink`: an interface of the host that carries VMs (directions are the host's)",
    "process": "`process`: the QEMU of a VM",
    "build": "`build`: kvmwatch",
}
#: entities and metrics that have a name and are in no output as yet, and why
_UNASKED = {
    "filesystem": "the guest agent is not asked: with it, every reading would wait for every guest",
    **dict.fromkeys(
        ("process.pss", "process.vcpu_time", "process.iothread_time", "process.vhost_time", "process.io_delay"),
        "dear to read of every VM; *kvmwatch show VM* has it",
    ),
}
_OF_DOMAIN = ("uuid", "domain")
#: labels that tell one row from the others, in Prometheus; tags for Telegraf, and ``labels`` in JSON
LABELS = {
    "check": ("check", *_OF_DOMAIN),
    "node": ("node",),
    "domain": _OF_DOMAIN,
    "vcpu": (*_OF_DOMAIN, "vcpu"),
    "disk": (*_OF_DOMAIN, "disk"),
    "interface": (*_OF_DOMAIN, "mac"),
    "filesystem": (*_OF_DOMAIN, "mountpoint"),
    "pool": ("uuid", "pool"),
    "network": ("uuid", "network"),
    "uplink": ("device",),
    "process": _OF_DOMAIN,
}
#: labels of an _info metric; its values are the entity's names for people and for other systems
_INFO = {
    "build": "`version`",
    "host": "`hostname`, `driver`, `libvirt_version`, `hypervisor_version`",
    "domain": "`title`",
    "disk": "`path`, `device`, `bus`, `kind`",
    "interface": "`tap`, `kind`, `source`, `bridge`, `model`",
    "filesystem": "`kind`",
    "pool": "`kind`, `path`",
    "network": "`bridge`",
    "uplink": "`carries`",
}


class Reckoned(NamedTuple):
    """How a derived value of the reference follows from what is exported: arithmetic with names of an entity."""

    formula: str
    of: str = ""  # another entity, all of whose rows of a VM are added up
    but: str = ""  # what the formula does not tell


RECKONED = {
    "host.cpu_busy_per_cpu": Reckoned("(cpu_user + cpu_system) / cpus"),
    "host.cpu_iowait_per_cpu": Reckoned("cpu_iowait / cpus"),
    "host.memory_usage": Reckoned("100 * (1 - memory_available / (memory_total - hugepages_total))"),
    "host.hugepages_usage": Reckoned("100 * (1 - hugepages_free / hugepages_total)"),
    "host.swap_usage": Reckoned("100 * swap_used / swap_total"),
    "host.load_per_cpu": Reckoned("load5 / cpus"),
    "host.vcpu_overcommit": Reckoned("100 * vcpus_assigned / cpus"),
    "host.memory_overcommit": Reckoned("100 * memory_assigned / memory_total"),
    "domain.cpu_time_per_vcpu": Reckoned("vcpu_time / vcpu_count"),
    "domain.emulator_time": Reckoned("cpu_time - vcpu_time"),
    "domain.cpu_delay_per_vcpu": Reckoned("cpu_delay / vcpu_count"),
    "domain.disk_bytes": Reckoned(
        "read_bytes + write_bytes", of="disk", but="without those that can be taken out"
    ),
    "domain.network_bytes": Reckoned("rx_bytes + tx_bytes", of="interface"),
    "domain.memory_usage": Reckoned("100 * (1 - memory_usable / memory_available)"),
    "domain.swap": Reckoned("swap_in + swap_out"),
    "disk.bytes": Reckoned("read_bytes + write_bytes"),
    "disk.allocation_usage": Reckoned("100 * allocation / capacity"),
    "interface.errors": Reckoned("rx_errors + tx_errors"),
    "interface.drops": Reckoned("rx_drops + tx_drops"),
    "filesystem.usage": Reckoned("100 * used / total"),
    "pool.usage": Reckoned("100 * used / (used + available)", but="of [kinds that fill up](pools.md)"),
    "pool.allocation": Reckoned("100 * used / capacity", but="of the kinds `logical` and `disk`"),
    "pool.overcommit": Reckoned(
        "100 * provisioned / capacity", but="of [kinds with a size of their own](pools.md)"
    ),
    "network.usage": Reckoned("100 * leases / addresses"),
}


def render() -> str:
    """Give the page as Markdown."""
    parts = [_INTRODUCTION]
    metrics = sorted(METRICS, key=lambda metric: list(_TITLES).index(metric.entity))
    told = {entity: list(of) for entity, of in groupby(metrics, lambda metric: metric.entity)}
    for entity, title in _TITLES.items():
        parts.append(f"\n## {title}\n\n")
        parts.append(f"Not told as yet: {_UNASKED[entity]}.\n\n" if entity in _UNASKED else "")
        labels = ", ".join(f"`{label}`" for label in LABELS.get(entity, ()))
        parts.append(f"Labels: {labels}.\n\n" if labels else "")
        parts.append("| Prometheus | name elsewhere | meaning |\n|---|---|---|\n")
        for metric in told.get(entity, ()):
            unasked = _UNASKED.get(metric.full_name)
            tail = f"; not told as yet: {unasked}" if unasked else ""
            parts.append(f"| `{prometheus.name(metric)}` | `{metric.name}` | {metric.declaration.help}{tail} |\n")
        if entity in STATES:
            words = ", ".join(f"`{word}`" for word in STATES[entity])
            parts.append(f"| `kvm_{entity}_state` | `state` | 1 for its state, of {words} |\n")
        if entity in NAMED:
            elsewhere = "`info`, in JSON"
            parts.append(f"| `kvm_{entity}_info` | {elsewhere} | Always 1; has the labels {_INFO[entity]} |\n")
    parts += _reckoned()
    parts += _collectd()
    return "".join(parts)


def expression(name: str) -> str:
    """A derived value in the names of Prometheus."""
    reckoned = RECKONED[name]
    entity = reckoned.of or name.partition(".")[0]

    def called(word: re.Match[str]) -> str:
        return prometheus.FAMILIES[entity, word[0]].name

    made = re.sub(r"[a-z]\w*", called, reckoned.formula)
    return f"sum by (uuid, domain) ({made})" if reckoned.of else made


def _reckoned() -> Iterator[str]:
    yield """
## What follows from these

Percentages and sums that [the reference](metrics.md) calls derived are not told: each is arithmetic with what is. Where it has
counters (`..._total`), put `rate(NAME[5m])` for each of them. In JSON and for Telegraf it is the same with their names.

| derived | in Prometheus |
|---|---|
"""
    for derived in DERIVED:
        name = f"{derived.entity}.{derived.name}"
        if name in RECKONED:
            but = f", {RECKONED[name].but}" if RECKONED[name].but else ""
            yield f"| `{name}` | `{expression(name)}`{but} |\n"


def _collectd() -> Iterator[str]:
    yield """
## Names in collectd

`HOST` is the hypervisor's name in collectd; `VM` is the VM's name, or its UUID where collectd would refuse that (over 127 bytes,
or with a dot at its beginning, for which its plugins make no folder), and where it could be another one's (with invisible or
control characters, or another's UUID). `POOL` is likewise the pool's.

| identifier | values |
|---|---|
| `HOST/kvmwatch/gauge-up` | 1 while the hypervisor could be read, else 0 |
| `HOST/kvmwatch/gauge-check_CHECK`, `VM/kvmwatch/gauge-check_CHECK` | `check.status` |
| `VM/kvmwatch/gauge-link_MAC` | `interface.link` |
| `HOST/kvmwatch-POOL/df_complex-used`, `...-free` | `pool.used`, `pool.available` |
"""
    for entity, (label, types) in VIRT.items():
        for kind in types:
            instance = kind.instance.format((label or "").upper())
            values = ", ".join(f"`{entity}.{value}`" for value in kind.values)
            yield f"| `VM/virt/{kind.type}{f'-{instance}' if instance else ''}` | {values} |\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
