"""Write docs/states.md: what check_kvm_state says of each state and reason, from the table of states: "make docs"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from check_kvm.state import CHECK, judged

from kvmwatch.model import states
from kvmwatch.model.policy import EXPECTATIONS, Policy
from kvmwatch.model.snapshot import Domain
from kvmwatch.model.units import duration

PAGE = Path(__file__).parents[1] / "docs" / "states.md"

_HEAD = """# States and their reasons

Made by `make docs` from the table in `kvmwatch/model/states.py`; do not edit.

What `check_kvm_state` says of each state and reason that libvirt has, in virsh's words. What
is expected of a VM is in its [metadata](thresholds.md#in-the-domain-itself); without, it is running with autostart, else
any.

A reason or a state that only a newer libvirt has is never OK: paused for it is WARNING, all else UNKNOWN.

A state with *brief* or *job* passes by itself, and is trouble when it does not: {passing}.
How long it has lasted is what the runs of the same command line have seen (kept in `--state-dir`): the first says
"first seen now". The limits are the thresholds of the metrics `brief` and `job`, which a VM can have of its own.

libvirt knows why a VM is shut off only until its daemon is restarted: then `crashed`, `failed` and `migrated` are `unknown`.
So a VM that has to run is to have autostart or `expect="running"`, by which it stays CRITICAL; and one that was moved away
for good is to be undefined where it was (*virsh migrate --undefinesource*).

| state | reason | any | running | shutoff | paused |
|---|---|---|---|---|---|
"""
_ORDER = ("any", "running", "shutoff", "paused")


def render() -> str:
    """Give the page as Markdown."""
    assert set(_ORDER) == set(EXPECTATIONS)
    passing = "; ".join(
        f"{metric.name} is WARNING after {duration(float(metric.warning))} and CRITICAL after "
        f"{duration(float(metric.critical))}"
        for metric in CHECK.metrics
        if metric.name in (states.BRIEF, states.JOB)
    )
    return _HEAD.format(passing=passing) + "".join(_rows())


def _rows() -> Iterator[str]:
    for state, reasons in states.REASONS.items():
        for number, reason in enumerate(reasons):
            verdicts = [_verdict(state, number, expect) for expect in _ORDER]
            yield f"| {' | '.join((states.label(state), reason.text, *verdicts))} |\n"


def _verdict(state: int, reason: int, expect: str) -> str:
    domain = Domain("", "", None, state, reason, 0, policy=Policy(expect))
    verdict = str(judged(domain)[0]).upper()
    return f"{verdict}, {domain.why.lasts}" if domain.why.lasts else verdict


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
