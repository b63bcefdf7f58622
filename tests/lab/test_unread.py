"""A part of the hypervisor that cannot be read takes nothing else with it: storage pools, networks, and their daemons."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import inside
import pytest
from commands import CHECKS, Command, together
from conformance import conforming
from daemons import MODULAR
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

LIMIT = 4
#: they compare with counters of a run before: a slow machine has no time for a second reading of its own in LIMIT
RATED = [(f"check_kvm_{check}",) for check in ("cpu", "memory", "disk", "network", "process", "host")]
#: the daemon that has a part, which key of the document is the part's, and what it is called
OF_DAEMON = {"virtstoraged": ("pools", "storage pools"), "virtnetworkd": ("networks", "virtual networks")}
#: libvirt's driver for it
OF_DRIVER = {"storage": OF_DAEMON["virtstoraged"], "network": OF_DAEMON["virtnetworkd"]}

modular = pytest.mark.skipif(not MODULAR, reason="of the modular daemons: make test-lab-modular")
monolithic = pytest.mark.skipif(MODULAR, reason="of libvirtd: make test-lab")


@contextlib.contextmanager
def without(bed: Bed, daemon: str, how: str) -> Iterator[None]:
    """A modular daemon is stopped, or is not there."""
    one = bed.daemons.others[daemon]
    if how == "stopped":
        one.send(signal.SIGSTOP)
    else:
        one.end()
    try:
        yield
    finally:
        if how == "stopped":
            one.send(signal.SIGCONT)
        else:
            one.start()


@contextlib.contextmanager
def without_driver(command: Command, bed: Bed, name: str) -> Iterator[None]:
    """libvirtd does not find a driver, as where its package is not installed."""
    (folder,) = Path("/usr/lib").glob("*/libvirt/connection-driver")
    others = inside.WORK / "drivers"
    shutil.copytree(folder, others, dirs_exist_ok=True)
    (others / f"libvirt_driver_{name}.so").unlink()
    bed.daemon.end()
    inside.mount("--bind", others, folder)
    try:
        bed.daemon.start()
        eventually("all guests answer", lambda: all_answer(command))
        yield
    finally:
        bed.daemon.end()
        subprocess.run(["umount", folder], check=True)
        shutil.rmtree(others)
        bed.daemon.start()


def collected(command: Command) -> dict[str, Any]:
    """The master item, which always is to be had in time."""
    ran = command("zabbix_kvm", "collect", "-t", str(LIMIT))
    assert (ran.code, ran.err) == (0, "")
    assert ran.seconds <= LIMIT + 1
    document: dict[str, Any] = json.loads(ran.out)
    return document


def all_answer(command: Command) -> bool:
    """Whether no guest is busy with libvirt, as they are for a while after it was started."""
    return not any(domain.get("not_responding") for domain in collected(command)["domains"])


def told_without(command: Command, part: str, what: str, healthy: dict[str, Any]) -> str:
    """Assert that everything but a part is told as ever, and that of the part is said; give the words."""
    document = collected(command)
    assert part not in document
    assert part not in document["discovery"], "an empty list would tell Zabbix that they are gone"
    assert document["unread"]["count"] == 1
    text: str = document["unread"]["text"]
    assert text.startswith(f"{what}: qemu:///system: ")
    for key in healthy.keys() - {part, "time", "unread", "discovery"}:
        assert shape(document[key]) == shape(healthy[key]), key
    checks = together(command, [(f"check_kvm_{check}", "-t", str(LIMIT)) for check in CHECKS])
    for check, ran in zip(CHECKS, checks):
        output = conforming(ran.out, ran.code)
        assert ran.seconds <= LIMIT + 1
        said = f"{what} could not be read: " in ran.out
        assert said == ((check, part) in (("pool", "pools"), ("net", "networks")))
        if said:
            assert output.status == "UNKNOWN"
            assert "0 pools" not in ran.out
            assert "no networks" not in ran.out
        else:
            assert output.status != "UNKNOWN"
    for kind in ("pools", "networks"):
        ran = command("zabbix_kvm", "discover", kind, "-t", str(LIMIT))
        assert (ran.code == 3) == (kind == part)
        assert (f"{what} could not be read: " in ran.err) == (kind == part)
    return text


def shape(value: Any) -> Any:
    """What there is of a document, without the figures."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else None


@modular
@pytest.mark.parametrize("how", ["stopped", "missing"])
@pytest.mark.parametrize("daemon", OF_DAEMON)
def test_a_daemon_of_a_part(command: Command, bed: Bed, daemon: str, how: str) -> None:
    healthy = collected(command)
    together(command, RATED)
    with without(bed, daemon, how):
        text = told_without(command, *OF_DAEMON[daemon], healthy)
        workers = bed.daemon.admin("srv-threadpool-info")
        assert workers["nWorkers"] - workers["freeWorkers"] <= 1, "no question waits in virtqemud"
    assert (f"then restart {daemon}" if how == "stopped" else f"{daemon} is not running") in text
    assert collected(command)["unread"] == {"count": 0, "text": ""}


@modular
@pytest.mark.parametrize("how", ["stopped", "missing"])
@pytest.mark.parametrize("daemon", ["virtnodedevd", "virtsecretd", "virtproxyd"])
def test_a_daemon_that_has_nothing_of_ours(command: Command, bed: Bed, daemon: str, how: str) -> None:
    healthy = collected(command)
    with without(bed, daemon, how):
        assert shape(collected(command)) == shape(healthy)


@monolithic
@pytest.mark.parametrize("driver", OF_DRIVER)
def test_a_driver_that_is_not_installed(command: Command, bed: Bed, driver: str) -> None:
    healthy = collected(command)
    together(command, RATED)
    with without_driver(command, bed, driver):
        text = told_without(command, *OF_DRIVER[driver], healthy)
    assert f"install libvirt-daemon-driver-{driver}" in text
    assert collected(command)["unread"] == {"count": 0, "text": ""}
