"""Virtual networks."""

from __future__ import annotations

from zabbix_templates.model import Macro, Rule, Trigger
from zabbix_templates.scope import YES_NO, Scope, Shown

MACROS = (
    Macro("{$KVM.NET.MATCHES}", ".*", "Virtual networks to discover"),
    Macro("{$KVM.NET.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Virtual networks not to discover"),
)


SHOWN = (
    Shown("active", "Active", value_map=YES_NO, component="network"),
    Shown("autostart", "Autostart", steady=True, value_map=YES_NO, component="network"),
    Shown("bridge_up", "Bridge is up", steady=True, value_map=YES_NO, component="network"),
    Shown("leases", "DHCP leases", value_type="UNSIGNED", steady=True, component="network"),
    Shown("usage", "DHCP leases, of its addresses", "%", steady=True, component="network"),
)


def rule(master: str) -> Rule:
    """Their discovery rule."""
    scope = Scope(
        "network", '$.networks[?(@.uuid == "{#NET.UUID}")]', False, "[{#NET.UUID}]", "Network {#NET.NAME}: ", master,
        (("network", "{#NET.NAME}"),),
    )  # fmt: skip
    return Rule(
        name="Virtual network discovery",
        key="kvm.discovery[networks]",
        path="$.discovery.networks",
        description="libvirt's virtual networks, active or not.",
        master=master,
        filters=(("{#NET.NAME}", "{$KVM.NET.MATCHES}", "{$KVM.NET.NOT_MATCHES}"),),
        items=scope.items(SHOWN),
        triggers=(
            Trigger(
                "Network {#NET.NAME}: Inactive though it should be active",
                f"last({scope.ref('active')})=0 and last({scope.ref('autostart')})=1",
                "HIGH",
                "The network has autostart and is not active: VMs on it cannot be started.",
                "virsh net-start NAME says why it does not; or switch its autostart off.",
                "availability",
            ),
            Trigger(
                "Network {#NET.NAME}: Bridge is down or gone",
                f"last({scope.ref('active')})=1 and last({scope.ref('bridge_up')})=0",
                "HIGH",
                "libvirt has the network active, but its bridge was removed or set down on the host: its VMs are "
                "cut off.",
                "ip link set BRIDGE up; when it is gone, virsh net-destroy NAME and virsh net-start NAME, then put the "
                "taps of its VMs back into it.",
                "availability",
            ),
        ),
    )
