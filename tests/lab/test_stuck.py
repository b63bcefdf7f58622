"""Hung, killed and restarted daemons, hung QEMUs, and domains that change while they are read."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bed import grows
from commands import CHECKS, Command, Ran, together
from daemons import URI
from waiting import eventually

from kvmwatch.reading.connection import open_readonly

if TYPE_CHECKING:
    from bed import Bed

COMMANDS: list[tuple[str, ...]] = [(f"check_kvm_{check}",) for check in CHECKS]
COMMANDS += [("zabbix_kvm", "discover", "domains"), ("zabbix_kvm", "collect")]
COMMANDS += [("nagios_kvm", "config", "--format", "nagios")]
LIMIT = 3
TOGETHER = 8  # seconds for all commands at once
AT_ONCE = 5  # commands that end in the same moment, by their time limit: for more a slow machine has not the CPU


def one_line_of_unknown(ran: Ran, limit: float = LIMIT) -> str:
    """Assert that a command gave up properly; give the line it said."""
    said = ran.out + ran.err
    assert ran.code == 3, said
    assert said.count("\n") == 1, said
    assert ran.seconds <= limit + 1
    return said


def processes() -> set[int]:
    """The processes of the lab's PID namespace."""
    return {int(entry.name) for entry in Path("/proc").glob("[0-9]*")}


def cmdline(pid: int) -> bytes:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def stopped(bed: Bed) -> Iterator[Callable[[str], int]]:
    """Stop the QEMU of a domain, and let it go on when the test ends."""
    pids = []

    def stop(name: str) -> int:
        pids.append(bed.qemu_pid(name))
        os.kill(pids[-1], signal.SIGSTOP)
        return pids[-1]

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)  # for libvirtd to get the answers that it waited for


def all_at_once(command: Command, seconds: float) -> dict[str, Ran]:
    """What every command did under this time limit."""

    def calls() -> Iterator[tuple[str, ...]]:
        for words in COMMANDS:
            yield (*words, "-t", str(seconds))
            time.sleep(0.2)  # or all would end in the same moment, for which a slow machine has not the CPU

    ran = together(command, calls(), len(COMMANDS))
    return {" ".join(words): one for words, one in zip(COMMANDS, ran)}


def test_stopped_daemon(command: Command, bed: Bed, tmp_path: Path) -> None:
    before = processes()
    bed.daemon.send(signal.SIGSTOP)
    try:
        runs = together(command, [(*words, "-t", str(LIMIT)) for words in COMMANDS], AT_ONCE)
    finally:
        bed.daemon.send(signal.SIGCONT)
    for words, ran in zip(COMMANDS, runs):
        assert f"gave no answer within {LIMIT} s" in one_line_of_unknown(ran), words
    assert processes() <= before
    assert not list(tmp_path.rglob("*.tmp"))
    for words, ran in zip(COMMANDS, together(command, COMMANDS)):
        assert ran.code < 3, (words, "the next run after the recovery is right")


def test_daemon_that_stops_between_two_samples(command: Command, bed: Bed) -> None:
    command("check_kvm_cpu")
    threading.Timer(0.6, bed.daemon.send, [signal.SIGSTOP]).start()
    try:  # a first run: it waits a second between its samples
        said = one_line_of_unknown(command("check_kvm_cpu", "-t", str(LIMIT), "-d", "web*"))
    finally:
        bed.daemon.send(signal.SIGCONT)
    assert "gave no answer" in said


def test_nobody_waits_for_a_connection_to_end(bed: Bed) -> None:
    connections = [open_readonly(URI)]
    forgetting = threading.Thread(target=connections.clear)
    bed.daemon.send(signal.SIGSTOP)
    try:
        forgetting.start()
        forgetting.join(LIMIT)
        assert not forgetting.is_alive()
    finally:
        bed.daemon.send(signal.SIGCONT)


def test_daemon_killed_in_the_middle_of_a_call(command: Command, bed: Bed) -> None:
    bed.daemon.send(signal.SIGSTOP)
    killer = threading.Timer(TOGETHER / 2, bed.daemon.end, [signal.SIGKILL])
    killer.start()
    try:
        killed = all_at_once(command, TOGETHER)
        killer.join()
        refused = all_at_once(command, TOGETHER)
    finally:
        killer.join()
        bed.daemon.start()
    for words, ran in killed.items():
        said = one_line_of_unknown(ran, TOGETHER)
        assert "gave no answer" not in said, f"{words} does not wait for a daemon that is gone"
    for words, ran in refused.items():
        said = one_line_of_unknown(ran, TOGETHER)
        assert "libvirt is not running" in said, words
        assert "systemctl start" in said, words
    for words, ran in zip(COMMANDS, together(command, COMMANDS)):
        assert ran.code < 3, words


