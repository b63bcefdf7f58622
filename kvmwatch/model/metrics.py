"""The catalogue: every metric once, with unit, kind, source and a line of help.

A metric is a field of one of the records below; what stands as its default declares all that is known of it.
The readers (:mod:`kvmwatch.reading.records`), the stored counters (:mod:`kvmwatch.command.history`), the master JSON and the
reference page follow from these declarations: reading a new metric that libvirt's bulk statistics deliver takes
one line here, and showing it another one (CONTRIBUTING.md).

Values are base units: bytes, seconds, counts. A value that libvirt did not give is ``None``, never 0.

The records are named tuples (:mod:`~kvmwatch.model.record`) and not frozen dataclasses: they are as immutable and as
typed, and every run of every check pays for making them (these as dataclasses 10 ms, and 5 ms for the import, where
a whole check takes 70).
"""

from __future__ import annotations

from typing import Any, Optional, TypeVar

from kvmwatch.model.record import Record

Kind = TypeVar("Kind")

GAUGE = "gauge"
COUNTER = "counter"


class Scale(Record):
    """How a raw libvirt value becomes a base unit: ``raw * times / per``."""

    times: int = 1
    per: int = 1

    def apply(self, raw: float) -> float:
        """Give *raw* in the base unit; whole numbers stay whole where no division is needed."""
        return raw * self.times if self.per == 1 else raw * self.times / self.per


ONE = Scale()
KIB = Scale(times=1024)
NANO = Scale(per=1_000_000_000)


class Declaration(Record):
    """What is known of a metric besides its name.

    ``field`` is the name in libvirt's bulk statistics below the prefix of the entity (``rd.bytes`` for
    ``block.N.rd.bytes``), empty where the value comes from elsewhere; ``source`` is what the docs print.
    """

    kind: str
    unit: str
    field: str
    source: str
    help: str
    scale: Scale


class Metric(Record):
    """One catalogue entry: ``disk.read_bytes`` is field ``read_bytes`` of entity ``disk``."""

    entity: str
    name: str
    declaration: Declaration

    @property
    def full_name(self) -> str:
        """``entity.name``, unique in the catalogue."""
        return f"{self.entity}.{self.name}"


#: a measured value; None where libvirt gave none
Value = Optional[float]

_DECLARED: dict[type, dict[str, Declaration]] = {}


def _stat(kind: str, unit: str, field: str, help_: str, scale: Scale = ONE) -> Any:
    return Declaration(kind, unit, field, field, help_, scale)


def _gauge(unit: str, source: str, help_: str) -> Any:
    return Declaration(GAUGE, unit, "", source, help_, ONE)


def _counter(unit: str, source: str, help_: str) -> Any:
    return Declaration(COUNTER, unit, "", source, help_, ONE)


def declared(record: type[Kind]) -> type[Kind]:
    """Take the declarations of a record's metrics from its defaults, which become None."""
    names = record._fields  # type: ignore[attr-defined]
    _DECLARED[record] = record._field_defaults  # type: ignore[attr-defined]
    record._field_defaults = dict.fromkeys(names)  # type: ignore[attr-defined]
    return record


# fmt: off
@declared
class DomainStats(Record):
    """What is measured of a domain as a whole (libvirt ``virConnectGetAllDomainStats``)."""

    cpu_time: Value = _stat(COUNTER, "s", "cpu.time", "CPU time used, emulator and I/O threads included", NANO)
    vcpu_time: Value = _counter("s", "sum of vcpu.N.time", "CPU time its vCPUs used")
    cpu_user: Value = _stat(COUNTER, "s", "cpu.user", "CPU time used in user mode", NANO)
    cpu_system: Value = _stat(COUNTER, "s", "cpu.system", "CPU time used in kernel mode", NANO)
    cpu_delay: Value = _counter("s", "sum of vcpu.N.delay", "Time its vCPUs waited for a physical CPU (steal)")
    vcpu_count: Value = _stat(GAUGE, "", "vcpu.current", "vCPUs the domain has now")
    vcpu_maximum: Value = _stat(GAUGE, "", "vcpu.maximum", "vCPUs the domain can be given")
    memory_current: Value = _stat(GAUGE, "B", "balloon.current", "Memory given to the guest (balloon size)", KIB)
    memory_maximum: Value = _stat(GAUGE, "B", "balloon.maximum", "Memory the guest can be given", KIB)
    memory_available: Value = _stat(GAUGE, "B", "balloon.available", "Memory as the guest's kernel counts it", KIB)
    memory_usable: Value = _stat(GAUGE, "B", "balloon.usable", "Memory the guest can use without swapping", KIB)
    memory_unused: Value = _stat(GAUGE, "B", "balloon.unused", "Memory the guest does not use at all", KIB)
    memory_caches: Value = _stat(GAUGE, "B", "balloon.disk_caches", "Memory in the guest's disk caches", KIB)
    memory_rss: Value = _stat(GAUGE, "B", "balloon.rss", "Host memory resident for the QEMU process", KIB)
    swap_in: Value = _stat(COUNTER, "B", "balloon.swap_in", "Memory the guest swapped in", KIB)
    swap_out: Value = _stat(COUNTER, "B", "balloon.swap_out", "Memory the guest swapped out", KIB)
    major_faults: Value = _stat(COUNTER, "", "balloon.major_fault", "Page faults that needed the disk")
    minor_faults: Value = _stat(COUNTER, "", "balloon.minor_fault", "Page faults that did not")
    balloon_updated: Value = _stat(GAUGE, "unixtime", "balloon.last-update", "When the guest last reported its memory")
    snapshots: Value = _gauge("", "virDomainListAllSnapshots", "Snapshots the domain carries")
    oldest_snapshot: Value = _gauge("unixtime", "creationTime of the snapshot's XML", "When the oldest of them was made")
    newest_checkpoint: Value = _gauge("unixtime", "creationTime of the checkpoint's XML", "When the newest checkpoint was made, with which a backup begins")
    started: Value = _gauge("unixtime", "/proc/stat btime + /proc/PID/stat starttime", "When its QEMU was started, here; a reboot inside does not count")


