"""Which groups of data a command needs; nothing else is asked of libvirt."""

from __future__ import annotations

from enum import Flag, auto


class Group(Flag):
    """What can be read. The state of every selected domain is always read."""

    NONE = 0
    SHUT_OFF = auto()  # the groups below also for domains that are shut off; else only their state
    DEFINED = auto()  # only the definition and the policy also for domains that are shut off
    AUTOSTART = auto()  # one list filter
    LISTS = auto()  # persistent, managed save: two list filters
    SNAPSHOTS = auto()  # number and age of snapshots: a list filter, and calls for those that have some
    CHECKPOINTS = auto()  # when the newest was made: the same of checkpoints, which incremental backups leave
    POLICY = auto()  # the domain's own metadata
    DEFINITION = auto()  # the domain's XML: devices, title, balloon period; includes the policy
    SIZE = auto()  # vCPUs and maximum memory, without a question to QEMU
    CPU = auto()  # CPU time of domain and vCPUs
    MEMORY = auto()  # balloon
    DISK = auto()
    INTERFACE = auto()
    CONTROL = auto()  # whether each QEMU answers libvirt
    FILESYSTEM = auto()  # guest agent; needs a read-write connection
    HOST = auto()
    POOLS = auto()
    NETWORKS = auto()
    SINCE = auto()  # how long a passing state has lasted; libvirt is not asked, the last run is remembered
    PROCESSES = auto()  # the QEMU processes; only on the hypervisor itself
    THREADS = auto()  # of these processes: some 10 us each
    PSS = auto()  # of these processes: the kernel walks all pages of the guest, 6 ms for each GiB of small ones
    STARTED = auto()  # when each QEMU was started: its pid file and /proc; only on the hypervisor itself
    STRAYS = auto()  # processes that look like a QEMU and are no domain's; only on the hypervisor itself
    ADDRESSES = auto()  # of the domains, by MAC: of the networks' leases, and what this machine's ARP table has
    HOSTNAME = auto()  # of the hypervisor; only asked for by who compares it, since it may wait for a DNS server
    UPLINKS = auto()  # the host's interfaces below the bridges; only on the hypervisor itself
    JOB = auto()  # of each active domain: a call that asks its QEMU while a job runs
    BRIDGES = auto()  # with UPLINKS: these bridges and their ports, where each tap is, and rates of all of them
