"""The disks of VMs."""

from __future__ import annotations

from zabbix_templates.model import Graph, Item, Macro, Rule, Step, Trigger
from zabbix_templates.scope import YES_NO, Owner, Scope, Shown

MACROS = (
    Macro("{$KVM.DISK.LATENCY.MAX}", "0.2", "Mean latency of reads, writes and flushes, seconds. Context: VM and disk: \"web1 vda\""),
    Macro("{$KVM.DISK.REQUESTS.MIN}", "0.1", "No verdict on the latency of fewer requests a second (mean over 5 minutes). Context: VM and disk"),
    Macro("{$KVM.DISK.ALLOCATION.MAX}", "90", "Allocation of a growing image, % of its capacity. Context: VM and disk"),
    Macro("{$KVM.DISK.MATCHES}", ".*", "Disks to discover, by target name"),
    Macro("{$KVM.DISK.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Disks not to discover"),
)  # fmt: skip


SHOWN = (
    Shown("read_requests", "Reads", "!r/s"),
    Shown("write_requests", "Writes", "!w/s"),
    Shown("flush_requests", "Flushes", "!f/s"),
    Shown("read_bytes", "Read rate", "Bps"),
    Shown("write_bytes", "Write rate", "Bps"),
    Shown("read_time", "Reads under way (mean)"),
    Shown("write_time", "Writes under way (mean)"),
    Shown("flush_time", "Flushes under way (mean)"),
    Shown("capacity", "Capacity", "B", steady=True),
    Shown("allocation", "Allocation on the host", "B", steady=True),
    Shown("allocation_usage", "Allocation of capacity", "%", steady=True),
    Shown("errors", "I/O errors hold the VM", steady=True, value_map=YES_NO),
)
_REQUESTS = (("read", "Read"), ("write", "Write"), ("flush", "Flush"))
_PLURAL = {"read": "Reads", "write": "Writes", "flush": "Flushes"}


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = owner.part("disk", "disks", "name", "{#DISK.NAME}", "Disk {#DISK.NAME}", "disk")
    name = "{#DISK.NAME}"
    state = scope.ref("vm_state")
    latencies = tuple(_latency(scope, kind, title) for kind, title in _REQUESTS)
    triggers = tuple(
        Trigger(
            f"{scope.title}{title} latency is high",
            f"last({state})=1 and avg({scope.ref(f'{kind}_time')},5m)>"
            f"{owner.macro('DISK.LATENCY.MAX', name)}*avg({scope.ref(f'{kind}_requests')},5m) "
            f"and avg({scope.ref(f'{kind}_requests')},5m)>={owner.macro('DISK.REQUESTS.MIN', name)}"
            + owner.alerts(),
            "WARNING",
            f"{_PLURAL[kind]} of this disk took too long over 5 minutes.",
            "look at the hypervisor's storage, and at which VMs keep it busy.",
            "performance",
        )
        for kind, title in _REQUESTS
    )
    return owner.rule(
        "disks",
        "Disk discovery",
        "The disks of each VM; drives for media are left out.",
        filters=(("{#DISK.NAME}", "{$KVM.DISK.MATCHES}", "{$KVM.DISK.NOT_MATCHES}"),),
        items=(*scope.items(SHOWN), *latencies, owner.state_of(scope)),
        triggers=(
            *triggers,
            Trigger(
                f"{scope.title}I/O errors",
                f"last({scope.ref('errors')})=1 and last({state})=3" + owner.alerts(),
                "HIGH",
                "The storage of this disk gave an error and the VM was stopped for it.",
                "make room or mend the storage, then virsh resume NAME.",
                "availability",
            ),
            Trigger(
                f"{scope.title}Allocation is near its capacity",
                f"last({scope.ref('allocation_usage')})>{owner.macro('DISK.ALLOCATION.MAX', name)} "
                f"and last({scope.ref('allocation_usage')})>min({scope.ref('allocation_usage')},1d)"
                + owner.alerts()
                + owner.here(scope),
                "WARNING",
                "A thin image has grown nearly to its full size within the last day (preallocated ones do not count).",
                "free space inside of the guest and trim (fstrim), or make the disk larger.",
                "capacity",
                opdata="{ITEM.LASTVALUE1}",
            ),
        ),
        graphs=(
            Graph(f"{scope.title}Operations", (scope.key("read_requests"), scope.key("write_requests"))),
            Graph(f"{scope.title}Throughput", (scope.key("read_bytes"), scope.key("write_bytes"))),
            Graph(f"{scope.title}Latency", tuple(latency.key for latency in latencies)),
        ),
    )  # fmt: skip


def _latency(scope: Scope, kind: str, title: str) -> Item:
    # With no requests there is nothing to divide by, and no latency: the value is discarded, not an error.
    return Item(
        name=f"{scope.title}{title} latency",
        key=scope.key(f"{kind}_latency"),
        units="s",
        description=f"Mean time of a {kind}; no value while there are none.",
        type="CALCULATED",
        delay="{$KVM.INTERVAL}",
        formula=f"avg(/{scope.key(f'{kind}_time')},{{$KVM.WINDOW}})/avg(/{scope.key(f'{kind}_requests')},{{$KVM.WINDOW}})".replace("avg(/", "avg(//"),
        steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),),
        tags=(("component", scope.entity), *scope.tags),
    )  # fmt: skip
