"""An alert for what each check says: its verdict honours what the owner of each VM said, and the file of --config."""

from __future__ import annotations

from collections.abc import Iterator

import alerts_page
from check_kvm.frame.judging import all_checks
from check_kvm.frame.plugin import Check
from nagios_kvm import services

from prometheus_rules import runbook
from prometheus_rules.model import Recorded, Rule

#: by the template of Nagios whose attempts these are (tests/unit/test_prometheus_rules.py looks that they are)
LASTS = {None: "5m", "kvm-rate": "10m", "kvm-parent": "2m"}
#: severity: its comparison with what a check says, and the word for that
_SEVERITIES = {
    "critical": ("== 2", "CRITICAL"),
    "unknown": ("== 3", "UNKNOWN"),
    "warning": ("> 0", "{{ if eq $value 1.0 }}WARNING{{ else if eq $value 2.0 }}CRITICAL{{ else }}UNKNOWN{{ end }}"),
}  # fmt: skip
HELD = "kvm:check_status:held"
#: how long it is known what a hypervisor said of which nothing is heard
HELD_FOR = "1d"
_RECORDED = Recorded(
    HELD,
    f"""
kvm_check_status
or (
  {HELD}
  unless on (job, instance) kvm_up == 1
  and on (job, instance) last_over_time(kvm_up[{HELD_FOR}])
)
""",
    "What each check said last. While a hypervisor cannot be read nothing is known to have ended.\n"
    "It takes up what it was itself a moment ago, so the evaluation_interval must be below 5m.",
)


def checks() -> tuple[Check, ...]:
    """Those whose verdicts are exported."""
    return tuple(check for check in all_checks() if check.by_default)


def rules() -> Iterator[Recorded | Rule]:
    """The verdicts as they are held, and the alerts on them."""
    yield _RECORDED
    for check in checks():
        yield from _of(check)


def lasts(check: Check) -> str:
    """How long a check has to say so until somebody is told."""
    return LASTS[services.pace(check)]


def _of(check: Check) -> Iterator[Rule]:
    name = alerts_page.of_check(check.name)
    where = "{{ $labels.instance }}"
    who, show = ("{{ $labels.domain }} on ", "{{ $labels.uuid }}") if check.of_each_domain else ("", "--host")
    for severity, (comparison, word) in _SEVERITIES.items():
        notes = {
            "summary": f"{who}{where}: check_kvm_{check.name} says {word}",
            "description": f"kvmwatch show {show}, on {where}, says what is wrong.",
            "runbook_url": runbook.link(name),
        }
        expression = f'{HELD}{{check="{check.name}"}} {comparison}'
        comment = "also while it goes from one to the other" if severity == "warning" else ""
        yield Rule(name, expression, lasts(check), severity, notes, comment)
