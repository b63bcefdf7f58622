"""The host's CPU times that libvirt does not tell."""

from __future__ import annotations

import os
from pathlib import Path

from kvmwatch.reading import hosts

#: user nice system idle iowait irq softirq steal guest guest_nice, in ticks
STAT = "cpu  5000 30 700 90000 40 0 6 250 4000 20\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


def test_what_guests_ran_and_what_was_stolen(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    ticks = os.sysconf("SC_CLK_TCK")
    assert hosts.times_of(tmp_path) == {"cpu_guest": 4020 / ticks, "cpu_steal": 250 / ticks}
