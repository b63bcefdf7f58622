"""The catalogue: every metric once, with unit, kind, source and a line of help.

A metric is a field of one of the records below; its annotation declares all that is known of it. The
readers (:mod:`kvmwatch.records`), the stored counters (:mod:`kvmwatch.history`), the master JSON, the
perfdata units and the reference page are derived from these declarations, so a new metric that libvirt's
bulk statistics deliver needs one line here and nothing else.

Values are base units: bytes, seconds, counts. A value that libvirt did not give is ``None``, never 0.

The records are named tuples and not frozen dataclasses: they are as immutable and as typed, and every run
of every check pays for their creation (12 records: about 1 ms against about 20 ms for dataclasses with
their import, a third of what a whole check costs; see ``make bench``).
"""

from typing import Annotated, NamedTuple, Optional

GAUGE = "gauge"
COUNTER = "counter"


class Scale(NamedTuple):
    """How a raw libvirt value becomes a base unit: ``raw * times / per``."""

    times: int = 1
    per: int = 1

    def apply(self, raw: float) -> float:
        """Give *raw* in the base unit; whole numbers stay whole where no division is needed."""
        return raw * self.times if self.per == 1 else raw * self.times / self.per


ONE = Scale()
KIB = Scale(times=1024)
NANO = Scale(per=1_000_000_000)


class Declaration(NamedTuple):
    """What the annotation of a field declares.

    ``field`` is the name in libvirt's bulk statistics below the prefix of the entity (``rd.bytes`` for
    ``block.N.rd.bytes``), empty where the value comes from elsewhere; ``source`` is what the docs print.
    """

    kind: str
    unit: str
    field: str
    source: str
    help: str
    scale: Scale


class Metric(NamedTuple):
    """One catalogue entry: ``disk.read_bytes`` is field ``read_bytes`` of entity ``disk``."""

    entity: str
    name: str
    declaration: Declaration

    @property
    def full_name(self) -> str:
        """``entity.name``, unique in the catalogue."""
        return f"{self.entity}.{self.name}"


def _stat(kind: str, unit: str, field: str, help_: str, scale: Scale = ONE) -> Declaration:
    return Declaration(kind, unit, field, field, help_, scale)


def _gauge(unit: str, source: str, help_: str) -> Declaration:
    return Declaration(GAUGE, unit, "", source, help_, ONE)


def _counter(unit: str, source: str, help_: str) -> Declaration:
    return Declaration(COUNTER, unit, "", source, help_, ONE)


Value = Optional[float]


# fmt: off
class DomainStats(NamedTuple):
    """What is measured of a domain as a whole (libvirt ``virConnectGetAllDomainStats``)."""

    cpu_time: Annotated[Value, _stat(COUNTER, "s", "cpu.time", "CPU time used, emulator threads included", NANO)] = None
    cpu_user: Annotated[Value, _stat(COUNTER, "s", "cpu.user", "CPU time used in user mode", NANO)] = None
    cpu_system: Annotated[Value, _stat(COUNTER, "s", "cpu.system", "CPU time used in kernel mode", NANO)] = None
    cpu_delay: Annotated[Value, _counter("s", "sum of vcpu.N.delay", "Time its vCPUs waited for a physical CPU (steal)")] = None
    vcpu_count: Annotated[Value, _stat(GAUGE, "", "vcpu.current", "vCPUs the domain has now")] = None
    vcpu_maximum: Annotated[Value, _stat(GAUGE, "", "vcpu.maximum", "vCPUs the domain can be given")] = None
    memory_current: Annotated[Value, _stat(GAUGE, "B", "balloon.current", "Memory given to the guest (balloon size)", KIB)] = None
    memory_maximum: Annotated[Value, _stat(GAUGE, "B", "balloon.maximum", "Memory the guest can be given", KIB)] = None
    memory_available: Annotated[Value, _stat(GAUGE, "B", "balloon.available", "Memory as the guest's kernel counts it", KIB)] = None
    memory_usable: Annotated[Value, _stat(GAUGE, "B", "balloon.usable", "Memory the guest can use without swapping", KIB)] = None
    memory_unused: Annotated[Value, _stat(GAUGE, "B", "balloon.unused", "Memory the guest does not use at all", KIB)] = None
    memory_caches: Annotated[Value, _stat(GAUGE, "B", "balloon.disk_caches", "Memory in the guest's disk caches", KIB)] = None
    memory_rss: Annotated[Value, _stat(GAUGE, "B", "balloon.rss", "Host memory resident for the QEMU process", KIB)] = None
    swap_in: Annotated[Value, _stat(COUNTER, "B", "balloon.swap_in", "Memory the guest swapped in", KIB)] = None
    swap_out: Annotated[Value, _stat(COUNTER, "B", "balloon.swap_out", "Memory the guest swapped out", KIB)] = None
    major_faults: Annotated[Value, _stat(COUNTER, "", "balloon.major_fault", "Page faults that needed the disk")] = None
    minor_faults: Annotated[Value, _stat(COUNTER, "", "balloon.minor_fault", "Page faults that did not")] = None
    balloon_updated: Annotated[Value, _stat(GAUGE, "unixtime", "balloon.last-update", "When the guest last reported its memory")] = None


