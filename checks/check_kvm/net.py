"""check_kvm_net: virtual networks, their state, their bridge and how many addresses they have given out."""

from __future__ import annotations

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Critical, Ok, ServiceState
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from kvmwatch.model import derived
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Network, Snapshot

INACTIVE = Condition("inactive", Critical, "it has autostart and is inactive")
BRIDGE = Condition("bridge", Critical, "it is active, and its bridge is down or gone")


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every virtual network."""
    leases: dict[str, float | None] = {}
    for network in snapshot.networks:
        subject = verdict.subject(network.name, network.name, unread=network.unread)
        verdict.owe(network.name)
        subject.say(*_state(network))
        leases[network.name] = number = network.stats.leases
        subject.rank = number or 0
        subject.excused = not network.active
        subject.measure("leases", number, text=None if number is None else count(int(number), "lease"))
        subject.measure("usage", derived.network_usage(network))
        if network.stats.addresses is None:  # it has no ranges to give some out of
            subject.spare("leases", "usage")
    inactive = sum(not network.active for network in snapshot.networks)
    parts = [count(len(snapshot.networks), "network")] if snapshot.has(Group.NETWORKS) else []
    if inactive:
        parts.append(f"{inactive} inactive")
    verdict.overview = ", ".join([*parts, *highest("leases", leases, "")])


def _state(network: Network) -> tuple[ServiceState | Condition, str]:
    if not network.active:
        if network.autostart:
            return INACTIVE, "inactive though it should be active (autostart)"
        return Ok, "inactive"
    if network.stats.bridge_up == 0:
        return BRIDGE, f"its bridge {network.bridge} is {'down' if network.bridge_found else 'gone'}"
    return Ok, "active"


CHECK = plugin.Check(
    name="net",
    description="Judges virtual networks: state, and on the hypervisor itself their bridge.\n"
    "-d and -x select networks.",
    # the taps of the VMs tell whether bridges can be seen from here, where one is missing
    groups=Group.NETWORKS | Group.INTERFACE,
    metrics=(
        MetricSpec("leases", "", "DHCP leases in force"),
        MetricSpec("usage", "%", "DHCP leases, % of the addresses in the network's ranges (IPv4)"),
    ),
    judge=judge,
    conditions=(INACTIVE, BRIDGE),
    of_each_domain=False,
    selects="network",
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