def test_restart_keeps_rates_of_running_domains(command: Command, bed: Bed) -> None:
    command("check_kvm_cpu", "-d", "web1")
    bed.daemon.end()
    bed.daemon.start()
    assert re.search(r" usage=[0-9.]+%", command("check_kvm_cpu", "-d", "web1").first)


def domains_of(ran: Ran) -> dict[str, dict[str, Any]]:
    """The domains of a master item by name."""
    assert ran.code == 0, ran.err
    return {domain["name"]: domain for domain in json.loads(ran.out)["domains"]}


def test_one_stopped_qemu_ten_runs(command: Command, bed: Bed, stopped: Callable[[str], int]) -> None:
    healthy = domains_of(command("zabbix_kvm", "collect"))
    files = bed.daemon.open_files()
    stopped("idle1")
    runs = [command("zabbix_kvm", "collect", "-t", "5") for _ in range(10)]
    ages = []
    for run in runs:
        assert run.seconds <= 5
        domains = domains_of(run)
        assert domains.keys() == healthy.keys()
        ages.append(domains["idle1"]["not_responding"])
        for name, domain in domains.items():
            if name != "idle1":
                assert domain.keys() == healthy[name].keys(), name
                assert not domain.get("not_responding")
    assert ages == sorted(ages), "for how long it does not answer"
    assert ages[0] >= 1
    assert ages[-1] < 60
    values = [domains_of(run)["web1"]["cpu_time_per_vcpu"] for run in runs]
    assert grows(values), values
    # nothing piles up in libvirtd: one worker waits, the one that met the hung QEMU first
    workers = bed.daemon.admin("srv-threadpool-info")
    assert workers["nWorkers"] - workers["freeWorkers"] <= 1
    assert workers["jobQueueDepth"] == 0
    assert bed.daemon.admin("srv-clients-info")["nclients"] <= 1
    assert bed.daemon.open_files() <= files + 1


def test_checks_name_the_stopped_qemu(command: Command, bed: Bed, stopped: Callable[[str], int]) -> None:
    command("zabbix_kvm", "collect")
    stopped("idle1")
    command("zabbix_kvm", "collect", "-t", "5")  # a QEMU that nobody has asked yet does not look hung
    time.sleep(3)
    for check in ("memory", "disk", "cpu", "state", "network"):
        ran = command(f"check_kvm_{check}", "-t", "5", "-d", "idle1", "-d", "web1", "-v")
        assert ran.seconds <= 6, check
        assert "idle1 " in ran.out, check
        assert "not responding for " in ran.first, check
        assert ran.code == (1 if check == "state" else 3), check
        if check != "state":
            assert re.search(r"'web1\.[^=]*=[0-9]", ran.first), "the other domain's values are there"


def test_a_check_that_meets_the_stopped_qemu_first(
    command: Command, bed: Bed, stopped: Callable[[str], int]
) -> None:
    stopped("idle1")
    ran = command("check_kvm_memory", "-t", "5")
    assert ran.seconds <= 6
    assert "idle1 not responding for " in ran.first
    assert re.search(r"'web1.usage'=[0-9]", ran.first)


def test_three_stopped_qemus(command: Command, bed: Bed, stopped: Callable[[str], int]) -> None:
    names = {"idle1", "nodriver1", "trans1"}
    for name in names:
        stopped(name)
    domains = domains_of(command("zabbix_kvm", "collect", "-t", "10"))
    assert {name for name, domain in domains.items() if domain.get("not_responding")} == names
    assert domains["web1"]["memory_usable"] > 0


def test_a_domain_that_a_job_holds(command: Command, bed: Bed) -> None:
    """A guest that does not give a device back: libvirt waits 5 s for it, and lets nobody else's job begin meanwhile."""
    import libvirt
    from bed import WORK
    from guests import disk, guest, qcow2, uuid_of

    image = WORK / "held1.qcow2"
    qcow2(image, "16M")
    held = bed.transient(guest("held1", devices=disk(image, "vda")))
    try:
        healthy = domains_of(command("zabbix_kvm", "collect"))
        detaching = threading.Thread(target=detach, args=(held, disk(image, "vda")))
        detaching.start()
        eventually("a job holds it", lambda: bed.lookup("held1").controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK)
        ran = command("zabbix_kvm", "collect", "-t", "4")
        assert ran.seconds <= 4
        domains = domains_of(ran)
        assert domains.keys() == healthy.keys()
        assert domains["held1"]["uuid"] == uuid_of("held1")
        for name in domains.keys() - {"held1"}:
            assert domains[name].keys() == healthy[name].keys(), name
            assert not domains[name].get("not_responding")
        detaching.join()
        assert not domains_of(command("zabbix_kvm", "collect"))["held1"].get("not_responding")
    finally:
        held.destroy()


