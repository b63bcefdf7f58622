"""What check_kvm_memory says of every kind of balloon that gives no usable figures."""

from __future__ import annotations

from typing import Any

import pytest
from check_kvm import memory
from check_kvm.frame import output, plugin
from check_kvm.frame.thresholds import Thresholds

from kvmwatch.model.snapshot import Snapshot
from kvmwatch.reading import records
from kvmwatch.reading.domain_xml import parse
from kvmwatch.reading.records import Reading

NOW = 1_795_450_700
OK, WARNING = range(2)
VALUES = {"balloon.available": 100_000, "balloon.usable": 50_000}
OLD = {"balloon.available": 100_000, "balloon.unused": 50_000}
HALF = {"balloon.available": 100_000}


def reported(age: float) -> dict[str, int]:
    return {"balloon.last-update": int(NOW - age)}


@pytest.mark.parametrize(
    ("fields", "period", "code", "says"),
    [
        pytest.param({}, 0, OK, "no balloon statistics", id="no device"),
        pytest.param({}, 10, OK, "no balloon statistics", id="no device, period"),
        pytest.param({"balloon.last-update": 0}, 0, OK, "no balloon statistics", id="no driver"),
        pytest.param({"balloon.last-update": 0}, 10, OK, "no balloon statistics", id="no driver, period"),
        pytest.param(reported(3) | VALUES, 10, OK, "usage 50 %", id="fresh"),
        pytest.param(reported(3) | OLD, 10, OK, "usage 50 %", id="fresh, old Linux"),
        pytest.param(reported(3) | VALUES, 0, OK, "usage 50 %", id="fresh, no period"),
        pytest.param(reported(3), 10, WARNING, "answers without values", id="without values"),
        pytest.param(reported(3), 0, OK, "answers without values", id="without values, no period"),
        pytest.param(reported(3) | HALF, 10, WARNING, "answers without values", id="without what is used"),
        pytest.param(reported(3600) | VALUES, 10, WARNING, "stopped reporting its memory 60 min ago", id="stale"),
        pytest.param(reported(3600) | VALUES, 0, OK, "statistics are 60 min old", id="stale, no period"),
        pytest.param(reported(3600), 10, WARNING, "stopped reporting its memory", id="stale, without values"),
        pytest.param(reported(1000) | VALUES, 600, OK, "usage 50 %", id="a long period"),
        pytest.param(reported(1000), 600, WARNING, "answers without values", id="a long period, without values"),
        pytest.param(reported(-3) | VALUES, 10, OK, "usage 50 %", id="clock a little ahead"),
        pytest.param(reported(-3), 10, WARNING, "answers without values", id="clock ahead, without values"),
        pytest.param(reported(-3600) | VALUES, 10, WARNING, "60 min from now: the clock", id="clock far ahead"),
        pytest.param(reported(-3600) | VALUES, 0, OK, "60 min from now: the clock", id="far ahead, no period"),
    ],
)
def test_balloon(fields: dict[str, Any], period: int, code: int, says: str) -> None:
    xml = f"<domain><devices><memballoon model='virtio'><stats period='{period}'/></memballoon></devices></domain>"
    state = {"state.state": 1, "state.reason": 1, "balloon.current": 200_000, "balloon.maximum": 200_000}
    domain = records.domain(Reading("uuid", "win1", 1, 0, state | fields, parse(xml)), NOW)
    snapshot = Snapshot("qemu:///system", NOW, 0, domains=(domain,))
    verdict = plugin.judged(memory.CHECK, snapshot, Thresholds("memory", memory.CHECK.metrics))
    text, given = output.render("memory", verdict, output.Style(verbose=1))
    assert (given, says in text) == (code, True), text
