"""Which files there are."""

from __future__ import annotations

from pathlib import Path

from nagios_definitions import director, director_import, icinga2, nagios
from nagios_definitions.commands import commands

CHECKS = Path(__file__).parents[2] / "checks"


def files() -> dict[str, str]:
    """Path below checks/ to text."""
    listed = commands()
    return {
        "nagios/kvmwatch.cfg": nagios.nagios(listed),
        "nrpe/kvmwatch.cfg": nagios.nrpe(listed),
        "icinga2/kvmwatch.conf": icinga2.render(listed),
        "icinga2/director-basket.json": director.render(listed),
        "icinga2/director-import-basket.json": director_import.render(listed),
    }
