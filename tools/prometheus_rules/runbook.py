"""What an alert says of itself: the meaning and the cure of its line in the table of alerts (tools/alerts_page.py)."""

from __future__ import annotations

import re
from functools import cache

import alerts_page
from alerts_page import Alert
from zabbix_templates.all import templates

#: where the package kvmwatch has the page
PAGE = "file:///usr/share/doc/kvmwatch/docs/alerts.md"
#: those of Zabbix, and of Nagios's states
SEVERITIES = {
    "INFO": "info",
    "WARNING": "warning",
    "AVERAGE": "warning",
    "HIGH": "critical",
    "DISASTER": "critical",
}
#: what stands in the table for the name of a thing, and the label that has it; a name may be no word of a shell
_NAMES = {"{#UPLINK.NAME}": "device", "{#UPLINK.CARRIES}": "carries", "NAME": "uuid"}


def line(rule: str) -> Alert:
    """The first line of the table that an alert tells. Raises KeyError when there is none."""
    return _lines()[rule]


def severity(rule: str) -> str:
    """How grave it is, as in Zabbix."""
    return SEVERITIES[line(rule).severity]


def macro(name: str) -> str:
    """The default of one of the Zabbix templates' limits, without the braces: ``KVM.NODATA``."""
    return _macros()[f"{{${name}}}"]


def notes(rule: str, summary: str) -> dict[str, str]:
    """The annotations of an alert that tells one line of the table."""
    alert = line(rule)
    description = f"{alert.meaning} Do: {alert.cure}"
    for default in re.findall(r"\{\$[A-Z.]+\}", description):
        description = description.replace(default, _macros()[default])
    for name, label in _NAMES.items():
        description = re.sub(rf"(?<![A-Z]){re.escape(name)}(?![A-Z])", f"{{{{ $labels.{label} }}}}", description)
    return {"summary": summary, "description": description, "runbook_url": link(rule)}


def link(rule: str) -> str:
    """Where the page begins to tell of it."""
    return f"{PAGE}#{rule.lower()}"


@cache
def _lines() -> dict[str, Alert]:
    return {alert.rule: alert for alert in reversed(list(alerts_page.alerts()))}


@cache
def _macros() -> dict[str, str]:
    return {macro.name: macro.value for template in templates() for macro in template.macros}
