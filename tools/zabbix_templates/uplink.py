"""The interfaces of the hypervisor that carry VMs."""

from __future__ import annotations

from zabbix_templates.model import Graph, Macro, Rule
from zabbix_templates.scope import CALM, YES_NO, Scope, Shown
from zabbix_templates.triggers import SETTLED, When, alarm, held

MACROS = (
    Macro("{$KVM.UPLINK.MATCHES}", ".*", "Interfaces of the hypervisor below its VMs' bridges to discover, by name"),
    Macro("{$KVM.UPLINK.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Those not to discover"),
    Macro("{$KVM.UPLINK.TIME}", "3m", "Without a link for this long is a problem ... Context: its name"),
    Macro("{$KVM.UPLINK.MEMORY}", "7d", "... if it had one within this time. Context: its name"),
)  # fmt: skip


SHOWN = (
    Shown("up", "Link works", steady=True, value_map=YES_NO),
    Shown("speed", "Speed", "bps", steady=True, value_type="UNSIGNED"),
    Shown("rx_bytes", "Bits received", "bps", 8),
    Shown("tx_bytes", "Bits sent", "bps", 8),
    Shown("rx_errors", "Receive errors", "!pps", calm=CALM),
    Shown("tx_errors", "Send errors", "!pps", calm=CALM),
    Shown("rx_drops", "Receive drops", "!pps", calm=CALM),
    Shown("tx_drops", "Send drops", "!pps", calm=CALM),
)


def rule(master: str) -> Rule:
    """Their discovery rule."""
    name = "{#UPLINK.NAME}"
    scope = Scope(
        "uplink", f'$.uplinks[?(@.name == "{name}")]', False, f'["{name}"]', f"Uplink {name}: ", master,
        (("uplink", name),),
    )  # fmt: skip
    up, time, memory = scope.ref("up"), *(f'{{$KVM.UPLINK.{what}:"{name}"}}' for what in ("TIME", "MEMORY"))
    return Rule(
        name="Uplink discovery",
        key="kvm.discovery[uplinks]",
        path="$.discovery.uplinks",
        description="The interfaces of the hypervisor that carry VMs: what stands below their bridges and macvtaps (VLANs, "
        "bonds, network cards). Only where kvmwatch runs on the hypervisor itself.",
        master=master,
        filters=((name, "{$KVM.UPLINK.MATCHES}", "{$KVM.UPLINK.NOT_MATCHES}"),),
        items=scope.items(SHOWN),
        triggers=(
            alarm(
                f"Uplink {name}: No link",
                "AVERAGE",
                held(up, 0, time) & When(f"max({up},{memory})=1", f"last({up})=1"),
                "An interface of the hypervisor that carries VMs ({#UPLINK.CARRIES}) has lost its link or was set down. In a "
                "bond the others carry them on; else they are cut off.",
                f"look at the cable and the switch's port; ip link show {name}. Close the problem if it was unplugged for good.",
                "availability",
                (SETTLED,),
                manual_close=True,
            ),
        ),
        graphs=(
            Graph(f"Uplink {name}: Traffic", (scope.key("rx_bytes"), scope.key("tx_bytes"))),
            Graph(
                f"Uplink {name}: Errors and drops",
                tuple(scope.key(f"{way}_{what}") for what in ("errors", "drops") for way in ("rx", "tx")),
            ),
        ),
    )
