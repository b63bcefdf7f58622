"""Values that follow from others: what is told of two directions at once, and whether an interface leads anywhere."""

from __future__ import annotations

import pytest

from kvmwatch.model.derived import DERIVED, LINKS, link
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DiskStats, DomainStats, InterfaceStats
from kvmwatch.model.snapshot import Disk, Domain, Interface, Unread


@pytest.mark.parametrize(
    ("set_down", "attached", "known"),
    [
        *((False, 1, "up"), (True, 1, "set down"), (False, 0, "cut off"), (True, 0, "cut off")),
        *((False, None, "set up"), (True, None, "set down")),
    ],
)
def test_link(set_down: bool, attached: float | None, known: str) -> None:
    """That it is up is said only where it was seen."""
    interface = Interface("m", kind="network", link_down=set_down, stats=InterfaceStats(attached=attached))
    assert LINKS[int(link(interface) or 0)] == known


@pytest.mark.parametrize(("attached", "number"), [(0, 2), (1, None), (None, None)])
def test_link_without_the_xml(attached: float | None, number: int | None) -> None:
    """Which would say that it is set down."""
    assert link(Interface("vnet0", stats=InterfaceStats(attached=attached))) == number


SUMS = [
    ("domain.swap", Domain("u", "n", 1, 1, 1, 0.0), DomainStats, "swap_in", "swap_out"),
    ("disk.bytes", Disk("vda"), DiskStats, "read_bytes", "write_bytes"),
    ("interface.errors", Interface("m"), InterfaceStats, "rx_errors", "tx_errors"),
    ("interface.drops", Interface("m"), InterfaceStats, "rx_drops", "tx_drops"),
]


@pytest.mark.parametrize(("name", "record", "stats", "one", "other"), SUMS, ids=[name for name, *_ in SUMS])
def test_sums_of_two_directions(name: str, record: Domain | Disk | Interface, stats: type, one: str, other: str) -> None:  # fmt: skip
    (of,) = (derived.of for derived in DERIVED if f"{derived.entity}.{derived.name}" == name)
    assert of(record._replace(stats=stats(**{one: 3, other: 4}))) == 7
    assert of(record._replace(stats=stats(**{one: 0, other: 0}))) == 0
    assert of(record._replace(stats=stats())) is None, "what is not known is not 0"
    assert of(record._replace(stats=stats(**{one: 3}))) is None, "and a half would jump when the other comes"


_DISK = Disk("vda", device="disk", kind="file", stats=DiskStats(read_bytes=3, write_bytes=4))
_NIC = Interface("m", "vnet0", "bridge", stats=InterfaceStats(rx_bytes=3, tx_bytes=4))
_REFUSED = (Unread(Group.DISK | Group.INTERFACE, "statistics", "no such luck"),)


@pytest.mark.parametrize(
    ("other", "total"),
    [
        (_DISK, 14),
        (Disk("vdb", device="disk", kind="file"), None),
        (Disk("vdb", device="disk", kind="file", unread=_REFUSED), None),
        (Disk("vdb", device="disk", kind="vhostuser"), 7),
        (Disk("hda", device="cdrom", kind="file", unread=_REFUSED), 7),
        (_NIC, 14),
        (Interface("n", "vnet1", "bridge"), None),
        (Interface("n", "vnet1", "bridge", unread=_REFUSED), None),
        (Interface("n", None, "user"), 7),
        (Interface("n", None, "network"), 7),
        (Interface("n", "vh0", "vhostuser"), 7),
    ],
)
def test_sums_of_all_parts(other: Disk | Interface, total: float | None) -> None:
    """One that has no counters is none of the sum; without one that has them it would jump when they come back."""
    of = {derived.name: derived.of for derived in DERIVED if derived.entity == "domain"}
    domain = Domain("u", "n", 1, 1, 1, 0.0, disks=(_DISK,), interfaces=(_NIC,))
    if isinstance(other, Disk):
        assert of["disk_bytes"](domain._replace(disks=(_DISK, other))) == total
    else:
        assert of["network_bytes"](domain._replace(interfaces=(_NIC, other))) == total
    assert of["disk_bytes"](domain._replace(disks=())) is None
