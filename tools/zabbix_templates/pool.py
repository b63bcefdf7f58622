"""Storage pools."""

from __future__ import annotations

from zabbix_templates.filling import filling
from zabbix_templates.model import Graph, Macro, Rule, Trigger
from zabbix_templates.scope import POOL_STATE, YES_NO, Scope, Shown

MACROS = (
    Macro("{$KVM.POOL.MATCHES}", ".*", "Storage pools to discover"),
    Macro("{$KVM.POOL.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Storage pools not to discover"),
    Macro("{$KVM.POOL.WARN}", "85", "Utilization of a pool, %: warning. Context: the pool's name"),
    Macro("{$KVM.POOL.MAX}", "95", "Utilization of a pool, %: high. Context: the pool's name"),
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
    Shown("state", "State", value_map=POOL_STATE, component="storage"),
    Shown("autostart", "Autostart", steady=True, value_map=YES_NO, component="storage"),
    Shown("answered", "Storage answers", value_map=YES_NO, component="storage"),
    Shown("fault", "Fault of its storage", value_type="CHAR", steady=True, component="storage"),
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


def _thin(title: str, usage: str, warn: str, most: str) -> tuple[Trigger, ...]:
    """Nearly full and full: of a thin pool's data and of its metadata."""
    full = f"{title} is full"
    meaning = (
        "The fullest thin pool of the volume group has {}; when it is full, the VMs on its volumes get I/O errors."
    )
    cure = "lvs shows which; lvextend it (--poolmetadatasize for metadata), or delete thin volumes and snapshots."
    return (
        Trigger(full, f"min({usage},5m)>{most}", "HIGH", meaning.format("next to no room"), cure, "capacity",
                opdata="{ITEM.LASTVALUE1}"),
        Trigger(f"{title} is nearly full", f"min({usage},5m)>{warn}", "WARNING", meaning.format("little room left"), cure,
                "capacity", opdata="{ITEM.LASTVALUE1}", depends=(full,)),
    )  # fmt: skip


def rule(master: str) -> Rule:
    """Their discovery rule."""
    scope = Scope(
        "pool", '$.pools[?(@.uuid == "{#POOL.UUID}")]', False, "[{#POOL.UUID}]", "Pool {#POOL.NAME}: ", master,
        (("pool", "{#POOL.NAME}"),),
    )  # fmt: skip

    def macro(name: str) -> str:
        return f'{{$KVM.POOL.{name}:"{{#POOL.NAME}}"}}'

    state, name = scope.ref("state"), "{#POOL.NAME}"
    return Rule(
        name="Storage pool discovery",
        key="kvm.discovery[pools]",
        path="$.discovery.pools",
        description="The storage pools, active or not.",
        master=master,
        filters=(("{#POOL.NAME}", "{$KVM.POOL.MATCHES}", "{$KVM.POOL.NOT_MATCHES}"),),
        items=scope.items(SHOWN),
        triggers=(
            Trigger(
                f"Pool {name}: Inactive though it should be active",
                f"last({state})=0 and last({scope.ref('autostart')})=1",
                "HIGH",
                "The pool has autostart and is not active: VMs on it cannot be started.",
                "virsh pool-start NAME says why it does not; or switch its autostart off.",
                "availability",
            ),
            Trigger(
                f"Pool {name}: Degraded or inaccessible",
                f"last({state})=3 or last({state})=4",
                "HIGH",
                "libvirt says that the pool has lost redundancy, or cannot be reached.",
                "look at the storage behind it.",
                "availability",
                opdata="{ITEM.LASTVALUE1}",
            ),
            Trigger(
                f"Pool {name}: Its storage is gone",
                f"length(last({scope.ref('fault')}))>0",
                "HIGH",
                "Its directory is gone or does not work, or nothing is mounted where its file system should be. "
                "libvirt calls it running all the same; VMs on it cannot be started, or write somewhere else.",
                "mount it or bring its directory back, then virsh pool-refresh NAME.",
                "availability",
                opdata="{ITEM.LASTVALUE1}",
            ),
            Trigger(
                f"Pool {name}: Storage does not answer",
                f"max({scope.ref('answered')},#3)=0",
                "HIGH",
                "Asking the pool's file system how full it is blocks: a dead NFS server, mostly.",
                "look at the mount and its server; VMs on it hang, too.",
                "availability",
            ),
            *filling(
                f"Pool {name}: ",
                "A storage pool",
                scope.ref("usage"),
                (macro("WARN"), macro("MAX"), macro("TIMELEFT")),
                "delete or move volumes, or add storage; thin disks on it stop their VMs when it is full.",
            ),
            *(
                trigger
                for key, what in (("thin_data", "data"), ("thin_metadata", "metadata"))
                for trigger in _thin(
                    f"Pool {name}: Thin pool's {what}", scope.ref(key), macro("WARN"), macro("MAX")
                )
            ),
            Trigger(
                f"Pool {name}: Over-allocated and filling up",
                f"last({scope.ref('overcommit')})>{macro('OVERCOMMIT.MAX')} "
                f"and last({scope.ref('usage')})>{macro('OVERCOMMIT.FROM')}",
                "WARNING",
                "More is promised to volumes than there is, and what there is gets used up.",
                "add storage before the VMs take what they were promised, or move volumes.",
                "capacity",
                opdata="promised {ITEM.LASTVALUE1}, used {ITEM.LASTVALUE2}",
            ),
        ),
        graphs=(
            Graph(f"Pool {name}: Space", tuple(scope.key(key) for key in ("used", "available")), stacked=True),
            Graph(f"Pool {name}: Utilization", (scope.key("usage"),), percent=True),
        ),
    )