class VcpuStats(NamedTuple):
    """What is measured of one vCPU (``vcpu.N.*``)."""

    time: Annotated[Value, _stat(COUNTER, "s", "time", "CPU time the vCPU used", NANO)] = None
    wait: Annotated[Value, _stat(COUNTER, "s", "wait", "Time the vCPU waited for I/O", NANO)] = None
    delay: Annotated[Value, _stat(COUNTER, "s", "delay", "Time the vCPU waited for a physical CPU", NANO)] = None


class DiskStats(NamedTuple):
    """What is measured of one disk (``block.N.*``)."""

    read_requests: Annotated[Value, _stat(COUNTER, "", "rd.reqs", "Reads the guest made")] = None
    read_bytes: Annotated[Value, _stat(COUNTER, "B", "rd.bytes", "Bytes the guest read")] = None
    read_time: Annotated[Value, _stat(COUNTER, "s", "rd.times", "Time the reads took", NANO)] = None
    write_requests: Annotated[Value, _stat(COUNTER, "", "wr.reqs", "Writes the guest made")] = None
    write_bytes: Annotated[Value, _stat(COUNTER, "B", "wr.bytes", "Bytes the guest wrote")] = None
    write_time: Annotated[Value, _stat(COUNTER, "s", "wr.times", "Time the writes took", NANO)] = None
    flush_requests: Annotated[Value, _stat(COUNTER, "", "fl.reqs", "Flushes the guest made")] = None
    flush_time: Annotated[Value, _stat(COUNTER, "s", "fl.times", "Time the flushes took", NANO)] = None
    capacity: Annotated[Value, _stat(GAUGE, "B", "capacity", "Size of the disk as the guest sees it")] = None
    highest_offset: Annotated[Value, _stat(GAUGE, "B", "allocation", "Highest offset written since the disk was opened")] = None
    allocation: Annotated[Value, _stat(GAUGE, "B", "physical", "Room the image takes on the host's storage")] = None
    errors: Annotated[Value, _gauge("", "virDomainGetDiskErrors", "1 while I/O errors of the disk hold the domain, else 0")] = None


class InterfaceStats(NamedTuple):
    """What is measured of one interface, seen from the guest (``net.N.*``)."""

    rx_bytes: Annotated[Value, _stat(COUNTER, "B", "rx.bytes", "Bytes the guest received")] = None
    rx_packets: Annotated[Value, _stat(COUNTER, "", "rx.pkts", "Packets the guest received")] = None
    rx_errors: Annotated[Value, _stat(COUNTER, "", "rx.errs", "Errors on receiving")] = None
    rx_drops: Annotated[Value, _stat(COUNTER, "", "rx.drop", "Packets dropped on receiving")] = None
    tx_bytes: Annotated[Value, _stat(COUNTER, "B", "tx.bytes", "Bytes the guest sent")] = None
    tx_packets: Annotated[Value, _stat(COUNTER, "", "tx.pkts", "Packets the guest sent")] = None
    tx_errors: Annotated[Value, _stat(COUNTER, "", "tx.errs", "Errors on sending")] = None
    tx_drops: Annotated[Value, _stat(COUNTER, "", "tx.drop", "Packets dropped on sending")] = None


