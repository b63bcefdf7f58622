"""What a hypervisor with a thousand VMs costs Zabbix when its data is pushed: "make bench-zabbix".

The VMs are those of libvirt's test driver: nothing of libvirt is measured here, only what is pushed and taken.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from commands import Command
from running import running
from testdriver import node
from waiting import eventually

import zabbix

HOST = "big1"


def main() -> None:
    """Measure, and print a line per step."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    count = int(os.environ.get("VMS", "1000"))
    file = zabbix.WORK / "big.xml"
    with running(zabbix.Zabbix()) as site:
        file.write_text(node(f"big{number:04}" for number in range(count)))
        run(site, Command(zabbix.WORK / "state"), file, count)


def run(site: zabbix.Zabbix, kvm: Command, file: Path, count: int) -> None:
    """Push the hypervisor, then make hosts of its guests and push those."""
    ways = ("--hypervisor", HOST, "--way", "trapper", "--no-dashboard", "--timeout", "600")

    def provision(*arguments: str) -> None:
        ran = zabbix.provision(kvm, *ways, *arguments, timeout=1800)
        assert ran.code == 0, ran.err

    timed("provision the hypervisor", provision)
    site.set_macros(HOST, KVM_VM_PARTS_MATCHES="^$", KVM_VM_ALERTS="0")
    time.sleep(3)
    send = ("zabbix_kvm", "send", "--config", zabbix.CONFIG, "--uri", f"test://{file}", "--host", HOST, "-t", "60")

    def push(*more: str) -> str:
        ran = kvm(*send, *more)
        return ran.out.strip() or ran.err.strip()

    size = len(kvm("zabbix_kvm", "collect", "--uri", f"test://{file}").out.encode())
    print(f"one document: {size} bytes, {size / count:.0f} a VM")
    print(timed("push it", push))
    timed(f"{count} VMs have items with values", lambda: until_values(site, push, count))
    timed("make hosts of them", lambda: provision("--guests"))
    timed("look whether they are in step", lambda: provision("--guests"))
    print(timed("push them and the hypervisor", lambda: push("--guests")))
    timed(f"{count} guests have values", lambda: until_guests(site, push, count))
    print(timed("what the server keeps of all that", lambda: configuration_cache(site)))
    for name in (
        "preprocessing manager",
        "preprocessing worker",
        "lld manager",
        "lld worker",
        "trapper",
        "history syncer",
    ):
        print(f"{name}: {cpu_seconds(name):.1f} s of CPU since the start")


def until_values(site: zabbix.Zabbix, push: Callable[[], str], count: int) -> None:
    """Push until every VM has a state."""

    def known() -> bool:
        found = site.call("item.get", host=HOST, search={"key_": "kvm.domain.state["}, output=["lastclock"])
        if sum(bool(int(item["lastclock"])) for item in found) == count:
            return True
        time.sleep(5)
        push()
        return False

    eventually("every VM has a state", known, 1200)


def until_guests(site: zabbix.Zabbix, push: Callable[..., str], count: int) -> None:
    """Push until every guest's own host has a state."""

    def known() -> bool:
        found = site.call(
            "item.get", group="KVM guests", search={"key_": "kvm.disk.errors["}, output=["lastclock"]
        )
        if sum(bool(int(item["lastclock"])) for item in found) == count:
            return True
        time.sleep(10)
        push("--guests")
        return False

    eventually("every guest has a disk with values", known, 1800)


def configuration_cache(site: zabbix.Zabbix) -> str:
    """How much of CacheSize is used, and for how many items."""
    (host,) = site.call("host.get", filter={"host": HOST}, output=["hostid"])
    key, unsigned, internal = "zabbix[rcache,buffer,used]", 3, 5
    site.call(
        "item.create", hostid=host["hostid"], name=key, key_=key, type=internal, value_type=unsigned, delay="5s"
    )
    used = eventually("it tells its cache", lambda: int(site.items(HOST)[key]["lastvalue"]), 600)
    count = site.call("item.get", countOutput=True, monitored=True)
    return f"configuration cache: {used / 2**20:.0f} MiB used, {count} items"


def timed(what: str, step: Callable[[], object]) -> object:
    """Do a step and print how long it took."""
    begun = time.monotonic()
    result = step()
    print(f"{what}: {time.monotonic() - begun:.1f} s", flush=True)
    return result


def cpu_seconds(title: str) -> float:
    """CPU time of the server's processes with this title."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"zabbix_server: {title}" in (process / "cmdline").read_text():
                fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
