"""What Prometheus gets of a moment and what Zabbix gets of it are the same figures: two golden files of one snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from generated import ROOT
from kvmwatch_exporters import prometheus
from prometheus_client.parser import text_string_to_metric_families as parsed
from zabbix_kvm.master import LEFT_OUT

from kvmwatch.model.metrics import Metric, catalogue

GOLDEN = ROOT / "tests" / "golden"
DOCUMENT = json.loads((GOLDEN / "zabbix_kvm_collect.json").read_text(encoding="utf-8"))
SAMPLES = {
    family.name: family.samples
    for family in parsed((GOLDEN / "kvmwatch_export_prometheus.txt").read_text(encoding="utf-8"))
}
#: part of a domain: its list in the document, what it is told apart by there, and in Prometheus
PARTS = {
    "vcpu": ("vcpus", "id", "vcpu"),
    "disk": ("disks", "name", "disk"),
    "interface": ("interfaces", "mac", "mac"),
    "filesystem": ("filesystems", "mountpoint", "mountpoint"),
}
#: Zabbix gets no values of it
ALONE = "00000000-0000-4000-8000-000000000014"
METRICS = [metric for metric in catalogue() if metric.full_name not in LEFT_OUT]
Figures = dict[tuple[str, ...], float]


def things(entity: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """What there is of an entity in Zabbix's document, and what tells one from another."""
    if entity == "host":
        yield (), DOCUMENT["host"]
    elif entity == "uplink":
        yield from (((one["name"],), one) for one in DOCUMENT["uplinks"])
    elif entity in ("domain", "pool", "network"):
        yield from (((one["uuid"],), one) for one in DOCUMENT[f"{entity}s"])
    else:
        name, key, _ = PARTS[entity]
        for domain in DOCUMENT["domains"]:
            yield from (((domain["uuid"], str(one[key])), one) for one in domain.get(name, ()))


def in_zabbix(metric: Metric) -> Figures:
    return {which: one[metric.name] for which, one in things(metric.entity) if metric.name in one}


def in_prometheus(metric: Metric) -> Figures:
    labels = (
        ("device",)
        if metric.entity == "uplink"
        else ("uuid", PARTS[metric.entity][2])
        if metric.entity in PARTS
        else ("uuid",)
    )
    name, bits = prometheus.name(metric), metric.declaration.unit == "bps"
    return {
        tuple(sample.labels[label] for label in labels if label in sample.labels): sample.value
        * (8 if bits else 1)
        for sample in SAMPLES.get(name.removesuffix("_total"), SAMPLES.get(name, ()))
        if sample.labels.get("uuid") != ALONE
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.full_name))
def test_figures_are_the_same(metric: Metric) -> None:
    assert in_prometheus(metric) == pytest.approx(in_zabbix(metric), abs=1e-4)


def test_there_are_figures() -> None:
    without = {metric.full_name for metric in METRICS if not in_zabbix(metric)}
    assert len(without) < len(METRICS) / 4, f"the example hypervisor has none of {sorted(without)}"
