"""check_kvm_net: virtual networks, their state, their bridge and how many addresses they have given out."""

from __future__ import annotations

from collections.abc import Iterator

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
DNSMASQ = Condition("dnsmasq", Critical, "what gives its guests addresses and names has ended")


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge every virtual network."""
    leases: dict[str, float | None] = {}
    for network in snapshot.networks:
        subject = verdict.subject(network.name, network.name, unread=network.unread)
        verdict.owe(network.name)
        for found, text in [*_said(network)] or [(Ok, "active" if network.active else "inactive")]:
            subject.say(found, text)
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


def _said(network: Network) -> Iterator[tuple[ServiceState | Condition, str]]:
    """What is said of it apart from its figures, when something is wrong."""
    if not network.active and network.autostart:
        yield INACTIVE, "inactive though it should be active (autostart)"
    if network.stats.bridge_up == 0:
        yield BRIDGE, f"its bridge {network.bridge} is {'down' if network.bridge_found else 'gone'}"
    if network.stats.dnsmasq_up == 0:
        yield DNSMASQ, "its dnsmasq has ended: restart virtnetworkd (or libvirtd), which starts it again"


CHECK = plugin.Check(
    name="net",
    description="Judges virtual networks: state, and on the hypervisor itself their bridge and dnsmasq.\n"
    "-d and -x select networks.",
    # the taps of the VMs tell whether bridges can be seen from here, where one is missing
    groups=Group.NETWORKS | Group.INTERFACE,
    metrics=(
        MetricSpec("leases", "", "DHCP leases in force"),
        MetricSpec("usage", "%", "DHCP leases, % of the addresses in the network's ranges (IPv4)"),
    ),
    judge=judge,
    conditions=(INACTIVE, BRIDGE, DNSMASQ),
    of_each_domain=False,
    selects="network",
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