@declared
class VcpuStats(Record):
    """What is measured of one vCPU (``vcpu.N.*``)."""

    time: Value = _stat(COUNTER, "s", "time", "CPU time the vCPU used", NANO)
    delay: Value = _stat(COUNTER, "s", "delay", "Time the vCPU waited for a physical CPU", NANO)


@declared
class DiskStats(Record):
    """What is measured of one disk (``block.N.*``)."""

    read_requests: Value = _stat(COUNTER, "", "rd.reqs", "Reads the guest made")
    read_bytes: Value = _stat(COUNTER, "B", "rd.bytes", "Bytes the guest read")
    read_time: Value = _stat(COUNTER, "s", "rd.times", "Time the reads took", NANO)
    write_requests: Value = _stat(COUNTER, "", "wr.reqs", "Writes the guest made")
    write_bytes: Value = _stat(COUNTER, "B", "wr.bytes", "Bytes the guest wrote")
    write_time: Value = _stat(COUNTER, "s", "wr.times", "Time the writes took", NANO)
    flush_requests: Value = _stat(COUNTER, "", "fl.reqs", "Flushes the guest made")
    flush_time: Value = _stat(COUNTER, "s", "fl.times", "Time the flushes took", NANO)
    capacity: Value = _stat(GAUGE, "B", "capacity", "Size of the disk as the guest sees it")
    highest_offset: Value = _stat(GAUGE, "B", "allocation", "Highest offset written since the disk was opened")
    allocation: Value = _stat(GAUGE, "B", "physical", "Room the image takes on the host's storage")
    errors: Value = _gauge("", "virDomainGetDiskErrors", "1 while I/O errors of the disk hold the domain, else 0")


@declared
class InterfaceStats(Record):
    """What is measured of one interface, seen from the guest (``net.N.*``)."""

    rx_bytes: Value = _stat(COUNTER, "B", "rx.bytes", "Bytes the guest received")
    rx_packets: Value = _stat(COUNTER, "", "rx.pkts", "Packets the guest received")
    rx_errors: Value = _stat(COUNTER, "", "rx.errs", "Errors on receiving")
    rx_drops: Value = _stat(COUNTER, "", "rx.drop", "Packets dropped on receiving")
    tx_bytes: Value = _stat(COUNTER, "B", "tx.bytes", "Bytes the guest sent")
    tx_packets: Value = _stat(COUNTER, "", "tx.pkts", "Packets the guest sent")
    tx_errors: Value = _stat(COUNTER, "", "tx.errs", "Errors on sending")
    tx_drops: Value = _stat(COUNTER, "", "tx.drop", "Packets dropped on sending")
    attached: Value = _gauge("", "/sys/class/net/TAP flags, master", "1 while its tap is up and where its XML says, else 0")


@declared
class FilesystemStats(Record):
    """What the guest agent reports of one file system (``fs.N.*``, virDomainGetGuestInfo)."""

    total: Value = _stat(GAUGE, "B", "total-bytes", "Size of the file system")
    used: Value = _stat(GAUGE, "B", "used-bytes", "Bytes in use")


