"""Every state and reason that libvirt has is in the table, and what only a newer one has is never OK."""

from __future__ import annotations

import re

import libvirt
import pytest
import states_page
from check_kvm.state import judged
from nagiosplugin import Critical, Ok, Unknown, Warn
from nagiosplugin.state import ServiceState

from kvmwatch.model import states
from kvmwatch.model.policy import Policy
from kvmwatch.model.snapshot import Domain

FILE = "kvmwatch/model/states.py"
#: VIR_DOMAIN_SHUTDOWN_* that are flags of virDomainShutdown, not reasons
FLAGS = {"DEFAULT", "ACPI_POWER_BTN", "GUEST_AGENT", "INITCTL", "SIGNAL", "PARAVIRT"}
#: the binding's name of a reason, where it is not the word that virsh has
WORDS = {
    **{"MIGRATION": "migrating", "SAVE": "saving", "DUMP": "dumping", "IOERROR": "I/O error"},
    **{"SNAPSHOT": "creating snapshot", "POSTCOPY": "post-copy", "POSTCOPY_FAILED": "post-copy failed"},
    **{"WAKEUP": "event wakeup", "DISK_UNKNOWN": "unknown", "API_ERROR": "API error"},
}


def constants() -> list[tuple[str, int, str, int]]:
    """State, its number, reason, its number: of every reason that the binding has."""
    found = []
    for number, name in enumerate(states.NAMES):
        prefix = f"VIR_DOMAIN_{name.upper()}_"
        for constant in sorted(vars(libvirt)):
            word = constant.removeprefix(prefix)
            if constant.startswith(prefix) and not (number == states.SHUTDOWN and word in FLAGS):
                found.append((name, number, word, getattr(libvirt, constant)))
    return found


@pytest.mark.parametrize(("name", "state", "constant", "reason"), constants())
def test_every_reason_of_libvirt_is_in_the_table(name: str, state: int, constant: str, reason: int) -> None:
    table = states.REASONS[state]
    assert reason < len(table), f"{name}: {constant} is missing in REASONS of {FILE}"
    assert table[reason].text == WORDS.get(constant, constant.lower().replace("_", " ")), f"see REASONS of {FILE}"


def test_every_state_of_libvirt_is_in_the_table() -> None:
    for number, name in enumerate(states.NAMES):
        assert getattr(libvirt, f"VIR_DOMAIN_{name.upper()}") == number, f"see NAMES of {FILE}"
    # the bindings that can be had are those of an older libvirt or of a newer one
    assert getattr(libvirt, "VIR_DOMAIN_LAST", len(states.NAMES)) == len(states.NAMES), f"a state lacks in {FILE}"
    assert states.REASONS.keys() == set(range(len(states.NAMES)))


@pytest.mark.parametrize("state", states.REASONS, ids=states.NAMES)
def test_passing_reasons_and_only_those_say_how_long_they_last(state: int) -> None:
    for reason in states.REASONS[state]:
        assert (reason.meaning is states.PASSING) == (reason.lasts is not None), reason


@pytest.mark.parametrize("state", range(len(states.NAMES) + 2))
@pytest.mark.parametrize("reason", [-1, 15, 99])
@pytest.mark.parametrize("expect", [None, "any", "running", "shutoff", "paused"])
def test_what_a_newer_libvirt_adds_is_never_ok(state: int, reason: int, expect: str | None) -> None:
    verdict, _ = judged(Domain("uuid", "web1", 1, state, reason, 0, policy=Policy(expect)))
    if state == states.PAUSED:
        assert verdict is Warn
    elif state in (states.SHUTOFF, states.PMSUSPENDED) and expect in ("running", "paused"):
        assert verdict is Critical
    else:
        assert verdict is Unknown


#: what is expected: states as virsh prints them, and their verdict; those that differ from the first line
VERDICTS: dict[str, dict[str, ServiceState]] = {
    "any": {
        "no state": Unknown,
        "paused": Warn,
        **{"paused (user)": Warn, "paused (from snapshot)": Warn},
        **{"paused (I/O error)": Critical, "paused (watchdog)": Critical, "paused (crashed)": Critical},
        **{"paused (post-copy failed)": Critical, "paused (API error)": Critical},
        **{"running (crashed)": Critical, "running (post-copy failed)": Critical},
        **{"shut off (crashed)": Critical, "shut off (failed)": Critical, "shut off (daemon)": Critical},
        **{"crashed": Critical, "crashed (panicked)": Critical},
    }
}
VERDICTS["running"] = VERDICTS["any"] | {
    **{"shut off": Critical, "shut off (shutdown)": Critical, "shut off (destroyed)": Critical},
    **{"shut off (saved)": Critical, "shut off (from snapshot)": Critical, "suspended": Critical},
}
_UP = ("booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled", "save canceled")
_RUNS = {f"running ({reason})": Warn for reason in (*_UP, "event wakeup", "post-copy")}
VERDICTS["shutoff"] = VERDICTS["any"] | _RUNS | {"running": Warn, "blocked": Warn}
VERDICTS["paused"] = VERDICTS["running"] | VERDICTS["shutoff"] | {
    **{"shut off": Critical, "paused": Ok, "paused (user)": Ok, "paused (from snapshot)": Ok}
}  # fmt: skip


@pytest.mark.parametrize("expect", VERDICTS)
@pytest.mark.parametrize(
    ("state", "reason"),
    [(state, reason) for state, known in states.REASONS.items() for reason in range(len(known))],
)
def test_verdict(expect: str, state: int, reason: int) -> None:
    text = states.REASONS[state][reason].text
    said = states.label(state) if text == "unknown" else f"{states.label(state)} ({text})"
    verdict, _ = judged(Domain("uuid", "web1", 1, state, reason, 0, policy=Policy(expect)))
    assert verdict is VERDICTS[expect].get(said, Ok), said


def test_page_is_up_to_date() -> None:
    page = states_page.PAGE.read_text(encoding="utf-8")
    assert page == states_page.render(), "run 'make docs'"
    for state, reasons in states.REASONS.items():
        for reason in reasons:
            assert re.search(rf"^\| {re.escape(states.label(state))} \| {re.escape(reason.text)} \|", page, re.M)
