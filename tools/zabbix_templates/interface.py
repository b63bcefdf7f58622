"""The interfaces of VMs."""

from __future__ import annotations

from zabbix_templates.model import Graph, Macro, Rule, Trigger
from zabbix_templates.scope import LINK, YES_NO, Owner, Shown

MACROS = (
    Macro("{$KVM.IF.ERRORS.MAX}", "1", "Errors a second. Context: VM and MAC address"),
    Macro("{$KVM.IF.DROPS.MAX}", "10", "Drops a second. Context: VM and MAC address"),
    Macro("{$KVM.IF.MATCHES}", ".*", "Interfaces to discover, by the network or bridge they hang on"),
    Macro("{$KVM.IF.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Interfaces not to discover"),
)  # fmt: skip


SHOWN = (
    Shown("rx_bytes", "Bits received", "bps", 8),
    Shown("tx_bytes", "Bits sent", "bps", 8),
    Shown("rx_packets", "Packets received", "!pps"),
    Shown("tx_packets", "Packets sent", "!pps"),
    Shown("rx_errors", "Receive errors", "!pps"),
    Shown("tx_errors", "Send errors", "!pps"),
    Shown("rx_drops", "Receive drops", "!pps"),
    Shown("tx_drops", "Send drops", "!pps"),
    Shown("link_down", "Link", steady=True, value_map=LINK),
    Shown("attached", "Attached", steady=True, value_map=YES_NO),
)


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = owner.part("interface", "interfaces", "mac", "{#IF.MAC}", "Interface {#IF.MAC}", "interface")
    running = f"last({scope.ref('vm_state')})=1"

    def both(name: str) -> str:
        return f"(min({scope.ref(f'rx_{name}')},5m)+min({scope.ref(f'tx_{name}')},5m))"

    return owner.rule(
        "interfaces",
        "Interface discovery",
        "The interfaces of each VM that have counters. Directions are as the guest sees them.",
        filters=(("{#IF.SOURCE}", "{$KVM.IF.MATCHES}", "{$KVM.IF.NOT_MATCHES}"),),
        items=(*scope.items(SHOWN), owner.state_of(scope)),
        triggers=(
            Trigger(
                f"{scope.title}Errors",
                f"{running} and {both('errors')}>{owner.macro('IF.ERRORS.MAX', '{#IF.MAC}')}" + owner.alerts(),
                "WARNING",
                "Packets were lost by errors for 5 minutes.",
                "look at the bridge or network it hangs on, and at the guest's driver.",
                "performance",
            ),
            Trigger(
                f"{scope.title}Drops",
                f"{running} and {both('drops')}>{owner.macro('IF.DROPS.MAX', '{#IF.MAC}')}" + owner.alerts(),
                "WARNING",
                "Packets were dropped for 5 minutes: the guest, or the host, does not keep up.",
                "look at the guest's CPU and steal; use virtio with several queues.",
                "performance",
            ),
            Trigger(
                f"{scope.title}Link is set down",
                f"{running} and last({scope.ref('link_down')})=1" + owner.alerts(),
                "WARNING",
                "The VM's definition has the link of this interface down.",
                "virsh domif-setlink NAME MAC up, if that is not intended.",
                "notice",
            ),
            Trigger(
                f"{scope.title}Cut off from the network",
                f"{running} and last({scope.ref('attached')})=0" + owner.alerts(),
                "HIGH",
                "On the host its tap is down, gone, or not in the bridge that the VM's definition names, or that "
                "bridge is down.",
                "virsh domiflist NAME names the tap; ip link set TAP up, ip link set TAP master BRIDGE; when the tap is "
                "gone, stop and start the VM.",
                "availability",
            ),
        ),
        graphs=(
            Graph(f"{scope.title}Traffic", (scope.key("rx_bytes"), scope.key("tx_bytes"))),
            Graph(
                f"{scope.title}Errors and drops",
                (scope.key("rx_errors"), scope.key("tx_errors"), scope.key("rx_drops"), scope.key("tx_drops")),
            ),
        ),
    )  # fmt: skip
