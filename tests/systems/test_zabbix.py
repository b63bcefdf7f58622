"""The templates and zabbix_kvm on a real Zabbix that watches the lab's hypervisor, as its administrator would."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command

from zabbix import CONFIG, HV, LOGIN, URL, Zabbix, eventually, provision

if TYPE_CHECKING:
    from bed import Bed

PUSHED = "pushed1"

#: what is wrong on the lab's hypervisor, and nothing else of its kind
AVAILABILITY = {
    "Pool dead: Inactive though it should be active",
    "VM auto1: Not running though it should be",
    "VM crash1: Crashed",
    "VM crash2: Crashed",
    "VM expect1: Not running though it should be",
    "VM fail1: Crashed",
    "VM ioerr1: Disk vda: I/O errors",
    "VM ioerr1: Paused by an I/O error",
    "VM pause1: Paused",
}


def test_dry_run_changes_nothing(zabbix: Zabbix, kvm: Command) -> None:
    ran = provision(kvm, "--hypervisor", "kvm9=127.0.0.9", "--dry-run")
    assert ran.code == 0
    assert "would make host kvm9 (KVM Hypervisor by Zabbix agent)" in ran.err
    assert zabbix.items("kvm9") == {}


def test_provisioning_twice_changes_nothing(watched: Zabbix, kvm: Command) -> None:
    ran = provision(kvm, "--hypervisor", f"{HV}=127.0.0.1")
    assert (ran.out, ran.err) == (f"{URL}: nothing to change\n", "")


def test_nothing_is_unsupported_and_what_has_no_value_is_unknown(watched: Zabbix, kvm: Command, bed: Bed) -> None:
    items = watched.items(HV)
    assert [(item["name"], item["error"]) for item in items.values() if item["state"] == "1"] == []
    document = json.loads(kvm("zabbix_kvm", "collect").out)
    for key, item in items.items():
        path = json_path(item)
        if path and picked(document, path) is not None and not int(item["lastclock"]):
            pytest.fail(f"{key} has no value, though collect gives one")
    for name in ("web1", "idle1", "off1", "crash1"):
        uuid = bed.lookup(name).UUIDString()
        assert any(uuid in key for key in items)
    assert not any(bed.lookup("alone1").UUIDString() in key for key in items), "ignored by its metadata"


def test_values_are_those_of_collect(watched: Zabbix, kvm: Command) -> None:
    """Two documents, pushed as they are with a minute in between: every value and every rate."""
    assert provision(kvm, "--way", "trapper", "--hypervisor", PUSHED).code == 0
    eventually("the server knows the pushed host", lambda: push(PUSHED, {"time": 1}, time.time() - 600))
    old = json.loads(kvm("zabbix_kvm", "collect").out)
    now = int(time.time())
    eventually(
        "its items are discovered", lambda: push(PUSHED, old, now - 120) and len(watched.items(PUSHED)) > 400
    )
    eventually("the server has the new items", lambda: push(PUSHED, old, now - 60) and state_known(watched))
    new = json.loads(kvm("zabbix_kvm", "collect").out)
    assert push(PUSHED, old, now - 60)
    assert push(PUSHED, new, now)
    uuid = next(domain["uuid"] for domain in new["domains"] if domain["name"] == "web1")
    eventually(
        "the newest are there",
        lambda: watched.items(PUSHED)["kvm.time"]["lastvalue"].startswith(str(int(new["time"]))),
    )
    time.sleep(3)
    compared = 0
    for key, item in watched.items(PUSHED).items():
        path = json_path(item)
        wanted = picked(new, path) if path else None
        if wanted is None:
            continue
        kinds = [step["type"] for step in item["preprocessing"]]
        if CHANGE_PER_SECOND in kinds:
            before = picked(old, path)
            if before is None or wanted < before:
                continue
            times = next(
                (float(step["params"]) for step in item["preprocessing"] if step["type"] == MULTIPLIER), 1
            )
            wanted = (wanted - before) / 60 * times
        if isinstance(wanted, str):
            assert item["lastvalue"] == wanted, key
        else:
            assert float(item["lastvalue"]) == pytest.approx(wanted, rel=1e-3, abs=1e-3), key
        compared += 1
    assert compared > 300
    assert f"kvm.disk.read_requests[{uuid},vda]" in watched.items(PUSHED)


def test_problems_are_those_there_are_and_no_others(watched: Zabbix) -> None:
    eventually("all are told", lambda: availability(watched) >= AVAILABILITY)
    assert availability(watched) == AVAILABILITY


def test_destroyed_vm_with_autostart_raises_a_problem_that_resolves(watched: Zabbix, bed: Bed) -> None:
    from guests import guest

    name = "fresh1"
    problem = f"VM {name}: Not running though it should be"
    domain = bed.define(guest(name))
    domain.setAutostart(1)
    try:
        state = f"kvm.domain.state[{domain.UUIDString()}]"
        eventually("the new VM appears", lambda: watched.items(HV).get(state, {}).get("lastvalue") == "1")
        domain.destroy()
        eventually("its problem is told", lambda: problem in watched.problems(HV))
        domain.create()
        eventually("the problem is resolved", lambda: problem not in watched.problems(HV))
    finally:
        bed.remove(name)
    eventually("the removed VM goes", lambda: state not in watched.items(HV), 120)


def test_crash_and_io_error_resolve(watched: Zabbix, bed: Bed) -> None:
    crash, ioerr = bed.lookup("crash1"), bed.lookup("ioerr1")
    crash.destroy()
    ioerr.destroy()
    try:
        gone = {"VM crash1: Crashed", "VM ioerr1: Paused by an I/O error", "VM ioerr1: Disk vda: I/O errors"}
        eventually("they are resolved", lambda: not availability(watched) & gone)
    finally:
        crash.create()
        ioerr.create()
    eventually("and told again", lambda: availability(watched) >= gone, 120)


def test_stopped_libvirt_is_one_problem(watched: Zabbix, bed: Bed) -> None:
    before = availability(watched)
    bed.daemon.end()
    try:
        eventually(
            "it is told", lambda: any(name.startswith("KVM: libvirt does not") for name in watched.problems(HV))
        )
        (name,) = availability(watched) - before
        assert "libvirt is not running" in name
        assert not [item["name"] for item in watched.items(HV).values() if item["state"] == "1"]
    finally:
        bed.daemon.start()
    # a libvirtd that was restarted does not know any more why a VM is shut off
    forgotten = {"VM crash2: Crashed", "VM fail1: Crashed"}
    eventually("it is resolved", lambda: availability(watched) == before - forgotten)


def test_verify(watched: Zabbix, kvm: Command) -> None:
    ran = kvm("zabbix_kvm", "verify", env=LOGIN)
    assert f"[OK] {HV}: " in ran.out
    number = watched.host(HV)["hostid"]
    watched.call(
        "item.create",
        hostid=number,
        name="broken",
        key_="kvm.broken",
        type=15,
        value_type=0,
        params="1/0",
        delay="1s",
    )
    eventually(
        "the broken item is named", lambda: "not supported: broken" in kvm("zabbix_kvm", "verify", env=LOGIN).out
    )
    ran = kvm("zabbix_kvm", "verify", env=LOGIN)
    assert ran.code > 0
    assert "need a look" in ran.first
    watched.api.do_request("item.delete", [watched.items(HV)["kvm.broken"]["itemid"]])


def test_wrong_password_and_wrong_url_are_told_in_one_line(kvm: Command, zabbix: Zabbix) -> None:
    for env in ({**LOGIN, "ZABBIX_PASSWORD": "x"}, {**LOGIN, "ZABBIX_URL": "http://127.0.0.1:1"}):
        ran = kvm("zabbix_kvm", "verify", env=env)
        assert ran.code == 3
        assert ran.out == ""
        assert len(ran.err.splitlines()) == 1


CHANGE_PER_SECOND, MULTIPLIER, JSONPATH = "10", "1", "12"
_FILTER = re.compile(r"\.(\w+)(?:\[\?\(@\.(\w+) == (.+?)\)\])?")


def json_path(item: dict[str, Any]) -> str:
    """The JSONPath with which an item begins, if it does."""
    steps = item["preprocessing"]
    return str(steps[0]["params"]) if steps and steps[0]["type"] == JSONPATH else ""


def picked(document: Any, path: str) -> Any:
    """What a JSONPath of our templates picks: names, and filters for equality."""
    found = document
    for name, key, value in _FILTER.findall(path.removeprefix("$").removesuffix(".first()")):
        found = found.get(name) if found is not None else None
        if key and found is not None:
            wanted = json.loads(value)
            found = next((record for record in found if record[key] == wanted), None)
    return found


def push(host: str, document: dict[str, Any], when: float | None = None) -> bool:
    """Push a document with zabbix_sender alone, at a time of our choice."""
    text = json.dumps(document).replace("\\", "\\\\").replace('"', '\\"')
    ran = subprocess.run(
        ["zabbix_sender", "-c", CONFIG, "-T", "-i", "-"],
        input=f'{host} kvm.collect {int(when or time.time())} "{text}"\n',
        text=True,
        capture_output=True,
        check=False,
    )
    return ran.returncode == 0


def state_known(zabbix: Zabbix) -> bool:
    """Whether the pushed host's items have begun to take values."""
    items = [item for key, item in zabbix.items(PUSHED).items() if key.startswith("kvm.interface.link_down")]
    return bool(items) and all(int(item["lastclock"]) for item in items)


def availability(zabbix: Zabbix) -> set[str]:
    """The names of the open problems about availability."""
    number = zabbix.host(HV)["hostid"]
    tags = [{"tag": "scope", "value": "availability", "operator": 1}]
    return {problem["name"] for problem in zabbix.call("problem.get", hostids=[number], tags=tags)}
