"""The snapshot: what was read of a hypervisor at one moment, typed and immutable.

Every record has ``stats`` (what was measured: gauges, and counters since their start) and ``rates`` (the
counters per second, filled by :func:`kvmwatch.model.rates.with_rates`; all ``None`` until then). What it should
have and could not be had is in ``unread``; a value that is None without that is one that the thing cannot have.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Optional

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import (
    DiskStats,
    DomainStats,
    FilesystemStats,
    HostStats,
    InterfaceStats,
    NetworkStats,
    NodeStats,
    PoolStats,
    ProcessStats,
    ThreadStats,
    UplinkStats,
    VcpuStats,
)
from kvmwatch.model.policy import Policy
from kvmwatch.model.record import Record
from kvmwatch.model.text import labelled, readable
from kvmwatch.model.units import duration

#: characters of what is said of one thing; a driver's message can have the whole of an XML in it
LONGEST_WHY = 500


class Unread(Record):
    """What a command asked for and could not have, of one record or of the hypervisor."""

    group: Group
    what: str  # for people: "storage pools", "XML"; empty where ``why`` says it all
    why: str  # one line, with what to do where something can be done
    absent: bool = False  # this kind of hypervisor has no such thing, which is no fault

    @property
    def text(self) -> str:
        """What is said of it."""
        return readable(f"{self.what} could not be read: {self.why}" if self.what else self.why, LONGEST_WHY)


Unreads = tuple[Unread, ...]


def texts(unread: Iterable[Unread]) -> list[str]:
    """What is said of them, each once: what lacks several groups lacks them for one reason, as a rule."""
    return list(dict.fromkeys(part.text for part in unread))


class Vcpu(Record):
    """One vCPU, by its number in the guest."""

    number: int
    stats: VcpuStats = VcpuStats()
    rates: VcpuStats = VcpuStats()
    unread: Unreads = ()


class Disk(Record):
    """One disk: ``name`` is the target (vda), ``device`` disk, lun, cdrom or floppy (None: not asked)."""

    name: str
    path: Optional[str] = None
    device: Optional[str] = None
    bus: Optional[str] = None
    kind: Optional[str] = None  # of its source: file, block, network, vhostuser, ... (None: not asked)
    pool: Optional[str] = None  # the storage pool that its XML names; ``path`` may be the volume's name then
    mirror: Optional[str] = None  # the block job that writes it to a second image: copy, active-commit; None: none
    mirror_since: Optional[float] = None  # Unix time at which that was first seen
    error: Optional[str] = None  # "no space" or "I/O error" (virDomainGetDiskErrors)
    backing: tuple[str, ...] = ()  # the images below its own, the nearest first; a domain that runs tells them
    limits: tuple[tuple[str, int], ...] = ()  # of <iotune>: total_bytes_sec, read_iops_sec, ...; what is limited
    stats: DiskStats = DiskStats()
    rates: DiskStats = DiskStats()
    rated_over: Optional[float] = None  # seconds between the readings that the rates are of
    unread: Unreads = ()

    @property
    def removable(self) -> bool:
        """Whether it is a drive (CD-ROM, floppy) whose medium is not the domain's storage."""
        return self.device in ("cdrom", "floppy")


class Interface(Record):
    """One interface. ``key`` is its MAC address: the tap device's name changes with every start."""

    key: str
    name: Optional[str] = None  # the tap on the host (vnet0); None for shut-off domains and kind "user"
    kind: Optional[str] = None  # network, bridge, direct, user, ...
    source: Optional[str] = None  # the network or bridge it hangs on
    model: Optional[str] = None
    link_down: bool = False  # <link state='down'/>
    bridge: Optional[str] = None  # of the host, that its tap belongs in
    device: Optional[str] = None  # of the host, that its macvtap stands on (kind direct)
    virtualport: Optional[str] = None  # openvswitch, ...
    detached: Optional[str] = None  # why it has no way to the network, for people; None: it has, or who knows
    addresses: tuple[str, ...] = ()  # IP addresses that are known to belong to its MAC; none: who knows
    on: Optional[str] = None  # what its tap is in or on now: a bridge, a card; "": nothing; None: who knows
    stats: InterfaceStats = InterfaceStats()
    rates: InterfaceStats = InterfaceStats()
    unread: Unreads = ()

    @property
    def mac(self) -> str:
        """Its MAC in small letters; in its key, a second one of the VM with the same has a number behind it."""
        return self.key.partition("#")[0].lower()


class Console(Record):
    """A way to what a domain shows: its screen (vnc, spice, ...) or a serial console, as its XML has it."""

    kind: str  # vnc, spice, rdp, ...; serial; or the kind of a console that is none: virtio, sclp, ...
    way: str  # address, network, socket, none; pty, tcp, unix, file, ...
    address: Optional[str] = None  # on which it listens, or that it connects to
    port: Optional[str] = None
    tls_port: Optional[str] = None
    path: Optional[str] = None  # of the socket, the pty, the file
    device: Optional[str] = None  # libvirt's alias of it: serial0; None: virsh console needs none for it


