"""What is exported, read by Debian's Prometheus, collectd and InfluxDB; the hypervisor is libvirt's test driver."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import EXAMPLE_URI, Command
from machine import PACKAGES, THIS_RELEASE, Machine, needed
from prepared import Prepared
from prometheus_client.parser import text_string_to_metric_families as parsed
from running import running as running_machine
from waiting import eventually, eventually_equal

RULES = Path(__file__).parents[2] / "templates" / "prometheus" / "kvmwatch-rules.yml"
EXPORT = ("kvmwatch", "export")
COLLECTD = "/usr/sbin/collectd"
TEXTFILE = "/var/lib/prometheus/node-exporter/kvmwatch.prom"
WANTED = PACKAGES
PROMETHEUS, LISTENER, INFLUX, VICTORIA = (f"127.0.0.1:{port}" for port in (19090, 19477, 18086, 18428))
SCRAPE = f"""global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}}
rule_files: [rules.yml]
scrape_configs: [{{job_name: kvm, static_configs: [{{targets: ["{LISTENER}"]}}]}}]
"""
CONFIGURATION = """Hostname "kvm1"
FQDNLookup false
Interval 2
BaseDir "{0}"
PIDFile "{0}/pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin logfile
<Plugin logfile>
  File "{0}/log"
  LogLevel info
</Plugin>
LoadPlugin exec
LoadPlugin csv
<Plugin csv>
  DataDir "{0}/csv"
</Plugin>
<Plugin exec>
  Exec "nobody" "{1}" "export" "collectd" "-u" "{2}" "--state-dir" "{0}/state"
  NotificationExec "nobody" "/usr/bin/tee" "-a" "{0}/told"
</Plugin>
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """One that others than root may write into."""
    made = Path("/var/tmp") / f"kvmwatch-{tmp_path.name}"
    made.mkdir(mode=0o777)
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@contextmanager
def running(*words: str | Path, cwd: Path, **environment: str) -> Iterator[None]:
    """A daemon; what it says is shown when something fails."""
    with open(cwd / "output", "ab") as output:
        process = subprocess.Popen(words, cwd=cwd, stdout=output, stderr=output, env={**environment} or None)
    try:
        yield
    except BaseException:
        print((cwd / "output").read_text(errors="replace")[-3000:])
        raise
    finally:
        process.terminate()
        process.wait(30)


def get(url: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)


def asked(expression: str) -> dict[str, float]:
    """What Prometheus says now, by domain."""
    try:
        found = get(f"http://{PROMETHEUS}/api/v1/query", query=expression)["data"]["result"]
    except OSError:
        return {}  # it is not up yet
    return {row["metric"].get("domain", ""): float(row["value"][1]) for row in found}


