"""The lab bed: a real libvirtd with real QEMU guests (emulated, TCG) in every state there is.

Only for use inside the namespaces that ./run makes; nothing here is safe on a machine's own libvirt.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

import inside
import installed
import libvirt
from daemons import URI, Daemons
from guests import FILL, PANIC, POWER_OFF, SUSPEND, disk, guest, interface, qcow2, uuid_of, watch
from waiting import eventually, eventually_equal

WORK = inside.WORK
ODD_NAME = 'Büro VM "01" it\'s=odd | 100%'
#: what web1 is told to do, and what it is where nobody compares figures: it takes as long as the tests do
LOAD = {"cpu": 10, "disk": 256, "net": 10}
LITTLE = {"disk": 16, "net": 1}
#: of guests that soon run no more: a report of memory, even the one at boot, counts as old some minutes later
NO_REPORT = "<memballoon model='none'/>"

libvirt.registerErrorHandler(lambda _context, _error: None, None)


class Bed:
    """The daemons, and what is defined in them; ``daemon`` is the one with the guests."""

    def __init__(self, load: dict[str, int] = LOAD) -> None:
        self.load = load
        self.daemons = Daemons()
        self.daemon = self.daemons.main
        self.daemons.start()

    def connect(self) -> Any:
        """A read-write connection for the tests' own use."""
        return libvirt.open(URI)

    def define(self, xml: str, start: bool = True, paused: bool = False) -> Any:
        """Define a domain and start it."""
        domain = self.connect().defineXML(xml)
        if start:
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
        return domain

    def transient(self, xml: str, paused: bool = False) -> Any:
        """Start a transient domain."""
        return self.connect().createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)

    def lookup(self, name: str) -> Any:
        """Find a domain by name."""
        return self.connect().lookupByName(name)

    def qemu_pid(self, name: str) -> int:
        """The PID of a domain's QEMU, found by its UUID."""
        needle = f"\0-uuid\0{uuid_of(name)}\0".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if needle in (process / "cmdline").read_bytes():
                    return int(process.name)
            except OSError:
                continue
        raise LookupError(f"no QEMU for {name}")

    def later(self, seconds: int) -> dict[str, str]:
        """Environment in which a command's time.time() is this much later."""
        folder = WORK / "later"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(
            f"import time\n_time = time.time\ntime.time = lambda: _time() + {seconds}\n"
        )
        return {"PYTHONPATH": str(folder)}

    def remove(self, name: str) -> None:
        """Destroy and undefine a domain, if it is there."""
        try:
            domain = self.lookup(name)
            if domain.isActive():
                with contextlib.suppress(libvirt.libvirtError):  # it ended just now
                    domain.destroy()
            if domain.isPersistent():
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise

    def up(self) -> None:
        """Bring up the networks, the pools, and a guest in every state."""
        connection = self.connect()
        self._networks(connection)
        self._pools(connection)
        self._start_guests()
        self._reach_states()

    def down(self) -> None:
        """Destroy every guest, so that libvirt removes their control groups, and end the daemons."""
        connection = self.connect()
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                domain.destroy()
            except libvirt.libvirtError as error:
                # a daemon that was just restarted lists some that it then finds to have ended
                if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                    raise
        for network in connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE):
            network.destroy()
        self.daemons.stop()

    def _networks(self, connection: Any) -> None:
        xml = (
            "<network><name>default</name><forward mode='nat'/><bridge name='virbr0'/>"
            "<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>"
            "<range start='192.168.122.100' end='192.168.122.200'/></dhcp></ip></network>"
        )
        connection.networkDefineXML(xml).create()
        connection.networkDefineXML("<network><name>idle</name><bridge name='virbr-idle'/></network>")

    def _pools(self, connection: Any) -> None:
        def pool(name: str, target: Path) -> Any:
            return connection.storagePoolDefineXML(
                f"<pool type='dir'><name>{name}</name><target><path>{target}</path></target></pool>"
            )

        full = pool("images", WORK / "pool")
        full.create()
        for name, capacity in (("v1.qcow2", 64), ("v2.qcow2", 64)):
            full.createXML(
                f"<volume><name>{name}</name><capacity unit='MiB'>{capacity}</capacity>"
                "<target><format type='qcow2'/></target></volume>"
            )
        pool("tiny", WORK / "tiny").create()
        pool("dead", WORK / "missing").setAutostart(1)
        pool("idle", WORK / "pool2")

    def start_busy(self, name: str, load: dict[str, int], number: int) -> None:
        """Start a guest with all that a guest can have, which works; the number is that of its addresses."""
        image, raw = WORK / f"{name}.qcow2", WORK / f"{name}.raw"
        qcow2(image, "64M", filesystem=True)
        raw.write_bytes(b"")
        os.truncate(raw, 64 << 20)
        cdrom = "<disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>"
        agent = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        interfaces = "".join(interface("default", f"52:54:00:00:{number:02x}:{at:02x}") for at in (1, 2))
        words = " ".join(f"lab.{kind}={amount}" for kind, amount in load.items())
        self.define(
            guest(
                name,
                f"{words} lab.dev=vdb lab.ip=192.168.122.{number + 1}/24 lab.agent=1",
                disk(image, "vda") + disk(raw, "vdb", "raw", "cache='none'") + cdrom + agent + interfaces,
                memory=160,
                vcpus=2,
            )
        )

    def reports(self, name: str) -> bool:
        """Whether a guest's balloon tells of its memory."""
        return "usable" in self.lookup(name).memoryStats()

    def _start_guests(self) -> None:
        self.start_busy("web1", self.load, 1)
        qcow2(WORK / "tiny" / "full.qcow2", "32M")
        self.define(guest("idle1", "lab.mem=16", memory=128))
        self.define(guest("crash1", does=PANIC, balloon=NO_REPORT))
        self.define(guest("crash2", does=PANIC, on_crash="destroy"))
        self.define(guest("off1", does=POWER_OFF))
        self.define(guest("suspend1", does=SUSPEND, balloon=NO_REPORT))
        full = disk(WORK / "tiny" / "full.qcow2", "vda", extra="error_policy='stop'")
        self.define(guest("ioerr1", devices=full, does=FILL, balloon=NO_REPORT))
        self.define(guest("pause1", balloon=NO_REPORT))
        self.define(guest("save1"))
        self.define(guest("gone1"))
        self.define(guest("never1"), start=False)
        self.define(guest("auto1"), start=False).setAutostart(1)
        self.define(guest("expect1", metadata=watch("expect='running'")), start=False)
        self.define(guest("alone1", metadata=watch("ignore='yes'")))
        self.define(guest("fail1", devices=disk(WORK / "no-such.qcow2", "vda")), start=False)
        self.define(
            guest(ODD_NAME, devices="<interface type='user'><mac address='52:54:00:00:01:03'/></interface>")
        )
        self.define(guest("nodriver1"))
        self.define(guest("noballoon1", balloon="<memballoon model='none'/>"))
        self.transient(guest("trans1"))

    def _reach_states(self) -> None:
        self.lookup("pause1").suspend()
        self.lookup("save1").managedSave()
        self.lookup("gone1").destroy()
        with contextlib.suppress(libvirt.libvirtError):  # its disk is missing
            self.lookup("fail1").create()
        for name, wanted in (
            ("crash1", [6, 1]),
            ("crash2", [5, 3]),
            ("off1", [5, 1]),
            ("suspend1", [7, 0]),
            ("ioerr1", [3, 5]),
        ):
            eventually_equal(f"{name} reaches its state", self.lookup(name).state, wanted)
        eventually("web1's agent answers", self._agent_answers)
        eventually("web1 and idle1 report memory", lambda: self.reports("web1") and self.reports("idle1"))

    def _agent_answers(self) -> bool:
        try:
            self.lookup("web1").guestInfo(libvirt.VIR_DOMAIN_GUEST_INFO_FILESYSTEM)
        except libvirt.libvirtError:
            return False
        return True


def grows(counter: list[float]) -> bool:
    """Whether readings of a busy guest's CPU time, one right after the other, are fresh.

    It is counted in ticks of 10 ms, so two may be the same; five are not.
    """
    return counter == sorted(counter) and all(old < new for old, new in zip(counter, counter[4:]))


def as_nobody(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the ``main`` of a module as user nobody, even when the checkout lies in a private folder."""
    return subprocess.run(
        [installed.checkout() / ".venv/bin/python", "-c", f"from {module} import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        user="nobody",
        group="nogroup",
        extra_groups=[],
        cwd="/",
        env={**installed.environment(), "HOME": "/nonexistent"},
    )
