"""kvmwatch export on libvirt's test driver: every format, bad options, a daemon that is missing or hangs."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from commands import EXAMPLE_URI, Command
from prometheus_client.parser import text_string_to_metric_families as parsed

RUNS = "in_process"

EXPORT = ("kvmwatch", "export")
#: what runs for ever
FOR_LONG = (("prometheus", "--listen", "0"), ("influx", "--execd"), ("collectd",))


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Name to labels and values."""
    return {f.name: [(s.labels, s.value) for s in f.samples] for f in parsed(text)}


def test_prometheus_tells_verdicts_as_the_checks_do(command: Command) -> None:
    ran = command(*EXPORT, "prometheus", "-u", EXAMPLE_URI)
    assert (ran.code, ran.err) == (0, "")
    found = samples(ran.out)
    status = {(s["check"], s.get("domain")): value for s, value in found["kvm_check_status"]}
    assert status["state", "crashed1"] == 2
    assert {check for check, domain in status if domain is None} >= {"host", "pool"}
    for check, domain in (("state", "paused1"), ("memory", "web1"), ("pool", None)):
        alone = command(f"check_kvm_{check}", "-u", EXAMPLE_URI, *(("-d", domain) if domain else ()))
        assert status[check, domain] == alone.code
    names = {labels["domain"] for labels, _ in found["kvm_domain_info"]}
    assert len(names) == 9, "those that are left alone have figures, and no verdicts"
    assert len({domain for check, domain in status if domain}) == 8


def test_selection(command: Command) -> None:
    ran = command(*EXPORT, "prometheus", "-u", EXAMPLE_URI, "-d", "web1")
    assert {labels["domain"] for labels, _ in samples(ran.out)["kvm_domain_info"]} == {"web1"}