@declared
class PoolStats(Record):
    """What is measured of one storage pool."""

    capacity: Value = _gauge("B", "statvfs f_blocks, else virStoragePoolInfo.capacity", "Size of the pool")
    used: Value = _gauge("B", "statvfs f_blocks - f_bfree, else virStoragePoolInfo.allocation", "Bytes in use")
    available: Value = _gauge("B", "statvfs f_bavail, else virStoragePoolInfo.available", "Bytes that can still be written")
    provisioned: Value = _gauge("B", "sum of virStorageVolInfo.capacity", "Bytes promised to the volumes")
    volumes: Value = _gauge("", "virStoragePoolListAllVolumes", "Number of volumes")
    thin_data: Value = _gauge("%", "lvs data_percent (root)", "Data of the volume group's fullest thin pool in use")
    thin_metadata: Value = _gauge("%", "lvs metadata_percent (root)", "Metadata of that with the fullest in use")


@declared
class NetworkStats(Record):
    """What is measured of one virtual network."""

    leases: Value = _gauge("", "virNetworkGetDHCPLeases", "DHCP leases in force")
    addresses: Value = _gauge("", "ip/dhcp/range of the network's XML", "Addresses in its DHCP ranges (IPv4)")
    bridge_up: Value = _gauge("", "/sys/class/net/BRIDGE/flags IFF_UP", "1 while its bridge is there and up, else 0")
    dnsmasq_up: Value = _gauge("", "/run/libvirt/network/NAME.pid", "1 while the dnsmasq runs that gives its guests addresses and names, else 0")


@declared
class ProcessStats(Record):
    """What is measured of one QEMU process on the host."""

    cpu_time: Value = _counter("s", "/proc/PID/stat utime + stime", "CPU time used, all threads")
    rss: Value = _gauge("B", "/proc/PID/status VmRSS", "Memory resident on the host")
    read_bytes: Value = _counter("B", "/proc/PID/io read_bytes (root)", "Bytes it had read from storage")
    write_bytes: Value = _counter("B", "/proc/PID/io write_bytes (root)", "Bytes it had written to storage")
    threads: Value = _gauge("", "/proc/PID/status Threads", "Threads it has now")
    open_files: Value = _gauge("", "/proc/PID/fd (root)", "Files, sockets and pipes it has open")
    files_limit: Value = _gauge("", "/proc/PID/limits, soft", "Files, sockets and pipes it may have open")
    swap: Value = _gauge("B", "/proc/PID/status VmSwap", "Memory of it that the host has swapped out, but for shared memory")
    age: Value = _gauge("s", "CLOCK_BOOTTIME - /proc/PID/stat starttime", "How long it has run")
    pss: Value = _gauge("B", "/proc/PID/smaps_rollup Pss (root)", "Memory resident on the host; of pages that others have as well only its part")
    vcpu_time: Value = _counter("s", "sum of its threads CPU N/KVM, CPU N/TCG", "CPU time that its vCPUs used")
    iothread_time: Value = _counter("s", "sum of its threads IO iothreadN", "CPU time that its I/O threads used")
    vhost_time: Value = _counter("s", "sum of the threads vhost-PID", "CPU time that the kernel used to carry its network traffic")
    io_delay: Value = _counter("s", "sum of its threads' io_delay", "Time that its threads waited for storage")


@declared
class ThreadStats(Record):
    """What is measured of one thread of a QEMU process, or of one of the kernel's that works for it.

    It is no entity of the catalogue: threads come and go, and what they took together is in their process's.
    """

    cpu_time: Value = _counter("s", "/proc/PID/task/TID/stat utime + stime", "CPU time used")
    io_delay: Value = _counter("s", "/proc/PID/task/TID/stat delayacct_blkio_ticks (kernel.task_delayacct=1)", "Time waited for storage")


