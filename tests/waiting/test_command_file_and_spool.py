"""Publishing to a Nagios on this machine: its command file, its spool, and what its object cache tells."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from nagios_kvm import nagios_objects, targets
from nagios_kvm.command_file import CommandFile
from nagios_kvm.judging import Result
from nagios_kvm.spool import Spool
from nagios_kvm.turns import Turns
from test_publishing import OF_VMS, TWINS, results

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.reading.deadline import Deadline


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A command file, and where its reader reads."""
    path = tmp_path / "nagios.cmd"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield path, reader
    finally:
        os.close(reader)


LONG = (
    "KVM_POOL WARNING - " + "ü" * 900 + " | " + " ".join(f"'büro {n}.usage'={n}%;80;90;0;100" for n in range(200))
)


def test_lines_of_the_command_file_are_whole(tmp_path: Path, pipe: tuple[Path, int]) -> None:
    path, reader = pipe
    told_of = [
        Result("KVM pool", 1, LONG),
        Result("KVM state web1", 0, "KVM_STATE OK - a\\b\nline\r\x1b[2J"),
        Result("KVM cpu " + "x" * 5000, 0, "OK"),
        Result("KVM cpu web1", 2, "é" * 9000),
    ]
    turns = Turns(str(tmp_path), (), told_of)
    got = bytearray()
    finished = threading.Event()

    def read() -> None:
        while not finished.is_set():
            try:
                got.extend(os.read(reader, 65536))
            except BlockingIOError:
                continue

    thread = threading.Thread(target=read)
    thread.start()
    target = targets.find(str(path), None, None)
    taken = target.send("kvm1", turns, Deadline(60))
    finished.set()
    thread.join()
    got.extend(os.read(reader, 65536) if not got.endswith(b"...\n") else b"")
    assert taken.number == 3
    assert "too long for a line of 4096 bytes: KVM cpu xxx" in taken.why
    lines = bytes(got).splitlines(keepends=True)
    assert max(map(len, lines)) <= 4096
    first, second, third = (line.decode().rstrip("\n").split(";", 4)[1:] for line in lines)
    assert [line[:3] for line in (first, second, third)] == [
        ["kvm1", "KVM pool", "1"],
        ["kvm1", "KVM state web1", "0"],
        ["kvm1", "KVM cpu web1", "2"],
    ]
    values = LONG.partition(" | ")[2].split(" 'b")
    kept = first[3].partition(" | ")[2].removesuffix(r"\n... and more that is left out").split(" 'b")
    assert kept == values[: len(kept)]
    assert len(kept) > 30
    assert second[3] == r"KVM_STATE OK - a\\b\nline  [2J"
    assert third[3].rstrip(".") == "é" * len(third[3].rstrip("."))


def test_a_full_pipe_gives_the_rest_its_turn(tmp_path: Path, pipe: tuple[Path, int]) -> None:
    turns = Turns(str(tmp_path / "state"), (), [Result(r.service, 0, "x" * 4000) for r in results(40)])
    with pytest.raises(KvmwatchError, match=r"Nagios does not read .*: \d+ of 40 results written"):
        targets.find(str(pipe[0]), None, None).send("kvm1", turns, Deadline(0.5))
    left = turns.keep()
    assert left not in (None, "KVM state vm000")
    assert next(Turns(str(tmp_path / "state"), (), results(40))).service == left


CACHE = """########################################
define host {
\thost_name\tkvm1
\t}

define service {
\thost_name\tkvm1
\tservice_description\tKVM state vm000
\t}

define servicedependency {
\thost_name\tkvm1
\tservice_description\tKVM state vm003
\t}

define service {
\thost_name\tkvm10
\tservice_description\tKVM state vm001
\t}

define service {
\thost_name\tkvm1
\tservice_description\tKVM state vm002
\t}
"""


@pytest.fixture
def nagios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool of a Nagios that has two services of kvm1."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (tmp_path / "objects.cache").write_text(CACHE)
    main = tmp_path / "nagios.cfg"
    main.write_text(f"# a\ncheck_result_path={tmp_path}/link\nobject_cache_file={tmp_path}/objects.cache\n")
    (tmp_path / "link").symlink_to(spool)
    monkeypatch.setattr(nagios_objects, "MAIN_FILES", ("/nonexistent", str(main)))
    return spool


def test_nagios_own_object_cache_tells_which_services_it_has(nagios: Path, tmp_path: Path) -> None:
    target = targets.find(str(nagios), None, None)
    assert target.send("kvm1", Turns(str(tmp_path), (), results(4)), Deadline(60)) == (
        4,
        ["KVM state vm001", "KVM state vm003"],
        "",
    )
    assert len([path for path in nagios.iterdir() if path.suffix != ".ok"]) == 1


def test_results_go_to_hosts_of_vms_own(nagios: Path, tmp_path: Path) -> None:
    with (tmp_path / "objects.cache").open("a") as cache:
        cache.write("define service {\n\thost_name\tweb1\n\tservice_description\tKVM cpu\n\t}\n")
    told_of = [Result("KVM cpu", 0, "OK", host) for host in ("web1", "web2")]
    taken = Spool(nagios).send("kvm1", Turns(str(tmp_path), (), told_of), Deadline(60))
    assert taken == (2, ["web2!KVM cpu"], "")
    (file,) = (path for path in nagios.iterdir() if path.suffix != ".ok")
    assert "host_name=web1\nservice_description=KVM cpu\n" in file.read_text()


def test_nagios_own_object_cache_tells_whose_a_host_is(nagios: Path, tmp_path: Path) -> None:
    """On a host that config made, or on its services where the site has made it."""
    with (tmp_path / "objects.cache").open("a") as cache:
        cache.write("define host {\n\thost_name\tweb1\n\t_KVM_UUID\tmine\n\t}\n")
        cache.write(
            "define service {\n\thost_name\tweb2\n\tservice_description\tKVM cpu\n\t_KVM_UUID\ttheirs\n\t}\n"
        )
    for target in (Spool(nagios), CommandFile(nagios)):
        assert target.owners(OF_VMS, Deadline(60)) == {host: {uuid} for host, uuid in TWINS.items()}
    (tmp_path / "objects.cache").unlink()
    assert Spool(nagios).owners(OF_VMS, Deadline(60)) == {}


@pytest.mark.parametrize("spoil", ["objects.cache", "nagios.cfg", "link"])
def test_without_it_nothing_is_said_of_them(nagios: Path, tmp_path: Path, spoil: str) -> None:
    (tmp_path / spoil).unlink()
    assert nagios_objects.find(nagios) is None
    assert Spool(nagios).send("kvm1", Turns(str(tmp_path), (), results(4)), Deadline(60)) == (4, [], "")


def test_a_spool_that_cannot_be_written_keeps_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(KvmwatchError, match="No space left on device"):
        Spool(tmp_path).send("kvm1", Turns(str(tmp_path / "state"), (), results(4)), Deadline(60))
    assert list(tmp_path.iterdir()) == []


def test_hostile_output_makes_no_field_of_the_spool(tmp_path: Path) -> None:
    hostile = Result("KVM state vm", 0, "OK\nreturn_code=2\n\nhost_name=other\r\x00")
    Spool(tmp_path).send("kvm1", Turns(str(tmp_path / "state"), (), [hostile]), Deadline(60))
    (file,) = (path for path in tmp_path.iterdir() if path.name[0] == "c" and path.suffix != ".ok")
    text = file.read_text()
    assert text.count("host_name=") - 1 == text.count("return_code=") - 1 == 1
    assert "\noutput=OK\\nreturn_code=2\\n\\nhost_name=other  \n" in text