def told(command: Command, *words: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    ran = command(*EXPORT, "prometheus", "-u", EXAMPLE_URI, *words)
    assert (ran.code, ran.err) == (0, "")
    return samples(ran.out)


@pytest.mark.parametrize(
    ("checks", "entities"),
    [
        (("state",), {"domain"}),
        (("cpu",), {"domain", "vcpu"}),
        (("state", "network"), {"domain", "interface"}),
        (("disk",), {"domain", "disk"}),
        (("agent",), {"domain"}),
        (("pool",), {"domain", "pool"}),
        (("net",), {"domain", "interface", "network"}),  # whose taps tell whether bridges are to be seen from here
        (("host",), {"domain", "host"}),
    ],
)
def test_only_what_the_chosen_checks_need(command: Command, checks: tuple[str, ...], entities: set[str]) -> None:
    """And of that the same as without a choice."""
    some, all_ = told(command, "--check", ",".join(checks)), told(command)
    of_us = {"kvm_up", "kvm_build_info", "kvm_check_status", "kvm_domain_state", "kvm_domain_info"}
    assert of_us | {"kvm_reading_timestamp_seconds", "kvm_reading_duration_seconds"} <= some.keys()
    assert {labels["check"] for labels, _ in some["kvm_check_status"]} == set(checks)
    assert len(some["kvm_domain_state"]) == len(all_["kvm_domain_state"])
    found = {name.split("_")[1] for name in some} - {"up", "build", "check", "reading"}
    assert found == entities
    for name in some.keys() - {"kvm_domain_info", "kvm_check_status"}:  # the title is read with the XML
        assert {tuple(labels.items()) for labels, _ in some[name]} <= {
            tuple(labels.items()) for labels, _ in all_[name]
        }


def test_what_was_not_asked_is_not_told(command: Command) -> None:
    """That a QEMU answers is known only when libvirt was asked for it."""
    assert "kvm_domain_not_responding_seconds" in told(command, "--check", "state")
    assert "kvm_domain_not_responding_seconds" not in told(command, "--check", "pool")


def test_checks_are_chosen_with_commas_or_one_by_one(command: Command) -> None:
    chosen = [
        told(command, *words).keys() for words in (("--check=state,pool",), ("--check=pool", "--check=state"))
    ]
    assert chosen[0] == chosen[1]


def test_formats_tell_the_same(command: Command) -> None:
    document = json.loads(command(*EXPORT, "json", "-u", EXAMPLE_URI).out)
    lines = command(*EXPORT, "influx", "-u", EXAMPLE_URI).out.splitlines()
    with_values = [row for row in document["rows"] if "values" in row or "state" in row]
    assert len(lines) == len(with_values)
    (web1,) = (r for r in document["rows"] if r["entity"] == "domain" and r["labels"]["domain"] == "web1")
    (line,) = (line for line in lines if line.startswith("kvm_domain,domain=web1,"))
    assert f",memory_current={web1['values']['memory_current']:.0f}," in line
    assert 'state="running"' in line
    checks = [row for row in document["rows"] if row["entity"] == "check"]
    assert all(row["text"] for row in checks if row["values"]["status"])


def test_a_file_for_node_exporter(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "kvm.prom"
    ran = command(*EXPORT, "prometheus", "-u", EXAMPLE_URI, "--output", str(file))
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    found = samples(file.read_text(encoding="utf-8"))
    assert found["kvm_up"] == [({}, 1)]
    assert abs(found["kvm_reading_timestamp_seconds"][0][1] - time.time()) < 60
    ran = command(*EXPORT, "prometheus", "-u", "test:///none.xml", "--output", str(file))
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "kvmwatch: no such test driver file: /none.xml\n"
    assert samples(file.read_text(encoding="utf-8"))["kvm_up"] == [({}, 0)], (
        "nothing old stays there as if it were new"
    )


@pytest.mark.parametrize(
    ("format_", "code", "said"),
    [
        ("prometheus", 3, "\nkvm_up 0\n"),
        ("influx", 0, "kvm up=0 "),
        ("json", 3, '"error":"no such test driver file'),
    ],
)
def test_a_hypervisor_that_cannot_be_read_is_told(command: Command, format_: str, code: int, said: str) -> None:
    ran = command(*EXPORT, format_, "-u", "test:///none.xml")
    assert ran.code == code
    assert said in ran.out
    assert ran.err == f"kvmwatch export {format_}: no such test driver file: /none.xml\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: FORMAT"),
        (("xml",), "invalid choice: 'xml'"),
        (("prometheus", "--output", ""), "argument --output: the name is empty"),
        (("prometheus", "--output", "/tmp/kvm.txt"), "node_exporter reads only files that end in .prom"),
        (
            ("prometheus", "--output", "/nowhere/kvm.prom"),
            "/nowhere/kvm.prom cannot be written: No such file or directory",
        ),
        (("prometheus", "--output", "a.prom", "--listen"), "not allowed with argument"),
        (("prometheus", "--listen", "localhost:http"), "use ADDRESS:PORT, [IPV6]:PORT or PORT"),
        (("prometheus", "--listen", "192.0.2.1:9477"), "--listen 192.0.2.1:9477: Cannot assign requested address"),
        (("json", "--config", "/nowhere"), "/nowhere"),
        (
            ("influx", "--execd", "--check", "state,heat"),
            "unknown check 'heat'; there are state, agent, cpu, disk",
        ),
        (("collectd", "--check", "process"), "--check process needs the hypervisor's own /proc"),
        *(((*words, "-d", "re:("), "bad regular expression '('") for words in FOR_LONG),
        *(((*words, "--config", "/nowhere"), "/nowhere") for words in FOR_LONG),
    ],
)
def test_bad_options_are_one_line(command: Command, words: tuple[str, ...], said: str) -> None:
    ran = command(*EXPORT, *words, *(("-u", EXAMPLE_URI) if words else ()))
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err.split("\n", 1)[0]


@contextmanager
def listening(started: Command, tmp_path: Path, uri: str, *more: str) -> Iterator[str]:
    """An exporter; gives its URL."""
    process = subprocess.Popen(
        [started.bin / EXPORT[0], EXPORT[1], "prometheus", "-u", uri, "--listen", "0", *more],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "KVMWATCH_STATE_DIR": str(tmp_path)},
    )
    try:
        assert process.stderr
        said = process.stderr.readline()
        url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+/metrics)\n", said)
        assert url, said
        yield url[1]
    finally:
        process.terminate()
        assert process.wait(10) == -15


