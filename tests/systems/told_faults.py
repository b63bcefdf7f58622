"""Thirty faults and ten minutes of normal life, each told once and to the right ones: "make test-faults".

A real Nagios and a real Icinga 2 watch one hypervisor, whose VMs are of three teams: two by patterns in the file of
--config, one by what its VMs say in their metadata; what is no VM's is the operators'. First administrators do what
they do all day, of which nobody is to be told. Then faults are made, those at the same time of which none is
another's cause, and each has to be told once, of one service, to the contact of one team, and its end as well.

A minute has MINUTE=6 seconds in all definitions alike, so that what is told when is as it would be (MINUTE=60: it is
one). Prints what was told, and writes it to docs/faults-told.md; exits with 1 if it was not as it should be.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import Any, NamedTuple

import inside
import libvirt
from guests import interface, qcow2
from injected import Victims, ip
from pager import MINUTE
from running import running
from teams import DB, HOST, OPERATIONS, SHOP, WEB, WORK, Line, Site
from teams_hypervisor import Hypervisor, mac
from waiting import eventually

LONGEST = 25 * MINUTE  # until somebody is told
PAGE = Path(__file__).parents[2] / "docs" / "faults-told.md"
_METADATA = (libvirt.VIR_DOMAIN_METADATA_ELEMENT, "kvmwatch", "urn:kvmwatch:1", libvirt.VIR_DOMAIN_AFFECT_LIVE)


class Fault(NamedTuple):
    """Something that can be wrong: what, where and how bad it is, who is to be told, how it is made and mended."""

    what: str
    contact: str
    host: str
    service: str  # empty: the host itself
    state: str
    make: Callable[[], object]
    mend: Callable[[], object]

    @property
    def full(self) -> str:
        """The service as it is called; empty: the host itself."""
        return f"KVM {self.service}" if self.service else ""


# --- normal life ---------------------------------------------------------------------------------------------------


def live(site: Site) -> list[str]:
    """Ten minutes of what administrators do all day. Give what was told."""
    bed, before = site.bed, site.lines()
    end = time.monotonic() + 10 * MINUTE
    deeds: dict[str, Callable[[], object]] = {
        "a VM becomes busy": bed.lookup("shop-busy").create,
        "a guest is rebooted": lambda: bed.lookup("web-auto").reset(0),
        "a VM without autostart is shut off": bed.lookup("web-held").destroy,
        "a VM is stopped and started": lambda: (bed.lookup("shop-off").destroy(), bed.lookup("shop-off").create()),
        "a snapshot is taken": lambda: snapshot(bed, "shop-backup"),
        "the VM is no longer busy": bed.lookup("shop-busy").destroy,
        "a disk is backed up": lambda: back_up(bed, "db-job"),
        "the VM that was shut off is started": bed.lookup("web-held").create,
        "libvirtd is restarted": lambda: (bed.daemon.end(), bed.daemon.start()),
        "nothing is published once": lambda: miss_one(site),
    }
    print(f"Normal life for ten minutes of {MINUTE:g} s:", flush=True)
    for what, do in deeds.items():
        print(f"  {time.strftime('%H:%M:%S')} {what}", flush=True)
        do()
        time.sleep(MINUTE)
    time.sleep(max(0.0, end - time.monotonic()))
    time.sleep(3 * MINUTE)
    site.settle()
    return [
        f"normal life: {name} told {','.join(line)}"
        for name, lines in site.lines().items()
        for line in lines[len(before[name]) :]
    ]


def snapshot(bed: Hypervisor, name: str) -> None:
    """Take a snapshot of a disk, beside it, and commit it again."""
    image = WORK / f"{name}.snapshot"
    domain = bed.lookup(name)
    domain.snapshotCreateXML(
        "<domainsnapshot><name>s</name><disks><disk name='vda' snapshot='external'>"
        f"<source file='{image}'/></disk></disks></domainsnapshot>",
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA,
    )
    domain.blockCommit("vda", None, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
    eventually("the commit is done", lambda: finished(domain))
    domain.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)


def finished(domain: Any) -> bool:
    """Whether a block job waits for its end only."""
    job = domain.blockJobInfo("vda", 0)
    return bool(job) and job["cur"] == job["end"] and "ready='yes'" in domain.XMLDesc()


def back_up(bed: Hypervisor, name: str) -> None:
    """Copy its disk while it runs."""
    domain, target = bed.lookup(name), WORK / f"{name}.backup"
    target.unlink(missing_ok=True)
    domain.backupBegin(
        f"<domainbackup><disks><disk name='vda' type='file'><target file='{target}'/></disk></disks></domainbackup>",
        None,
    )
    eventually("the backup is done", lambda: domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE)


def miss_one(site: Site) -> None:
    """One run of publish does not take place."""
    with site.silence():
        time.sleep(MINUTE)


# --- faults --------------------------------------------------------------------------------------------------------


def slow_to_tell(site: Site) -> list[Fault]:
    """Made before all others, and told after them: a guest's report is old after five minutes, of 60 s each."""
    victims, bed = Victims(site.bed), site.bed
    return [
        Fault("guest stops reporting its memory", WEB, "web-mute", "memory", "WARNING", lambda: victims.inside("web-mute", "rmmod", "virtio_balloon"), lambda: again(bed, "web-mute")),
    ]  # fmt: skip


