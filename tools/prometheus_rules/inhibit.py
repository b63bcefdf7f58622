"""What Alertmanager holds back, so that one cause is one alert."""

from __future__ import annotations

import alerts_page
from nagios_kvm.services import FIRST

from prometheus_rules import figures
from prometheus_rules.model import MADE
from prometheus_rules.verdicts import checks

_HEAD = f"""{MADE}# For "inhibit_rules:" of /etc/prometheus/alertmanager.yml (Alertmanager 0.22 and later).
"""
_RULE = """
# {comment}
- source_matchers: [{source}]
  target_matchers: [{target}]
  equal: [{equal}]
"""
_HERE = "job, instance"


def render() -> str:
    """Give the snippet."""
    names = {check.name: alerts_page.of_check(check.name) for check in checks()}
    of_domains = "|".join(names[check.name] for check in checks() if check.of_each_domain and check.name != FIRST)
    grave = "severity=~critical|unknown"
    return _HEAD + "".join(
        _RULE.format(comment=comment, source=source, target=target, equal=equal)
        for comment, source, target, equal in (
            (
                "of the alerts of a check the gravest",
                f'"alertname=~{"|".join(names.values())}", "{grave}"',
                f'"alertname=~{"|".join(names.values())}", "severity=warning"',
                f"alertname, {_HERE}, uuid",
            ),
            (
                "a hypervisor of which nothing is heard: its VMs and pools are as they were when it was heard last",
                '"alertname=~KvmUnreadable|KvmExporterDown|KvmStale|KvmMissing"',
                f'"alertname=~{"|".join((*names.values(), *(rule.name for rule in figures.held())))}"',
                _HERE,
            ),
            (
                "a VM that does not run, or does not answer: nothing of it can be well",
                f'"alertname={names[FIRST]}", "{grave}"',
                f'"alertname=~{of_domains}|KvmAgentLost"',
                f"{_HERE}, uuid",
            ),
            (
                "a pool that is full is not told to be so soon",
                f'"alertname={names["pool"]}"',
                '"alertname=KvmPoolFullSoon"',
                _HERE,
            ),
        )
    )
