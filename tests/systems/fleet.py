"""Two hypervisors that one Zabbix watches, as a site would have them: for pictures and for trying things by hand.

kvm1 is the lab's, asked through its agent; kvm2 is the second one and pushes. Guests are hosts of their own.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, ClassVar

import second
from bed import Bed
from commands import Command
from guests import disk, guest, qcow2
from running import running
from waiting import eventually

import zabbix


class Fleet(contextlib.AbstractContextManager["Fleet"]):
    """Everything that it takes, up while the context lasts."""

    pace: ClassVar = {"KVM_INTERVAL": "10s", "KVM_WINDOW": "1m"}

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.kvm = Command(zabbix.WORK / "state")

    def __enter__(self) -> Fleet:
        with contextlib.ExitStack() as started:
            self._up(started)
            self._down = started.pop_all()
        return self

    def hypervisors(self, started: contextlib.ExitStack) -> None:
        """Bring up the two, with their guests."""
        self.bed = started.enter_context(running(Bed()))
        self.second = started.enter_context(running(second.Second()))
        for name, load in (
            ("mail1", "lab.cpu=15"),
            ("cache1", "lab.mem=16"),
            ("files1", "lab.disk=256 lab.dev=vda"),
        ):
            image = second.WORK / f"{name}.qcow2"
            qcow2(image, "64M")
            self.second.connect().defineXML(guest(name, load, disk(image, "vda"))).create()

    def _up(self, started: contextlib.ExitStack) -> None:
        self.hypervisors(started)
        self.zabbix = started.enter_context(running(zabbix.Zabbix()))
        self.provision("--hypervisor", "kvm1=127.0.0.1")
        self.provision("--hypervisor", "kvm2", "--way", "trapper")
        for host in ("kvm1", "kvm2"):
            self.zabbix.set_macros(host, **self.pace)
        eventually("the VMs have items", self._has_items)
        self.provision("--guests")

    def __exit__(self, *_: Any) -> None:
        self._down.close()

    def provision(self, *arguments: str) -> None:
        """Run zabbix_kvm provision."""
        ran = self.kvm("zabbix_kvm", "provision", *arguments, env=zabbix.LOGIN)
        if ran.code:
            raise RuntimeError(ran.err)

    def push(self) -> None:
        """Push what kvm2 and all guests have now."""
        self.push_guests()
        self.push_second()

    def push_guests(self) -> None:
        """Push what kvm1's guests have now."""
        self.kvm("zabbix_kvm", "send", "--guests-only", "--config", zabbix.CONFIG)

    def push_second(self) -> None:
        """Push what kvm2 has now, and its guests."""
        self.kvm(
            *("zabbix_kvm", "send", "--guests", "--config", zabbix.CONFIG),
            *("--uri", second.URI_READ_ONLY, "--host", "kvm2"),
        )

    def _has_items(self) -> bool:
        self.push()
        found = [self.zabbix.items(host) for host in ("kvm1", "kvm2")]
        return all(
            any(key.startswith("kvm.domain.state[") and int(item["lastclock"]) for key, item in items.items())
            for items in found
        )


def environment() -> dict[str, str]:
    """What a shell beside the fleet needs."""
    path = f"{zabbix.CHECKOUT}/.venv/bin:{os.environ['PATH']}"
    return {**os.environ, **zabbix.LOGIN, "PATH": path}