def waves(site: Site) -> list[list[Fault]]:
    """Those of each can be made at the same time: each is of another service, and none another's cause."""
    bed, victims = site.bed, Victims(site.bed)
    connection = bed.connect()
    images, idle = connection.storagePoolLookupByName("images"), connection.networkLookupByName("idle")
    image, gib = WORK / "small" / "x", "16 GiB"

    def do(name: str, deed: str) -> Callable[[], object]:
        return lambda: methodcaller(deed)(bed.lookup(name))

    def starts(what: str, contact: str, name: str, service: str, state: str) -> Fault:
        return Fault(what, contact, name, service, state, do(name, "create"), do(name, "destroy"))

    def say(name: str, own: str) -> None:
        bed.lookup(name).setMetadata(_METADATA[0], f"<watch {own}/>" if own else None, *_METADATA[1:])

    def bridge(name: str, *words: str) -> None:
        number = bed.lookup(name).XMLDesc().partition("<target dev='vnet")[2].partition("'")[0]
        ip("link", "set", f"vnet{number}", *words)

    return [
        [
            Fault("VM with autostart is shut off", SHOP, "shop-off", "state", "CRITICAL", do("shop-off", "destroy"), do("shop-off", "create")),
            Fault("VM with autostart is saved to disk", SHOP, "shop-saved", "state", "CRITICAL", do("shop-saved", "managedSave"), do("shop-saved", "create")),
            Fault("VM is shut off, which the file says runs", SHOP, "shop-expect", "state", "CRITICAL", do("shop-expect", "destroy"), do("shop-expect", "create")),
            starts("guest crashes", DB, "db-panic", "state", "CRITICAL"),
            Fault("VM is held by an I/O error, its pool is full", SHOP, "shop-full", "state", "CRITICAL", do("shop-full", "create"), lambda: empty(bed)),
            Fault("VM is paused", WEB, "web-held", "state", "WARNING", do("web-held", "suspend"), do("web-held", "resume")),
            Fault("QEMU does not answer", DB, "db-hung", "state", "CRITICAL", lambda: victims.hung("db-hung", signal.SIGSTOP), lambda: victims.hung("db-hung", signal.SIGCONT)),
            starts("VM runs, whose metadata say it does not", WEB, "web-idle", "state", "WARNING"),
            Fault("VM runs, which the file says is paused", DB, "db-paused", "state", "WARNING", do("db-paused", "resume"), do("db-paused", "suspend")),
            Fault("VM is on the wrong hypervisor", WEB, "web-place", "state", "WARNING", lambda: say("web-place", "expect-host='kvm9'"), lambda: say("web-place", "expect-host='kvm1'")),
            Fault("metadata cannot be used", DB, "db-typo", "state", "WARNING", lambda: say("db-typo", "expect='runing'"), lambda: say("db-typo", "")),
            Fault("VM loses its autostart", WEB, "web-auto", "state", "WARNING", lambda: bed.lookup("web-auto").setAutostart(0), lambda: bed.lookup("web-auto").setAutostart(1)),
            starts("CPU is busy", SHOP, "shop-busy", "cpu", "WARNING"),
            starts("memory is low", WEB, "web-tight", "memory", "WARNING"),
            Fault("guest agent is gone", DB, "db-agent", "agent", "WARNING", lambda: victims.inside("db-agent", "killall", "qemu-ga"), lambda: again(bed, "db-agent")),
            Fault("many snapshots", SHOP, "shop-many", "snapshot", "WARNING", lambda: victims.snapshots("shop-many", 12), lambda: no_snapshots(bed, "shop-many")),
            Fault("snapshot is nine days old", DB, "db-old", "snapshot", "WARNING", lambda: victims.snapshots("db-old", 1, 9 * 86400), lambda: no_snapshots(bed, "db-old")),
            Fault("last backup is two days old", SHOP, "shop-backup", "snapshot", "WARNING", lambda: backed_up(bed, 2 * 86400), lambda: backed_up(bed, 0)),
            Fault("disk is slow", WEB, "web-slow", "disk", "WARNING", lambda: victims.throttle(4, "web-slow"), lambda: victims.throttle(0, "web-slow")),
            Fault("block job does not end", DB, "db-job", "disk", "WARNING", lambda: copy(bed, "db-job"), lambda: bed.lookup("db-job").blockJobAbort("vda")),
            starts("image grows", WEB, "web-grow", "disk", "WARNING"),
            Fault("tap is down", SHOP, "shop-cut", "network", "CRITICAL", lambda: victims.tap("shop-cut", "down"), lambda: victims.tap("shop-cut", "up")),
            Fault("tap is not in its bridge", DB, "db-bridge", "network", "CRITICAL", lambda: bridge("db-bridge", "nomaster"), lambda: bridge("db-bridge", "master", "virbr0")),
            Fault("link is set down", WEB, "web-link", "network", "WARNING", lambda: link(bed, "down"), lambda: link(bed, "up")),
            starts("too much traffic", SHOP, "shop-loud", "network", "WARNING"),
            Fault("pool is full (see shop-full)", OPERATIONS, HOST, "pool", "CRITICAL", nothing, nothing),
            Fault("network is inactive", OPERATIONS, HOST, "net", "CRITICAL", lambda: idle.setAutostart(1), idle.create),
        ],
        [
            Fault("pool is nearly full", OPERATIONS, HOST, "pool", "WARNING", lambda: image.write_bytes(bytes(1880 << 10)), image.unlink),
            Fault("network's bridge is down", OPERATIONS, HOST, "net", "CRITICAL", lambda: ip("link", "set", "virbr-spare", "down"), lambda: ip("link", "set", "virbr-spare", "up")),
            Fault("too many vCPUs are promised (64 more)", OPERATIONS, HOST, "host", "WARNING", do("db-wide", "create"), do("db-wide", "destroy")),
            Fault("QEMU that libvirt does not know", OPERATIONS, HOST, "process", "WARNING", victims.stray, victims.no_stray),
        ],
        [
            Fault("pool is inactive", OPERATIONS, HOST, "pool", "CRITICAL", images.destroy, images.create),
            Fault(f"too much memory is promised ({gib} more)", OPERATIONS, HOST, "host", "WARNING", do("db-large", "create"), do("db-large", "destroy")),
        ],
        [
            Fault("pool's folder is gone", OPERATIONS, HOST, "pool", "CRITICAL", (WORK / "lost").rmdir, (WORK / "lost").mkdir),
        ],
    ]  # fmt: skip


