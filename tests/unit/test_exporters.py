"""What is exported: legal names, once each; nothing that is unknown; and every text comes back as it went in."""

from __future__ import annotations

import argparse
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvmwatch_exporters import collectd, influx, listen, prometheus
from kvmwatch_exporters.complaints import Complaints
from kvmwatch_exporters.kept import Kept
from kvmwatch_exporters.reading import Judged, Reading
from kvmwatch_exporters.rows import METRICS, Row, failed, rows
from prometheus_client.parser import text_string_to_metric_families as parsed

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.metrics import COUNTER, RECORDS
from kvmwatch.model.snapshot import (
    Disk,
    Domain,
    Filesystem,
    Host,
    Interface,
    Network,
    NumaNode,
    Pool,
    Process,
    Snapshot,
    Uplink,
    Vcpu,
)
from kvmwatch.model.text import readable

UUID = "00000000-0000-4000-8000-000000000001"
#: also what is no UTF-8 (as Python reads it: surrogates), and what formats escape
TEXTS = st.text(
    st.one_of(st.sampled_from("\\\"\n\r\t,= /'{}#\udc80\ud800 é"), st.characters()), min_size=1, max_size=12
)
MAC = "52:54:00:00:00:01"


def reading(name: str = "web1", values: bool = True) -> Reading:
    """One of each thing, with a value for each metric, or without any."""

    def stats(entity: str) -> Any:
        record = RECORDS[entity]
        return record(*range(1, len(record._fields) + 1)) if values else record()  # type: ignore[attr-defined]

    domain = Domain(
        *(UUID, name, 1, states.RUNNING, 1, 1.0),
        stats=stats("domain"),
        vcpus=(Vcpu(0, stats("vcpu")),),
        disks=(Disk("vda", path=name, stats=stats("disk")),),
        interfaces=(Interface(MAC, "vnet0", "network" if values else None, stats=stats("interface")),),
        filesystems=(Filesystem(name, "ext4", stats("filesystem")),),
    )
    host = Host("kvm1", "QEMU", "9.0", "7.2", 1.0, stats("host"), nodes=(NumaNode(0, "0-7", stats("node")),))
    snapshot = Snapshot(
        *("qemu:///system", 1000.5, 0.1, host),
        domains=(domain,),
        pools=(Pool(UUID, name, "dir", 2, True, True, True, stats=stats("pool")),),
        networks=(Network(UUID, name, "virbr0", True, True, True, stats=stats("network")),),
        processes=(Process(1, 1.0, UUID, name, 1.0, stats("process")),),
        uplinks=(Uplink("eth0", ("br0",), stats("uplink")),),
    )
    return Reading(snapshot, (Judged("cpu", domain, 2, "too hot"), Judged("host", None, 0, "")), 0.25)


def test_names_are_legal_and_unique() -> None:
    names = [family.name for family in prometheus.FAMILIES.values()]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        made = prometheus.name(metric)
        assert re.fullmatch(r"kvm_[a-z0-9_]+", made), made
        assert made.endswith("_total") == (metric.declaration.kind == COUNTER) or made == "kvm_hugepages_total"
        assert not re.search(r"_(count|sum|bucket)$", made), f"{made}: such an end is a histogram's"


def test_every_metric_is_exported() -> None:
    found = {family.name for family in parsed(prometheus.text(rows(reading())))}
    # agent_connected, autostart and the like are not known of this one
    unknown = {
        "kvm_domain_agent_connected",
        "kvm_domain_autostart",
        "kvm_domain_persistent",
        "kvm_domain_managed_save",
    }
    expected = {family.name.removesuffix("_total") for family in prometheus.FAMILIES.values()}
    assert {name.removesuffix("_total") for name in found} | unknown == expected


def test_what_is_unknown_has_no_sample() -> None:
    """And is not 0."""
    known = {
        "kvm_domain_state",
        "kvm_pool_state",
        "kvm_check_status",
        "kvm_up",
        "kvm_domain_not_responding_seconds",
    }
    known |= {f"kvm_{of}_{flag}" for of in ("pool", "network") for flag in ("active", "autostart")}
    known |= {"kvm_pool_answered", "kvm_reading_timestamp_seconds", "kvm_reading_duration_seconds"}
    found = {family.name for family in parsed(prometheus.text(rows(reading(values=False))))}
    assert {name for name in found if not name.endswith("_info")} == known
    for line in influx.text(rows(reading(values=False)), 1.0).splitlines():
        assert re.match(r"kvm(_check|_domain|_pool|_network)?[, ]", line), line
    told = collectd.told("kvm1", 10, reading(values=False))
    assert all("/gauge-check_" in line for line in told.values)


