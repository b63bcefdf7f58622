"""One Zabbix beside the lab's hypervisor, and a second hypervisor, for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from commands import Command
from prepared import Prepared
from running import running
from testdriver import node
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed
    from second import Second

    from zabbix import Zabbix


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests last whose modules want something that is made meanwhile."""
    items.sort(key=lambda item: hasattr(getattr(item, "module", None), "WANTED"))


@pytest.fixture(scope="session", autouse=True)
def prepared(request: pytest.FixtureRequest) -> Iterator[Prepared]:
    """What the modules whose tests are to run want to have made in the background."""
    # libvirtd looks for control groups when it starts, and would take those that such a system has mounted
    if any("bed" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("bed")
    made = Prepared()
    for item in request.session.items:
        if not item.get_closest_marker("skip"):
            made.begin(getattr(getattr(item, "module", None), "WANTED", {}))
    yield made
    made.down()


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    from bed import LITTLE, Bed

    with running(Bed(LITTLE)) as made:
        yield made


@pytest.fixture(scope="session")
def zabbix(bed: Bed) -> Iterator[Zabbix]:
    from zabbix import Zabbix

    with running(Zabbix()) as made:
        yield made


@pytest.fixture(scope="session")
def second(bed: Bed) -> Iterator[Second]:
    from second import Second

    with running(Second()) as made:
        yield made


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a hypervisor with 100 VMs, so that there are 500 services."""
    file = tmp_path_factory.mktemp("many") / "node.xml"
    file.write_text(node((f"vm{number:03}" for number in range(100)), states=7))
    return f"test://{file}"


@pytest.fixture(scope="session")
def kvm(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("state"))


#: what takes minutes, for tests that will not wait so long
QUICK = dict.fromkeys(
    (
        *("KVM_SETTLE_TIME", "KVM_UNREAD_TIME", "KVM_STRANGE_TIME", "KVM_STOPPED_TIME", "KVM_POOL_TIME"),
        "KVM_NET_TIME",
        *("KVM_VM_DOWN_TIME", "KVM_VM_FAULT_TIME", "KVM_VM_PAUSED_TIME", "KVM_VM_UNKNOWN_TIME"),
        *("KVM_IF_DOWN_TIME", "KVM_DISK_ERRORS_TIME", "KVM_VM_RESPONSE_TIME"),
    ),
    "10s",
)


@pytest.fixture(scope="session")
def watched(zabbix: Zabbix, kvm: Command) -> Zabbix:
    """Zabbix with the lab's hypervisor provisioned, at a pace for tests."""
    from zabbix import HV, provision

    ran = provision(kvm, "--hypervisor", f"{HV}=127.0.0.1")
    assert ran.code == 0, ran.err
    zabbix.set_macros(HV, KVM_INTERVAL="5s", KVM_WINDOW="1m", KVM_LLD_LIFETIME="0", **QUICK)
    eventually(
        "the last discovered item has a value",
        lambda: any(
            key.startswith("kvm.disk.read_latency[") and int(item["lastclock"])
            for key, item in zabbix.items(HV).items()
        ),
    )
    return zabbix
