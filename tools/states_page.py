"""Write docs/states.md: what check_kvm_state says of each state and reason, from the table of states: "make docs"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from check_kvm.state import judged

from kvmwatch.model import states
from kvmwatch.model.policy import EXPECTATIONS, Policy
from kvmwatch.model.snapshot import Domain

PAGE = Path(__file__).parents[1] / "docs" / "states.md"

_HEAD = """# States and their reasons

Made by `make docs` from the table in `kvmwatch/model/states.py`; do not edit.

What `check_kvm_state` says of each state and reason that libvirt has, in the words of `virsh domstate --reason`. What
is expected of a VM is in its [metadata](thresholds.md#in-the-domain-itself); without, it is running with autostart, else
any.

A reason or a state that only a newer libvirt has is never OK: paused for it is WARNING, all else UNKNOWN.

| state | reason | any | running | shutoff | paused |
|---|---|---|---|---|---|
"""
_ORDER = ("any", "running", "shutoff", "paused")


def render() -> str:
    """Give the page as Markdown."""
    assert set(_ORDER) == set(EXPECTATIONS)
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    for state, reasons in states.REASONS.items():
        for number, reason in enumerate(reasons):
            verdicts = [_verdict(state, number, expect) for expect in _ORDER]
            yield f"| {' | '.join((states.label(state), reason.text, *verdicts))} |\n"


def _verdict(state: int, reason: int, expect: str) -> str:
    domain = Domain("", "", None, state, reason, 0, policy=Policy(expect))
    return str(judged(domain)[0]).upper()


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
