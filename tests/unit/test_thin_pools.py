"""How full thin pools are: seen in sysfs, asked of lvs (a program of the test's own: volume groups need root)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from judging import CRITICAL, judged

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.snapshot import Pool, Snapshot
from kvmwatch.reading import thin_pools
from kvmwatch.reading.pool_questions import Described, Volumes
from kvmwatch.reading.pool_records import Local, Progress, record
from kvmwatch.reading.thin_pools import Use, active, fullest, use

LVM = "LVM-" + "a" * 64


def device(sys: Path, number: int, name: str, uuid: str) -> None:
    folder = sys / f"block/dm-{number}/dm"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "uuid").write_text(f"{uuid}\n")


@pytest.mark.parametrize(
    ("name", "uuid", "groups"),
    [
        ("vg-thin_tdata", f"{LVM}-tdata", {"vg"}),
        ("my--vg-thin_tdata", f"{LVM}-tdata", {"my-vg"}),
        ("vg--2-thin--pool_tdata", f"{LVM}-tdata", {"vg-2"}),
        ("vg-web1", LVM, set()),
        ("vg-thin_tmeta", f"{LVM}-tmeta", set()),
        ("vg-docker_tdata", "docker-tdata", set()),
    ],
)
def test_a_thin_pool_is_seen(tmp_path: Path, name: str, uuid: str, groups: set[str]) -> None:
    device(tmp_path, 0, "vg-root", LVM)
    device(tmp_path, 1, name, uuid)
    (tmp_path / "block/dm-2/dm").mkdir(parents=True)  # it goes just now
    seen = {group for group in ("vg", "my", "my-vg", "vg-2", "v", "") if active(group, str(tmp_path))}
    assert seen == groups


def report(*pools: tuple[str, ...]) -> str:
    """What lvs says of pools: data, metadata, and the health of those that are not well."""
    fields = ("data_percent", "metadata_percent", "lv_health_status")
    rows = [{"lv_name": "tp", **dict(zip(fields, (*pool, "")))} for pool in pools]
    return json.dumps({"report": [{"lv": rows}]})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (report(("12.34", "1.00")), Use(12.34, 1.0)),
        (report(("12.34", "1.00"), ("0.00", "99.99")), Use(12.34, 99.99)),
        (report(("0.00", "0.00")), Use(0.0, 0.0)),
        (report(("", ""), ("100.00", "5.5")), Use(100.0, 5.5)),
    ],
)
def test_the_fullest_counts(said: str, told: Use) -> None:
    assert fullest(said) == told


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '{"report": {}}',
        '{"report": [{"lv": [{}]}]}',
        report(("x", "1")),
        report(("", "")),
        report(),
    ],
)
def test_what_is_no_answer_is_no_figure(said: str) -> None:
    with pytest.raises(KvmwatchError, match=r"try 'lvs .*'|lvs does not"):
        fullest(said)


@pytest.mark.parametrize("health", ["failed", "out_of_data", "metadata_read_only", "partial"])
@pytest.mark.parametrize("others", [(), (("10.00", "5.00"),)])
def test_a_thin_pool_that_is_not_well(health: str, others: tuple[tuple[str, ...], ...]) -> None:
    """One that has failed has no figures, and by those of another one the pool was OK."""
    found = fullest(report(("", "", health), *others))
    assert (found.data, found.metadata) == ((10.0, 5.0) if others else (None, None))
    assert found.fault
    assert f"tp ({health})" in found.fault
    pool = Pool("uuid", "vg", "logical", states.POOL_RUNNING, True, True, True)
    progress = Progress(pool)
    progress.described, progress.volumes, progress.local = Described(pool), Volumes(0), Local(thin=found)
    told = record(progress, of_files=True)
    assert told
    text, code = judged("pool", Snapshot("qemu:///system", 0, 0, pools=(told,)))
    assert (code, found.fault in text) == (CRITICAL, True), text
    assert ("thin data 10 %" in text) == bool(others)


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    lvs = folder / "lvs"
    lvs.write_text(f"#!/bin/sh\n{script}\n")
    lvs.chmod(0o755)
    monkeypatch.setattr(thin_pools, "_SYSTEM_PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_lvs_is_asked_for_one_group_and_with_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVM_SYSTEM_DIR", "/home/somebody")
    said = report(("50.5", "7.25"))
    program(tmp_path, monkeypatch, f"echo \"$@\" >{tmp_path}/asked; env >{tmp_path}/env; echo '{said}'")
    assert use("vg", 10) == Use(50.5, 7.25)
    assert (tmp_path / "asked").read_text().endswith("-- vg\n")
    assert "LVM_SYSTEM_DIR" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Volume group \"vg\" not found' >&2; exit 5", 'lvs failed: Volume group "vg" not found'),
        ("echo nonsense", "lvs does not answer in its JSON"),
        ("exec sleep 60", "lvs did not end within 0.2 s"),
    ],
)
def test_lvs_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str) -> None:
    program(tmp_path, monkeypatch, script)
    with pytest.raises(KvmwatchError) as told:
        use("vg", 0.2 if "sleep" in script else 10)
    assert str(told.value).startswith(why)


def test_no_lvs_and_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thin_pools, "_SYSTEM_PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(KvmwatchError, match="install lvm2"):
        use("vg", 1)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(KvmwatchError, match="run it with sudo"):
        use("vg", 1)
