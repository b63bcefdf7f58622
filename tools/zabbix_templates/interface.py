"""The interfaces of VMs."""

from __future__ import annotations

from kvmwatch.model.derived import LINKS
from zabbix_templates.defaults import critical, warning
from zabbix_templates.model import Graph, Macro, Rule, Trigger
from zabbix_templates.scope import CALM, LINK, Owner, Scope, Shown
from zabbix_templates.triggers import SETTLED, When, alarm, held, over, pair

MACROS = (
    Macro("{$KVM.IF.ERRORS.WARN}", warning("network.errors"), "Errors a second: warning. Context: VM and MAC address"),
    Macro("{$KVM.IF.ERRORS.MAX}", critical("network.errors"), "The same: average. Context: VM and MAC address"),
    Macro("{$KVM.IF.DROPS.WARN}", warning("network.drops"), "Drops a second: warning. Context: VM and MAC address"),
    Macro("{$KVM.IF.DROPS.MAX}", critical("network.drops"), "The same: average. Context: VM and MAC address"),
    Macro("{$KVM.IF.TIME}", "10m", "For how long. Context: VM and MAC address"),
    Macro("{$KVM.IF.DOWN.TIME}", "3m", "Cut off or set down for this long is a problem. Context: VM and MAC address"),
    Macro("{$KVM.IF.MATCHES}", ".*", "Interfaces to discover, by the network or bridge they hang on"),
    Macro("{$KVM.IF.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Interfaces not to discover"),
)  # fmt: skip

#: what people know of an interface
NAME = "{#IF.SOURCE} {#IF.MAC}"


SHOWN = (
    Shown("rx_bytes", "Bits received", "bps", 8),
    Shown("tx_bytes", "Bits sent", "bps", 8),
    Shown("errors", "Errors", "!pps", calm=CALM),
    Shown("drops", "Drops", "!pps", calm=CALM),
    Shown("link", "Link", steady=True, value_map=LINK),
)
#: what few look at: only where it is asked for
DETAILS = (
    Shown("rx_packets", "Packets received", "!pps"),
    Shown("tx_packets", "Packets sent", "!pps"),
)
_FILTERS = (("{#IF.SOURCE}", "{$KVM.IF.MATCHES}", "{$KVM.IF.NOT_MATCHES}"),)
_SET_DOWN, _CUT_OFF = (LINKS.index(text) for text in ("set down", "cut off"))


def _scope(owner: Owner) -> Scope:
    return owner.part("interface", "interfaces", "mac", "{#IF.MAC}", f"Interface {NAME}", "interface")


def rule(owner: Owner) -> Rule:
    """Their discovery rule."""
    scope = _scope(owner)
    return owner.rule(
        "interfaces",
        "Interface discovery",
        "The interfaces of each VM that have counters. Directions are as the guest sees them.",
        filters=_FILTERS,
        items=(*scope.items(SHOWN), *owner.state_of(scope)),
        triggers=(
            *_losing(
                *(owner, scope, "Errors", "ERRORS", "Packets are lost by errors"),
                "look at the bridge or network it hangs on, and at the guest's driver.",
            ),
            *_losing(
                *(owner, scope, "Drops", "DROPS", "Packets are dropped: the guest, or the host, does not keep up"),
                "look at the guest's CPU and steal; use virtio with several queues.",
            ),
            *_cut_off(owner, scope),
        ),
        graphs=(
            Graph(f"{scope.title}Traffic", (scope.key("rx_bytes"), scope.key("tx_bytes"))),
            Graph(f"{scope.title}Errors and drops", (scope.key("errors"), scope.key("drops"))),
        ),
    )


def details(owner: Owner) -> Rule:
    """The discovery rule of what few look at."""
    scope = _scope(owner)
    return owner.rule(
        "interfaces",
        "Interface detail discovery",
        "What few look at of interfaces: none unless {$KVM.DETAILS.MATCHES} says of which.",
        filters=(*_FILTERS, (owner.whose("{#IF.MAC}"), "{$KVM.DETAILS.MATCHES}", "")),
        key="interface_details",
        items=scope.items(DETAILS),
        graphs=(Graph(f"{scope.title}Packets", (scope.key("rx_packets"), scope.key("tx_packets"))),),
    )


def _losing(owner: Owner, scope: Scope, name: str, macro: str, meaning: str, cure: str) -> tuple[Trigger, ...]:
    time = owner.macro("IF.TIME", "{#IF.MAC}")

    def lost(level: str) -> When:
        return over(scope.ref(macro.lower()), owner.macro(f"IF.{macro}.{level}", "{#IF.MAC}"), time, " a second")

    return pair(
        f"{scope.title}{name}",
        (lost("WARN"), lost("MAX")),
        (f"{meaning}.", f"{meaning}, many of them."),
        cure,
        "performance",
        (SETTLED, owner.running(owner.state_ref(scope), time), owner.alerts(scope)),
    )


def _cut_off(owner: Owner, scope: Scope) -> tuple[Trigger, ...]:
    time = owner.macro("IF.DOWN.TIME", "{#IF.MAC}")
    guards = (SETTLED, owner.running(owner.state_ref(scope), time), owner.alerts(scope))
    cut_off = f"{scope.title}Cut off from the network"
    return (
        alarm(
            f"{scope.title}Link is set down",
            "WARNING",
            held(scope.ref("link"), _SET_DOWN, time),
            "The VM's definition has the link of this interface down.",
            "virsh domif-setlink NAME MAC up, if that is not intended.",
            "notice",
            guards,
            depends=(cut_off,),
        ),
        alarm(
            cut_off,
            "HIGH",
            held(scope.ref("link"), _CUT_OFF, time),
            "On the host its tap is down, gone, or not in the bridge that the VM's definition names, or that "
            "bridge is down.",
            "virsh domiflist NAME names the tap; ip link set TAP up, ip link set TAP master BRIDGE; when the tap is "
            "gone, stop and start the VM.",
            "availability",
            guards,
        ),
    )