def test_a_domain_that_does_not_run_has_no_qemu_that_answers() -> None:
    one = reading()
    (domain,) = one.snapshot.domains
    off = domain._replace(state=states.SHUTOFF, id=None)
    made = rows(one._replace(snapshot=one.snapshot._replace(domains=(off,))))
    (of_domain,) = (row for row in made if row.entity == "domain")
    assert "not_responding" not in of_domain.values


def test_two_things_of_one_name_are_one_series() -> None:
    """Else Prometheus would refuse all of it."""
    one = reading()
    (domain,) = one.snapshot.domains
    twice = domain._replace(interfaces=domain.interfaces * 2)
    made = [row for row in rows(one._replace(snapshot=one.snapshot._replace(domains=(twice,)))) if row.entity]
    keys = [(row.entity, *row.labels.values()) for row in made]
    assert len(set(keys)) == len(keys)


@given(TEXTS)
def test_prometheus_reads_every_name(name: str) -> None:
    text = prometheus.text(rows(reading(name)), name)
    found = {family.name: family.samples for family in parsed(text.encode().decode())}
    shown = readable(name, 4096)
    assert all(sample.labels.get("domain", "") == shown for sample in found["kvm_domain_memory_rss_bytes"])
    assert found["kvm_disk_info"][0].labels.get("path", "") == shown
    assert found["kvm_filesystem_used_bytes"][0].labels.get("mountpoint", "") == shown


@given(st.text(st.sampled_from('\\"\nn a'), min_size=1, max_size=12))
def test_prometheus_escapes(word: str) -> None:
    (family, _) = parsed(prometheus.text([Row("uplink", {"device": word}, {"up": 1})]))
    assert family.samples[0].labels == {"device": word}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_not_cut(value: float) -> None:
    assert float(prometheus.number(value)) == value


@given(TEXTS)
def test_influx_lines_are_taken_apart_as_they_were_made(name: str) -> None:
    shown = readable(name, 4096).replace("\\", "/")
    for line in influx.text(rows(reading(name)), 1.0).encode().decode().split("\n")[:-1]:
        head, fields, moment = re.split(r"(?<!\\) ", line)
        assert moment == "1000000000"
        for field in fields.split(","):
            assert not field.startswith("time="), "InfluxDB refuses the line"
            assert re.fullmatch(r'[a-z0-9_]+=(-?[0-9.e+-]+|"[a-z]+")', field), field
        measurement, *tags = re.split(r"(?<!\\),", head)
        assert re.fullmatch(r"kvm(_[a-z]+)?", measurement)
        for tag in tags:
            key, word = re.split(r"(?<!\\)=", tag)
            assert not word.endswith("\\")
            if key in ("domain", "pool", "network"):
                assert re.sub(r"\\([,= ])", r"\1", word) == shown


@given(TEXTS)
def test_collectd_identifiers_have_three_parts(name: str) -> None:
    for line in collectd.told("kvm1", 10, reading(name)).values:
        quoted = re.fullmatch(r'PUTVAL "((?:[^"\\\n]|\\.)*)" interval=10 1000\.500(:[0-9.e+]+)+', line)
        assert quoted, line
        assert quoted[1].count("/") == 2
        assert all(quoted[1].split("/"))


def test_collectd_counters_are_whole_numbers_in_its_units() -> None:
    lines = collectd.told("kvm1", 10, reading()).values
    assert 'PUTVAL "web1/virt/virt_cpu_total" interval=10 1000.500:1000000000' in lines
    assert 'PUTVAL "web1/virt/virt_vcpu-0" interval=10 1000.500:1000000000' in lines
    assert 'PUTVAL "web1/virt/disk_time-vda" interval=10 1000.500:3000:6000' in lines
    assert f'PUTVAL "web1/virt/if_octets-{MAC}" interval=10 1000.500:1:5' in lines


