"""The vCPUs of VMs."""

from __future__ import annotations

from zabbix_templates.model import Graph, Macro, Rule
from zabbix_templates.scope import Owner, Shown

MACROS = (
    Macro("{$KVM.VCPU.MATCHES}", "^$", "VMs whose vCPUs are discovered; on a guest's own host: its vCPUs, by number. As it is, none"),
)  # fmt: skip

SHOWN = (
    Shown("time", "CPU utilization", "%", 100),
    Shown("delay", "CPU steal", "%", 100),
)


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = owner.part("vcpu", "vcpus", "id", "{#VCPU.ID}", "vCPU {#VCPU.ID}", "vcpu")
    return owner.rule(
        "vcpus",
        "vCPU discovery",
        "The vCPUs that each VM's definition gives it: none unless {$KVM.VCPU.MATCHES} says of which VMs.",
        filters=((owner.whose("{#VCPU.ID}"), "{$KVM.VCPU.MATCHES}", ""),),
        items=scope.items(SHOWN),
        graphs=(Graph(f"{scope.title}CPU", (scope.key("time"), scope.key("delay"))),),
    )
