"""kvmwatch show: which VM is meant by an Id or a PID."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvmwatch_terminal import whose

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import VCPU, VHOST, Domain, Process, Snapshot, Thread, Unread


def vm(name: str, number: int | None, state: int = states.RUNNING) -> Domain:
    return Domain(f"uuid of {name}", name, number, state, 1, 0.0)


WEB1, NUMBERED, OFF = vm("web1", 7), vm("7000", 9), vm("off", None, 5)
HELD = vm("held", None, states.NOSTATE)._replace(not_responding=5.0)
THREADS = (Thread(4002, 1.0, "CPU 0/KVM", VCPU), Thread(50, 1.0, "vhost-4001", VHOST, apart=True))
SEEN = Snapshot(
    *("qemu:///system", 0, 0),
    domains=(WEB1, NUMBERED, OFF),
    processes=(
        Process(4001, 1.0, WEB1.uuid, "web1", 0.0, threads=(Thread(4001, 1.0, "qemu-kvm", "other"), *THREADS)),
        Process(5000, 1.0, NUMBERED.uuid, "by hand", 0.0, known=False),
    ),
)


def test_a_name_is_never_taken_for_a_number() -> None:
    assert whose.of_number(SEEN, "7") == WEB1
    assert whose.of_number(SEEN, "7000") == NUMBERED
    taken = SEEN._replace(domains=(vm("9", 1), WEB1, NUMBERED))
    assert whose.of_number(taken, "9").name == "9"
    assert not [text for text in ("", "-1", "7a", "٧", "1*") if whose.is_number(text)]


def test_a_number_that_no_vm_has() -> None:
    with pytest.raises(KvmwatchError, match="no VM 8 here, neither a name nor an Id; 'kvmwatch list"):
        whose.of_number(SEEN, "8")
    with pytest.raises(KvmwatchError, match=r"Id \(the Id of held is not known just now\);"):
        whose.of_number(SEEN._replace(domains=(WEB1, HELD)), "8")


@pytest.mark.parametrize(("pid", "says"), [(4001, ""), (4002, "CPU 0/KVM"), (50, "vhost-4001")])
def test_the_process_or_a_thread(pid: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert whose.of_pid(SEEN, pid) == WEB1
    told = f"kvmwatch: {pid} is the thread {says} of the QEMU process 4001 of web1\n"
    assert capsys.readouterr().err == (told if says else "")


def test_a_process_that_is_no_vms(tmp_path: Path) -> None:
    with pytest.raises(KvmwatchError, match=r"5000 is a QEMU process \(by hand\) that this libvirt does not know"):
        whose.of_pid(SEEN, 5000)
    (tmp_path / "12").mkdir()
    (tmp_path / "12/comm").write_text("sshd\n")
    with pytest.raises(
        KvmwatchError, match=r"^12 \(sshd\) is neither a QEMU process of a VM nor a thread of one$"
    ):
        whose.of_pid(SEEN, 12, str(tmp_path))
    with pytest.raises(KvmwatchError, match="there is no process or thread 13 here; a QEMU that was killed"):
        whose.of_pid(SEEN, 13, str(tmp_path))
    lost = WEB1._replace(unread=(Unread(Group.PROCESSES, "", "hidden"),))
    with pytest.raises(KvmwatchError, match=r"one \(the QEMU process of web1 is not known just now\)$"):
        whose.of_pid(SEEN._replace(domains=(lost,), processes=()), 12, str(tmp_path))
