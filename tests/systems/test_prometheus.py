"""Debian's Prometheus scrapes the lab's hypervisor: its rules alert of a fault and of nothing else, through Debian's
Alertmanager, and every query of every dashboard gives data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from grafana_dashboards import files
from grafana_dashboards.model import Dashboard, Query
from guests import uuid_of
from test_exporters import running
from waiting import eventually, eventually_equal

if TYPE_CHECKING:
    from bed import Bed

RULES = Path(__file__).parents[2] / "templates" / "prometheus"
LISTENER, PROMETHEUS, ALERTMANAGER = "127.0.0.1:19478", "127.0.0.1:19091", "127.0.0.1:19093"
SCRAPE = f"""global: {{scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 2s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{ALERTMANAGER}"]}}]}}]}}
scrape_configs: [{{job_name: kvmwatch, static_configs: [{{targets: ["{LISTENER}"]}}]}}]
"""
ROUTE = "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\ninhibit_rules:\n"
WINDOW = "30s"  # of rates
SHORT = "10s"  # how long everything has to last, so that nobody waits for minutes
SEVERITIES = {1: "warning", 2: "critical", 3: "unknown"}


class Told(NamedTuple):
    """An alert that Alertmanager would tell somebody of."""

    name: str
    severity: str
    domain: str


def get(url: str, **query: str) -> Any:
    with urllib.request.urlopen(f"http://{url}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)


def asked(expression: str) -> list[Any]:
    """What Prometheus gives for an expression now."""
    return list(get(f"{PROMETHEUS}/api/v1/query", query=expression)["data"]["result"])


def told() -> set[Told]:
    """What is not held back."""
    alerts = get(f"{ALERTMANAGER}/api/v2/alerts", active="true", inhibited="false")
    labels = (alert["labels"] for alert in alerts)
    return {Told(one["alertname"], one["severity"], one.get("domain", "")) for one in labels}


def about(domain: str) -> set[Told]:
    return {alert for alert in told() if alert.domain == domain}


@pytest.fixture(scope="module")
def scraped(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Both daemons of Debian's, and our exporter, until there are rates and alerts."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = (RULES / "kvmwatch-rules.yml").read_text(encoding="utf-8")
    (folder / "rules.yml").write_text(re.sub(r"for: \d+m", f"for: {SHORT}", rules))
    (folder / "prometheus.yml").write_text(SCRAPE)
    (folder / "alertmanager.yml").write_text(ROUTE + (RULES / "kvmwatch-inhibit.yml").read_text(encoding="utf-8"))
    exporter = (
        Path(sys.executable).parent / "kvmwatch",
        "export",
        "prometheus",
        "--listen",
        LISTENER,
        "-t",
        "1.5",
    )
    daemons = (
        ("/usr/bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         f"--web.listen-address={PROMETHEUS}", "--log.level=warn"),
        ("/usr/bin/prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=kept", "--cluster.listen-address=",
         f"--web.listen-address={ALERTMANAGER}", "--log.level=warn"),
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(running(*exporter, "--state-dir", folder / "state", cwd=folder))
        for words in daemons:
            stack.enter_context(running(*words, cwd=folder))
        eventually("Prometheus has scraped", up)
        eventually("it has rates over the window", lambda: asked("kvm_up offset 30s"))
        yield


def up() -> bool:
    try:
        return [row["value"][1] for row in asked("kvm_up")] == ["1"] and told() is not None
    except OSError:
        return False


def chosen(one: Dashboard) -> dict[str, str]:
    """The value of each variable of a dashboard, chosen from Grafana's list as a reader would: web1, and its hypervisor."""
    values = {"__rate_interval": WINDOW}
    for variable in one.variables:
        if labelled := re.fullmatch(r"label_values\((\w+), (\w+)\)", variable.query):
            (values[variable.name],) = {row["metric"][labelled[2]] for row in asked(labelled[1])}
            continue
        (expression,) = re.findall(r"^query_result\((.*)\)$", variable.query)
        lines = [
            "{" + ",".join(f'{k}="{v}"' for k, v in row["metric"].items()) + "} 1 0" for row in asked(expression)
        ]
        pattern = variable.regex.strip("/").replace("(?<", "(?P<")
        found = {match["text"]: match["value"] for line in lines if (match := re.search(pattern, line))}
        assert len(found) == len(lines)
        assert found["web1"] == uuid_of("web1")
        values[variable.name] = found["web1"]
    return values


@pytest.mark.parametrize("one", files.dashboards(), ids=lambda one: str(one.uid))
def test_every_query_gives_data(one: Dashboard, scraped: None) -> None:
    values = chosen(one)

    def filled(expression: str) -> str:
        return re.sub(r"\$(\w+)", lambda name: values[name[1]], expression)

    def given(query: Query) -> bool:
        return bool(asked(filled(query.expression))) or bool(query.empty)

    for section in one.sections:
        for panel in section.panels:
            for query in panel.queries:
                eventually(f"{panel.title} gives something: {filled(query.expression)}", lambda: given(query), 20)  # noqa: B023
    for mark in one.marks:
        asked(filled(mark.expression))


def test_alerts_are_what_the_checks_say(scraped: None) -> None:
    """Of checks whose verdicts stay as they are: one alert each, with its severity."""

    def said() -> set[Told]:
        rows = asked('kvm_check_status{check=~"state|net|pool"} > 0')
        return {
            Told(
                f"Kvm{row['metric']['check'].capitalize()}",
                SEVERITIES[int(row["value"][1])],
                row["metric"].get("domain", ""),
            )
            for row in rows
        }

    def of_those() -> set[Told]:
        return {alert for alert in told() if alert.name in ("KvmState", "KvmNet", "KvmPool")}

    assert Told("KvmState", "critical", "crash1") in said()
    eventually_equal("alerts are what the checks say", lambda: of_those() - said(), set())
    eventually_equal("what the checks say is told", lambda: said() - of_those(), set())


def test_a_paused_vm_is_one_alert(bed: Bed, scraped: None) -> None:
    eventually_equal("nothing is wrong with idle1", lambda: about("idle1"), set())
    bed.lookup("idle1").suspend()
    try:
        eventually_equal("it is told", lambda: about("idle1"), {Told("KvmState", "warning", "idle1")})
        time.sleep(15)
        assert about("idle1") == {Told("KvmState", "warning", "idle1")}
    finally:
        bed.lookup("idle1").resume()
    eventually_equal("it is over", lambda: about("idle1"), set())


def test_a_hung_libvirtd_is_one_alert_and_ends_none(bed: Bed, scraped: None) -> None:
    """What was wrong with VMs goes on, held back; and is told again when libvirt answers, without having ended."""

    def since() -> list[str]:
        began = 'ALERTS_FOR_STATE{alertname="KvmState", domain="crash1", severity="critical"}'
        return [row["value"][1] for row in asked(began)]

    crash = Told("KvmState", "critical", "crash1")
    eventually_equal("the crash is told", lambda: about("crash1"), {crash})
    before = since()
    bed.daemon.send(signal.SIGSTOP)
    try:
        eventually_equal(
            "that is told, and nothing else", lambda: {alert.name for alert in told()}, {"KvmUnreadable"}
        )
        assert asked("kvm_up")[0]["value"][1] == "0"
        assert since() == before
    finally:
        bed.daemon.send(signal.SIGCONT)
    eventually_equal("the crash is told again", lambda: about("crash1"), {crash})
    assert since() == before, "it has not ended meanwhile"
    assert not [alert for alert in told() if alert.name == "KvmUnreadable"]


def test_promtool_passes_rules_and_proofs() -> None:
    seldom = {**os.environ, "GOGC": "400"}  # it searches for garbage, which was a quarter of its CPU
    for words in (("check", "rules", RULES / "kvmwatch-rules.yml"), ("test", "rules", *RULES.glob("tests/*.yml"))):
        ran = subprocess.run(["promtool", *words], env=seldom, capture_output=True, encoding="utf-8", check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