class FilesystemStats(NamedTuple):
    """What the guest agent reports of one file system (``fs.N.*``, virDomainGetGuestInfo)."""

    total: Annotated[Value, _stat(GAUGE, "B", "total-bytes", "Size of the file system")] = None
    used: Annotated[Value, _stat(GAUGE, "B", "used-bytes", "Bytes in use")] = None


class PoolStats(NamedTuple):
    """What is measured of one storage pool."""

    capacity: Annotated[Value, _gauge("B", "statvfs f_blocks, else virStoragePoolInfo.capacity", "Size of the pool")] = None
    used: Annotated[Value, _gauge("B", "statvfs f_blocks - f_bfree, else virStoragePoolInfo.allocation", "Bytes in use")] = None
    available: Annotated[Value, _gauge("B", "statvfs f_bavail, else virStoragePoolInfo.available", "Bytes that can still be written")] = None
    provisioned: Annotated[Value, _gauge("B", "sum of virStorageVolInfo.capacity", "Bytes promised to the volumes")] = None
    volumes: Annotated[Value, _gauge("", "virStoragePoolListAllVolumes", "Number of volumes")] = None


class NetworkStats(NamedTuple):
    """What is measured of one virtual network."""

    leases: Annotated[Value, _gauge("", "virNetworkGetDHCPLeases", "DHCP leases in force")] = None


class HostStats(NamedTuple):
    """What is measured of the hypervisor's host. CPU times are sums over all CPUs."""

    cpus: Annotated[Value, _gauge("", "virNodeInfo.cpus", "CPUs that are online")] = None
    cpu_user: Annotated[Value, _counter("s", "virNodeGetCPUStats user", "CPU time in user mode, guests included")] = None
    cpu_system: Annotated[Value, _counter("s", "virNodeGetCPUStats kernel", "CPU time in the kernel")] = None
    cpu_iowait: Annotated[Value, _counter("s", "virNodeGetCPUStats iowait", "CPU time idle with I/O outstanding")] = None
    cpu_idle: Annotated[Value, _counter("s", "virNodeGetCPUStats idle", "CPU time idle")] = None
    memory_total: Annotated[Value, _gauge("B", "virNodeGetMemoryStats total", "Memory of the host")] = None
    memory_available: Annotated[Value, _gauge("B", "/proc/meminfo MemAvailable; remote: free + buffers + cached", "Memory that can be given out without swapping")] = None
    swap_total: Annotated[Value, _gauge("B", "/proc/meminfo SwapTotal", "Swap space of the host")] = None
    swap_used: Annotated[Value, _gauge("B", "/proc/meminfo SwapTotal - SwapFree", "Swap space in use")] = None
    load1: Annotated[Value, _gauge("", "/proc/loadavg", "Load average over 1 minute")] = None
    load5: Annotated[Value, _gauge("", "/proc/loadavg", "Load average over 5 minutes")] = None
    load15: Annotated[Value, _gauge("", "/proc/loadavg", "Load average over 15 minutes")] = None
    vcpus_assigned: Annotated[Value, _gauge("", "virDomainGetInfo nrVirtCpu", "vCPUs of all active domains")] = None
    memory_assigned: Annotated[Value, _gauge("B", "virDomainGetInfo maxMem", "Memory that all active domains can take")] = None
    latency: Annotated[Value, _gauge("s", "time to connect and list the domains", "How long libvirt took to answer")] = None
# fmt: on


RECORDS: dict[str, type] = {
    "host": HostStats,
    "domain": DomainStats,
    "vcpu": VcpuStats,
    "disk": DiskStats,
    "interface": InterfaceStats,
    "filesystem": FilesystemStats,
    "pool": PoolStats,
    "network": NetworkStats,
}


def declarations(record: type) -> dict[str, Declaration]:
    """Give the declaration of every metric field of a record class, in its order."""
    return {name: hint.__metadata__[0] for name, hint in record.__annotations__.items()}


def catalogue() -> tuple[Metric, ...]:
    """Give every metric there is, in the order of the reference page."""
    return tuple(
        Metric(entity, name, declaration)
        for entity, record in RECORDS.items()
        for name, declaration in declarations(record).items()
    )