def test_prometheus_scrapes_and_judges(command: Command, folder: Path) -> None:
    (folder / "rules.yml").write_text(re.sub("for: .*", "for: 0s", RULES.read_text(encoding="utf-8")))
    (folder / "prometheus.yml").write_text(SCRAPE)
    listener = (
        command.bin / EXPORT[0],
        EXPORT[1],
        "prometheus",
        "-u",
        EXAMPLE_URI,
        "--listen",
        LISTENER,
        "--state-dir",
        folder,
    )
    daemon = (
        *("/usr/bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
        *(f"--web.listen-address={PROMETHEUS}", "--log.level=warn"),
    )
    with running(*listener, cwd=folder), running(*daemon, cwd=folder):
        eventually("Prometheus has scraped", lambda: asked("kvm_up") == {"": 1})
        assert asked('up{job="kvm"}') == {"": 1}
        assert asked('kvm_check_status{check="state"}')["crashed1"] == 2
        assert 'Büro VM "01" 100% | it\'s=odd; ok' in asked("kvm_domain_info")
        eventually(
            "it has rates", lambda: asked("rate(kvm_domain_cpu_time_seconds_total[10s])").get("web1", 0) > 0
        )

        def alerts() -> set[str]:
            told = get(f"http://{PROMETHEUS}/api/v1/alerts")["data"]["alerts"]
            firing = (alert["labels"] for alert in told if alert["state"] == "firing")
            return {alert.get("domain", "") for alert in firing if alert["alertname"] == "KvmState"}

        eventually("it alerts", lambda: "crashed1" in alerts())
        assert "off1" not in alerts()


@needed
def test_systemd_runs_both_services_hardened(prepared: Prepared) -> None:
    Path("/run/libvirt").mkdir(exist_ok=True)
    with booted(prepared) as machine:
        for name in ("kvmwatch-exporter", "kvmwatch-textfile"):
            rated = machine.do("systemd-analyze", "security", f"{name}.service").splitlines()[-1]
            assert float(re.findall(r"\d+\.\d+", rated)[0]) < 3, rated
        for name, more in (("exporter", ""), ("textfile", f"--output {TEXTFILE}")):
            machine.path(f"/etc/default/kvmwatch-{name}").write_text(
                f'OPTIONS="-u test:///usr/share/kvm.xml {more}"\n'
            )
        machine.do("systemctl", "start", "kvmwatch-textfile")
        text = machine.path(TEXTFILE)
        assert "\nkvm_up 1\n" in text.read_text()
        assert text.stat().st_mode & 0o777 == 0o644
        assert list(machine.path("/var/lib/kvmwatch/root").glob("kvm_export-*")), "counters are kept"
        machine.do("systemctl", "start", "kvmwatch-exporter")

        def scraped() -> str:
            try:
                with urllib.request.urlopen("http://127.0.0.1:9477/metrics", timeout=30) as answer:
                    said: str = answer.read().decode()
                    return said
            except OSError:
                return ""

        eventually("it answers", lambda: "\nkvm_up 1\n" in scraped())
        assert list(machine.path("/var/lib/private/kvmwatch-exporter").glob("kvm_export-*"))
        machine.do("systemctl", "stop", "kvmwatch-exporter")
        assert machine.run("systemctl", "is-failed", "kvmwatch-exporter").out.strip() == "inactive"
        machine.apt("purge", "kvmwatch-exporters")
        assert not text.exists()
        assert not machine.path("/var/lib/private/kvmwatch-exporter").exists()


@contextmanager
def booted(prepared: Prepared) -> Iterator[Machine]:
    """A system with our packages, and the example hypervisor's file."""
    with running_machine(Machine(THIS_RELEASE)) as machine:
        machine.apt("install", *prepared.take("packages").glob("*_all.deb"), "systemd-sysv", "dbus")
        shutil.copy(EXAMPLE_URI.partition("://")[2], machine.path("/usr/share/kvm.xml"))
        machine.path(TEXTFILE).parent.mkdir(parents=True)
        machine.boot()
        yield machine


def test_promtool_finds_nothing_to_mend(command: Command) -> None:
    golden = Path(__file__).parents[1] / "golden" / "kvmwatch_export_prometheus.txt"
    for text in (command(*EXPORT, "prometheus", "-u", EXAMPLE_URI).out, golden.read_text(encoding="utf-8")):
        ran = subprocess.run(
            ["promtool", "check", "metrics"], input=text, encoding="utf-8", capture_output=True, check=False
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.skipif(not Path(COLLECTD).exists(), reason="this Debian has no collectd")
def test_collectd_writes_values_and_is_notified(folder: Path) -> None:
    import installed  # runs it as nobody

    config = folder / "collectd.conf"
    installed.commands(folder / "bin")
    example = f"test://{installed.checkout()}/examples/hypervisor.xml"
    config.write_text(CONFIGURATION.format(folder, folder / "bin" / EXPORT[0], example))
    csv, told = folder / "csv", folder / "told"
    with running(COLLECTD, "-f", "-C", config, cwd=folder, PATH="/usr/bin:/bin", LC_ALL="C.UTF-8"):
        eventually("values are there", lambda: list((csv / "web1" / "virt").glob("virt_cpu_total-*")))
        for name in ("disk_octets-vda", "if_octets-52:54:00:00:00:01", "memory-total", "virt_vcpu-0"):
            assert list((csv / "web1" / "virt").glob(f"{name}-*")), sorted((csv / "web1" / "virt").iterdir())
        assert list((csv / "kvm1" / "kvmwatch").glob("gauge-up-*"))
        eventually("it is notified", lambda: told.exists() and "of must-run: shut off though" in told.read_text())
        wrong = [line for line in (folder / "log").read_text().splitlines() if "exec plugin" in line]
        assert not wrong


@pytest.mark.skipif(not Path(COLLECTD).exists(), reason="this Debian has no collectd")
def test_collectd_reads_the_longest_lines(folder: Path) -> None:
    """One that its buffer does not hold would be the last that it reads, and one long name has no values there."""
    import installed  # runs it as nobody

    long, uuid = '"€' * 50, "00000000-0000-4000-8000-0000000000ff"
    domain = "<domain type='test'><name>{}</name><uuid>{}</uuid><memory>1024</memory><os><type>hvm</type></os>{}</domain>"
    marked = f"<metadata><watch xmlns='urn:kvmwatch:1' expect='{'x' * 1500}'/></metadata>"
    file, config = folder / "hypervisor.xml", folder / "collectd.conf"
    file.write_text(
        f"<node>{domain.format(long, uuid, marked)}{domain.format('web1', uuid.replace('f', '1'), '')}</node>"
    )
    installed.commands(folder / "bin")
    config.write_text(CONFIGURATION.format(folder, folder / "bin" / EXPORT[0], f"test://{file}"))
    csv, told = folder / "csv", folder / "told"
    with running(COLLECTD, "-f", "-C", config, cwd=folder, PATH="/usr/bin:/bin", LC_ALL="C.UTF-8"):
        for name in (uuid, "web1"):
            eventually(f"values of {name}", lambda name=name: list((csv / name / "virt").glob("virt_cpu_total-*")))
        eventually("it is notified", lambda: told.exists() and f"Host: {uuid}" in told.read_text())


@pytest.mark.skipif(not shutil.which("influxd"), reason="this Debian has no InfluxDB")
def test_lines_come_out_of_influxdb_as_they_went_in(command: Command, folder: Path) -> None:
    config = folder / "influxdb.conf"
    parts = "".join(f'[{name}]\n  dir = "{folder}/{name}"\n' for name in ("meta", "data"))
    wal = parts.replace("[data]", f'[data]\n  wal-dir = "{folder}/wal"')
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:18088"\n{wal}[http]\n  bind-address = "{INFLUX}"\n'
    )
    with running("/usr/bin/influxd", "-config", config, cwd=folder, PATH="/usr/bin:/bin", HOME=str(folder)):

        def query(words: str) -> Any:
            data = urllib.parse.urlencode({"db": "kvm", "q": words}).encode()
            with urllib.request.urlopen(f"http://{INFLUX}/query", data, timeout=30) as answer:
                return json.load(answer)["results"][0]

        def created() -> bool:
            try:
                query("CREATE DATABASE kvm")
            except OSError:
                return False
            return True

        eventually("it is up", created)
        lines = command(*EXPORT, "influx", "-u", EXAMPLE_URI).out
        with urllib.request.urlopen(f"http://{INFLUX}/write?db=kvm", lines.encode(), timeout=30) as answer:
            assert answer.status == 204
        found = {
            one["tags"]["domain"]: one["values"][0][1]
            for one in query("SELECT last(status) FROM kvm_check WHERE \"check\" = 'state' GROUP BY domain")[
                "series"
            ]
        }
        assert found["crashed1"] == 2
        assert found['Büro VM "01" 100% | it\'s=odd; ok'] == 0
        number = sum(line.startswith("kvm_") for line in lines.splitlines())
        counted = query("SELECT count(*) FROM /kvm_.*/ GROUP BY *")["series"]
        assert len(counted) == number


def each(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The value of each time series, by its name and labels."""
    samples = (sample for family in parsed(text) for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


@pytest.mark.skipif(not shutil.which("victoria-metrics"), reason="this Debian has no VictoriaMetrics")
def test_victoriametrics_reads_what_prometheus_reads(command: Command, folder: Path) -> None:
    """Every sample comes out as it went in, and its vmalert takes the rules."""
    daemon = (
        *("/usr/bin/victoria-metrics", f"-storageDataPath={folder}/data", f"-httpListenAddr={VICTORIA}"),
        *("-retentionPeriod=1", "-loggerLevel=ERROR"),
    )
    with running(*daemon, cwd=folder):

        def post(path: str, data: str) -> str | None:
            try:
                with urllib.request.urlopen(f"http://{VICTORIA}{path}", data.encode(), timeout=30) as answer:
                    return str(answer.read().decode())
            except OSError:
                return None  # it is not up yet

        text = command(*EXPORT, "prometheus", "-u", EXAMPLE_URI).out
        eventually("it is up", lambda: post("/api/v1/import/prometheus", text) is not None)

        def stored() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
            post("/internal/force_flush", "")
            rows = map(json.loads, (post("/api/v1/export", 'match[]={__name__!=""}') or "").splitlines())
            return {
                (row["metric"].pop("__name__"), frozenset(row["metric"].items())): row["values"][-1]
                for row in rows
            }

        eventually_equal("all is stored", lambda: stored().keys(), each(text).keys())
        assert stored() == pytest.approx(each(text), rel=1e-12), "it keeps so many digits"
        dry = subprocess.run(
            ["vmalert", "-dryRun", f"-rule={RULES}", f"-datasource.url=http://{VICTORIA}"],
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert dry.returncode == 0, dry.stderr
