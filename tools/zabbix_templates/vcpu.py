"""The vCPUs of VMs."""

from __future__ import annotations

from zabbix_templates.model import Graph, Rule
from zabbix_templates.scope import Owner, Shown

SHOWN = (
    Shown("time", "CPU utilization", "%", 100),
    Shown("delay", "CPU steal", "%", 100),
    Shown("wait", "Waiting for I/O", "%", 100),
)


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = owner.part("vcpu", "vcpus", "id", "{#VCPU.ID}", "vCPU {#VCPU.ID}", "vcpu")
    return owner.rule(
        "vcpus",
        "vCPU discovery",
        "The vCPUs that each VM's definition gives it.",
        items=scope.items(SHOWN),
        graphs=(Graph(f"{scope.title}CPU", (scope.key("time"), scope.key("delay"), scope.key("wait"))),),
    )
