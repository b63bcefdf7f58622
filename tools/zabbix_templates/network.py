"""Virtual networks."""

from __future__ import annotations

from zabbix_templates.model import Macro, Rule
from zabbix_templates.scope import ACTIVE, REMOVED, YES_NO, Scope, Shown
from zabbix_templates.triggers import SETTLED, alarm, always, held

MACROS = (
    Macro(
        "{$KVM.NET.TIME}",
        "5m",
        "A network that is not as it should be for this long is a problem. Context: its name",
    ),
    Macro("{$KVM.NET.MATCHES}", ".*", "Virtual networks to discover"),
    Macro("{$KVM.NET.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Virtual networks not to discover"),
)


SHOWN = (
    Shown("active", "Active", steady=True, value_map=ACTIVE, removed=str(REMOVED), component="network"),
    Shown("autostart", "Autostart", steady=True, value_map=YES_NO, component="network"),
    Shown("bridge_up", "Bridge is up", steady=True, value_map=YES_NO, component="network"),
    Shown("dnsmasq_up", "dnsmasq runs", steady=True, value_map=YES_NO, component="network"),
    Shown("leases", "DHCP leases", value_type="UNSIGNED", steady=True, component="network"),
    Shown("usage", "DHCP leases, of its addresses", "%", steady=True, component="network"),
)


def rule(master: str) -> Rule:
    """Their discovery rule."""
    scope = Scope(
        "network", '$.networks[?(@.uuid == "{#NET.UUID}")]', False, "[{#NET.UUID}]", "Network {#NET.NAME}: ", master,
        (("network", "{#NET.NAME}"),), "$.networks",
    )  # fmt: skip
    time = '{$KVM.NET.TIME:"{#NET.NAME}"}'
    active = scope.ref("active")
    return Rule(
        name="Virtual network discovery",
        key="kvm.discovery[networks]",
        path="$.discovery.networks",
        description="libvirt's virtual networks, active or not.",
        master=master,
        filters=(("{#NET.NAME}", "{$KVM.NET.MATCHES}", "{$KVM.NET.NOT_MATCHES}"),),
        items=scope.items(SHOWN),
        triggers=(
            alarm(
                "Network {#NET.NAME}: Inactive though it should be active",
                "HIGH",
                held(active, 0, time) & held(scope.ref("autostart"), 1, time),
                "The network has autostart and is not active: VMs on it cannot be started.",
                "virsh net-start NAME says why it does not; or switch its autostart off.",
                "availability",
                (SETTLED,),
            ),
            alarm(
                "Network {#NET.NAME}: Bridge is down or gone",
                "HIGH",
                held(scope.ref("bridge_up"), 0, time),
                "libvirt has the network active, but its bridge was removed or set down on the host: its VMs are "
                "cut off.",
                "ip link set BRIDGE up; when it is gone, virsh net-destroy NAME and virsh net-start NAME, then put the "
                "taps of its VMs back into it.",
                "availability",
                (SETTLED, always(active, "=", 1, time)),
            ),
            alarm(
                "Network {#NET.NAME}: dnsmasq has ended",
                "HIGH",
                held(scope.ref("dnsmasq_up"), 0, time),
                "What gives the network's guests their addresses and names does not run: they go on until their leases "
                "are over, and those that start have no address.",
                "restart virtnetworkd (or libvirtd) on the hypervisor, which starts it again; its log says why it ended.",
                "availability",
                (SETTLED, always(active, "=", 1, time)),
            ),
        ),
    )
