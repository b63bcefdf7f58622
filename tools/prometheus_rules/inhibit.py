"""What Alertmanager holds back, so that one cause is one alert."""

from __future__ import annotations

from collections.abc import Iterable

import alerts_page
from nagios_kvm.services import FIRST

from prometheus_rules import figures
from prometheus_rules.model import MADE
from prometheus_rules.verdicts import checks

_HEAD = f"""{MADE}# For "inhibit_rules:" of /etc/prometheus/alertmanager.yml (Alertmanager 0.22 and later).
"""
_HERE = ("job", "instance")
_GRAVE = '"severity=~critical|unknown"'


def render() -> str:
    """Give the snippet."""
    names = {check.name: alerts_page.of_check(check.name) for check in checks()}
    beside_state = [names[check.name] for check in checks() if check.of_each_domain and check.name != FIRST]
    every, state = _any(names.values()), _any([names[FIRST]])
    unheard = _any(["KvmUnreadable", "KvmExporterDown", "KvmStale", "KvmMissing"])
    held = _any([*names.values(), *(rule.name for rule in figures.held())])
    return "".join(
        (
            _HEAD,
            _rule(
                "of the alerts of a check the gravest",
                f"{every}, {_GRAVE}",
                f'{every}, "severity=warning"',
                ("alertname", *_HERE, "uuid"),
            ),
            _rule(
                "a hypervisor of which nothing is heard: all is as it was when it was heard last",
                unheard,
                held,
                _HERE,
            ),
            _rule(
                "a VM that does not run, or does not answer: nothing of it can be well",
                f"{state}, {_GRAVE}",
                _any([*beside_state, "KvmAgentLost"]),
                (*_HERE, "uuid"),
            ),
        )
    )


def _rule(comment: str, source: str, target: str, equal: Iterable[str]) -> str:
    return (
        f"\n# {comment}\n- source_matchers: [{source}]\n  target_matchers: [{target}]\n"
        f"  equal: [{', '.join(equal)}]\n"
    )


def _any(names: Iterable[str]) -> str:
    return f'"alertname=~{"|".join(names)}"'
