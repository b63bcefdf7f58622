"""Counters between runs: kept whole, or not used."""

from __future__ import annotations

import json
import multiprocessing
import os
import pwd
import time
from pathlib import Path

import pytest

from kvmwatch.command.history import History
from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample
from kvmwatch.model.selection import Selection
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline


def history(directory: Path, command: str = "kvm_cpu", **selection: list[str]) -> History:
    chosen = Selection.parse(selection.get("include", []), selection.get("exclude", []))
    return History(str(directory), command, "test:///default", chosen)


def sample(age: float = 60, value: float = 1.0) -> dict[str, Sample]:
    return {"uuid": Sample(time.monotonic() - age, 1, {"cpu_time": value})}


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    saved = sample()
    history(tmp_path).save(saved)
    assert history(tmp_path).load() == saved


def test_nothing_is_left_behind_but_the_file_itself(tmp_path: Path) -> None:
    for _ in range(3):
        history(tmp_path).save(sample())
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_damaged_file_is_no_history(tmp_path: Path, text: str) -> None:
    history(tmp_path).save(sample())
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert history(tmp_path).load() == {}


def test_samples_from_before_the_last_boot_are_not_used(tmp_path: Path) -> None:
    history(tmp_path).save(sample())
    (file,) = tmp_path.iterdir()
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"boot": "another"}))
    assert history(tmp_path).load() == {}


def test_commands_and_selections_do_not_share_counters(tmp_path: Path) -> None:
    history(tmp_path).save(sample(value=1))
    history(tmp_path, include=["web*"]).save(sample(value=2))
    history(tmp_path, "kvm_disk").save(sample(value=3))
    assert history(tmp_path).load()["uuid"].counters == {"cpu_time": 1}
    assert history(tmp_path, include=["web*"]).load()["uuid"].counters == {"cpu_time": 2}
    assert history(tmp_path, exclude=["web*"]).load() == {}


def _save_many(directory: Path, value: int) -> None:
    kept = history(directory)
    for _ in range(50):
        kept.save({f"uuid{i}": Sample(time.monotonic() - 60, 1, {"x": value}) for i in range(50)})


def test_runs_at_once_never_damage_or_mix_counters(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may never go on
    writers = [context.Process(target=_save_many, args=(tmp_path, n)) for n in range(4)]
    history(tmp_path).save({f"uuid{i}": Sample(time.monotonic() - 60, 1, {"x": 0}) for i in range(50)})
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        loaded = history(tmp_path).load()
        assert len(loaded) == 50
        assert len({sample.counters["x"] for sample in loaded.values()}) == 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_directory_that_was_asked_for_and_does_not_work_is_told() -> None:
    problem = history(Path("/proc/nowhere")).save(sample())
    assert problem is not None
    assert problem.startswith("counters are not kept: /proc/nowhere: ")
    assert problem.endswith("; make it writable or give another --state-dir")


def test_default_directory_that_does_not_work_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVMWATCH_STATE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr("kvmwatch.command.state_files.SYSTEM_DIRECTORY", "/proc/nowhere")
    kept = History(None, "kvm_cpu", "test:///default", Selection())
    assert "make it writable or give another --state-dir" in (kept.save(sample()) or "")
    assert kept.load() == {}


def test_every_user_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVMWATCH_STATE_DIR", raising=False)
    monkeypatch.setattr("kvmwatch.command.state_files.SYSTEM_DIRECTORY", str(tmp_path))
    History(None, "kvm_cpu", "test:///default", Selection()).save(sample())
    (folder,) = tmp_path.iterdir()
    assert folder.name == pwd.getpwuid(os.geteuid()).pw_name
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "HOME"])
def test_who_has_no_home_has_no_folder_wherever_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """It would be called ~, and whoever cleans up there may remove their own home."""
    monkeypatch.delenv("KVMWATCH_STATE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, "~")
    monkeypatch.setattr("kvmwatch.command.state_files.SYSTEM_DIRECTORY", "/proc/nowhere")
    monkeypatch.chdir(tmp_path)
    problem = History(None, "kvm_cpu", "test:///default", Selection()).save(sample())
    assert (problem or "").startswith("counters are not kept: /proc/nowhere/")
    assert not list(tmp_path.iterdir())


def test_where_a_reboot_cannot_be_seen_they_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a service with ProcSubset=pid: counters of before a reboot would be taken for those of now."""
    saved = sample()
    assert history(tmp_path).save(saved) is None
    monkeypatch.setattr("kvmwatch.command.history._BOOT_ID", str(tmp_path / "none"))
    assert "No such file or directory; a systemd service" in (history(tmp_path).save(saved) or "")
    assert history(tmp_path).load() == {}


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_that_is_set_meanwhile_costs_no_second_reading(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    reader = Reader("test:///default", Group.CPU, Selection(), Deadline(60))
    snapshot = reader.read()
    time.sleep(0.15)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + step)
    assert 0.15 <= reader.again_takes(snapshot) < 30
