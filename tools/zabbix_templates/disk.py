"""The disks of VMs."""

from __future__ import annotations

from zabbix_templates.defaults import critical, warning
from zabbix_templates.model import Graph, Item, Macro, Rule, Step, Trigger
from zabbix_templates.scope import DETAILS_VM_STATE, YES_NO, Owner, Scope, Shown
from zabbix_templates.triggers import SETTLED, When, alarm, held, pair

MACROS = (
    Macro("{$KVM.DISK.LATENCY.WARN}", warning("disk.read_latency"), "Mean latency of reads or writes, seconds: warning. Context: VM and disk: \"web1 vda\""),
    Macro("{$KVM.DISK.LATENCY.MAX}", critical("disk.read_latency"), "The same: average. Context: VM and disk"),
    Macro("{$KVM.DISK.FLUSH.WARN}", warning("disk.flush_latency"), "Mean latency of flushes, seconds: warning. Context: VM and disk"),
    Macro("{$KVM.DISK.FLUSH.MAX}", critical("disk.flush_latency"), "The same: average. Context: VM and disk"),
    Macro("{$KVM.DISK.LATENCY.TIME}", "10m", "Over which time the mean is taken. Context: VM and disk"),
    Macro("{$KVM.DISK.REQUESTS.MIN}", "0.1", "No verdict on the latency of fewer requests a second (mean over the same time). Context: VM and disk"),
    Macro("{$KVM.DISK.ERRORS.TIME}", "2m", "I/O errors of a disk for this long are a problem. Context: VM and disk"),
    Macro("{$KVM.DISK.ALLOCATION.MAX}", "1000", "Allocation of a growing image, % of its capacity; as it is, none: thin images grow to their full size when they are old. Context: VM and disk"),
    Macro("{$KVM.DISK.ALLOCATION.GROWTH}", "5", "... that has grown by more than this, % of its capacity ... Context: VM and disk"),
    Macro("{$KVM.DISK.ALLOCATION.TIME}", "1d", "... within this time. Context: VM and disk"),
    Macro("{$KVM.DISK.MATCHES}", ".*", "Disks to discover, by target name"),
    Macro("{$KVM.DISK.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Disks not to discover"),
)  # fmt: skip


SHOWN = (
    Shown("read_requests", "Reads", "!r/s"),
    Shown("write_requests", "Writes", "!w/s"),
    Shown("flush_requests", "Flushes", "!f/s"),
    Shown("bytes", "Throughput", "Bps"),
    Shown("read_time", "Reads under way (mean)"),
    Shown("write_time", "Writes under way (mean)"),
    Shown("flush_time", "Flushes under way (mean)"),
    Shown("errors", "I/O errors hold the VM", steady=True, value_map=YES_NO),
)
#: what few look at: only where it is asked for
DETAILS = (
    Shown("read_bytes", "Read rate", "Bps"),
    Shown("write_bytes", "Write rate", "Bps"),
    Shown("capacity", "Capacity", "B", steady=True),
    Shown("allocation", "Allocation on the host", "B", steady=True),
    Shown("allocation_usage", "Allocation of capacity", "%", steady=True),
)
_FILTERS = (("{#DISK.NAME}", "{$KVM.DISK.MATCHES}", "{$KVM.DISK.NOT_MATCHES}"),)
#: kind of requests: title, plural, which limits
_REQUESTS = (
    ("read", "Read", "Reads", "LATENCY"),
    ("write", "Write", "Writes", "LATENCY"),
    ("flush", "Flush", "Flushes", "FLUSH"),
)


def _scope(owner: Owner) -> Scope:
    return owner.part("disk", "disks", "name", "{#DISK.NAME}", "Disk {#DISK.NAME}", "disk")


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = _scope(owner)
    latencies = tuple(_latency(scope, kind, title) for kind, title, _, _ in _REQUESTS)
    return owner.rule(
        "disks",
        "Disk discovery",
        "The disks of each VM; drives for media are left out.",
        filters=_FILTERS,
        items=(*scope.items(SHOWN), *latencies, *owner.state_of(scope)),
        triggers=(
            *(trigger for request in _REQUESTS for trigger in _slow(owner, scope, *request)),
            _faults(owner, scope),
        ),
        graphs=(
            Graph(f"{scope.title}Operations", (scope.key("read_requests"), scope.key("write_requests"))),
            Graph(f"{scope.title}Throughput", (scope.key("bytes"),)),
            Graph(f"{scope.title}Latency", tuple(latency.key for latency in latencies)),
        ),
    )  # fmt: skip


