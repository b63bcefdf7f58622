"""Every fault that can be made for real on the lab's hypervisor, each with the problem that it is in Zabbix."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import inside
import libvirt
import libvirt_qemu
from conftest import QUICK
from guests import disk, guest, interface, qcow2, watch
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed

WORK = inside.WORK
INFORMATION, WARNING, AVERAGE, HIGH = 1, 2, 3, 4
MACS = {name: f"52:54:00:00:03:{number:02x}" for number, name in enumerate(("cut1", "linkless1"))}
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
UPLINK = "uplink0"

#: what takes minutes or hours by default, and limits under which a small guest's load is too much
SOONER = {
    **QUICK,
    "KVM_LLD_LIFETIME": "0",
    "KVM_WINDOW": "10s",
    "KVM_NODATA": "30s",
    **dict.fromkeys(
        (
            *("KVM_VM_CPU_TIME", "KVM_VM_MEMORY_TIME", "KVM_VM_AGENT_TIME", "KVM_DISK_LATENCY_TIME"),
            "KVM_UPLINK_TIME",
        ),
        "20s",
    ),
    "KVM_HOST_VCPU_OVERCOMMIT_MAX": "10000",  # so many small guests for two CPUs
    'KVM_VM_CPU_WARN:"busy1"': "20",
    'KVM_VM_CPU_MAX:"busy1"': "101",
    'KVM_VM_MEMORY_WARN:"tight1"': "5",
    'KVM_VM_MEMORY_MAX:"tight1"': "101",
    'KVM_DISK_LATENCY_MAX:"slow1 vda"': "1000",
}


class Fault(NamedTuple):
    """Something that can be wrong: the problem as Zabbix calls it, how it is made and mended, and how bad it is."""

    problem: str
    severity: int
    make: Callable[[], object]
    mend: Callable[[], object]
    within: int = 120  # seconds in which it has to be told


class Victims:
    """The VMs, pools and networks that faults are made of, while they are well."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._stray: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Bring them up and wait until the guests work."""
        for name, mac in MACS.items():
            self.vm(name, devices=interface("default", mac))
        self.vm("silent1")
        for name in ("agent1", "mute1"):
            self.vm(name, "lab.agent=1", AGENT)
        self.vm("slow1", "lab.disk=64 lab.dev=vda", disk(self._image("slow1"), "vda", extra="cache='none'"))
        connection = self._bed.connect()
        spare = connection.networkDefineXML("<network><name>spare</name><bridge name='virbr-spare'/></network>")
        spare.create()
        spare.setAutostart(1)
        for name in ("lost", "small"):
            folder = WORK / name
            folder.mkdir()
            if name == "small":
                inside.mount("-t", "tmpfs", "-o", "size=2m", "lab-small", folder)
            self._pool(name)
        ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
        ip("link", "add", "link", "cable0", "name", UPLINK, "type", "macvlan", "mode", "bridge")
        for name in ("cable0", "cable1", UPLINK):
            ip("link", "set", name, "up")
        ip("link", "set", UPLINK, "master", "virbr0")
        for name in ("agent1", "mute1"):
            eventually(f"the agent of {name} answers", lambda: self._ask(name, "guest-ping"))  # noqa: B023

    def down(self) -> None:
        """Take them away."""
        for name in (*MACS, "silent1", "agent1", "mute1", "slow1"):
            self._bed.remove(name)
        ip("link", "del", "cable0")
        connection = self._bed.connect()
        connection.networkLookupByName("spare").destroy()
        connection.networkLookupByName("spare").undefine()
        for name in ("lost", "small"):
            connection.storagePoolLookupByName(name).destroy()

    def vm(self, name: str, *arguments: Any, autostart: bool = False, **more: Any) -> Any:
        """Start a VM."""
        domain = self._bed.define(guest(name, *arguments, **more))
        domain.setAutostart(autostart)
        return domain

    def inside(self, name: str, *words: str) -> None:
        """Have a guest's agent run a program of busybox."""
        self._ask(name, "guest-exec", path="/bin/busybox", arg=list(words))

    def hung(self, name: str, number: int) -> None:
        """Stop or continue a QEMU."""
        os.kill(self._bed.qemu_pid(name), number)

    def tap(self, name: str, command: str) -> None:
        """Set a VM's tap up or down on the host."""
        number = self._bed.lookup(name).XMLDesc().partition("<target dev='vnet")[2].partition("'")[0]
        ip("link", "set", f"vnet{number}", command)

    def link(self, name: str, state: str) -> None:
        """Set the link of a VM's interface in its definition."""
        xml = interface("default", MACS[name]).replace("<model", f"<link state='{state}'/><model")
        self._bed.lookup(name).updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def fill(self) -> None:
        """A disk on a pool without room for it."""
        self._pool("tiny")
        image = WORK / "tiny" / "full.qcow2"
        qcow2(image, "32M")
        self.vm("full1", "lab.disk=4096 lab.dev=vda", disk(image, "vda", extra="error_policy='stop'"))

    def empty(self) -> None:
        """The end of that."""
        self._bed.remove("full1")
        (WORK / "tiny" / "full.qcow2").unlink()
        self._bed.connect().storagePoolLookupByName("tiny").destroy()

    def snapshots(self, name: str, count: int, age: float = 0) -> None:
        """A VM with snapshots, of which libvirt is told that they are old."""
        domain = self.vm(name, None, disk(self._image(name), "vda"))
        domain.destroy()
        for number in range(count):
            made = domain.snapshotCreateXML(f"<domainsnapshot><name>s{number}</name></domainsnapshot>", 0)
            if age:
                xml = made.getXMLDesc(0)
                _, _, behind = xml.partition("<creationTime>")
                clock = behind.partition("<")[0]
                old = xml.replace(f"<creationTime>{clock}", f"<creationTime>{int(time.time() - age)}")
                domain.snapshotCreateXML(old, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)

    def no_snapshots(self, name: str) -> None:
        """The end of that."""
        for found in self._bed.lookup(name).listAllSnapshots():
            found.delete(0)
        self._bed.remove(name)

    def stray(self) -> None:
        """A QEMU that libvirt has not started."""
        self._stray = subprocess.Popen(
            ["qemu-system-x86_64", "-S", "-display", "none", "-m", "16"], stderr=subprocess.DEVNULL
        )

    def no_stray(self) -> None:
        """Its end."""
        if self._stray:
            self._stray.terminate()
            self._stray.wait()

    def throttle(self, requests: int, name: str = "slow1") -> None:
        """Let the disk of a VM do so many requests a second; 0: as many as it can."""
        self._bed.lookup(name).setBlockIoTune("vda", {"total_iops_sec": requests}, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _ask(self, name: str, command: str, **arguments: Any) -> bool:
        request = json.dumps({"execute": command, "arguments": arguments})
        try:
            libvirt_qemu.qemuAgentCommand(self._bed.lookup(name), request, 5, 0)
        except libvirt.libvirtError:
            return False
        return True

    def _pool(self, name: str) -> None:
        self._bed.connect().storagePoolCreateXML(
            f"<pool type='dir'><name>{name}</name><target><path>{WORK}/{name}</path></target></pool>"
        )

    def _image(self, name: str) -> Any:
        image = WORK / f"{name}.qcow2"
        qcow2(image, "64M")
        return image


def ip(*arguments: str) -> None:
    """Call ip(8) in the lab's network namespace."""
    subprocess.run(["ip", *arguments], check=True)


def faults(bed: Bed, victims: Victims) -> list[Fault]:
    """Those that can be made at the same time without one being another's cause."""
    v, connection = victims, bed.connect()
    pool, idle = connection.storagePoolLookupByName("images"), connection.networkLookupByName("idle")

    def gone(name: str) -> Callable[[], None]:
        return lambda: bed.remove(name)

    def nothing() -> None:
        """Another fault makes it."""

    return [
        Fault("VM off1: Not running though it should be", HIGH, lambda: v.vm("off1", autostart=True).destroy(), gone("off1")),
        Fault("VM panic1: Crashed", HIGH, lambda: v.vm("panic1", "lab.crash=1"), gone("panic1")),
        Fault("KVM: Full storage pool stops VMs", HIGH, v.fill, v.empty),
        Fault("VM full1: Paused because its pool is full", INFORMATION, nothing, nothing),
        Fault("VM held1: Paused", WARNING, lambda: v.vm("held1").suspend(), gone("held1")),
        Fault("VM silent1: QEMU does not answer", HIGH, lambda: v.hung("silent1", signal.SIGSTOP), lambda: v.hung("silent1", signal.SIGCONT)),
        Fault("VM idle1: Running though it should be shut off", WARNING, lambda: v.vm("idle1", metadata=watch("expect='shutoff'")), gone("idle1")),
        Fault("VM busy1: CPU utilization is high", WARNING, lambda: v.vm("busy1", "lab.cpu=50"), gone("busy1")),
        Fault("VM tight1: Memory is low", WARNING, lambda: v.vm("tight1", "lab.mem=16"), gone("tight1")),
        Fault("VM agent1: Guest agent is lost", WARNING, lambda: v.inside("agent1", "killall", "qemu-ga"), gone("agent1")),
        Fault("VM mute1: Guest stopped reporting its memory", WARNING, lambda: v.inside("mute1", "rmmod", "virtio_balloon"), gone("mute1"), 480),
        Fault("VM many1: Carries many snapshots", WARNING, lambda: v.snapshots("many1", 12), lambda: v.no_snapshots("many1")),
        Fault("VM old1: A snapshot is too old", WARNING, lambda: v.snapshots("old1", 1, 9 * 86400), lambda: v.no_snapshots("old1")),
        Fault("VM slow1: Disk vda: Write latency is high", WARNING, lambda: v.throttle(1), lambda: v.throttle(0)),
        Fault("VM slow1: Disk vda: Read latency is high", WARNING, nothing, nothing),
        Fault(f"VM cut1: Interface default {MACS['cut1']}: Cut off from the network", HIGH, lambda: v.tap("cut1", "down"), lambda: v.tap("cut1", "up")),
        Fault(f"VM linkless1: Interface default {MACS['linkless1']}: Link is set down", WARNING, lambda: v.link("linkless1", "down"), lambda: v.link("linkless1", "up")),
        Fault("KVM: QEMU processes that libvirt does not know", WARNING, v.stray, v.no_stray),
        Fault("KVM: Metadata of VMs cannot be used", WARNING, lambda: v.vm("typo1", metadata=watch("expect='runing'")), gone("typo1")),
        Fault("Pool images: Inactive though it should be active", HIGH, pool.destroy, pool.create),
        Fault("Pool lost: Its storage is gone", HIGH, (WORK / "lost").rmdir, (WORK / "lost").mkdir),
        Fault("Pool small: Is nearly full", WARNING, lambda: (WORK / "small" / "x").write_bytes(bytes(1880 << 10)), (WORK / "small" / "x").unlink),
        Fault("Network idle: Inactive though it should be active", HIGH, lambda: idle.setAutostart(1), idle.create),
        Fault("Network spare: Bridge is down or gone", HIGH, lambda: ip("link", "set", "virbr-spare", "down"), lambda: ip("link", "set", "virbr-spare", "up")),
        Fault(f"Uplink {UPLINK}: No link", AVERAGE, lambda: ip("link", "set", UPLINK, "down"), lambda: ip("link", "set", UPLINK, "up")),
    ]  # fmt: skip


def of_the_whole(site: Any) -> list[Fault]:
    """Those behind which all others are not to be seen, one after the other."""
    return [
        Fault("KVM: libvirt does not answer", HIGH, site.bed.daemon.end, site.bed.daemon.start),
        Fault("KVM: No data", HIGH, site.zabbix.end_agent, site.zabbix.agent),
    ]


def break_all(site: Any) -> list[str]:
    """Make each fault, print what was told when, and give what was not told as it should be.

    All of it is told of the hypervisor: the VMs get no hosts of their own meanwhile.
    """
    site.follow = False
    far = site.second.connect().lookupByName("far1")
    far.destroy()  # to kvm1 a stray
    victims = Victims(site.bed)
    victims.up()
    site.zabbix.set_macros("kvm1", **SOONER, KVM_STRAYS_ALERTS="1")
    time.sleep(60)  # so that all of them are known, and Zabbix has history of them
    wrong = [f"open before any fault was made: {name}" for name in site.open()]
    print("Faults, told when they last 10 to 20 s:", flush=True)
    wrong += _break(site, faults(site.bed, victims))
    victims.down()
    for fault in of_the_whole(site):
        wrong += _break(site, [fault])
    far.create()
    site.zabbix.set_macros("kvm1", KVM_STRAYS_ALERTS="0")
    site.follow = True
    return wrong


def _break(site: Any, made: list[Fault]) -> list[str]:
    begun = time.time()
    moments = {}
    for fault in made:
        fault.make()
        moments[fault.problem] = time.time()
    wanted = {fault.problem for fault in made}
    most = max(fault.within for fault in made)
    with contextlib.suppress(AssertionError):
        eventually("all are told", lambda: wanted <= {problem.name for problem in site.told(begun)}, most)
    time.sleep(20)
    events = site.told(begun)
    wrong = []
    for fault in made:
        found = [problem for problem in events if problem.name == fault.problem]
        took = f"after {found[0].clock - moments[fault.problem]:3.0f} s" if found else "not told"
        print(f"  {took:<11} {fault.severity} {fault.problem}", flush=True)
        if [problem.severity for problem in found] != [fault.severity]:
            wrong.append(f"fault: {fault.problem}: told as {[str(problem) for problem in found]}")
    wrong += [
        f"fault: nobody made this: {problem}"
        for problem in events
        if problem.name not in wanted and problem.severity > INFORMATION
    ]
    for fault in made:
        fault.mend()
    with contextlib.suppress(AssertionError):
        eventually("all have ended", lambda: not site.open(), 120)
    return wrong + [f"open though it was mended: {name}" for name in site.open()]
