"""Host, pools and networks: one that cannot be read is told as such, and takes no other with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import libvirt
import pytest
from hanging import ALL_OVER

from kvmwatch.model.groups import Group
from kvmwatch.reading import parts
from kvmwatch.reading.connection import explained
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.hypervisor import Hypervisor

WANTED = Group.HOST | Group.POOLS | Group.NETWORKS
WELL = {part.field: object() for part in parts._PARTS}


def error(code: int, text: str) -> libvirt.libvirtError:
    """libvirt's error, which only libvirt itself can make whole."""
    made = libvirt.libvirtError(text)
    made.err = (code, 0, text, 2, None, None, None, 0, 0)
    return made


def failing(trouble: Exception | None) -> Callable[[Any, Deadline], Any]:
    """A reader that raises, or with None never comes back."""

    def read(_hypervisor: Any, _deadline: Deadline) -> Any:
        if trouble is None:
            ALL_OVER.wait()
        raise trouble  # type: ignore[misc]

    return read


def reading_with(monkeypatch: pytest.MonkeyPatch, trouble: dict[str, Exception | None], uri: str) -> parts.Parts:
    """Begin to read all parts, of which some have trouble."""
    patched = tuple(
        part._replace(
            read=failing(trouble[part.field])
            if part.field in trouble
            else (lambda _hypervisor, _deadline, field=part.field: WELL[field])
        )
        for part in parts._PARTS
    )
    monkeypatch.setattr(parts, "_PARTS", patched)
    hypervisor = Hypervisor("test:///default", Deadline(5))
    hypervisor.connect()
    hypervisor.uri = uri
    monkeypatch.setattr(hypervisor, "beside", lambda _uri: hypervisor)
    return parts.Parts(hypervisor, WANTED, Deadline(0.3))


FAILURES = [
    error(libvirt.VIR_ERR_OPERATION_FAILED, "polkit denied it"),
    error(libvirt.VIR_ERR_NO_SUPPORT, "this function is not supported by the connection driver"),
    OSError(13, "Permission denied", "/proc/meminfo"),
    None,
]
COMBINATIONS = [
    dict(zip(fields, failures))
    for size in range(4)
    for fields in itertools.combinations(WELL, size)
    for failures in itertools.product(FAILURES, repeat=size)
]


def test_any_combination_of_failures_leaves_the_others_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # all are begun before the first is waited for, as those that hang take all their time
    for trouble, reading in [
        (trouble, reading_with(monkeypatch, trouble, "qemu:///system")) for trouble in COMBINATIONS
    ]:
        read, untouched = reading.wait(), parts.Read()
        for part in parts._PARTS:
            wanted = getattr(untouched, part.field) if part.field in trouble else WELL[part.field]
            assert getattr(read, part.field) is wanted, trouble
        failed = [part.group for part in parts._PARTS if part.field in trouble]
        assert [unread.group for unread in read.unread] == failed, trouble


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            None,
            "qemu:///system: no answer within 0.3 s; look with 'virsh pool-list --all', then restart virtstoraged",
        ),
        (
            FAILURES[1],
            "qemu:///system: this libvirt has no driver for them; install libvirt-daemon-driver-storage",
        ),
        (
            error(38, "Failed to connect socket to '/var/run/libvirt/virtstoraged-sock-ro': Connection refused"),
            "qemu:///system: virtstoraged is not running: ",
        ),
        (
            error(38, "Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': No such file or directory"),
            "qemu:///system: virtstoraged is not running: ",
        ),
        (
            error(38, "Failed to connect socket to '/var/run/libvirt/virtstoraged-sock-ro': Permission denied"),
            "qemu:///system: Failed to connect socket to '/var/run/libvirt/virtstoraged-sock-ro': Permission denied; let",
        ),
    ],
)
def test_what_is_said(monkeypatch: pytest.MonkeyPatch, trouble: Exception | None, said: str) -> None:
    (unread,) = reading_with(monkeypatch, {"pools": trouble}, "qemu:///system").wait().unread
    assert unread.what == "storage pools"
    assert unread.why.startswith(said)


def test_a_hypervisor_that_has_no_such_thing_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    (unread,) = reading_with(monkeypatch, {"networks": FAILURES[1]}, "esx://host/").wait().unread
    assert unread.absent
    assert unread.why == "esx://host/: this libvirt has no driver for them"


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("qemu:///system", "storage:///system"),
        ("qemu:///session", "storage:///session"),
        ("qemu:///system?socket=/run/other", "qemu:///system?socket=/run/other"),
        ("qemu+tcp://host/system", "qemu+tcp://host/system"),
        ("test:///default", "test:///default"),
    ],
)
def test_a_driver_of_this_machine_is_asked_itself(uri: str, asked: str) -> None:
    assert parts.driver_uri(uri, "storage") == asked


@pytest.mark.parametrize(
    ("socket", "said"),
    [
        ("libvirt-sock-ro", "libvirt is not running: "),
        ("virtqemud-sock", "libvirt is not running: "),
        ("virtnetworkd-sock-ro", "virtnetworkd is not running: "),
        ("virtnonsensed-sock-ro", "virtnonsensed is not running: "),
    ],
)
@pytest.mark.parametrize("uri", ["qemu:///system", "nonsense:///system"])
@pytest.mark.parametrize("why", ["No such file or directory", "Connection refused"])
def test_the_daemon_that_is_not_running_is_named(socket: str, said: str, why: str, uri: str) -> None:
    text = f"Failed to connect socket to '/run/libvirt/{socket}': {why}"
    told = str(explained(error(38, text), uri))
    assert told.startswith(f"{uri}: {said}")
    unit = "libvirtd" if socket.startswith("libvirt") else socket.split("-", maxsplit=1)[0] + ".socket"
    assert f"systemctl start {unit}" in told
    of_any_driver = socket.startswith(("libvirt-", "virtnonsensed"))
    assert ("check the URI" in told) == (uri.startswith("nonsense") and of_any_driver)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("End of file while reading data: kvm@kvm2: Permission denied (publickey).", "no way there by ssh"),
        ("End of file while reading data: Host key verification failed.", "no way there by ssh"),
        ("End of file while reading data: ssh: Could not resolve hostname kvm2", "no way there by ssh"),
        ("End of file while reading data: ssh: connect to host kvm2 port 22: Connection refused", "no way there"),
        (
            "End of file while reading data: nc: unix connect failed: No such file",
            "libvirt is not running on kvm2",
        ),
        ("virt-ssh-helper: Failed to connect socket to '/run/libvirt/virtqemud-sock'", "not running on kvm2"),
    ],
)
def test_what_stands_in_the_way_over_ssh(text: str, said: str) -> None:
    told = str(explained(error(38, text), "qemu+ssh://kvm@kvm2/system"))
    assert said in told
    assert ("; try 'ssh kvm@kvm2' as user " in told) == ("ssh" in said or "no way" in said)
    assert "restarted" not in told