def scraped(url: str, **headers: str) -> tuple[dict[str, list[tuple[dict[str, str], float]]], float]:
    begun = time.monotonic()
    request = urllib.request.Request(url, headers={name.replace("_", "-"): word for name, word in headers.items()})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
        if answer.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
    return samples(body.decode()), time.monotonic() - begun


def test_concurrent_scrapes_share_one_reading(started: Command, tmp_path: Path) -> None:
    with listening(started, tmp_path, EXAMPLE_URI) as url:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: scraped(url, Accept_Encoding="gzip")[0], range(8)))
        assert len({answer["kvm_reading_timestamp_seconds"][0][1] for answer in answers}) == 1
        assert all(answer["kvm_up"] == [({}, 1)] for answer in answers)
        time.sleep(1.2)
        again, _ = scraped(url)
        assert again["kvm_reading_timestamp_seconds"] != answers[0]["kvm_reading_timestamp_seconds"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            scraped(url + "/other")


def test_an_impatient_scrape_costs_the_others_nothing(started: Command, tmp_path: Path) -> None:
    """Its 0.1 s are over before anything could be read; who asked with it, and who asks after it, get all."""
    with listening(started, tmp_path, EXAMPLE_URI) as url, ThreadPoolExecutor(1) as pool:
        impatient = pool.submit(scraped, url, X_Prometheus_Scrape_Timeout_Seconds="0.1")
        time.sleep(0.05)
        patient, _ = scraped(url, X_Prometheus_Scrape_Timeout_Seconds="10")
        assert impatient.result()[0]["kvm_up"] == [({}, 0)]
        assert patient["kvm_up"] == [({}, 1)]


def test_a_hung_libvirt_is_told_within_the_time_of_the_scrape(started: Command, tmp_path: Path) -> None:
    path = tmp_path / "libvirt-sock"
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        daemon.listen(10)  # and never answers
        with listening(started, tmp_path, f"qemu+unix:///system?socket={path}", "-t", "60") as url:
            for _ in range(2):
                found, seconds = scraped(url, X_Prometheus_Scrape_Timeout_Seconds="2")
                assert found["kvm_up"] == [({}, 0)]
                assert seconds < 2


def test_execd_reads_once_for_each_line(command: Command, started: Command, tmp_path: Path) -> None:
    ran = subprocess.run(
        [started.bin / EXPORT[0], EXPORT[1], "influx", "--execd", "-u", EXAMPLE_URI, "-vvv"],
        input="\n\n",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
        env={**os.environ, "KVMWATCH_STATE_DIR": str(tmp_path)},
    )
    assert len([line for line in ran.stdout.splitlines() if line.startswith("kvm up=1,")]) == 2, ran.stderr
    assert ran.stderr.count("connected and listed in ") == 2


def test_how_long_a_reading_took(command: Command) -> None:
    ran = command(*EXPORT, "influx", "-u", EXAMPLE_URI, "-vvv")
    assert (ran.code, ran.err.count("connected and listed in ")) == (0, 1), ran.err


def test_execd_ends_where_stdin_is_closed_from_the_beginning(started: Command) -> None:
    line = f"{started.bin}/kvmwatch export influx --execd -u {EXAMPLE_URI} <&-"
    ran = subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def collected(started: Command, tmp_path: Path, *words: str, readings: int = 1, interval: str = "1") -> list[str]:
    """The lines of the first readings for collectd."""
    with subprocess.Popen(
        [started.bin / EXPORT[0], EXPORT[1], "collectd", *words],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={
            **os.environ,
            "KVMWATCH_STATE_DIR": str(tmp_path),
            "COLLECTD_HOSTNAME": "kvm9",
            "COLLECTD_INTERVAL": interval,
        },
    ) as process:
        assert process.stdout
        lines: list[str] = []
        while sum("gauge-up" in line for line in lines) <= readings:  # all of one is there when the next begins
            lines.append(process.stdout.readline())
        process.terminate()
    return lines


def test_collectd_is_told_again_and_again_and_of_problems_once(started: Command, tmp_path: Path) -> None:
    lines = collected(started, tmp_path, "-u", EXAMPLE_URI, "-d", "crashed1", readings=2, interval="2.000")
    assert lines[0] == 'PUTVAL "kvm9/kvmwatch/gauge-up" interval=2 N:1\n'
    assert any(line.startswith('PUTVAL "crashed1/virt/virt_cpu_total" interval=2 ') for line in lines)
    told = [line for line in lines if line.startswith("PUTNOTIF") and "check_state" in line]
    assert len(told) == 1, told


def test_collectd_is_told_what_ended_while_nobody_watched(started: Command, tmp_path: Path) -> None:
    """And is not told again what goes on."""
    hypervisor = Path(EXAMPLE_URI.partition("://")[2])
    file = tmp_path / "hypervisor.xml"
    file.write_text(hypervisor.read_text(encoding="utf-8"), encoding="utf-8")
    words = ("-u", f"test://{file}", "--check", "state")
    for told in ({"crashed1", "paused1"}, set()):
        lines = [line for line in collected(started, tmp_path, *words) if line.startswith("PUTNOTIF")]
        assert {line.partition('host="')[2].partition('"')[0] for line in lines} >= told
        assert bool(lines) == bool(told), lines
    file.write_text(file.read_text(encoding="utf-8").replace("crashed1", "renamed1"), encoding="utf-8")
    lines = [line for line in collected(started, tmp_path, *words) if line.startswith("PUTNOTIF")]
    assert {(line.split()[1], line.partition('host="')[2].partition('"')[0]) for line in lines} == {
        ("severity=okay", "crashed1"),
        ("severity=failure", "renamed1"),
    }


def test_collectd_has_rates_at_its_shortest_interval(started: Command, tmp_path: Path) -> None:
    lines = collected(started, tmp_path, "-u", EXAMPLE_URI, "-d", "web1", readings=3)
    assert not [line for line in lines if "no rates" in line]


@pytest.mark.parametrize("words", FOR_LONG, ids=lambda words: str(words[0]))
def test_what_selects_nothing_is_told(started: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Once, though it runs for ever."""
    with subprocess.Popen(
        [started.bin / EXPORT[0], EXPORT[1], *words, "-u", EXAMPLE_URI, "-d", "nope", "-d", "web1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "KVMWATCH_STATE_DIR": str(tmp_path), "COLLECTD_INTERVAL": "1"},
    ) as process:
        assert process.stderr
        assert process.stdin
        assert process.stdout
        if words[0] == "prometheus":
            url = process.stderr.readline().split()[-1]
            for _ in range(2):
                scraped(url)
                time.sleep(1.2)
        elif words[0] == "influx":
            process.stdin.write("\n\n")
            process.stdin.close()
            process.stdout.read()
        else:
            up = 0
            while up < 3:
                up += "gauge-up" in process.stdout.readline()
        process.terminate()
        assert process.stderr.read() == "kvmwatch export: no domain matches -d nope\n"


def test_collectd_has_gone(started: Command, tmp_path: Path) -> None:
    out, end = os.pipe()
    os.close(out)
    ran = subprocess.run(
        [started.bin / EXPORT[0], EXPORT[1], "collectd", "-u", EXAMPLE_URI, "-d", "crashed1"],
        stdout=end,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, "KVMWATCH_STATE_DIR": str(tmp_path)},
    )
    os.close(end)
    assert (ran.returncode, ran.stderr) == (3, "")


def test_an_exporter_listens_though_nobody_hears_it(started: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [started.bin / EXPORT[0], EXPORT[1], "prometheus", "--listen", str(port), "-u", EXAMPLE_URI]
    with open("/dev/full", "wb") as full, subprocess.Popen(words, stderr=full) as process:
        try:
            while process.poll() is None:
                with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            assert process.returncode is None
        finally:
            process.kill()


def test_a_full_disk_is_told(started: Command, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [started.bin / EXPORT[0], EXPORT[1], "collectd", "-u", EXAMPLE_URI, "-d", "crashed1"],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=60,
            check=False,
            env={**os.environ, "KVMWATCH_STATE_DIR": str(tmp_path)},
        )
    assert (ran.returncode, ran.stderr) == (
        3,
        "kvmwatch: the output could not be written: No space left on device\n",
    )
