"""check_kvm_network: each interface's traffic, errors, drops, link and way to the network."""

from __future__ import annotations

from collections.abc import Iterator

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Critical, Ok, Unknown, Warn
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Verdict
from kvmwatch.model import measured
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Interface, Snapshot

DETACHED = Condition("detached", Critical, "its tap is down, gone, or not in its bridge; or that is down")
LINK_DOWN = Condition("link_down", Warn, "its link is set down")


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge the interfaces of every active domain. Directions are the guest's."""
    traffic: dict[str, float | None] = {}
    interfaces = 0
    for domain, owner in verdict.domains(snapshot, parts=_keys):
        for interface in domain.interfaces:
            interfaces += 1
            name = interface.name or interface.key
            subject = verdict.part(domain, owner, name, interface.key, interface.unread)
            values = figures(interface)
            for metric, value in values.items() if measured.ever(interface) else ():
                subject.measure(metric, value)
            if interface.detached:
                subject.say(DETACHED, interface.detached)
            if interface.link_down:
                subject.say(LINK_DOWN, "link is set down")
            if measured.missing(domain, interface) and not interface.detached:
                subject.say(Unknown, "libvirt gives no counters of it")
            elif interface.stats.rx_bytes is None and interface.kind:
                if subject.empty:
                    subject.say(Ok, f"no counters ({interface.kind} interface)")
                subject.spare(*values, unless_own=True)
            traffic[f"{domain.name} {name}"] = subject.rank = (values["rx"] or 0) + (values["tx"] or 0)
    verdict.overview = ", ".join([count(interfaces, "interface"), *highest("traffic", traffic, "b/s")])


def _keys(domain: Domain) -> Iterator[str]:
    return (interface.key for interface in domain.interfaces if measured.ever(interface))


def figures(interface: Interface) -> dict[str, float | None]:
    """The values of an interface by metric, per second."""
    rates = interface.rates
    return {
        "rx": _times(rates.rx_bytes, 8),
        "tx": _times(rates.tx_bytes, 8),
        "errors": _sum(rates.rx_errors, rates.tx_errors),
        "drops": _sum(rates.rx_drops, rates.tx_drops),
        "rx_packets": rates.rx_packets,
        "tx_packets": rates.tx_packets,
    }


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else value * factor


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


CHECK = plugin.Check(
    name="network",
    description="Judges each interface of each active domain: bits, packets, errors and drops per second as the\n"
    "guest sees them, a link that is set down, and on the hypervisor itself whether its tap is up and in its\n"
    "bridge.",
    groups=Group.DEFINED | Group.INTERFACE | Group.DEFINITION | Group.CONTROL,
    metrics=(
        MetricSpec("rx", "b/s", "received, bits/s"),
        MetricSpec("tx", "b/s", "sent, bits/s"),
        MetricSpec("errors", "/s", "errors per second, both directions", "1", "10"),
        MetricSpec("drops", "/s", "dropped packets per second, both directions", "10", "100"),
        MetricSpec("rx_packets", "/s", "packets received per second"),
        MetricSpec("tx_packets", "/s", "packets sent per second"),
    ),
    judge=judge,
    conditions=(DETACHED, LINK_DOWN),
    needs_rates=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