def test_collectd_is_notified_of_changes_alone() -> None:
    now = collectd.told("kvm1", 10, reading()).verdicts
    (line,) = collectd.notifications({}, now, 1.0)
    assert line.startswith('PUTNOTIF severity=failure time=1.000 host="web1" plugin=kvmwatch ')
    assert line.endswith('message="KVM cpu of web1: too hot"')
    assert list(collectd.notifications(now, now, 2.0)) == []
    well = {key: problem._replace(code=0) for key, problem in now.items()}
    assert [line.split()[1] for line in collectd.notifications(now, well, 3.0)] == ["severity=okay"]


#: names and texts as long as may be, of characters that take up to four bytes, or two when they are quoted
LONG = st.text(st.sampled_from('"\\a é€🙂'), min_size=1, max_size=1400)


@given(LONG, LONG)
def test_collectd_reads_every_line(name: str, text: str) -> None:
    """Its exec plugin would hear nothing more after a line of 1,200 bytes, and refuses a part of 128."""
    one = reading(name)
    one = one._replace(judged=tuple(said._replace(text=text) for said in one.judged))
    made = collectd.told("kvm1", 10, one)
    lines = [*made.values, *collectd.notifications({}, made.verdicts, 1e9)]
    assert len(lines) > 20
    for line in lines:
        assert len(line.encode()) < 1199
        for quoted in re.findall(r'(?:PUTVAL |host=|instance=)"((?:[^"\\]|\\.)*)"', line):
            for part in re.sub(r"\\(.)", r"\1", quoted).split("/"):
                assert 0 < len(part.encode()) < 128
    message = re.search(r' message="(.*)"$', lines[-1])
    assert message
    assert len(re.sub(r"\\(.)", r"\1", message[1]).encode()) <= 255, "what collectd keeps"


@pytest.mark.parametrize("name", [".web1", "..", "."])
def test_a_vm_whose_folder_collectd_does_not_make_has_its_uuid_there(name: str) -> None:
    made = collectd.told("kvm1", 10, reading(name))
    assert f'PUTVAL "{UUID}/virt/virt_cpu_total" interval=10 1000.500:1000000000' in made.values
    assert any(f'"kvm1/kvmwatch-{name}/df_complex-used"' in line for line in made.values)


@pytest.mark.parametrize("name", ["web\u200b1", "web\t1", "\u202e"])
def test_a_vm_has_not_the_name_of_another_one_in_collectd(name: str) -> None:
    """One that differs from it by what nobody sees: its verdicts took the place of the other's."""
    made = collectd.told("kvm1", 10, reading(name))
    assert f'PUTVAL "{UUID}/virt/virt_cpu_total" interval=10 1000.500:1000000000' in made.values
    assert any(f'"kvm1/kvmwatch-{UUID}/df_complex-used"' in line for line in made.values)
    assert set(made.verdicts) == {(UUID, "cpu"), ("kvm1", "host")}


def test_a_vm_that_is_called_by_the_uuid_of_another_one_is_not_it_in_collectd() -> None:
    """Which has it there where its own name is odd."""
    one = reading("web\u200b1")
    other = one.snapshot.domains[0]._replace(uuid=UUID.replace("0001", "0002"), name=UUID)
    snapshot = one.snapshot._replace(domains=(*one.snapshot.domains, other))
    made = collectd.told("kvm1", 10, one._replace(snapshot=snapshot))
    of = [line.split('"')[1].split("/")[0] for line in made.values if "/virt_cpu_total" in line]
    assert of == [UUID, other.uuid]


def test_a_vm_whose_name_collectd_refuses_has_its_uuid_there() -> None:
    made = collectd.told("kvm1", 10, reading("n" * 128))
    assert f'PUTVAL "{UUID}/virt/virt_cpu_total" interval=10 1000.500:1000000000' in made.values
    assert any(f'"kvm1/kvmwatch-{UUID}/df_complex-used"' in line for line in made.values)
    (line,) = collectd.notifications({}, made.verdicts, 1.0)
    assert f' host="{UUID}" ' in line
    assert ' message="KVM cpu of nnn' in line, "and people know it by its name"


def test_collectd_is_told_a_name_once() -> None:
    """Its messages hold 255 bytes: of many interfaces, or a long name, what is wrong would not be among them."""
    text = "a.1 tap0 errors 2/s; a.1 tap1 errors 3/s; a+1 a.1 tap2"
    line = collectd.notification(collectd.Problem("a.1", "network", 1, text, "a.1", UUID), 1.0)
    assert line.endswith('message="KVM network of a.1: tap0 errors 2/s; tap1 errors 3/s; a+1 a.1 tap2"')


