"""Users of this machine in what is said to them, also those that have no name (a container that runs with any)."""

from __future__ import annotations

import os
import pwd

import pytest
from faults import error

from kvmwatch.model import pool_kinds, users
from kvmwatch.reading import pool_paths
from kvmwatch.reading.connection import explained
from kvmwatch.reading.pool_paths import Views, examine


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> str:
    """The number of a user that has no name, who this process is for what asks."""
    known = {user.pw_uid for user in pwd.getpwall()}
    number = next(number for number in range(54321, 1 << 31) if number not in known)
    monkeypatch.setattr(os, "geteuid", lambda: number)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    return str(number)


def test_a_user_is_called_by_its_name() -> None:
    assert users.name() == pwd.getpwuid(os.geteuid()).pw_name
    assert users.name(0) == "root"


def test_one_without_a_name_is_told_all_the_same(nameless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = "Failed to connect socket to '/run/libvirt/libvirt-sock-ro': Permission denied"
    assert f"let user {nameless} read the socket" in str(explained(error(38, refused), "qemu:///system"))
    closed = "Cannot recv data: ssh: connect to host localhost port 22: Connection refused"
    assert f"try 'ssh localhost' as user {nameless}" in str(explained(error(38, closed), "qemu+ssh:///system"))

    def forbidden(*_: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(pool_paths, "_look", forbidden)
    found = examine("/srv/vms", pool_kinds.KINDS["dir"], Views(None))
    assert found.dated == f"/srv/vms cannot be looked into by user {nameless}"
