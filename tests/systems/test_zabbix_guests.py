"""Guests as hosts of their own in Zabbix, on one hypervisor and moving between two."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import second as other
from commands import Command
from guests import disk, guest, qcow2, uuid_of
from waiting import eventually, eventually_equal

from zabbix import CONFIG, HV, LOGIN, WORK, Zabbix, provision, unsupported

if TYPE_CHECKING:
    from bed import Bed
    from second import Second

MOVER = uuid_of("mover1")


@pytest.fixture(scope="module")
def fleet(watched: Zabbix, second: Second, kvm: Command) -> Iterator[Zabbix]:
    """Zabbix that also watches kvm2, which pushes."""
    assert provision(kvm, "--hypervisor", "kvm2", "--way", "trapper", "--no-dashboard").code == 0
    watched.set_macros("kvm2", KVM_INTERVAL="5s", KVM_LLD_LIFETIME="0")
    eventually("kvm2 takes values", lambda: push_kvm2(kvm))
    yield watched
    watched.api.do_request("host.delete", [watched.host("kvm2")["hostid"]])


@pytest.fixture
def mover(bed: Bed, fleet: Zabbix, second: Second, kvm: Command) -> Iterator[None]:
    """A VM with a disk that runs on kvm1."""
    image = WORK / "mover1.qcow2"
    qcow2(image, "64M")
    bed.define(guest("mover1", "lab.cpu=10", disk(image, "vda")))
    yield
    bed.remove("mover1")
    image.unlink()
    for domain in second.connect().listAllDomains():
        domain.destroy()
        domain.undefine()
    push_kvm2(kvm)
    for host in fleet.call("host.get", filter={"host": MOVER}):
        fleet.api.do_request("host.delete", [host["hostid"]])


def test_by_prototype(fleet: Zabbix, kvm: Command, bed: Bed) -> None:
    web1 = bed.lookup("web1").UUIDString()
    refused = kvm("zabbix_kvm", "send", "--guests-only", "-d", "web1", "--config", CONFIG)
    assert (refused.code, refused.out) == (2, "")
    assert "accepted 0 of 1 values of guests" in refused.err
    fleet.set_macros(HV, KVM_GUEST_HOSTS=f"^{web1}$")
    try:
        wake(fleet, bed)
        eventually("web1 has a host", lambda: fleet.call("host.get", filter={"host": web1}))
        eventually("it takes values", lambda: push_guest(kvm, "web1"))
        errors = "kvm.disk.errors[vda]"

        def has_disks() -> bool:
            time.sleep(2)
            push_guest(kvm, "web1")
            return bool(int(fleet.items(web1).get(errors, {}).get("lastclock", 0)))

        eventually("its disks are discovered and measured", has_disks)
        assert fleet.host(web1)["name"] == "web1 (kvm1)"
        eventually_equal("nothing is unsupported", lambda: unsupported(fleet, web1), [])
    finally:
        fleet.set_macros(HV, KVM_GUEST_HOSTS="^$")
        wake(fleet, bed)
    eventually("its host goes with the macro", lambda: not fleet.call("host.get", filter={"host": web1}))


def test_migrated_vm_keeps_its_host_and_its_history(
    fleet: Zabbix, kvm: Command, bed: Bed, second: Second, mover: None
) -> None:
    state = f"kvm.domain.state[{MOVER}]"
    eventually("kvm1 tells of the VM", lambda: reported_running(fleet, HV, state))
    keep_in_step(kvm)
    host = fleet.host(MOVER)
    assert (host["name"], groups(fleet)) == ("mover1", {"KVM guests", "KVM guests/kvm1"})
    written = "kvm.disk.bytes[vda]"
    eventually("its disk is measured", lambda: pushed(kvm, "mover1") and value(fleet, written))
    eventually("its inventory names kvm1", lambda: pushed(kvm, "mover1") and chassis(fleet) == "kvm1")
    item = fleet.items(MOVER)["kvm.domain.cpu_time_per_vcpu"]["itemid"]
    before = history(fleet, item)

    other.migrate("mover1", bed.connect(), second.connect())

    eventually("kvm2 tells of it", lambda: push_kvm2(kvm) and reported_running(fleet, "kvm2", state))
    eventually("its host is moved", lambda: "it is on kvm2" in keep_in_step(kvm))
    moved = fleet.host(MOVER)
    assert moved["hostid"] == host["hostid"]
    assert groups(fleet) == {"KVM guests", "KVM guests/kvm2"}
    eventually("its inventory names kvm2", lambda: push_kvm2(kvm) and chassis(fleet) == "kvm2")
    eventually("its history goes on", lambda: push_kvm2(kvm) and history(fleet, item)[-1] > before[-1])
    assert history(fleet, item)[0] == before[0]
    assert fleet.problems(MOVER) == {"VM: Moved to another hypervisor": 1}, "a migration is no restart"
    ran = provision(kvm, "--guests", "--no-dashboard")
    assert (ran.out.endswith(": nothing to change\n"), ran.err) == (True, "")


def test_removed_vm_has_its_host_disabled_and_a_returning_one_enabled(
    fleet: Zabbix, kvm: Command, bed: Bed, mover: None
) -> None:
    state = f"kvm.domain.state[{MOVER}]"
    eventually("kvm1 tells of the VM", lambda: reported_running(fleet, HV, state))
    keep_in_step(kvm)
    bed.remove("mover1")
    eventually("kvm1 forgets it", lambda: state not in fleet.items(HV))
    assert "no hypervisor has its VM any more" in keep_in_step(kvm)
    assert fleet.host(MOVER)["status"] == "0", "one collection is no proof"
    eventually("the next one is, and its history is kept", lambda: "disable host mover1" in keep_in_step(kvm))
    assert fleet.host(MOVER)["status"] == "1"
    bed.define(guest("mover1"))
    eventually("kvm1 tells of it again", lambda: reported_running(fleet, HV, state))
    keep_in_step(kvm)
    assert fleet.host(MOVER)["status"] == "0"


QUIET = uuid_of("quiet1")
OFF = "Not running though it should be"
SILENT = "VM: No data of its own"
AT_ONCE = {"KVM_VM_DOWN_TIME": "5s", "KVM_SETTLE_TIME": "10s"}


@pytest.fixture
def quiet(fleet: Zabbix, second: Second, kvm: Command) -> Iterator[None]:
    """A VM that is off and should run, on kvm2, with a host of its own, at a pace for tests."""
    domain = second.connect().defineXML(guest("quiet1"))
    domain.setAutostart(1)
    state = f"kvm.domain.state[{QUIET}]"
    eventually(
        "kvm2 tells of it", lambda: push_kvm2(kvm) and fleet.items("kvm2").get(state, {}).get("lastvalue") == "5"
    )
    keep_in_step(kvm)
    fleet.set_macros(QUIET, KVM_INTERVAL="3s", KVM_GUEST_NODATA="24s", **AT_ONCE)
    fleet.set_macros("kvm2", **AT_ONCE)
    yield
    domain.undefine()
    push_kvm2(kvm)
    for host in fleet.call("host.get", filter={"host": QUIET}):
        fleet.api.do_request("host.delete", [host["hostid"]])


def test_a_problem_of_a_vm_is_told_once_and_never_by_nobody(fleet: Zabbix, kvm: Command, quiet: None) -> None:
    def tells(host: str, problem: str) -> bool:
        return any(name.startswith(problem) for name in fleet.problems(host))

    own, there = f"VM: {OFF}", f"VM quiet1: {OFF}"
    eventually("its hypervisor tells it", lambda: push_kvm2(kvm) and tells("kvm2", there))
    eventually(
        "its own host does, and then its hypervisor does not",
        lambda: push_kvm2(kvm) and tells(QUIET, own) and not tells("kvm2", there),
    )
    assert not tells(QUIET, SILENT)
    eventually(
        "its data stops: its host tells that, and its hypervisor tells its problem again",
        lambda: push_alone(kvm) and tells(QUIET, SILENT) and tells("kvm2", there),
    )
    eventually("its data comes again", lambda: push_kvm2(kvm) and not tells(QUIET, SILENT))
    eventually("its hypervisor leaves it alone", lambda: push_kvm2(kvm) and not tells("kvm2", there))

    told = f"kvm.guest.told[{QUIET}]"
    eventually("the hypervisor is silent, too", lambda: fleet.items(QUIET)[told]["lastvalue"] == "0")
    assert not tells(QUIET, SILENT), "that is the hypervisor's problem"
    assert not tells("kvm2", there)
    eventually("its hypervisor is back", lambda: push_alone(kvm) and fleet.items(QUIET)[told]["lastvalue"] != "0")
    assert not tells(QUIET, SILENT), "the guests' data has had no time to come"
    assert push_kvm2(kvm)
    assert unsupported(fleet, QUIET) == []
    assert unsupported(fleet, "kvm2") == []


def test_two_prototypes_cannot_have_the_same_vm(
    fleet: Zabbix, kvm: Command, bed: Bed, second: Second, mover: None
) -> None:
    """Why VMs that migrate need provision --guests: the documentation says what is seen here."""
    for name in (HV, "kvm2"):
        fleet.set_macros(name, KVM_GUEST_HOSTS=f"^{MOVER}$")
    try:
        wake(fleet, bed)
        eventually("kvm1's prototype makes the host", lambda: fleet.call("host.get", filter={"host": MOVER}))
        assert fleet.host(MOVER)["name"] == "mover1 (kvm1)"
        # while both know the VM, as during and after a migration until kvm1's rule has run again
        document = kvm("zabbix_kvm", "collect", "-d", "mover1").out
        assert push_as(fleet, kvm, document)
        verify = eventually(
            "the second rule fails, and verify says so",
            lambda: (ran := kvm("zabbix_kvm", "verify", env=LOGIN)) and "Guests as hosts" in ran.out and ran,
        )
        assert re.search(rf'with the same .*name.* "[^"]*(?:{MOVER}|mover1)[^"]*" already exists', verify.out), (
            verify.out
        )
        assert "[WARNING] kvm2: " in verify.out
        assert verify.code in (1, 2), "2: other tests' hosts, whose data is old by now"
    finally:
        for name in (HV, "kvm2"):
            fleet.set_macros(name, KVM_GUEST_HOSTS="^$")
        wake(fleet, bed)
        push_kvm2(kvm)


def keep_in_step(kvm: Command) -> str:
    """Run provision --guests, and give the changes that it tells of."""
    ran = provision(kvm, "--guests", "--no-dashboard", "--disable-after", "0")
    assert ran.code == 0, ran.err
    return ran.err


def push_guest(kvm: Command, name: str) -> bool:
    return kvm("zabbix_kvm", "send", "--guests-only", "-d", name, "--config", CONFIG).code == 0


def pushed(kvm: Command, name: str) -> bool:
    """Push, with time in between for a rate."""
    time.sleep(2)
    return push_guest(kvm, name)


def push_kvm2(kvm: Command) -> bool:
    return push_alone(kvm, "--guests")


def push_alone(kvm: Command, *options: str) -> bool:
    """Push kvm2's own data, without the guests' unless told so."""
    time.sleep(1)
    arguments = ("--uri", other.URI_READ_ONLY, "--host", "kvm2", "--config", CONFIG)
    return kvm("zabbix_kvm", "send", *options, *arguments).code == 0


def push_as(fleet: Zabbix, kvm: Command, document: str) -> bool:
    """Push a document of kvm1 as if kvm2 had read it."""
    from zabbix_kvm.sender import Value, send

    from kvmwatch.reading.deadline import Deadline

    (answer,) = send([Value("kvm2", "kvm.collect", time.time(), document)], CONFIG, "zabbix_sender", Deadline(10))
    return answer.processed == 1


def wake(fleet: Zabbix, bed: Bed) -> None:
    """Change the list of VMs: an unchanged one is looked at again only once an hour."""
    state = f"kvm.domain.state[{uuid_of('wake1')}]"
    bed.define(guest("wake1"), start=False)
    eventually("kvm1 tells of the new VM", lambda: state in fleet.items(HV))
    bed.remove("wake1")
    eventually("and forgets it", lambda: state not in fleet.items(HV))


def reported_running(fleet: Zabbix, host: str, state: str) -> bool:
    """Whether a hypervisor's newest word of a VM is that it runs."""
    return bool(fleet.items(host).get(state, {}).get("lastvalue") == "1")


def groups(fleet: Zabbix) -> set[str]:
    (host,) = fleet.call("host.get", filter={"host": MOVER}, selectGroups="extend")
    return {group["name"] for group in host["groups"]}


def chassis(fleet: Zabbix) -> str:
    return str(fleet.host(MOVER)["inventory"]["chassis"])


def value(fleet: Zabbix, key: str) -> Any:
    item = fleet.items(MOVER).get(key)
    return item and int(item["lastclock"]) and item["lastvalue"]


def history(fleet: Zabbix, item: str) -> list[int]:
    """The clocks of an item's values, oldest first."""
    found = fleet.call("history.get", itemids=[item], history=0, sortfield="clock", output=["clock"])
    return [int(row["clock"]) for row in found]
