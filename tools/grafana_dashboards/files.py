"""Which dashboards there are."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_dashboards import export, fleet, hypervisor, vm
from grafana_dashboards.model import Dashboard

FOLDER = Path(__file__).parents[2] / "templates" / "grafana"


def dashboards() -> tuple[Dashboard, ...]:
    """All of them, as one looks at them."""
    return fleet.dashboard(), hypervisor.dashboard(), vm.dashboard()


def files() -> dict[str, str]:
    """Path below templates/grafana/ to text."""
    return {
        f"{one.uid}.json": json.dumps(export.dashboard(one), indent=1, ensure_ascii=False) + "\n"
        for one in dashboards()
    }
