"""Which guests are asked for their file systems, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from judging import OK, UNKNOWN, judged

from kvmwatch.model import states
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading import guest_agent
from kvmwatch.reading.deadline import Deadline


@pytest.mark.parametrize("state", range(len(states.NAMES)), ids=states.NAMES)
def test_only_a_guest_that_runs_can_answer(state: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was paused, as for each backup or migration, made check_kvm_agent UNKNOWN."""
    asked: list[str] = []

    def nobody(_crew: Any, uuids: list[str], *_arguments: Any, **_options: Any) -> tuple[list[Any], None]:
        asked.extend(uuids)
        return [], None

    monkeypatch.setattr(guest_agent.lanes, "each_chunk", nobody)
    domain = Domain("uuid", "web1", 1, state, 1, 0, agent_connected=True)
    hypervisor: Any = None  # who is asked for nothing
    domains = guest_agent.with_filesystems(hypervisor, (domain,), Deadline(10))
    runs = state in (states.RUNNING, states.BLOCKED)
    assert (asked == ["uuid"]) is runs
    text, code = judged("agent", Snapshot("qemu:///system", 0, 0, domains=domains))
    assert code == (UNKNOWN if runs else OK), text
    assert ("the guest agent did not answer" in text) is runs