def of_the_whole(site: Site) -> list[Fault]:
    """Those behind which all others are not to be seen, one after the other."""
    return [
        Fault("libvirtd is dead", OPERATIONS, HOST, "host", "UNKNOWN", site.bed.daemon.end, site.bed.daemon.start),
        Fault("nothing is published", OPERATIONS, HOST, "host", "UNKNOWN", lambda: site.silent(True), lambda: site.silent(False)),
        Fault("hypervisor is down", OPERATIONS, HOST, "", "DOWN", lambda: (site.silent(True), site.watched.up_file.unlink()), lambda: (site.watched.up_file.touch(), site.silent(False))),
    ]  # fmt: skip


def nothing() -> None:
    """Another fault makes it."""


def again(bed: Hypervisor, name: str) -> None:
    """Boot a VM anew."""
    bed.lookup(name).destroy()
    bed.lookup(name).create()


def empty(bed: Hypervisor) -> None:
    """Make room on the full pool."""
    bed.lookup("shop-full").destroy()
    qcow2(inside.WORK / "tiny" / "full.qcow2", "32M")


def no_snapshots(bed: Hypervisor, name: str) -> None:
    """Delete all of a VM."""
    for found in bed.lookup(name).listAllSnapshots():
        found.delete(0)


def backed_up(bed: Hypervisor, age: float) -> None:
    """Have libvirt believe that its checkpoint is so old, in seconds."""
    domain = bed.lookup("shop-backup")
    xml = domain.checkpointLookupByName("backup").getXMLDesc(0)
    before, _, behind = xml.partition("<creationTime>")
    clock = behind.partition("<")[0]
    aged = f"{before}<creationTime>{int(time.time() - age)}{behind[len(clock) :]}"
    domain.checkpointCreateXML(aged, libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE)