def problem(name: str, code: int, uuid: str = UUID) -> collectd.Problem:
    return collectd.Problem(name, "state", code, "crashed", name, uuid)


@pytest.mark.parametrize(
    ("before", "now", "unread", "told"),
    [
        (2, None, False, "severity=okay"),  # undefined, renamed, to be left alone
        (3, None, False, "severity=okay"),
        (0, None, False, None),
        (2, None, True, None),  # it is there, and nothing could be read of it
        (2, 0, False, "severity=okay"),
        (2, 2, False, None),
        (None, 2, False, "severity=failure"),
        (None, 0, False, None),
    ],
)
def test_each_problem_that_collectd_was_told_of_ends(
    before: int | None, now: int | None, unread: bool, told: str | None
) -> None:
    key = ("web1", "state")
    known = {} if before is None else {key: problem("web1", before)}
    made = collectd.Told(
        [], {} if now is None else {key: problem("web1", now)}, frozenset([UUID] if unread else [])
    )
    after = collectd.following(known, made)
    lines = list(collectd.notifications(known, after, 1.0))
    assert [line.split()[1] for line in lines] == ([told] if told else [])
    assert list(collectd.notifications(after, collectd.following(after, made), 2.0)) == [], "once"


def options(folder: Path, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(
        **{"uri": "test:///x", "domain": [], "exclude": [], "check": [], "state_dir": str(folder), **more}
    )


def test_what_collectd_was_told_is_kept_between_runs(tmp_path: Path) -> None:
    kept = Kept(options(tmp_path), "kvm1")
    assert kept.load() == {}
    told = {("web1", "state"): problem("web1", 2), ("web2", "state"): problem("web2", 0)}
    assert kept.save(told) is None
    (file,) = tmp_path.iterdir()
    begun = file.stat().st_mtime_ns
    assert kept.save({**told, ("web3", "cpu"): problem("web3", 0)}) is None
    assert file.stat().st_mtime_ns == begun, "what is well is not kept, so nothing is written"
    again = Kept(options(tmp_path), "kvm1").load()
    assert {key: (one.code, one.name, one.uuid) for key, one in again.items()} == {
        ("web1", "state"): (2, "web1", UUID)
    }
    for others in (Kept(options(tmp_path), "kvm2"), Kept(options(tmp_path, check=["cpu"]), "kvm1")):
        assert others.load() == {}, "they tell something else"


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[1]", "{}", '{"format": 2, "told": []}', '{"format": 1}', '{"format": 1, "told": 7}'),
        *('{"format": 1, "told": [7]}', '{"format": 1, "told": [["a", "b", true, "", ""]]}'),
        '{"format": 1, "told": [["a", "b", 9, "", ""]]}',
    ],
)
def test_a_damaged_file_of_what_was_told_is_none(tmp_path: Path, text: str) -> None:
    kept = Kept(options(tmp_path), "kvm1")
    assert kept.save({}) is None
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert kept.load() == {}


def test_a_reading_that_failed_is_told() -> None:
    text = prometheus.text(failed(), "no\nconnection")
    assert text.startswith("# no connection\n# HELP kvm_up ")
    assert "\nkvm_up 0\n" in text
    assert influx.text(failed(), 1.0) == "kvm up=0 1000000000\n"


def test_the_file_is_replaced_at_once(tmp_path: Path) -> None:
    file = tmp_path / "kvm.prom"
    for content in ("kvm_up 0\n", "kvm_up 1\n"):
        prometheus.write(str(file), content)
        assert file.read_text() == content
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(KvmwatchError, match=r"none/kvm\.prom cannot be written: No such file or directory$"):
        prometheus.write(str(tmp_path / "none" / "kvm.prom"), "")


def test_the_file_is_what_it_was(tmp_path: Path) -> None:
    """Whoever may read it goes on to, and a link goes on to lead there."""
    real, link = tmp_path / "real.prom", tmp_path / "link.prom"
    real.write_text("old")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 65534, 65534)
    was = real.stat()
    link.symlink_to("real.prom")
    for through in (real, link):
        prometheus.write(str(through), f"by {through.name}")
        assert real.read_text() == f"by {through.name}"
        now = real.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)
    assert os.readlink(link) == "real.prom"
    new = tmp_path / "new.prom"
    new.symlink_to("there.prom")
    prometheus.write(str(new), "made")
    assert (tmp_path / "there.prom").read_text() == "made"


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/null"),
    ],
    ids=["folder", "FIFO", "socket", "circle", "device"],
)
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "kvm.prom"
    make(path)
    with pytest.raises(KvmwatchError, match=r"is no file, so it is not replaced"):
        prometheus.write(str(path), "")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has links of others")
