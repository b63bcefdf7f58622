"""Whose an IP address is: by the leases and the ARP table, and by nothing that is not certain."""

from __future__ import annotations

from pathlib import Path

import pytest
from zabbix_kvm import master

from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Domain, Interface, Network, Snapshot
from kvmwatch.reading import addresses

HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"


def vm(name: str, *macs: str, state: int = 1) -> Domain:
    return Domain(name, name, 1, state, 1, 1000.0, interfaces=tuple(Interface(mac) for mac in macs))


def network(*leased: tuple[str, str]) -> Network:
    return Network("n", "default", "virbr0", True, True, True, leased=leased)


def found(tmp_path: Path, arp: str, *domains: Domain, networks: tuple[Network, ...] = (), uri: str = "qemu:///system") -> list[list[tuple[str, ...]]]:  # fmt: skip
    file = tmp_path / "arp"
    file.write_text(HEAD + arp)
    read = addresses.with_addresses(Snapshot(uri, 0, 0, domains=domains, networks=networks), file)
    assert read.unread == ()
    return [[interface.addresses for interface in domain.interfaces] for domain in read.domains]


def line(address: str, mac: str, flags: str = "0x2") -> str:
    return f"{address:16} 0x1         {flags:11} {mac}     *        virbr0\n"


A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"


def test_leases_and_arp_together_sorted_as_addresses(tmp_path: Path) -> None:
    arp = line("10.0.0.100", A) + line("10.0.0.9", A) + line("10.0.0.1", "aa:aa:aa:aa:aa:aa")
    leases = network((A, "fe80::1"), (A, "192.168.122.5"), (B, "192.168.122.6"))
    assert found(tmp_path, arp, vm("web1", A, B), networks=(leases,)) == [
        [("10.0.0.9", "10.0.0.100", "192.168.122.5", "fe80::1"), ("192.168.122.6",)]
    ]


def test_a_question_that_nobody_answered_is_no_address(tmp_path: Path) -> None:
    arp = line("10.0.0.9", A, "0x0") + line("10.0.0.8", "00:00:00:00:00:00")
    assert found(tmp_path, arp, vm("web1", A, "00:00:00:00:00:00")) == [[(), ()]]


@pytest.mark.parametrize("junk", ["\n", "10.0.0.9\n", "10.0.0.9 0x1 zz 52:54:00:00:00:0a * eth0\n", "\xff\x00\n"])
def test_lines_that_are_none_cost_no_others(tmp_path: Path, junk: str) -> None:
    arp = junk + line("10.0.0.7", A) + line("no.address", A)
    assert found(tmp_path, arp, vm("web1", A)) == [[("10.0.0.7",)]]


def test_of_a_copied_mac_nobody_can_tell(tmp_path: Path) -> None:
    assert found(tmp_path, line("10.0.0.9", A), vm("web1", A), vm("copy", A)) == [[()], [()]]
    # the original does not run, so it has none
    assert found(tmp_path, line("10.0.0.9", A), vm("web1", A, state=5), vm("copy", A)) == [[()], [("10.0.0.9",)]]


def test_large_letters_and_a_second_interface_with_the_same_mac(tmp_path: Path) -> None:
    assert found(tmp_path, line("10.0.0.9", A), vm("web1", A.upper(), f"{A}#1")) == [[("10.0.0.9",)] * 2]


def test_the_arp_table_is_this_machines(tmp_path: Path) -> None:
    assert found(tmp_path, line("10.0.0.9", A), vm("web1", A), uri="qemu+ssh://kvm2/system") == [[()]]


def test_a_table_that_cannot_be_read_is_said_and_leases_are_told(tmp_path: Path) -> None:
    snapshot = Snapshot("qemu:///system", 0, 0, domains=(vm("web1", A),), networks=(network((A, "10.0.0.1")),))
    read = addresses.with_addresses(snapshot, tmp_path)  # a folder
    assert [unread.group for unread in read.unread] == [Group.ADDRESSES]
    assert read.domains[0].interfaces[0].addresses == ("10.0.0.1",)
    assert addresses.with_addresses(snapshot, tmp_path / "none").unread == (), "a kernel without IPv4 has none"


def test_the_item_of_a_vm_is_sorted_and_no_longer_than_an_item_holds() -> None:
    known = tuple(Interface(f"m{n}", addresses=(f"10.0.{n}.2", f"10.0.{n}.10")) for n in (9, 10, 1))
    assert master._addresses(vm("web1")._replace(interfaces=known)) == (
        "10.0.1.2, 10.0.1.10, 10.0.9.2, 10.0.9.10, 10.0.10.2, 10.0.10.10"
    )
    many = tuple(Interface(f"m{n}", addresses=(f"2001:db8:1111:2222:3333:4444:5555:{n:x}",)) for n in range(1, 30))
    text = master._addresses(vm("web1")._replace(interfaces=many)) or ""
    assert 200 < len(text) <= 255
    assert text.endswith(":6, …")
    assert master._addresses(vm("web1", A)) is None
