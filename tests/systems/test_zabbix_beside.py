"""Our templates beside those that a site has on the same hosts: Zabbix's own for Linux, with everything in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Command

from zabbix import Zabbix, provision

HYPERVISOR = "KVM Hypervisor by "
OURS = (
    *(f"{HYPERVISOR}{way}" for way in ("Zabbix agent", "Zabbix agent active", "Zabbix trapper", "external check")),
    "KVM Guest",
)
THEIRS = ("Linux by Zabbix agent", "Linux by Zabbix agent active", "Linux by SNMP")
INTERFACES = [
    {"type": kind, "main": 1, "useip": 1, "ip": "192.0.2.1", "dns": "", "port": port, "details": details}
    for kind, port, details in ((1, "10050", {}), (2, "161", {"version": 2, "community": "public"}))
]


@pytest.fixture(scope="module")
def imported(zabbix: Zabbix, kvm: Command) -> Zabbix:
    """Zabbix with our templates."""
    ran = provision(kvm)
    assert ran.code == 0, ran.err
    return zabbix


@pytest.fixture
def group(imported: Zabbix) -> Iterator[str]:
    zabbix = imported
    (number,) = zabbix.call("hostgroup.create", name="beside")["groupids"]
    yield number
    for host in zabbix.call("host.get", groupids=[number], output=["hostid"]):
        zabbix.api.do_request("host.delete", [host["hostid"]])
    zabbix.api.do_request("hostgroup.delete", [number])


def test_linked_beside_the_linux_templates(imported: Zabbix, group: str) -> None:
    """As "provision" meets them and as an administrator would link theirs later, in turn: linking takes a while."""
    zabbix = imported
    pairs = [(ours, theirs) for ours in OURS for theirs in THEIRS]
    for number, (ours, theirs) in enumerate(pairs):
        first, then = (ours, theirs) if number % 2 else (theirs, ours)
        (host,) = zabbix.call(
            "host.create",
            host=f"{ours} {theirs}",
            groups=[{"groupid": group}],
            interfaces=INTERFACES,
            inventory_mode=1,
            templates=[{"templateid": template(zabbix, first)}],
        )["hostids"]
        zabbix.call("host.massadd", hosts=[{"hostid": host}], templates=[{"templateid": template(zabbix, then)}])
    found = zabbix.call("host.get", groupids=[group], output=["host"], selectParentTemplates=["name"])
    assert len(found) == len(pairs)
    assert all(len(host["parentTemplates"]) == 2 for host in found)


def test_no_inventory_field_is_filled_by_an_official_template(imported: Zabbix) -> None:
    zabbix = imported

    def fields(search: bool) -> set[str]:
        found = zabbix.call("template.get", output=["host", "templateid"])
        numbers = [one["templateid"] for one in found if (one["host"] in OURS) == search]
        items = zabbix.call("item.get", templateids=numbers, output=["inventory_link"])
        return {item["inventory_link"] for item in items} - {"0"}

    assert fields(True)
    assert fields(False)
    assert not fields(True) & fields(False)


def template(zabbix: Zabbix, name: str) -> str:
    (found,) = zabbix.call("template.get", filter={"host": name}, output=["templateid"])
    return str(found["templateid"])
