"""The IP addresses of the domains, by what is readable without rights and waits for nobody.

These are the leases of libvirt's own networks, which are read anyway, and the ARP table of this machine: IPv4
addresses with which the hypervisor itself has had to do. Neither the guest nor its QEMU is asked. An address that
neither knows (a static one on a bridge, which the hypervisor never talked to) stays unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Snapshot, Unread
from kvmwatch.reading.connection import is_local, one_line

ARP = Path("/proc/net/arp")

_COMPLETE = 0x2  # ATF_COM: somebody answered
_MOST = 16  # of one interface; a router's has more, and nobody reads them
_UNKNOWN = "00:00:00:00:00:00"

Known = dict[str, set[str]]  # MAC to addresses


def with_addresses(snapshot: Snapshot, arp: Path = ARP) -> Snapshot:
    """Give each interface of the active domains the addresses that are known of its MAC, sorted."""
    known: Known = {}
    for mac, address in (lease for network in snapshot.networks for lease in network.leased):
        known.setdefault(mac, set()).add(address)
    if is_local(snapshot.uri):
        try:
            lines = arp.read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:  # a kernel without IPv4
            lines = []
        except OSError as error:
            why = Unread(Group.ADDRESSES, f"addresses of VMs in {arp}", one_line(error))
            snapshot, lines = snapshot._replace(unread=(*snapshot.unread, why)), []
        for mac, address in _answered(lines):
            known.setdefault(mac, set()).add(address)
    # of a MAC that two domains have (a copied one) nobody can tell whose an address is
    owners = Counter(mac for domain in snapshot.domains for mac in _macs(domain))
    certain = {mac: _sorted(addresses) for mac, addresses in known.items() if owners[mac] == 1}
    return snapshot._replace(domains=tuple(_with(domain, certain) for domain in snapshot.domains))


def _answered(lines: list[str]) -> Iterator[tuple[str, str]]:
    """MAC and address of the lines of /proc/net/arp that are no mere questions."""
    for line in lines[1:]:
        fields = line.split()
        try:
            complete = int(fields[2], 16) & _COMPLETE
            if complete and fields[3] != _UNKNOWN:
                yield fields[3].lower(), fields[0]
        except (ValueError, LookupError):
            continue


def _macs(domain: Domain) -> set[str]:
    return {interface.mac for interface in domain.interfaces} if domain.active else set()


def _sorted(addresses: set[str]) -> tuple[str, ...]:
    parsed = set()
    for text in addresses:
        try:
            parsed.add(ip_address(text.partition("%")[0]))
        except ValueError:
            continue
    return tuple(map(str, sorted(parsed, key=lambda address: (address.version, address.packed))[:_MOST]))


def _with(domain: Domain, known: dict[str, tuple[str, ...]]) -> Domain:
    if not domain.active:
        return domain
    return domain._replace(
        interfaces=tuple(
            interface._replace(addresses=known.get(interface.mac, ())) for interface in domain.interfaces
        )
    )
