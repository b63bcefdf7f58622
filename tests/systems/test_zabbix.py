"""The templates and zabbix_kvm on a real Zabbix that watches the lab's hypervisor, as its administrator would."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from commands import Command
from waiting import eventually, eventually_equal

from zabbix import CONFIG, HV, LOGIN, URL, Zabbix, provision, unsupported

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
    "KVM: Full storage pool stops VMs",
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
    document = json.loads(kvm("zabbix_kvm", "collect").out)
    eventually_equal("what collect gives has values", lambda: without_value(watched.items(HV), document), [])
    eventually_equal("nothing is unsupported", lambda: unsupported(watched, HV), [])
    items = watched.items(HV)
    for name in ("web1", "idle1", "off1", "crash1"):
        uuid = bed.lookup(name).UUIDString()
        assert any(uuid in key for key in items)
    assert not any(bed.lookup("alone1").UUIDString() in key for key in items), "ignored by its metadata"


def test_values_are_those_of_collect(watched: Zabbix, kvm: Command) -> None:
    """Two documents, pushed as they are with a minute in between: every value and every rate."""
    assert provision(kvm, "--way", "trapper", "--hypervisor", PUSHED).code == 0
    old = json.loads(kvm("zabbix_kvm", "collect").out)
    now = int(time.time())
    there = {key for key, item in watched.items(HV).items() if given(old, item) is not None}
    assert len(there) > 300
    # a server that knows the host and not yet its macros, which come with another query, discovers nothing, and looks
    # again at a list that is the same ten minutes later
    times = itertools.count(now - 24 * 3600, 11 * 60)
    eventually_equal(
        "all items are discovered",
        lambda: push(PUSHED, old, next(times)) and sorted(there - watched.items(PUSHED).keys()),
        [],
        every=2,
    )
    eventually_equal(
        "the server gives them values",
        lambda: push(PUSHED, old, now - 60) and without_value(watched.items(PUSHED), old),
        [],
    )
    new = json.loads(kvm("zabbix_kvm", "collect").out)
    assert push(PUSHED, old, now - 60)
    assert push(PUSHED, new, now)
    items = watched.items(PUSHED)
    wanted = {key: value for key, item in items.items() if (value := expected(old, new, item)) is not None}
    assert len(wanted) > 300
    uuid = next(domain["uuid"] for domain in new["domains"] if domain["name"] == "web1")
    assert f"kvm.disk.read_requests[{uuid},vda]" in wanted
    eventually_equal("every value is collect's", lambda: differing(watched.items(PUSHED), wanted), {})


def test_problems_are_those_there_are_and_no_others(watched: Zabbix) -> None:
    eventually("all are told", lambda: watched.availability(HV) >= AVAILABILITY)
    assert watched.availability(HV) == AVAILABILITY


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
    eventually("the removed VM goes", lambda: state not in watched.items(HV))


def test_crash_and_io_error_resolve(watched: Zabbix, bed: Bed) -> None:
    crash, ioerr = bed.lookup("crash1"), bed.lookup("ioerr1")
    crash.destroy()
    ioerr.destroy()
    try:
        gone = {"VM crash1: Crashed", "KVM: Full storage pool stops VMs"}
        eventually("they are resolved", lambda: not watched.availability(HV) & gone)
    finally:
        crash.create()
        ioerr.create()
    eventually("and told again", lambda: watched.availability(HV) >= gone)


def test_stopped_libvirt_is_one_problem(watched: Zabbix, bed: Bed) -> None:
    before = watched.availability(HV)
    bed.daemon.end()
    try:
        eventually(
            "it is told", lambda: any(name.startswith("KVM: libvirt does not") for name in watched.problems(HV))
        )
        (name,) = watched.availability(HV) - before
        assert "libvirt is not running" in watched.told(HV)[name]
        assert unsupported(watched, HV) == []
    finally:
        bed.daemon.start()
    # a libvirtd that was restarted does not know any more why a VM is shut off
    forgotten = {"VM crash2: Crashed", "VM fail1: Crashed"}
    eventually("it is resolved", lambda: watched.availability(HV) == before - forgotten)


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


SIMPLE_CHANGE, CHANGE_PER_SECOND, MULTIPLIER, JSONPATH = "9", "10", "1", "12"
_FILTER = re.compile(r"(?:\.(\w+)|\[\"([^\"]+)\"\])(?:\[\?\(@\.(\w+) == (.+?)\)\])?")


def json_path(item: dict[str, Any]) -> str:
    """The JSONPath with which an item begins, if it does; of two, the whole of it."""
    steps = item["preprocessing"]
    if not steps or steps[0]["type"] != JSONPATH or any(step["type"] == SIMPLE_CHANGE for step in steps):
        return ""
    path = "".join(str(step["params"]).removeprefix("$") for step in steps if step["type"] == JSONPATH)
    return f".conditions{path}" if path.startswith("[") else path


def picked(document: Any, path: str) -> Any:
    """What a JSONPath of our templates picks: names, and filters for equality."""
    found = document
    for name, quoted, key, value in _FILTER.findall(path.removesuffix(".first()")):
        found = found.get(name or quoted) if found is not None else None
        if key and found is not None:
            wanted = json.loads(value)
            found = next((record for record in found if record[key] == wanted), None)
    return found


def given(document: Any, item: dict[str, Any]) -> Any:
    """What a document has for an item."""
    path = json_path(item)
    return picked(document, path) if path else None


def is_rate(item: dict[str, Any]) -> bool:
    return any(step["type"] == CHANGE_PER_SECOND for step in item["preprocessing"])


def kept(item: dict[str, Any]) -> bool:
    """Whether its values are kept: not of one that others are made of."""
    return bool(item["history"] != "0")


def without_value(items: dict[str, dict[str, Any]], document: Any) -> list[str]:
    """The items that have no value yet, though one document gives them one."""
    waiting = {
        key: item for key, item in items.items() if not int(item["lastclock"]) and kept(item) and not is_rate(item)
    }
    return [key for key, item in waiting.items() if given(document, item) is not None]


def expected(old: Any, new: Any, item: dict[str, Any]) -> Any:
    """What an item shows after two documents with a minute in between; None if it takes no value from them."""
    value = given(new, item)
    if value is None or not kept(item):
        return None
    if not is_rate(item):
        return value
    before = given(old, item)
    if before is None or value < before:
        return None
    times = next((float(step["params"]) for step in item["preprocessing"] if step["type"] == MULTIPLIER), 1)
    return (value - before) / 60 * times


def differing(items: dict[str, dict[str, Any]], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The items whose newest value is not as wanted: what they have, and what is wanted."""
    shown = {
        key: items[key]["lastvalue"] if isinstance(value, str) else float(items[key]["lastvalue"])
        for key, value in wanted.items()
    }
    return {
        key: (shown[key], value)
        for key, value in wanted.items()
        if shown[key] != (value if isinstance(value, str) else pytest.approx(value, rel=1e-3, abs=1e-3))
    }


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