def detach(domain: Any, device: str) -> None:
    """Take a device out of a running domain; that the guest keeps it is no error here."""
    import libvirt

    with contextlib.suppress(libvirt.libvirtError):
        domain.detachDeviceFlags(device, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def test_more_stopped_qemus_than_there_is_time_for(command: Command, bed: Bed) -> None:
    """What could not be asked in time is named; what answered is there."""
    from guests import small

    domains = [bed.transient(small(f"many{number}")) for number in range(12)]
    pids = [pid for pid in processes() if b"guest=many" in cmdline(pid)]
    assert len(pids) == len(domains)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        ran = command("zabbix_kvm", "collect", "-t", "2")
        assert ran.seconds <= 3
        read = domains_of(ran)
        late = [name for name in (domain.name() for domain in domains) if not read[name].get("not_responding")]
        assert all(f"VM {name}: not read within 2 s" in json.loads(ran.out)["unread"]["text"] for name in late)
        assert len(late) < len(domains)
        assert read["never1"]["state"] == 5
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        for domain in domains:
            domain.destroy()


def test_domains_that_come_and_go_while_they_are_read(command: Command, bed: Bed) -> None:
    from guests import small

    done = threading.Event()

    def churn(number: int) -> None:
        while not done.is_set():
            domain = bed.transient(small(f"churn{number}"))
            domain.suspend()
            domain.resume()
            domain.destroy()

    churners = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
    for churner in churners:
        churner.start()
    try:
        for _ in range(6):
            ran = command("zabbix_kvm", "collect")
            domains = domains_of(ran)
            assert ran.err == ""
            for name, domain in domains.items():
                if name.startswith("churn") and "memory_rss" in domain:
                    assert domain["state"] in (1, 3)
                    assert {"id", "cpu_time_per_vcpu", "vcpu_count", "memory_maximum"} <= domain.keys()
                if domain["state"] == 5:
                    assert "cpu_time_per_vcpu" not in domain
            # its UUID tells whose the values are
            assert domains["web1"]["uuid"] == bed.lookup("web1").UUIDString()
            assert len(domains["web1"]["disks"]) == 2
            for check in ("state", "memory"):
                checked = command(f"check_kvm_{check}", "-v")
                assert checked.code < 3, checked.out
                assert "Traceback" not in checked.out + checked.err
    finally:
        done.set()
        for churner in churners:
            churner.join()


def test_many_clients_at_once_leave_no_holes(command: Command, bed: Bed) -> None:
    """NOWAIT skips a domain whose QEMU another client is asking; such a domain is asked again, for a second."""
    healthy = domains_of(command("zabbix_kvm", "collect"))
    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda _: command("zabbix_kvm", "collect", "-t", "20"), range(18)))
    holes = 0
    for run in runs:
        for name, domain in domains_of(run).items():
            if domain.keys() != healthy[name].keys():  # on a busy machine a QEMU may need longer than that
                assert name in json.loads(run.out)["unread"]["text"]
                holes += 1
    assert holes < len(runs)


def test_domain_that_is_saved_while_it_is_read(command: Command, bed: Bed) -> None:
    """A job that takes long (managed save) makes no value wrong and no domain hung."""
    saving = threading.Thread(target=lambda: bed.lookup("nodriver1").managedSave())
    saving.start()
    try:
        for _ in range(5):
            domains = domains_of(command("zabbix_kvm", "collect"))
            assert domains["nodriver1"]["state"] in (1, 3, 5)
            if domains["nodriver1"]["state"] == 5:
                assert "cpu_time_per_vcpu" not in domains["nodriver1"]
    finally:
        saving.join()
        bed.lookup("nodriver1").create()


def test_output_that_nobody_reads(command: Command, bed: Bed) -> None:
    ran = subprocess.run(
        f"{command.bin}/zabbix_kvm collect | true; {command.bin}/check_kvm_disk | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
