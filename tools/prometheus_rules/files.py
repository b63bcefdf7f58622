"""Which files there are."""

from __future__ import annotations

from pathlib import Path

from prometheus_rules import figures, inhibit, model, proofs, verdicts

FOLDER = Path(__file__).parents[2] / "templates" / "prometheus"


def files() -> dict[str, str]:
    """Path below templates/prometheus/ to text."""
    return {
        "kvmwatch-rules.yml": model.file("kvmwatch", (*verdicts.rules(), *figures.rules())),
        "kvmwatch-inhibit.yml": inhibit.render(),
        "tests/verdicts.yml": proofs.render(),
    }
