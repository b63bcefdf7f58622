"""Every query of every dashboard gives something on a hypervisor that has one of everything, by promtool.

Its series are those of the golden file, and one of the VM web1 for each metric that the file has not.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from generated import ROOT
from grafana_dashboards import files
from kvmwatch_exporters import prometheus
from prometheus_client.parser import text_string_to_metric_families as parsed

from kvmwatch.model.metrics import COUNTER

SAMPLES = [
    sample
    for family in parsed((ROOT / "tests/golden/kvmwatch_export_prometheus.txt").read_text(encoding="utf-8"))
    for sample in family.samples
]
(UUID,) = {sample.labels["uuid"] for sample in SAMPLES if sample.labels.get("domain") == "web1"}
VALUES = {"instance": "kvm1", "uuid": UUID, "__rate_interval": "3m"}


def series() -> dict[str, str]:
    """Series to its values, of all 40 samples: counters grow, and pools fill up."""
    made = {}
    for (entity, _), family in prometheus.FAMILIES.items():
        labels = [sample.labels for sample in SAMPLES if sample.name == family.name]
        if not any(one.get("uuid") == UUID for one in labels):
            of_entity = [sample.labels for sample in SAMPLES if sample.name.startswith(f"kvm_{entity}_")]
            labels += [one for one in of_entity if one.get("uuid") == UUID][:1] or (
                [] if labels else of_entity[:1]
            )
        grows = 7 if family.kind == COUNTER else -1 if family.name == "kvm_pool_available_bytes" else 0
        for one in labels:
            known = [sample.value for sample in SAMPLES if (sample.name, sample.labels) == (family.name, one)]
            words = {"job": "kvmwatch", "instance": "kvm1", **one}
            inside = ", ".join(f"{label}={json.dumps(word)}" for label, word in words.items())
            made[f"{family.name}{{{inside}}}"] = f"{int((known or [1])[0])}{grows:+}x40"
    return made


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: tools/setup systems")
def test_every_query_gives_something(tmp_path: Path) -> None:
    queries = [
        re.sub(r"\$(\w+)", lambda name: VALUES[name[1]], query.expression)
        for one in files.dashboards()
        for section in one.sections
        for panel in section.panels
        for query in panel.queries
    ]
    given = [{"labels": "{}", "value": 1}]
    test = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series().items()],
        "promql_expr_test": [
            {"expr": f"count({query}) > bool 0", "eval_time": "15m", "exp_samples": given} for query in queries
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [test]}), encoding="utf-8")
    ran = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, encoding="utf-8", check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(queries) > 100
