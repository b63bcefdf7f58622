"""check_kvm_state: each domain's state against what is expected of it."""

from __future__ import annotations

from collections import Counter

from nagiosplugin import Critical, Ok, Unknown, Warn
from nagiosplugin.state import ServiceState

from check_kvm.frame import plugin
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict, not_responding
from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot

_HUNG_AFTER = 30.0  # seconds without an answer from QEMU from which on it is CRITICAL

# A pause is judged by its reason: what a migration, snapshot or save does ends by itself.
_PAUSED = {
    "unknown": Warn,
    "user": Warn,
    "I/O error": Critical,
    "watchdog": Critical,
    "crashed": Critical,
    "post-copy failed": Critical,
    "API error": Critical,
}
_RUNNING = {"crashed": Critical, "post-copy failed": Critical}  # it has a QEMU, which is of no use any more
_SHUT_OFF = {"crashed": Critical, "failed": Critical}


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every domain, and the number of domains in each state."""
    for domain, subject in verdict.domains(snapshot, active_only=False):
        state, why = _judged(domain)
        subject.say(state, f"{_state_text(domain)}{why}")
        if domain.not_responding is not None and domain.not_responding >= _HUNG_AFTER:
            subject.say(Critical, not_responding(domain))
        elif domain.not_responding is not None and domain.state != states.NOSTATE:
            subject.say(Warn, not_responding(domain))
    counts = Counter(domain.state for domain in snapshot.domains)
    total = verdict.subject("")
    for state, name in enumerate(states.NAMES):
        total.measure(name, counts[state])
    total.parts = [(state, text) for state, text in total.parts if state.code]
    parts = [f"{count} {states.LABELS[state]}" for state, count in sorted(counts.items())]
    verdict.overview = ", ".join(parts) if parts else "no domains"


def _state_text(domain: Domain) -> str:
    label = states.LABELS[domain.state] if domain.state < len(states.LABELS) else f"state {domain.state}"
    return label if domain.reason_text == "unknown" else f"{label} ({domain.reason_text})"


def _judged(domain: Domain) -> tuple[ServiceState, str]:
    expected = domain.expected
    source = "its metadata" if domain.policy.expect else "autostart"
    if domain.state == states.NOSTATE:
        return Unknown, ", libvirt cannot tell its state"
    if domain.state == states.CRASHED:
        return Critical, ""
    if domain.state == states.PAUSED:
        state = _PAUSED.get(domain.reason_text, Ok)
        return (Ok if expected == "paused" and state is Warn else state), ""
    if domain.state == states.SHUTOFF and domain.reason_text == "migrated":
        return Ok, ", it runs elsewhere"
    if domain.state in (states.RUNNING, states.BLOCKED) and domain.reason_text in _RUNNING:
        return _RUNNING[domain.reason_text], ""
    if domain.state in (states.SHUTOFF, states.PMSUSPENDED) and expected in ("running", "paused"):
        return Critical, f" though it should be {expected} ({source})"
    if domain.state == states.SHUTOFF:
        return _SHUT_OFF.get(domain.reason_text, Ok), ""
    if domain.state in (states.RUNNING, states.BLOCKED) and expected in ("shutoff", "paused"):
        should = "shut off" if expected == "shutoff" else expected
        return Warn, f" though it should be {should} ({source})"
    return Ok, ""


CHECK = plugin.Check(
    name="state",
    description="Judges each domain's state against what is expected of it: running when it has autostart,\n"
    "or what its own metadata says.",
    groups=Group.SHUT_OFF | Group.AUTOSTART | Group.POLICY | Group.CONTROL,
    metrics=tuple(
        MetricSpec(states.NAMES[state], "", f"number of domains that are {states.LABELS[state]}")
        for state in (
            *(states.RUNNING, states.NOSTATE, states.BLOCKED, states.PAUSED, states.SHUTDOWN),
            *(states.SHUTOFF, states.CRASHED, states.PMSUSPENDED),
        )
    ),
    judge=judge,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