class Job(Record):
    """What libvirt does with a domain as a whole just now."""

    operation: str  # outgoing migration, save, dump, backup, ...
    elapsed: Optional[float] = None  # seconds
    progress: Optional[float] = None  # %
    remaining: Optional[float] = None  # bytes


#: Zabbix cannot quote a parameter that ends with a backslash, and takes {$ and {# for macros
_ESCAPED = str.maketrans({"\\": "/", '"': "'", "{": "(", "}": ")"})


class Filesystem(Record):
    """One file system that the guest agent reports; no two of a domain have the same ``mountpoint`` or ``key``."""

    mountpoint: str
    kind: str
    stats: FilesystemStats = FilesystemStats()

    @property
    def key(self) -> str:
        """Its mount point without what would have to be escaped in an item key or a JSONPath: C:/ for C:\\."""
        return self.mountpoint.translate(_ESCAPED)


class Domain(Record):
    """One domain. ``id`` is libvirt's number of this run, None when shut off; it changes at every start."""

    uuid: str
    name: str
    id: Optional[int]
    state: int
    reason: int
    time: float  # CLOCK_MONOTONIC of the reading
    title: Optional[str] = None  # what people call it: its <title>, or its name in OpenStack or OpenNebula
    project: Optional[str] = None  # whose it is in its cloud: a project, a group, a namespace
    owner: Optional[str] = None  # the user there
    pinned: tuple[tuple[int, str], ...] = ()  # number of a vCPU, and the host's CPUs to which it is pinned (0-3,8)
    autostart: Optional[bool] = None
    persistent: Optional[bool] = None
    managed_save: Optional[bool] = None
    has_snapshots: Optional[bool] = None
    has_checkpoints: Optional[bool] = None
    vcpu_numbers: Optional[Sequence[int]] = None  # of those that its XML gives it, running or not
    balloon_period: Optional[int] = None  # seconds; 0 or None: the guest reports only once
    agent_connected: Optional[bool] = None  # None: it does not run, or has no channel for a guest agent
    policy: Policy = Policy()
    since: Optional[float] = None  # Unix time at which its passing state was first seen; None: it has none
    not_responding: Optional[float] = None  # seconds since its QEMU last answered libvirt; None: it answers
    stats: DomainStats = DomainStats()
    rates: DomainStats = DomainStats()
    vcpus: tuple[Vcpu, ...] = ()
    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    filesystems: Optional[tuple[Filesystem, ...]] = None  # None: not asked, or there is no agent to ask
    consoles: tuple[Console, ...] = ()  # of this run; none: it does not run, or has none
    job: Optional[Job] = None  # None: none runs, or it was not asked
    unread: Unreads = ()

    @property
    def label(self) -> str:
        """What it is called where people read it: NAME, or NAME (TITLE)."""
        return labelled(self.name, self.title)

    @property
    def defined_vcpus(self) -> Optional[int]:
        """How many vCPUs its XML gives it."""
        return None if self.vcpu_numbers is None else len(self.vcpu_numbers)

    @property
    def active(self) -> bool:
        """Whether it has a QEMU process."""
        return states.is_active(self.state)

    @property
    def held(self) -> bool:
        """Whether somebody holds it (a start, a stop, a hook): that it is there is all that is known of it."""
        return self.state == states.NOSTATE and self.not_responding is not None

    @property
    def silent_for(self) -> Optional[float]:
        """Seconds for which its QEMU has not answered; 0: it answers, or it has none; None: not known."""
        untold = any(part.group is Group.CONTROL for part in self.unread)
        return None if untold and self.not_responding is None else self.not_responding or 0

    @property
    def expected(self) -> Optional[str]:
        """What it should be: its metadata's word, else running with autostart, else any. None: not known."""
        if (
            self.policy.expect
            or self.held
            or any(part.group in Group.POLICY | Group.AUTOSTART for part in self.unread)
        ):
            return self.policy.expect
        return "running" if self.autostart else "any"

    @property
    def why(self) -> states.Reason:
        """The reason of its state, and what that means."""
        return states.reason(self.state, self.reason)


class Pool(Record):
    """One storage pool; ``answered`` is False when its storage did not answer in time.

    Where its storage is not there, which is a ``fault``, there are no figures.
    """

    uuid: str
    name: str
    kind: str  # dir, fs, netfs, logical, ... (pool_kinds); empty: could not be read
    state: int  # virStoragePoolState
    active: bool
    autostart: bool
    persistent: bool
    answered: bool = True
    stats: PoolStats = PoolStats()
    unread: Unreads = ()
    fault: Optional[str] = None  # what is surely wrong with its storage: "nothing is mounted at /srv/nfs"
    dated: Optional[str] = None  # why its figures are libvirt's of the last refresh though the storage is here
    path: Optional[str] = None  # the folder of its volumes on its hypervisor; None: it has none, or is not known
    source: Optional[str] = None  # what it is called where it is: a volume group, a pool of Ceph; None: the same


