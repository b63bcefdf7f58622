"""The lab's hypervisor with VMs of three teams (see teams.py), networks and pools, of which nothing is wrong."""

from __future__ import annotations

from typing import Any

import inside
from bed import Bed
from guests import disk, guest, interface, qcow2, watch
from injected import AGENT, Victims
from teams import WEB, WORK


class Hypervisor(Bed):
    """The lab's hypervisor with VMs of three teams, networks and pools, of which nothing is wrong."""

    def up(self) -> None:
        """Have all of it, so that each has its services before anything is wrong with it."""
        connection = self.connect()
        self._networks(connection)
        spare = connection.networkDefineXML("<network><name>spare</name><bridge name='virbr-spare'/></network>")
        spare.create()
        spare.setAutostart(1)
        (WORK / "small").mkdir(parents=True)
        inside.mount("-t", "tmpfs", "-o", "size=2m", "lab-small", WORK / "small")
        (WORK / "lost").mkdir()
        for name, folder in (
            ("images", inside.WORK / "pool"),
            ("tiny", inside.WORK / "tiny"),
            ("small", WORK / "small"),
            ("lost", WORK / "lost"),
        ):
            pool = connection.storagePoolDefineXML(
                f"<pool type='dir'><name>{name}</name><target><path>{folder}</path></target></pool>"
            )
            pool.setAutostart(1)
            pool.create()
        self._vms()

    def _vms(self) -> None:
        self.vm("shop-off", autostart=True)
        self.vm("shop-saved", autostart=True)
        self.vm("shop-expect")
        self.vm("shop-many", start=False, devices=self.image("shop-many"))
        self.vm("shop-busy", "lab.cpu=60", start=False)
        self.vm("shop-cut", devices=interface("default", mac(1)))
        self.vm(
            "shop-loud", "lab.net=10 lab.ip=192.168.122.5/24", start=False, devices=interface("default", mac(2))
        )
        full = inside.WORK / "tiny" / "full.qcow2"
        qcow2(full, "32M")
        self.vm(
            "shop-full",
            "lab.disk=4096 lab.dev=vda",
            start=False,
            devices=disk(full, "vda", extra="error_policy='stop'"),
        )
        self.vm("shop-backup", devices=self.image("shop-backup"))
        self.lookup("shop-backup").checkpointCreateXML("<domaincheckpoint><name>backup</name></domaincheckpoint>")
        self.vm("db-panic", "lab.crash=1", start=False)
        self.vm("db-hung")
        self.vm("db-agent", "lab.agent=1", devices=AGENT)
        self.vm("db-old", start=False, devices=self.image("db-old"))
        self.vm("db-bridge", devices=interface("default", mac(3)))
        self.vm("db-typo")
        self.vm("db-job", devices=self.image("db-job"))
        self.vm("db-paused").suspend()
        self.vm("db-wide", start=False, vcpus=64)
        self.vm("db-large", start=False, memory=16 << 10)
        self.vm("web-held", own="")
        self.vm("web-idle", own="expect='shutoff'", start=False)
        self.vm("web-place", own="expect-host='kvm1'")
        self.vm(
            "web-auto", own="", inner="<severity condition='state.no_autostart' is='warning'/>", autostart=True
        )
        self.vm("web-tight", "lab.mem=16", own="", inner=warn("memory.usage", "5"), start=False)
        self.vm("web-mute", "lab.agent=1", own="", devices=AGENT)
        self.vm("web-link", own="", devices=interface("default", mac(4)))
        busy = "lab.disk=512 lab.dev=vda"
        self.vm(
            "web-slow", busy, own="", devices=self.image("web-slow", extra="cache='none'"),
            inner=warn("disk.read_latency", "0.1") + warn("disk.write_latency", "0.1"),
        )  # fmt: skip
        self.vm(
            "web-grow", busy, own="", devices=self.image("web-grow", "8M"), start=False,
            inner=warn("disk.allocation", "5"),
        )  # fmt: skip

    def vm(
        self,
        name: str,
        args: str | None = None,
        *,
        own: str | None = None,
        inner: str = "",
        start: bool = True,
        autostart: bool = False,
        **more: Any,
    ) -> Any:
        """Define a VM; ``own``: attributes of its metadata, which says its team as well."""
        metadata = "" if own is None else watch(f"contact-groups='{WEB}' {own}", inner)
        more.setdefault("memory", 16 if args is None else 96)
        domain = self.define(guest(name, args, metadata=metadata, **more), start=start)
        domain.setAutostart(autostart)
        return domain

    def image(self, name: str, size: str = "64M", extra: str = "") -> str:
        """XML of a disk of its own."""
        qcow2(WORK / f"{name}.qcow2", size)
        return disk(WORK / f"{name}.qcow2", "vda", extra=extra)

    def answers(self, name: str) -> bool:
        """Whether its guest agent does."""
        return Victims(self)._ask(name, "guest-ping")


def mac(number: int) -> str:
    """An address for an interface."""
    return f"52:54:00:00:04:{number:02x}"


def warn(metric: str, limit: str) -> str:
    """XML of a threshold of a VM's own."""
    return f"<threshold metric='{metric}' warning='{limit}' critical=''/>"
