"""Write docs/metrics.md, the metric reference, from the catalogue: "make docs"."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from kvmwatch.model.derived import DERIVED
from kvmwatch.model.metrics import COUNTER, Metric, catalogue

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

_INTRODUCTION = """# Metric reference

Made from the catalogue in `kvmwatch/model/metrics.py` by `make docs`; do not edit.

Each name is a key of the master item (`zabbix_kvm collect`), but for a few that it carries only in a derived value
(`LEFT_OUT` in `zabbix/zabbix_kvm/master.py` says which and why). Values are base units. A counter grows from the
start of what it counts; Zabbix and our checks make rates of it. A value that is not known is left out, never 0.
"""

_TITLES = {
    "host": "Host: `host`",
    "node": "NUMA node of the host (the exporters, and `kvmwatch` where it shows the host)",
    "domain": "Domain: `domains[]`",
    "vcpu": "vCPU: `domains[].vcpus[]`",
    "disk": "Disk: `domains[].disks[]`",
    "interface": "Interface: `domains[].interfaces[]` (directions as the guest sees them)",
    "filesystem": "File system: `domains[].filesystems[]` (needs the guest agent and `--guest-agent`)",
    "pool": "Storage pool: `pools[]`",
    "network": "Virtual network: `networks[]`",
    "uplink": "Interface of the host that carries VMs: `uplinks[]` (directions are the host's)",
    "process": "QEMU process (`check_kvm_process` and the exporters; from `pss` on only where `kvmwatch` shows one VM)",
}
_UNITS = {"B": "bytes", "s": "seconds", "unixtime": "Unix time", "%": "%", "bps": "bits per second", "": ""}
_PREFIXES = {"vcpu": "vcpu.N.", "disk": "block.N.", "interface": "net.N.", "filesystem": "fs.N."}


def render() -> str:
    """Give the page as Markdown."""
    parts = [_INTRODUCTION]
    for entity, metrics in groupby(catalogue(), lambda metric: metric.entity):
        parts.append(
            f"\n## {_TITLES[entity]}\n\n| name | kind | unit | meaning | source |\n|---|---|---|---|---|\n"
        )
        parts.extend(_row(metric) for metric in metrics)
        parts.extend(
            f"| `{derived.name}` | {derived.kind} | {_UNITS[derived.unit]} | {derived.help} | derived |\n"
            for derived in DERIVED
            if derived.entity == entity
        )
    return "".join(parts)


def _row(metric: Metric) -> str:
    declared = metric.declaration
    kind = "counter" if declared.kind == COUNTER else "gauge"
    source = _PREFIXES.get(metric.entity, "") + declared.field if declared.field else declared.source
    return f"| `{metric.name}` | {kind} | {_UNITS[declared.unit]} | {declared.help} | {source} |\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
