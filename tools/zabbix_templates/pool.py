"""Storage pools."""

from __future__ import annotations

from kvmwatch.model import states
from zabbix_templates.defaults import critical, warning
from zabbix_templates.filling import Limits, filling, levels
from zabbix_templates.model import Graph, Macro, Rule, Trigger
from zabbix_templates.scope import POOL_STATE, REMOVED, YES_NO, Scope, Shown
from zabbix_templates.triggers import SETTLED, Guard, When, alarm, always, given, held

MACROS = (
    Macro("{$KVM.POOL.MATCHES}", ".*", "Storage pools to discover"),
    Macro("{$KVM.POOL.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Storage pools not to discover"),
    Macro(
        "{$KVM.POOL.WARN}", warning("pool.usage"), "Utilization of a pool, %: warning. Context: the pool's name"
    ),
    Macro("{$KVM.POOL.MAX}", critical("pool.usage"), "Utilization of a pool, %: high. Context: the pool's name"),
    Macro(
        "{$KVM.POOL.THIN.WARN}",
        warning("pool.thin_data"),
        "Utilization of a thin pool, %: warning. Context: the pool's name",
    ),
    Macro("{$KVM.POOL.THIN.MAX}", critical("pool.thin_data"), "The same: high. Context: the pool's name"),
    Macro(
        "{$KVM.POOL.TIME}", "5m", "What is wrong with a pool for this long is a problem. Context: the pool's name"
    ),
    Macro(
        "{$KVM.POOL.TIMELEFT}",
        "7d",
        "A pool that will be full within this time is a problem. Context: the pool's name",
    ),
    Macro("{$KVM.POOL.OVERCOMMIT.MAX}", "100", "Promised to volumes, % of the pool. Context: the pool's name"),
    Macro(
        "{$KVM.POOL.OVERCOMMIT.FROM}",
        "70",
        "Over-allocation is a problem from this utilization on, %. Context: the pool's name",
    ),
)


SHOWN = (
    Shown("state", "State", steady=True, value_map=POOL_STATE, removed=str(REMOVED), component="storage"),
    Shown("autostart", "Autostart", steady=True, value_map=YES_NO, component="storage"),
    Shown("answered", "Storage answers", value_map=YES_NO, component="storage"),
    Shown("fault", "Fault of its storage", value_type="CHAR", steady=True, component="storage"),
    Shown("stopped", "VMs paused for want of room", value_type="UNSIGNED", steady=True, component="storage"),
    Shown("capacity", "Capacity", "B", steady=True, component="storage"),
    Shown("used", "Used", "B", component="storage"),
    Shown("available", "Available", "B", component="storage"),
    Shown("usage", "Utilization", "%", component="storage"),
    Shown("allocation", "Made volumes of", "%", component="storage"),
    Shown("thin_data", "Thin pool: data", "%", component="storage"),
    Shown("thin_metadata", "Thin pool: metadata", "%", component="storage"),
    Shown("provisioned", "Promised to volumes", "B", steady=True, component="storage"),
    Shown("overcommit", "Promised, of the capacity", "%", steady=True, component="storage"),
    Shown("volumes", "Volumes", value_type="UNSIGNED", steady=True, component="storage"),
)


def rule(master: str) -> Rule:
    """Their discovery rule."""
    scope = Scope(
        "pool", '$.pools[?(@.uuid == "{#POOL.UUID}")]', False, "[{#POOL.UUID}]", "Pool {#POOL.NAME}: ", master,
        (("pool", "{#POOL.NAME}"),), "$.pools",
    )  # fmt: skip
    name = "{#POOL.NAME}"
    return Rule(
        name="Storage pool discovery",
        key="kvm.discovery[pools]",
        path="$.discovery.pools",
        description="The storage pools, active or not.",
        master=master,
        filters=(("{#POOL.NAME}", "{$KVM.POOL.MATCHES}", "{$KVM.POOL.NOT_MATCHES}"),),
        items=scope.items(SHOWN),
        triggers=(*_of_state(scope), *_of_room(scope)),
        graphs=(
            Graph(f"Pool {name}: Space", tuple(scope.key(key) for key in ("used", "available")), stacked=True),
            Graph(f"Pool {name}: Utilization", (scope.key("usage"),), percent=True),
        ),
    )


def _macro(name: str) -> str:
    return f'{{$KVM.POOL.{name}:"{{#POOL.NAME}}"}}'


