"""The rules for Prometheus are what the generator makes of today's checks and alerts, and tell all of these."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import alerts_page
import pytest
from generated import ROOT, assert_up_to_date
from kvmwatch_exporters import prometheus
from prometheus_rules import figures, files, verdicts
from prometheus_rules.model import Rule

FILES = files.files()
RULES = [rule for rule in (*verdicts.rules(), *figures.rules()) if isinstance(rule, Rule)]
NAMES = {rule.name for rule in RULES}
#: metrics that Prometheus makes itself, and that the rules make
OTHERS = {"up", verdicts.HELD}


@pytest.mark.parametrize("path", FILES)
def test_files_are_up_to_date(path: str) -> None:
    assert_up_to_date(files.FOLDER / path, FILES[path], "rules")


def test_every_alert_has_a_rule_or_a_reason() -> None:
    alerts = list(alerts_page.alerts())
    told = {alert.rule for alert in alerts if alert.rule}
    assert told == NAMES, (
        f"tools/alerts_page.py has no alert of {NAMES - told}, or no rule {told - NAMES} is there"
    )
    used = set()
    for alert in alerts:
        if not alert.rule:
            reasons = {alert.problem.removesuffix(" (severe)"), alert.words} & alerts_page.UNTOLD.keys()
            assert reasons, (
                f"tools/alerts_page.py: give {alert.problem or alert.words!r} a rule in _RULES, or a reason in UNTOLD"
            )
            used |= reasons
    assert used == alerts_page.UNTOLD.keys(), "tools/alerts_page.py: UNTOLD has what is told, or is no more"


def test_every_runbook_is_on_the_page() -> None:
    page = alerts_page.PAGE.read_text(encoding="utf-8")
    for rule in RULES:
        file, _, anchor = rule.annotations["runbook_url"].partition("#")
        assert file.endswith("/docs/alerts.md")
        assert page.count(f'<a id="{anchor}"></a>') == 1, f"{rule.name}: no alert of tools/alerts_page.py has it"


def test_every_metric_is_exported() -> None:
    known = {family.name for family in prometheus.FAMILIES.values()} | OTHERS
    for rule in RULES:
        used = set(re.findall(r"\b(?:kvm[_:][\w:]+|up)\b", re.sub(r"\"[^\"]*\"", "", rule.expression)))
        assert used, rule
        assert not used - known, f"{rule.name} asks for what kvmwatch export does not give: {sorted(used - known)}"


def test_nothing_of_the_table_is_left_unsaid() -> None:
    """Neither Zabbix's macros nor the table's NAME stand in what is told."""
    for rule in RULES:
        for words in rule.annotations.values():
            assert not re.search(r"\{\$|\{#|\bNAME\b", words), f"{rule.name}: {words}"


def test_they_last_as_long_as_the_attempts_of_nagios() -> None:
    """The template of services, and those that change its attempts."""
    text = (ROOT / "checks" / "nagios" / "kvmwatch.cfg").read_text(encoding="utf-8")
    for template, lasts in verdicts.LASTS.items():
        (of,) = re.findall(rf"define service {{\n\s+name\s+{template or 'kvm-service'}\n(.*?)}}", text, re.DOTALL)
        fields = dict(re.findall(r"(\w+)\s+([\d.]+)", of))
        minutes = float(fields["max_check_attempts"]) * float(fields.get("retry_interval", 1))
        assert lasts == f"{minutes:g}m", template


def test_nothing_of_another_thing_holds_an_alert_back() -> None:
    """But that nothing is heard of its hypervisor: the verdict on all pools together tells of none alone."""
    form = r'source_matchers: \["alertname=~([\w|]+)".*\n +target_matchers: .*\n +equal: \[(.*)\]'
    rules = re.findall(form, FILES["kvmwatch-inhibit.yml"])
    assert len(rules) == FILES["kvmwatch-inhibit.yml"].count("source_matchers")
    for sources, equal in rules:
        unheard = set(sources.split("|")) <= {"KvmUnreadable", "KvmExporterDown", "KvmStale", "KvmMissing"}
        assert unheard or "uuid" in equal.split(", "), sources


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: tools/setup systems")
def test_promtool_takes_them() -> None:
    """Their proofs, which take it seconds, are in tests/systems/test_prometheus.py."""
    words = ["promtool", "check", "rules", files.FOLDER / "kvmwatch-rules.yml"]
    ran = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(not shutil.which("amtool"), reason="needs amtool: tools/setup systems")
def test_amtool_passes_what_is_held_back(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(
        f"route: {{receiver: nobody}}\nreceivers: [{{name: nobody}}]\ninhibit_rules:\n{FILES['kvmwatch-inhibit.yml']}"
    )
    ran = subprocess.run(["amtool", "check-config", config], capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
