"""The file systems inside of VMs."""

from __future__ import annotations

from zabbix_templates.defaults import critical, warning
from zabbix_templates.filling import Limits, filling
from zabbix_templates.model import Graph, Macro, Rule
from zabbix_templates.scope import Owner, Shown

MACROS = (
    Macro("{$KVM.FS.MATCHES}", ".*", "Guest file systems to discover, by mount point"),
    Macro("{$KVM.FS.NOT_MATCHES}", "^(/boot/efi|/snap/.*)$", "Guest file systems not to discover"),
    Macro("{$KVM.FS.TYPE.MATCHES}", "^(btrfs|ext2|ext3|ext4|f2fs|jfs|ntfs|NTFS|ReFS|refs|ufs|vfat|FAT32|xfs|zfs)$", "Guest file systems to discover, by type"),
    Macro("{$KVM.FS.WARN}", warning("agent.filesystem"), "Utilization of a guest file system, %: warning. Context: VM and mount point"),
    Macro("{$KVM.FS.MAX}", critical("agent.filesystem"), "Utilization of a guest file system, %: high. Context: VM and mount point"),
    Macro("{$KVM.FS.TIME}", "10m", "For how long. Context: VM and mount point"),
    Macro("{$KVM.FS.TIMELEFT}", "7d", "A file system that will be full within this time is a problem. Context: VM and mount point"),
)  # fmt: skip


SHOWN = (
    Shown("total", "Size", "B", steady=True),
    Shown("used", "Used", "B"),
    Shown("usage", "Utilization", "%"),
)


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = owner.part(
        "filesystem", "filesystems", "mountpoint", "{#FS.MOUNTPOINT}", "File system {#FS.MOUNTPOINT}", "filesystem"
    )
    usage, mount = scope.ref("usage"), "{#FS.MOUNTPOINT}"
    return owner.rule(
        "filesystems",
        "Guest file system discovery",
        "File systems that the guest agents report (only with the collector's option --guest-agent).",
        filters=(
            ("{#FS.MOUNTPOINT}", "{$KVM.FS.MATCHES}", "{$KVM.FS.NOT_MATCHES}"),
            ("{#FS.TYPE}", "{$KVM.FS.TYPE.MATCHES}", ""),
        ),
        items=(*scope.items(SHOWN), *owner.state_of(scope)),
        triggers=filling(
            scope.title,
            "File system",
            usage,
            Limits(*(owner.macro(f"FS.{name}", mount) for name in ("WARN", "MAX", "TIME", "TIMELEFT"))),
            "free space inside of the guest, or make its disk larger.",
            (owner.running(owner.state_ref(scope), owner.macro("FS.TIME", mount)), owner.alerts(scope)),
        ),
        graphs=(Graph(f"{scope.title}Utilization", (scope.key("usage"),), percent=True),),
    )