def details(owner: Owner) -> Rule:
    """The discovery rule of what few look at."""
    scope = _scope(owner)
    return owner.rule(
        "disks",
        "Disk detail discovery",
        "What few look at of disks, and the room that their images take: none unless {$KVM.DETAILS.MATCHES} says of which.",
        filters=(*_FILTERS, (owner.whose("{#DISK.NAME}"), "{$KVM.DETAILS.MATCHES}", "")),
        key="disk_details",
        items=(*scope.items(DETAILS), *owner.state_of(scope, DETAILS_VM_STATE)),
        triggers=(_growing(owner, scope),),
        graphs=(Graph(f"{scope.title}Reads and writes", (scope.key("read_bytes"), scope.key("write_bytes"))),),
    )  # fmt: skip


def _slow(owner: Owner, scope: Scope, kind: str, title: str, plural: str, limits: str) -> tuple[Trigger, ...]:
    name = "{#DISK.NAME}"
    time = owner.macro("DISK.LATENCY.TIME", name)
    least = owner.macro("DISK.REQUESTS.MIN", name)
    newest, took, requests = (scope.ref(f"{kind}_{what}") for what in ("latency", "time", "requests"))

    def over(limit: str) -> When:
        # the mean of all requests, not of the means; and the newest one as well, which is told
        return When(
            f"last({newest})>{limit} and avg({took},{time})>{limit}*avg({requests},{time}) "
            f"and avg({requests},{time})>={least}",
            f"avg({took},{time})<={limit}*avg({requests},{time}) or avg({requests},{time})<{least}",
            time,
            f"{{ITEM.LASTVALUE1}} (mean over {limit} s for {time})",
        )

    return pair(
        f"{scope.title}{title} latency is high",
        (over(owner.macro(f"DISK.{limits}.WARN", name)), over(owner.macro(f"DISK.{limits}.MAX", name))),
        (
            f"{plural} of this disk took too long over {{$KVM.DISK.LATENCY.TIME}}.",
            f"{plural} of this disk take so long that the guest stands still time and again.",
        ),
        "look at the hypervisor's storage, and at which VMs keep it busy.",
        "performance",
        (owner.running(owner.state_ref(scope), time), owner.alerts(scope)),
    )


def _faults(owner: Owner, scope: Scope) -> Trigger:
    errors = owner.macro("DISK.ERRORS.TIME", "{#DISK.NAME}")
    return alarm(
        f"{scope.title}I/O errors",
        "HIGH",
        held(scope.ref("errors"), 1, errors),
        "The storage of this disk gives errors, and the VM goes on (that one is paused for them is told of the VM).",
        "make room or mend the storage; virsh domblkerror NAME says which it is.",
        "availability",
        (SETTLED, owner.running(owner.state_ref(scope), errors), owner.alerts(scope)),
    )


def _growing(owner: Owner, scope: Scope) -> Trigger:
    name, usage = "{#DISK.NAME}", scope.ref("allocation_usage")
    state = owner.state_ref(scope, DETAILS_VM_STATE)
    most, grown, time = (owner.macro(f"DISK.ALLOCATION.{macro}", name) for macro in ("MAX", "GROWTH", "TIME"))
    return alarm(
        f"{scope.title}Allocation is near its capacity",
        "WARNING",
        When(
            f"last({usage})>{most} and last({usage})-min({usage},{time})>{grown}",
            f"last({usage})<={most} or last({usage})-min({usage},{time})<={grown}",
        ),
        "A thin image has grown a lot within {$KVM.DISK.ALLOCATION.TIME}, nearly to its full size. Off unless "
        "{$KVM.DISK.ALLOCATION.MAX} is set, too.",
        "free space inside of the guest and trim (fstrim), or make the disk larger.",
        "capacity",
        (owner.watched(state), owner.alerts(scope)),
        tells=f"{{ITEM.LASTVALUE1}} (over {most} %)",
    )


def _latency(scope: Scope, kind: str, title: str) -> Item:
    # With no requests there is nothing to divide by, and no latency: the value is discarded, not an error.
    return Item(
        name=f"{scope.title}{title} latency",
        key=scope.key(f"{kind}_latency"),
        units="s",
        description=f"Mean time of a {kind} over {{$KVM.WINDOW}}; no value while there are none.",
        type="CALCULATED",
        delay="{$KVM.WINDOW}",  # more often, it would tell the same requests again
        formula=f"avg(/{scope.key(f'{kind}_time')},{{$KVM.WINDOW}})/avg(/{scope.key(f'{kind}_requests')},{{$KVM.WINDOW}})".replace("avg(/", "avg(//"),
        steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),),
        tags=(("component", scope.entity), *scope.tags),
    )  # fmt: skip