@declared
class HostStats(Record):
    """What is measured of the hypervisor's host. CPU times are sums over all CPUs."""

    cpus: Value = _gauge("", "virNodeInfo.cpus", "CPUs that are online")
    cpu_user: Value = _counter("s", "virNodeGetCPUStats user", "CPU time in user mode, guests included")
    cpu_system: Value = _counter("s", "virNodeGetCPUStats kernel", "CPU time in the kernel")
    cpu_iowait: Value = _counter("s", "virNodeGetCPUStats iowait", "CPU time idle with I/O outstanding")
    cpu_idle: Value = _counter("s", "virNodeGetCPUStats idle", "CPU time idle")
    cpu_guest: Value = _counter("s", "/proc/stat guest + guest_nice", "CPU time that guests ran, which is in cpu_user as well")
    cpu_steal: Value = _counter("s", "/proc/stat steal", "CPU time that the machine below took, where the host is a VM itself")
    memory_total: Value = _gauge("B", "virNodeGetMemoryStats total", "Memory of the host, huge pages included")
    memory_available: Value = _gauge("B", "/proc/meminfo MemAvailable + ZFS's ARC above its minimum; remote: free + buffers + cached", "Memory that can be given out without swapping, huge pages apart")
    hugepages_total: Value = _gauge("B", "/sys/kernel/mm/hugepages nr_hugepages; remote: virConnectGetCapabilities", "Memory set aside as huge pages, of all sizes")
    hugepages_free: Value = _gauge("B", "free_hugepages - resv_hugepages; remote: virNodeGetFreePages", "Huge pages that can be given out")
    swap_total: Value = _gauge("B", "/proc/meminfo SwapTotal", "Swap space of the host")
    swap_used: Value = _gauge("B", "/proc/meminfo SwapTotal - SwapFree", "Swap space in use")
    load1: Value = _gauge("", "/proc/loadavg", "Load average over 1 minute")
    load5: Value = _gauge("", "/proc/loadavg", "Load average over 5 minutes")
    load15: Value = _gauge("", "/proc/loadavg", "Load average over 15 minutes")
    vcpus_assigned: Value = _gauge("", "virDomainGetInfo nrVirtCpu", "vCPUs of all active domains")
    memory_assigned: Value = _gauge("B", "virDomainGetInfo maxMem", "Memory that all active domains can take")
    latency: Value = _gauge("s", "time to connect and list the domains", "How long libvirt took to answer")
    uptime: Value = _gauge("s", "/proc/uptime", "How long the host has been up")
    pressure_cpu: Value = _counter("s", "/proc/pressure/cpu some", "Time in which something waited for a CPU (PSI)")
    pressure_memory: Value = _counter("s", "/proc/pressure/memory some", "Time in which something waited for memory (PSI)")
    pressure_io: Value = _counter("s", "/proc/pressure/io some", "Time in which something waited for I/O (PSI)")
    swap_in: Value = _counter("B", "/proc/vmstat pswpin", "Memory that the host swapped in")
    swap_out: Value = _counter("B", "/proc/vmstat pswpout", "Memory that the host swapped out")
    ksm_saved: Value = _gauge("B", "/sys/kernel/mm/ksm/pages_sharing", "Memory that KSM saves, of pages that guests have alike")


@declared
class NodeStats(Record):
    """What is measured of one NUMA node of the host."""

    memory_total: Value = _gauge("B", "/sys/devices/system/node/nodeN/meminfo MemTotal", "Memory of the node, huge pages included")
    memory_free: Value = _gauge("B", "/sys/devices/system/node/nodeN/meminfo MemFree", "Memory of it that nothing uses, not even a cache")
    hugepages_total: Value = _gauge("B", "/sys/devices/system/node/nodeN/hugepages nr_hugepages", "Memory set aside as huge pages, of all sizes")
    hugepages_free: Value = _gauge("B", "/sys/devices/system/node/nodeN/hugepages free_hugepages", "Huge pages that are not in use")


@declared
class UplinkStats(Record):
    """What is measured of one interface of the host that carries VMs; directions are the host's."""

    up: Value = _gauge("", "/sys/class/net/NAME/operstate", "1 while it works, 0 while it has no link or is set down")
    speed: Value = _gauge("bps", "/sys/class/net/NAME/speed", "Speed of the link")
    rx_bytes: Value = _counter("B", "/sys/class/net/NAME/statistics/rx_bytes", "Bytes the host received")
    tx_bytes: Value = _counter("B", "/sys/class/net/NAME/statistics/tx_bytes", "Bytes the host sent")
    rx_errors: Value = _counter("", "/sys/class/net/NAME/statistics/rx_errors", "Errors on receiving")
    tx_errors: Value = _counter("", "/sys/class/net/NAME/statistics/tx_errors", "Errors on sending")
    rx_drops: Value = _counter("", "/sys/class/net/NAME/statistics/rx_dropped", "Packets dropped on receiving")
    tx_drops: Value = _counter("", "/sys/class/net/NAME/statistics/tx_dropped", "Packets dropped on sending")
    rx_packets: Value = _counter("", "/sys/class/net/NAME/statistics/rx_packets", "Packets the host received")
    tx_packets: Value = _counter("", "/sys/class/net/NAME/statistics/tx_packets", "Packets the host sent")
# fmt: on


RECORDS: dict[str, type] = {
    "host": HostStats,
    "node": NodeStats,
    "domain": DomainStats,
    "vcpu": VcpuStats,
    "disk": DiskStats,
    "interface": InterfaceStats,
    "filesystem": FilesystemStats,
    "pool": PoolStats,
    "network": NetworkStats,
    "uplink": UplinkStats,
    "process": ProcessStats,
}


def declarations(record: type) -> dict[str, Declaration]:
    """Give the declaration of every metric field of a record class, in its order."""
    return _DECLARED[record]


def catalogue() -> tuple[Metric, ...]:
    """Give every metric there is, in the order of the reference page."""
    return tuple(
        Metric(entity, name, declaration)
        for entity, record in RECORDS.items()
        for name, declaration in declarations(record).items()
    )