def _of_state(scope: Scope) -> tuple[Trigger, ...]:
    """What libvirt says of it, and what is at its path."""
    state, time = scope.ref("state"), _macro("TIME")
    there = always(state, "<", REMOVED, time)
    gone, silent = f"{scope.title}Its storage is gone", f"{scope.title}Storage does not answer"
    bad = held(state, states.POOL_DEGRADED, time) | held(state, states.POOL_INACCESSIBLE, time)
    return (
        alarm(
            f"{scope.title}Inactive though it should be active",
            "HIGH",
            held(state, states.POOL_INACTIVE, time) & held(scope.ref("autostart"), 1, time),
            "The pool has autostart and is not active: VMs on it cannot be started.",
            "virsh pool-start NAME says why it does not; or switch its autostart off.",
            "availability",
            (SETTLED,),
        ),
        alarm(
            f"{scope.title}Degraded or inaccessible",
            "HIGH",
            bad,
            "libvirt says that the pool has lost redundancy, or cannot be reached.",
            "look at the storage behind it.",
            "availability",
            (SETTLED,),
            tells=f"{{ITEM.LASTVALUE1}} for {time}",
            depends=(gone, silent),
        ),
        alarm(
            gone,
            "HIGH",
            given(scope.ref("fault"), time),
            "Its directory is gone or does not work, or nothing is mounted where its file system should be. "
            "libvirt calls it running all the same; VMs on it cannot be started, or write somewhere else.",
            "mount it or bring its directory back, then virsh pool-refresh NAME.",
            "availability",
            (SETTLED, there),
        ),
        alarm(
            silent,
            "HIGH",
            held(scope.ref("answered"), 0, time),
            "Asking the pool's file system how full it is blocks: a dead NFS server, mostly.",
            "look at the mount and its server; VMs on it hang, too.",
            "availability",
            (SETTLED, there),
        ),
    )


def _of_room(scope: Scope) -> tuple[Trigger, ...]:
    """How full it is."""
    state = scope.ref("state")
    usage, overcommit = scope.ref("usage"), scope.ref("overcommit")
    # what is not running any more keeps the figures that it had
    most, start, time = _macro("OVERCOMMIT.MAX"), _macro("OVERCOMMIT.FROM"), _macro("TIME")
    active, inactive = (f"last({state}){sign}{states.POOL_INACTIVE}" for sign in ("<>", "="))
    there = always(state, "<", REMOVED, time)
    running = Guard(
        f"{active} and last({state},#1:now-{time})<>{states.POOL_INACTIVE} and {there.holds}",
        f"{inactive} or {there.fails}",
    )
    meaning = (
        "The fullest thin pool of the volume group has {}; when it is full, the VMs on its volumes get I/O errors."
    )
    # that it is full is then told by what it has done
    stopped, lasts = scope.ref("stopped"), "{$KVM.STOPPED.TIME}"
    quiet = Guard(
        f"last({stopped})=0 and last({stopped},#1:now-{lasts})=0",
        f"last({stopped})>0 and last({stopped},#1:now-{lasts})>0",
    )
    return (
        *filling(
            scope.title,
            "A storage pool",
            usage,
            Limits(*map(_macro, ("WARN", "MAX", "TIME", "TIMELEFT"))),
            "delete or move volumes, or add storage; thin disks on it stop their VMs when it is full.",
            (running, quiet),
        ),
        *(
            trigger
            for key, what in (("thin_data", "data"), ("thin_metadata", "metadata"))
            for trigger in levels(
                f"{scope.title}Thin pool's {what} ",
                scope.ref(key),
                Limits(*map(_macro, ("THIN.WARN", "THIN.MAX", "TIME", "TIMELEFT"))),
                (meaning.format("little room left"), meaning.format("next to no room")),
                "lvs shows which; lvextend it (--poolmetadatasize for metadata), or delete thin volumes and snapshots.",
                (running, quiet),
            )
        ),
        alarm(
            f"{scope.title}Over-allocated and filling up",
            "WARNING",
            When(
                f"last({overcommit})>{most} and min({usage},{time})>{start}",
                f"last({overcommit})<={most} or max({usage},{time})<={start}",
            ),
            "More is promised to volumes than there is, and what there is gets used up.",
            "add storage before the VMs take what they were promised, or move volumes.",
            "capacity",
            (running,),
            tells=f"promised {{ITEM.LASTVALUE1}} (over {most} %), used {{ITEM.LASTVALUE2}} (over {start} %)",
            shows="promised {ITEM.LASTVALUE1}, used {ITEM.LASTVALUE2}",
            depends=(f"{scope.title}Is nearly full", f"{scope.title}Is full"),
        ),
    )