class Network(Record):
    """One virtual network. ``bridge`` is None where guests get devices of the host or macvtaps."""

    uuid: str
    name: str
    bridge: Optional[str]  # its own or, of forward mode bridge, the host's
    active: bool
    autostart: bool
    persistent: bool
    bridge_found: Optional[bool] = None  # whether the host has it; None: not active, or not to be seen from here
    stats: NetworkStats = NetworkStats()
    unread: Unreads = ()
    leased: tuple[tuple[str, str], ...] = ()  # MAC and IP address of each lease in force


class Uplink(Record):
    """One interface of the host that carries VMs: a network card, a bond, a VLAN, below a bridge or a macvtap."""

    name: str
    carries: tuple[str, ...]  # the bridges, and what else VMs hang on, that stand on it
    stats: UplinkStats = UplinkStats()
    rates: UplinkStats = UplinkStats()
    time: float = 0.0  # CLOCK_MONOTONIC of the reading
    unread: Unreads = ()


class Netdev(Record):
    """A bridge of the host that VMs are on, or a port of one that is neither a VM's nor an uplink (a container's).

    The counters are the host's: a bridge received what the host itself took out of it.
    """

    name: str
    bridge: Optional[str]  # that it is a port of; None: it is one
    stats: UplinkStats = UplinkStats()
    rates: UplinkStats = UplinkStats()
    time: float = 0.0  # CLOCK_MONOTONIC of the reading
    unread: Unreads = ()


#: what a thread of a QEMU does
VCPU, IOTHREAD, VHOST, OTHER = "vcpu", "iothread", "vhost", "other"


class Thread(Record):
    """One thread of a QEMU process; ``kind`` is what it does: VCPU, IOTHREAD, VHOST or OTHER."""

    tid: int
    started: float  # seconds from the boot of the host
    name: str
    kind: str
    apart: bool = False  # it is the kernel's own, whose time is not in the process's (vhost before Linux 6.4)
    stats: ThreadStats = ThreadStats()
    rates: ThreadStats = ThreadStats()
    unread: Unreads = ()


class Process(Record):
    """One QEMU process; ``started`` tells it from a later one with the same PID."""

    pid: int
    started: float  # seconds from the boot of the host
    uuid: Optional[str]  # of its -uuid
    name: Optional[str]  # of its -name
    time: float  # CLOCK_MONOTONIC of the reading
    stats: ProcessStats = ProcessStats()
    rates: ProcessStats = ProcessStats()
    known: bool = True  # whether libvirt started it for the domain of this UUID; else it only says so
    threads: tuple[Thread, ...] = ()
    unread: Unreads = ()


class NumaNode(Record):
    """One NUMA node of the host."""

    number: int
    cpus: Optional[str]  # as the kernel lists them: 0-7,16-23
    stats: NodeStats = NodeStats()


class Host(Record):
    """The hypervisor's host."""

    hostname: Optional[str]
    driver: Optional[str]  # QEMU, TEST, ...
    libvirt_version: Optional[str]
    hypervisor_version: Optional[str]
    time: float  # CLOCK_MONOTONIC of the reading
    stats: HostStats = HostStats()
    rates: HostStats = HostStats()
    unread: Unreads = ()
    nodes: tuple[NumaNode, ...] = ()  # none: it has no NUMA, or they are not to be seen from here


class Snapshot(Record):
    """All that one command read; parts that it did not ask for, or that are in ``unread``, are empty or None."""

    uri: str
    time: float  # Unix time at the start of the reading
    latency: float  # seconds libvirt took to connect and list the domains
    host: Optional[Host] = None
    domains: tuple[Domain, ...] = ()
    pools: tuple[Pool, ...] = ()
    networks: tuple[Network, ...] = ()
    processes: tuple[Process, ...] = ()
    uplinks: Optional[tuple[Uplink, ...]] = None  # None: not asked, or not to be seen from here
    netdevs: tuple[Netdev, ...] = ()  # known where the uplinks are
    unread: Unreads = ()
    uuids: frozenset[str] = frozenset()  # of all domains there are, whether they were asked for or not
    unrated: Optional[str] = None  # why there are no rates at all, and what to do
    hostname: Optional[str] = None  # of the hypervisor; None: not asked, or in ``unread``
    note: Optional[str] = None  # what changes no verdict, and should be mended all the same

    def has(self, group: Group) -> bool:
        """Whether a part that was asked for was read, or is known not to be there; else absence tells nothing."""
        return all(part.group is not group or part.absent for part in self.unread)


def timings(snapshot: Snapshot) -> str:
    """Say how long libvirt took: the line of ``-vvv``."""
    since = time.time() - snapshot.time
    return (
        f"{snapshot.uri}: connected and listed in {duration(snapshot.latency)}, "
        f"{len(snapshot.domains)} domains read {duration(since)} after the start of the reading"
    )
