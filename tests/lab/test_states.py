"""Every command on real guests in every state."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from check_kvm.frame.judging import all_checks
from commands import CHECKS, KINDS, Command, together

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.usefixtures("bed")

UP = r", up [0-9 hmins]+(?=[,\n])"
VERDICTS = {
    "web1": "[OK] web1 running (booted), without autostart",
    "trans1": "[OK] trans1 running (booted), not persistent",
    "odd": '[OK] Büro VM "01" it\'s=odd ¦ 100% running (booted), without autostart',
    "pause1": "[WARNING] pause1 paused (user), without autostart",
    "ioerr1": "[CRITICAL] ioerr1 paused (I/O error), without autostart",
    "crash1": "[CRITICAL] crash1 crashed (panicked), without autostart",
    "crash2": "[CRITICAL] crash2 shut off (crashed)",
    "suspend1": "[OK] suspend1 suspended, without autostart",
    "off1": "[OK] off1 shut off (shutdown)",
    "gone1": "[OK] gone1 shut off (destroyed)",
    "save1": "[OK] save1 shut off (saved)",
    "fail1": "[CRITICAL] fail1 shut off (failed)",
    "never1": "[OK] never1 shut off",
    "auto1": "[CRITICAL] auto1 shut off though it should be running (autostart)",
    "expect1": "[CRITICAL] expect1 shut off though it should be running (its metadata)",
}


@pytest.fixture
def odd_name() -> str:
    from bed import ODD_NAME

    return ODD_NAME


def test_state_verdicts(command: Command) -> None:
    ran = command("check_kvm_state", "-v")
    assert ran.code == 2
    shown, times = re.subn(UP, "", ran.out)
    for line in VERDICTS.values():
        assert f"\n{line}\n" in shown
    assert times == shown.count("without autostart") + shown.count("not persistent"), "of each that runs"
    assert "alone1" not in ran.out


@pytest.mark.parametrize("check", CHECKS)
def test_check_runs_and_says_nothing_on_stderr(command: Command, check: str) -> None:
    ran = command(f"check_kvm_{check}", "-v")
    assert ran.err == ""
    assert ran.first.startswith(f"KVM_{check.upper()} {('OK', 'WARNING', 'CRITICAL')[ran.code]} - ")


@pytest.mark.parametrize("kind", KINDS)
def test_discovery(command: Command, kind: str) -> None:
    ran = command("zabbix_kvm", "discover", kind)
    assert (ran.code, ran.err) == (0, "")
    rows = json.loads(ran.out)
    names = {row.get("{#VM.NAME}") for row in rows}
    expected = {"domains": "never1", "vcpus": "never1", "disks": "fail1", "interfaces": "web1"}
    if kind in expected:
        assert expected[kind] in names
        assert "alone1" not in names


def test_discovery_lists_what_the_guests_have(command: Command, odd_name: str) -> None:
    def rows(kind: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(command("zabbix_kvm", "discover", kind).out)
        return [row for row in found if row.get("{#VM.NAME}") in ("web1", odd_name)]

    assert [row["{#DISK.NAME}"] for row in rows("disks")] == ["vda", "vdb"], "the empty CD-ROM drive is no disk"
    assert [row["{#IF.MAC}"] for row in rows("interfaces")] == ["52:54:00:00:01:01", "52:54:00:00:01:02"]
    assert [row["{#VCPU.ID}"] for row in rows("vcpus") if row["{#VM.NAME}"] == "web1"] == [0, 1]


def test_filesystems_from_the_guest_agent(command: Command) -> None:
    ran = command("zabbix_kvm", "discover", "filesystems", "--guest-agent")
    assert [row["{#FS.MOUNTPOINT}"] for row in json.loads(ran.out)] == ["/mnt"]
    document = json.loads(command("zabbix_kvm", "collect", "--guest-agent").out)
    web1 = next(domain for domain in document["domains"] if domain["name"] == "web1")
    assert 0 < web1["filesystems"][0]["used"] < web1["filesystems"][0]["total"] < 64 << 20


def test_master_item(command: Command, bed: Bed, odd_name: str) -> None:
    document = json.loads(command("zabbix_kvm", "collect").out)
    domains = {domain["name"]: domain for domain in document["domains"]}
    assert domains.keys() == {domain.name() for domain in bed.connect().listAllDomains()}
    assert domains["alone1"].keys() == {"uuid", "name", "state", "reason", "ignore"}, (
        "ignored: named, not measured"
    )
    assert domains["auto1"]["expected"] == "running"
    assert "interfaces" not in domains[odd_name], "its user-mode interface has no counters and is not discovered"
    assert domains["ioerr1"]["disks"][0]["errors"] == 1
    assert {network["name"]: network["active"] for network in document["networks"]} == {"default": 1, "idle": 0}
    assert not any(domain.get("not_responding") for domain in domains.values())


def test_the_odd_name_can_be_selected_exactly(command: Command, odd_name: str) -> None:
    ran = command("check_kvm_state", "-d", odd_name)
    assert ran.first.startswith('KVM_STATE OK - Büro VM "01" it\'s=odd ¦ 100% running (booted), up ')


def test_disk_error_names_its_cause(command: Command) -> None:
    ran = command("check_kvm_disk", "-d", "ioerr1")
    assert ran.code == 2
    assert "ioerr1 vda errors 1 (over 0), no space" in ran.first


def test_metadata_set_by_virsh_is_obeyed(command: Command, bed: Bed) -> None:
    import subprocess

    set_it = ["virsh", "metadata", "idle1", "--uri", "urn:kvmwatch:1", "--key", "kvmwatch"]
    xml = '<watch expect="shutoff"><threshold metric="memory.usage" warning="1"/></watch>'
    subprocess.run([*set_it, "--set", xml, "--live", "--config"], check=True, capture_output=True)
    try:
        ran = command("check_kvm_state", "-d", "idle1")
        assert "idle1 running (booted) though it should be shut off (its metadata)" in ran.first
        assert "(over 1 %)" in command("check_kvm_memory", "-d", "idle1").first
    finally:
        subprocess.run([*set_it, "--remove", "--live", "--config"], check=True, capture_output=True)


@pytest.mark.parametrize("check", ["state", "memory", "disk", "network", "host"])
def test_remote_hypervisor_gives_the_same(command: Command, bed: Bed, check: str) -> None:
    """Over TCP to libvirtd's own port in the lab's network namespace: nothing is taken from the local machine."""
    # without limits: a moment later this machine may be busy
    metrics = next(one for one in all_checks() if one.name == check).metrics
    unjudged = [word for metric in metrics for word in ("-w", f"{metric.name}=", "-c", f"{metric.name}=")]
    remote = command(f"check_kvm_{check}", "-u", "qemu+tcp://127.0.0.1/system", "-d", "web1", *unjudged)
    local = command(f"check_kvm_{check}", "-d", "web1", *unjudged)
    assert (remote.code, remote.err) == (local.code, "")
    labels = [set(re.findall(r"'?([^ ']+)'?=", ran.first.split(" | ")[1])) for ran in (remote, local)]
    # load and swap are told only by the machine itself
    assert labels[1] - labels[0] <= {"load", "swap"}
    assert labels[0] <= labels[1]


def test_commands_leave_no_line_in_libvirts_log(command: Command, bed: Bed) -> None:
    log = bed.daemon.log
    before = log.read_text()
    together(command, [*((f"check_kvm_{check}",) for check in CHECKS), ("zabbix_kvm", "collect")])
    assert log.read_text() == before
