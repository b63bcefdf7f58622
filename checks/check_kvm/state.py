"""check_kvm_state: each domain's state against what is expected of it."""

from __future__ import annotations

from collections import Counter

from check_kvm.frame import placing, plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.plugin_api import Critical, Ok, ServiceState, Unknown, Warn
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import SEVERITY, Subject, Verdict, not_responding
from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.units import duration, two_units

# The others are always 0 of a QEMU, or are gone before two looks. Of a single VM, one that is paused, shut off or
# crashed is one that is not running, which is the first.
_DRAWN = (states.RUNNING, states.PAUSED, states.SHUTOFF, states.CRASHED)

_HUNG_AFTER = 30.0  # seconds without an answer from QEMU from which on it is CRITICAL


FAULT = Condition("fault", Critical, "crashed, failed, or stopped by an I/O error: see docs/states.md")
NOT_RUNNING = Condition("not_running", Critical, "shut off or suspended though it should run or be paused")
NOT_SHUTOFF = Condition("not_shutoff", Warn, "runs though it should be shut off or paused")
HELD = Condition("held", Warn, "paused by a person, or for one")
NOT_RESPONDING = Condition("not_responding", Warn, "its QEMU owes libvirt an answer")
HUNG = Condition("hung", Critical, f"the same for {_HUNG_AFTER:.0f} s or longer")
WRONG_HOST = Condition("wrong_host", Warn, "runs on another hypervisor than expect-host says")
NO_AUTOSTART = Condition("no_autostart", Ok, "runs, and would not after a boot of the hypervisor")
TRANSIENT = Condition("transient", Ok, "runs, and is gone for good once it is shut off (not persistent)")


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every domain, and the number of domains in each state."""
    lasted: dict[str, list[float | None]] = {states.BRIEF: [], states.JOB: []}
    for domain, subject in verdict.domains(snapshot, active_only=False, metrics=()):
        found, why = judgement(domain)
        if found is NOT_RUNNING and domain.why.meaning is states.FAULT:  # the worse, whatever becomes of the other
            found = max(NOT_RUNNING, FAULT, key=lambda one: SEVERITY.index(subject.severity(one)))
        subject.say(found, f"{_state_text(domain)}{why}")
        _judge_uptime(domain, subject, snapshot.time)
        _judge_place(domain, subject, snapshot)
        _judge_future(domain, subject)
        _judge_lasting(domain, subject, snapshot.time, lasted)
        if domain.not_responding is not None and domain.not_responding >= _HUNG_AFTER:
            subject.say(HUNG, not_responding(domain))
        elif domain.not_responding is not None and domain.state != states.NOSTATE:
            subject.say(NOT_RESPONDING, not_responding(domain))
    counts = Counter(domain.state for domain in snapshot.domains)
    total = verdict.subject("")
    one = snapshot.domains[0] if verdict.alone and snapshot.domains else None
    own = verdict.thresholds.usable(one.policy)[0] if one else None
    if verdict.alone:  # of many nobody draws it
        verdict.put((), "uptime", _uptime(one, snapshot.time) if one else None, own)
    drawn = _DRAWN[:1] if verdict.alone else _DRAWN
    for state, name in enumerate(states.NAMES):
        if snapshot.has(Group.NONE):  # else there may be others
            # one that does not tell its state may be in any
            untold = counts[states.NOSTATE] if state != states.NOSTATE else 0
            total.judge_number(name, counts[state], counts[state] + untold)
        if state in drawn:
            verdict.put((), name, counts[state])
    for metric, seconds in lasted.items():
        known = [value for value in seconds if value is not None]
        verdict.put((), metric, max(known, default=None if seconds else 0.0), own)
    parts = [f"{count} {states.label(state)}" for state, count in sorted(counts.items())]
    verdict.overview = ", ".join(parts)


def _uptime(domain: Domain, now: float) -> float | None:
    return None if domain.stats.started is None else max(0.0, now - domain.stats.started)


def _judge_uptime(domain: Domain, subject: Subject, now: float) -> None:
    """Judge for how long its QEMU has run; where that is not to be seen, only a threshold makes it matter."""
    if not domain.active:
        return
    seconds = _uptime(domain, now)
    known = (part.text for part in domain.unread if part.group is Group.STARTED)
    why = next(known, "uptime not known from here: run this on the hypervisor itself")
    subject.judge("uptime", seconds, None if seconds is None else f"up {two_units(seconds)}", why=why)


def _judge_place(domain: Domain, subject: Subject, snapshot: Snapshot) -> None:
    if wrong := placing.misplaced(domain, snapshot):
        subject.say(WRONG_HOST, wrong)
    if unknown := placing.untold(domain, snapshot):
        subject.say(Unknown, unknown)


def _judge_future(domain: Domain, subject: Subject) -> None:
    """Say that it would not be there again after a boot, whose owner did not say that this is right."""
    if not domain.active or domain.policy.expect in ("shutoff", "paused", "any"):
        return
    if domain.persistent is False:
        subject.say(TRANSIENT, "not persistent")
    elif domain.autostart is False:
        subject.say(NO_AUTOSTART, "without autostart")
    for part in domain.unread:
        if part.group is Group.LISTS and part.what == "persistent" and subject.severity(TRANSIENT) is not Ok:
            subject.say(Unknown, part.text)


def _judge_lasting(
    domain: Domain, subject: Subject, now: float, all_lasted: dict[str, list[float | None]]
) -> None:
    """Judge a passing state by how long it has lasted, as far as this was seen."""
    metric = domain.why.lasts
    if metric is None:
        return
    lasted = None if domain.since is None else max(0.0, now - domain.since)
    all_lasted[metric].append(lasted)
    subject.judge(metric, lasted, f"for {duration(lasted)} since first seen" if lasted else "first seen now")


def _state_text(domain: Domain) -> str:
    label = states.label(domain.state)
    return label if domain.why.text == "unknown" else f"{label} ({domain.why.text})"


def judged(domain: Domain) -> tuple[ServiceState, str]:
    """Give the verdict on a state and its reason, with the severities that nobody changed, and why."""
    found, why = judgement(domain)
    return found.state if isinstance(found, Condition) else found, why


def judgement(domain: Domain) -> tuple[ServiceState | Condition, str]:
    """Give the verdict on a state and its reason, for what is expected of the domain, and why."""
    meaning, expected = domain.why.meaning, domain.expected
    source = domain.policy.expect_from if domain.policy.expect else "autostart"
    if meaning is states.ELSEWHERE:
        return Ok, ", gone to another hypervisor"
    if domain.state in (states.SHUTOFF, states.PMSUSPENDED) and expected in ("running", "paused"):
        return NOT_RUNNING, f" though it should be {expected} ({source})"
    if meaning is states.FAULT:
        return FAULT, ""
    if meaning is states.UNKNOWN:
        if domain.state == states.NOSTATE:
            return Unknown, ", libvirt cannot tell its state"
        # whatever it was paused for, it does not run
        state = Warn if domain.state == states.PAUSED else Unknown
        return state, ", which only a newer kvmwatch can judge"
    if meaning is states.HELD:
        return (Ok if expected == "paused" else HELD), ""
    if domain.state in (states.RUNNING, states.BLOCKED) and expected in ("shutoff", "paused"):
        should = "shut off" if expected == "shutoff" else expected
        return NOT_SHUTOFF, f" though it should be {should} ({source})"
    return Ok, ""


CHECK = plugin.Check(
    name="state",
    description="Judges each domain's state against what is expected of it: running when it has autostart,\n"
    "or what its own metadata says.",
    groups=Group.SHUT_OFF | Group.AUTOSTART | Group.POLICY | Group.CONTROL | Group.SINCE,
    beside=Group.STARTED | Group.HOSTNAME | Group.LISTS,
    metrics=(
        *(
            MetricSpec(states.NAMES[state], "", f"number of domains that are {states.LABELS[state]}", own=False)
            for state in (
                *(states.RUNNING, states.NOSTATE, states.BLOCKED, states.PAUSED, states.SHUTDOWN),
                *(states.SHUTOFF, states.CRASHED, states.PMSUSPENDED),
            )
        ),
        # a QEMU starts or ends in seconds, unless it waits for storage or for huge pages
        MetricSpec(states.BRIEF, "s", "seconds for which a domain is starting up or shutting down", "300", "900"),
        # half a TB at 500 MB/s takes 17 minutes; for larger ones, their owners say so
        MetricSpec(states.JOB, "s", "seconds of migrating, saving, dumping, a snapshot", "1800", "7200"),
        MetricSpec("uptime", "s", "seconds since its QEMU was started on this hypervisor"),
    ),
    judge=judge,
    conditions=(
        FAULT,
        NOT_RUNNING,
        NOT_SHUTOFF,
        HELD,
        NOT_RESPONDING,
        HUNG,
        WRONG_HOST,
        NO_AUTOSTART,
        TRANSIENT,
    ),
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