def copy(bed: Hypervisor, name: str) -> None:
    """Begin to copy its disk, and leave the copy waiting."""
    bed.lookup(name).blockCopy(
        "vda",
        f"<disk type='file'><source file='{WORK}/{name}.copy'/><driver type='qcow2'/></disk>",
        {},
        libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB,
    )


def link(bed: Hypervisor, state: str) -> None:
    """Set the link of web-link."""
    xml = interface("default", mac(4)).replace("<model", f"<link state='{state}'/><model")
    bed.lookup("web-link").updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)


class Row(NamedTuple):
    """A fault, and by system what was told of its service while it was there, and of its end."""

    fault: Fault
    told: dict[str, list[Line]]

    def right(self, system: str) -> bool:
        """Whether one notification went to the right contact, and one of the end."""
        fault = self.fault
        where, end = (fault.contact, fault.host, fault.full), "OK" if fault.service else "UP"
        wanted = [Line("PROBLEM", *where, fault.state), Line("RECOVERY", *where, end)]
        return [line._replace(text="") for line in self.told[system]] == wanted


def about(fault: Fault, lines: list[Line]) -> list[Line]:
    """Those that are of a fault's service."""
    return [line for line in lines if (line.host, line.service) == (fault.host, fault.full)]


class Run:
    """Makes faults, and keeps what was told of each; and what was told of no fault."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.rows: list[Row] = []
        self.besides: list[str] = []

    def all(self) -> None:
        """Make each."""
        begun = self._site.lines()
        slow = slow_to_tell(self._site)
        for fault in slow:
            fault.make()
        self._site.lasting = frozenset((fault.host, fault.full) for fault in slow)
        for wave in waves(self._site):
            self._one(wave)
        self._told(slow, begun, 300 + LONGEST)
        self._site.lasting = frozenset()
        self._mend(slow, begun)
        for fault in of_the_whole(self._site):
            self._one([fault])

    def _one(self, wave: list[Fault]) -> None:
        begun = self._site.lines()
        for fault in wave:
            try:
                fault.make()
            except (libvirt.libvirtError, OSError) as error:
                print(f"  cannot be made: {fault.what}: {error}", flush=True)
        self._told(wave, begun, LONGEST)
        self._mend(wave, begun)

    def _new(self, begun: dict[str, list[Line]]) -> dict[str, list[Line]]:
        return {name: lines[len(begun[name]) :] for name, lines in self._site.lines().items()}

    def _told(self, faults: list[Fault], begun: dict[str, list[Line]], seconds: float) -> None:
        """Wait until each has been told by both, and whether more comes."""

        def all_told() -> bool:
            return all(about(fault, lines) for lines in self._new(begun).values() for fault in faults)

        with contextlib.suppress(AssertionError):
            eventually("all are told", all_told, seconds)
        time.sleep((3 if len(faults) > 1 else 6) * MINUTE)

    def _mend(self, faults: list[Fault], begun: dict[str, list[Line]]) -> None:
        """Mend them, wait for their ends, and print and keep what was told."""
        for fault in faults:
            try:
                fault.mend()
            except (libvirt.libvirtError, OSError) as error:
                print(f"  cannot be mended: {fault.what}: {error}", flush=True)
        try:
            self._site.settle()
        except AssertionError as error:
            self.besides.append(f"not OK though mended: {error}")
        time.sleep(MINUTE)
        new = self._new(begun)
        for fault in faults:
            row = Row(fault, {name: about(fault, lines) for name, lines in new.items()})
            self.rows.append(row)
            print(f"  {in_table(row)}", flush=True)
        print("".join(f"    {line}\n" for line in not_right(self.rows[-len(faults) :])), end="", flush=True)
        ours = {(fault.host, fault.full) for fault in [*faults, *slow_to_tell(self._site)]}
        for name, lines in new.items():
            others = [line for line in lines if (line.host, line.service) not in ours]
            if len(faults) > 1 or faults[0].service != "memory":  # that one has lasted through all of the others
                self.besides += [f"{name}: {','.join(line)}" for line in others]


# --- what is said of it --------------------------------------------------------------------------------------------

VERSIONS = {"Nagios": ("nagios4", "--version"), "Icinga": ("icinga2", "--version")}
DEEDS = (
    "a guest rebooted, VMs stopped and started, a snapshot taken and committed, a disk backed up, a VM busy for five "
    "minutes, libvirtd restarted, a run of the publisher missed"
)
HEADING = """# What was told of which fault

