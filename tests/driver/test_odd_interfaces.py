"""Interfaces of kinds without counters, from the test driver to the list that Zabbix takes."""

from __future__ import annotations

import json
from pathlib import Path

from commands import Command

RUNS = "in_process"

KINDS = {
    "hostdev": "<source><address type='pci' domain='0x0000' bus='0x04' slot='0x10' function='0x4'/></source>",
    "vhostuser": "<source type='unix' path='/run/vpp.sock' mode='server'/><model type='virtio'/>",
    "bridge": "<source bridge='br0'/><target dev='tap3'/>",
    "direct": "<source dev='eno1' mode='bridge'/><target dev='macvtap0'/>",
    "mcast": "<source address='230.0.0.1' port='5558'/>",
    "user": "",
}


def test_what_is_discovered_has_values(command: Command, tmp_path: Path) -> None:
    interfaces = "".join(
        f"<interface type='{kind}'><mac address='52:54:00:aa:00:0{number}'/>{inner}</interface>"
        for number, (kind, inner) in enumerate(KINDS.items())
    )
    file = tmp_path / "odd.xml"
    file.write_text(
        "<node><domain type='test'><name>nfv1</name><memory unit='GiB'>4</memory><vcpu>2</vcpu>"
        f"<os><type arch='x86_64'>hvm</type></os><devices>{interfaces}</devices></domain></node>"
    )
    uri = f"test://{file}"
    rows = json.loads(command("zabbix_kvm", "discover", "interfaces", "-u", uri).out)
    (domain,) = json.loads(command("zabbix_kvm", "collect", "-u", uri).out)["domains"]
    assert [row["{#IF.MAC}"] for row in rows] == ["52:54:00:aa:00:02", "52:54:00:aa:00:03"]
    assert [one["mac"] for one in domain["interfaces"]] == ["52:54:00:aa:00:02", "52:54:00:aa:00:03"]
    assert all(one["rx_bytes"] is not None for one in domain["interfaces"])
