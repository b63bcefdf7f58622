"""The condition of a VM as one number: what its state and reason mean, for triggers that look back over a time.

It is made of the table of states (:mod:`kvmwatch.model.states`) that check_kvm_state judges by. What is expected
of the VM is not in it: in Zabbix a macro may say otherwise.
"""

from __future__ import annotations

from kvmwatch.model import states
from kvmwatch.model.snapshot import Domain, Snapshot

(RUNNING, JOB, BRIEF, PAUSED, IO_ERROR, FAULT, UNKNOWN, CRASHED, OFF, ELSEWHERE, GONE, LEFT_ALONE) = range(12)

#: for people, in the order of the numbers: from CRASHED on there is no guest that works, from ELSEWHERE on it is
#: not ours to judge. GONE is not in a document: it is what Zabbix makes of a VM that is not in it
TEXTS = (
    *(
        "running",
        "busy with a job",
        "starting or stopping",
        "paused",
        "paused by an I/O error",
        "paused by a fault",
    ),
    *("not known", "crashed", "off", "moved elsewhere", "gone", "left alone"),
)

_OF_REASONS = {states.HELD: PAUSED, states.FAULT: FAULT, states.UNKNOWN: PAUSED}
_OF_PASSING = {states.BRIEF: BRIEF, states.JOB: JOB}


def of(domain: Domain) -> int:
    """Give the condition of a domain."""
    state, why = domain.state, domain.why
    if domain.policy.ignore:
        return LEFT_ALONE
    if why.meaning is states.ELSEWHERE:
        return ELSEWHERE
    if why.lasts is not None:
        return _OF_PASSING[why.lasts]
    if state == states.PAUSED:
        # whatever a newer libvirt paused it for, it does not run
        return IO_ERROR if why.text == "I/O error" else _OF_REASONS[why.meaning]
    if why.meaning is states.UNKNOWN:
        return UNKNOWN
    if why.meaning is states.FAULT:
        return CRASHED
    return OFF if state in (states.SHUTOFF, states.PMSUSPENDED) else RUNNING


def of_all(snapshot: Snapshot) -> dict[str, int]:
    """UUID to condition of all domains there are; those that were not asked for are left alone."""
    asked = {domain.uuid: of(domain) for domain in snapshot.domains}
    return dict.fromkeys(sorted(snapshot.uuids - asked.keys()), LEFT_ALONE) | asked