<!-- made by 'make test-faults' -->
A real Nagios {nagios} and a real Icinga {icinga} watched a hypervisor with VMs of three teams, as their pages say: a host for
each VM, contact groups by pattern in the file of `--config` (team-shop, team-db) or in a VM's metadata (team-web), and
`nagios_kvm publish` once a minute. Each fault was made for real, and mended when it had been told; those at the same time of
which none is another's cause. A minute had {minute:g} s in all definitions alike: what is told after how many looks is as it
is with 60. Limits of load were low, because the guests are small; the disk was slow by a limit on its requests, and
snapshots and a backup were old by what libvirt was told of them. Made by *make test-faults*, as root.

{life}

| fault | service | Nagios told | Icinga told | its end was told by |
|---|---|---|---|---|
"""


def in_table(row: Row) -> str:
    """A line of the table."""
    fault = row.fault
    service = f"{fault.host}: KVM {fault.service}" if fault.service else f"{fault.host}"
    columns = [fault.what, service]
    for lines in row.told.values():
        told = [f"{line.contact} {line.state}" for line in lines if line.kind == "PROBLEM"]
        columns.append(", ".join(told) or "nobody")
    ends = [
        name
        for name, lines in row.told.items()
        if [(line.kind, line.contact) for line in lines].count(("RECOVERY", fault.contact)) == 1
    ]
    columns.append("both" if len(ends) == len(row.told) else ", ".join(ends) or "nobody")
    return f"| {' | '.join(columns)} |"


def version(command: tuple[str, ...]) -> str:
    """The version that a daemon says it is."""
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", out)
    return found[0] if found else ""


def not_right(rows: list[Row]) -> list[str]:
    """What was told of the faults of which something else should have been."""
    return [
        f"{row.fault.what}: {name} told {'; '.join(','.join(line) for line in row.told[name]) or 'nobody'}"
        for row in rows
        for name in row.told
        if not row.right(name)
    ]


def page(run: Run, lived: list[str] | None) -> str:
    """The page."""
    said = "Normal life was left out of this run."
    if lived is not None:
        told = "; ".join(lived) or "nothing was told to anybody"
        said = f"In ten minutes of normal life ({DEEDS}): {told}."
    versions = {name.lower(): version(command) for name, command in VERSIONS.items()}
    text = HEADING.format(minute=MINUTE, life=said, **versions) + "".join(f"{in_table(row)}\n" for row in run.rows)
    once = {name: sum(row.right(name) for row in run.rows) for name in run.rows[0].told} if run.rows else {}
    text += (
        "\n"
        + ", ".join(
            f"{name}: {number} of {len(run.rows)} told once, to the right contact, and their ends"
            for name, number in once.items()
        )
        + ".\n"
    )
    wrong = not_right(run.rows)
    if wrong:
        text += "\nNot so:\n\n" + "".join(f"* {line}\n" for line in wrong)
    if run.besides:
        text += "\nTold besides:\n\n" + "".join(f"* {line}\n" for line in run.besides)
    return text


def main() -> None:
    """Live, break, write the page; exit with 1 if something was told that should not be, or was not."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    parts = os.environ.get("PARTS", "life faults").split()
    WORK.mkdir()
    with running(Hypervisor()) as bed, running(Site(bed)) as site:
        lived = live(site) if "life" in parts else None
        print("\n".join(lived or []), flush=True)
        run = Run(site)
        try:
            if "faults" in parts:
                run.all()
        finally:
            if run.rows:  # those of a run that was cut off as well
                PAGE.write_text(page(run, lived))
        print("publish said:", {said: times for said, times in site.said.items() if times}, flush=True)
        print(f"slowest run of publish: {site.slowest:.1f} s", flush=True)
    wrong = [*(lived or []), *not_right(run.rows), *run.besides]
    print("\n".join(wrong) or "Everything was told as it should be.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