def test_the_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    """It would choose which of root's files is overwritten."""
    secret, link = tmp_path / "secret", tmp_path / "kvm.prom"
    secret.write_text("root's")
    link.symlink_to(secret)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(KvmwatchError, match=r"another user's link, so it is not followed"):
        prometheus.write(str(link), "")
    assert secret.read_text() == "root's"


@pytest.mark.parametrize(
    ("word", "address"),
    [
        ("9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("0.0.0.0:9000", ("0.0.0.0", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        (listen.DEFAULT, ("127.0.0.1", 9477)),
    ],
)
def test_addresses(word: str, address: tuple[str, int]) -> None:
    assert listen.Address.parse(word) == address


@pytest.mark.parametrize("word", ["", "kvm1", "kvm1:http", "1.2.3.4:65536", "::1:80"])
def test_addresses_that_are_none(word: str) -> None:
    with pytest.raises(listen.argparse.ArgumentTypeError, match="use ADDRESS:PORT"):
        listen.Address.parse(word)


def test_scrapes_at_the_same_time_share_a_reading_and_none_waits_longer_than_it_may() -> None:
    """An impatient one, the first as well as a later one, costs the others nothing."""
    go, begun, calls = threading.Event(), threading.Event(), []

    def read() -> str:
        calls.append(time.monotonic())
        begun.set()
        assert go.wait(30)
        return f"reading {len(calls)}"

    shared = listen.Shared(read)
    answers: list[str] = []
    with pytest.raises(KvmwatchError, match=r"no answer within 0\.05 s"):
        shared.get(0.05)
    patient = [threading.Thread(target=lambda: answers.append(shared.get(30))) for _ in range(5)]
    for thread in patient:
        thread.start()
    assert begun.wait(30)
    with pytest.raises(KvmwatchError, match=r"no answer within 0\.05 s"):
        shared.get(0.05)
    go.set()
    for thread in patient:
        thread.join()
    assert answers == ["reading 1"] * 5
    assert shared.get(30) == "reading 1", "a moment later it is still the same"
    shared._ended = time.monotonic() - 2
    assert shared.get(30) == "reading 2"
    assert len(calls) == 2


def test_an_old_reading_is_given_to_nobody_when_none_can_be_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = listen.Shared(lambda: "reading")
    assert shared.get(30) == "reading"
    shared._ended = time.monotonic() - 2
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no thread"):
                shared.get(30)
    assert shared.get(30) == "reading"


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        *(("", False), ("identity", False), ("gzip", True), ("br, GZIP;q=0.1", True), ("deflate,gzip", True)),
        *(("gzip;q=0", False), ("gzip; q=0.000, *", False), ("*;q=0", False), ("*", True), ("x-gzip", False)),
    ],
)
def test_what_a_client_takes(accepted: str, takes: bool) -> None:
    assert listen.takes_gzip(accepted) == takes


def test_what_is_wrong_is_said_when_it_begins_and_when_it_is_over(capfd: pytest.CaptureFixture[str]) -> None:
    complaints = Complaints()
    for wrong in ("", "no answer", "no answer", "", "", "no answer\nagain \ud800"):
        complaints.say("reading", wrong, "it is over")
    for nothing in ((), ("web*", "db"), ("db",), ()):
        complaints.unmatched(("web*", "db"), nothing)
    assert capfd.readouterr().err.splitlines() == [
        f"kvmwatch export: {line}"
        for line in (
            "no answer",
            "it is over",
            "no answer again \ufffd",
            "no domain matches -d web*",
            "no domain matches -d db",
            "-d web* matches again",
            "-d db matches again",
        )
    ]


def test_no_line_on_stderr_is_longer_than_collectd_takes(capfd: pytest.CaptureFixture[str]) -> None:
    """Which hears nothing more of a program after 1,024 bytes there, either."""
    for text in ("x" * 5000, "€" * 5000):
        Complaints().say("reading", text, "")
    assert [len(line.encode()) < 1000 for line in capfd.readouterr().err.splitlines()] == [True, True]
