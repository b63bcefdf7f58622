"""A hypervisor behind a real Zabbix proxy, and its guests: all encrypted with a pre-shared key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import proxy
import pytest
from commands import Command
from running import running
from waiting import eventually, eventually_equal

from zabbix import HV, Zabbix, provision, unsupported

if TYPE_CHECKING:
    from bed import Bed


@pytest.fixture
def behind(zabbix: Zabbix, kvm: Command) -> Iterator[Zabbix]:
    """Zabbix with a proxy, and everything that was made behind it taken away again."""
    before = zabbix.inventory()
    watching = zabbix.call(
        "host.get", filter={"host": HV}, output=["hostid"]
    )  # the same hypervisor, for other tests
    for host in watching:
        zabbix.call("host.update", hostid=host["hostid"], status=1)
    modern = int(str(zabbix.api.version).split(".")[0]) >= 7
    named = {"name": proxy.NAME, "operating_mode": 0} if modern else {"host": proxy.NAME, "status": 5}
    (number,) = zabbix.call("proxy.create", **named)["proxyids"]
    with running(proxy.Proxy()):
        yield zabbix
    if made := sorted(zabbix.inventory()["host"] - before["host"]):
        zabbix.delete("host", made)
    zabbix.api.do_request("proxy.delete", [number])
    for host in watching:
        zabbix.call("host.update", hostid=host["hostid"], status=0)


def test_hypervisor_and_guests_behind_a_proxy_with_a_psk(
    behind: Zabbix, kvm: Command, bed: Bed, tmp_path: Path
) -> None:
    keys, file = tmp_path / "psk.ini", tmp_path / "hypervisors.ini"
    keys.write_text(f"[{proxy.HV}]\nidentity = {proxy.IDENTITY}\nkey_file = {proxy.WORK}/key\n")
    keys.chmod(0o600)
    file.write_text(
        f"[{proxy.HV}]\naddress = 127.0.0.1\nport = {proxy.AGENT_PORT}\nproxy = {proxy.NAME}\n"
        "{$KVM.VM.MATCHES} = ^web1$\n{$KVM.INTERVAL} = 5s\n"
    )
    ran = provision(kvm, "--hypervisors", str(file), "--psk", str(keys), "--no-dashboard")
    assert ran.code == 0, ran.err
    assert proxy.KEY not in ran.out + ran.err
    web1 = bed.lookup("web1").UUIDString()
    state = f"kvm.domain.state[{web1}]"
    eventually(
        "the agent's data arrives through the proxy",
        lambda: behind.items(proxy.HV).get(state, {}).get("lastvalue") == "1",
    )
    assert unsupported(behind, proxy.HV) == []

    # a VM that two say is running is on the one that said so last
    eventually(
        "nobody else has said so since",
        lambda: (
            behind.items(proxy.HV)[state]["lastclock"]
            > behind.items(HV).get(state, {"lastclock": "0"})["lastclock"]
        ),
    )
    for host in behind.call("host.get", filter={"host": web1}, output=["hostid"]):  # which other tests have made
        behind.delete("host", [host["hostid"]])
    ran = provision(kvm, "--guests", "--psk", str(keys), "--disable-after", "inf")
    assert f"make host web1 ({web1}) on {proxy.HV}" in ran.err
    assert proxy.KEY not in ran.out + ran.err
    push = ("zabbix_kvm", "send", "--guests-only", "-d", "web1", "--config", proxy.CONFIG)
    eventually("the proxy takes the guest's data", lambda: kvm(*push).code == 0)
    # the first may come before the server itself knows the host, and the proxy holds the next ones, which are the
    # same, back for 8 minutes
    eventually_equal(
        "and hands it on",
        lambda: (kvm(*push).code, behind.items(web1)["kvm.domain.state"]["lastvalue"]),
        (0, "1"),
        seconds=600,
    )
    past = kvm(*push[:-1], in_clear(tmp_path))
    assert past.code != 0, "nobody gets past the key"


def in_clear(folder: Path) -> str:
    """A configuration without encryption, straight to the proxy."""
    file = folder / "clear.conf"
    file.write_text(f"ServerActive=127.0.0.1:{proxy.PROXY_PORT}\nHostname={proxy.HV}\n")
    return str(file)
