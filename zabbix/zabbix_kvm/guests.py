"""Guests as hosts, kept in step through the API: a VM that moves keeps its host and its history.

A host that a host prototype made belongs to the rule that found it, and a second hypervisor that finds the same
VM cannot have it. So where VMs migrate, this makes the hosts instead: from what the hypervisors' own items in
Zabbix say, wherever the hypervisors are.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from kvmwatch.model import states
from zabbix_kvm.api import Record
from zabbix_kvm.provision import GUEST_TEMPLATE, GUESTS, Provisioner
from zabbix_kvm.sites import TEMPLATES

OWN_TAG = {"tag": "managed-by", "value": "kvmwatch"}
_STATE_KEY = re.compile(r"kvm\.domain\.state\[([0-9a-f-]{36})\]")
#: comes with every collection that worked: a VM whose state did not come with the newest one is not there any more
_COLLECTED_KEY = "kvm.domains.running"


class Found(NamedTuple):
    """A VM as one hypervisor's item tells of it."""

    uuid: str
    name: str
    hypervisor: str
    active: bool
    clock: float  # of its state; 0: it was found just now and has none yet


def keep_in_step(provisioner: Provisioner) -> None:
    """Make a host for each VM, in the group of the hypervisor that has it; disable those of VMs that are gone."""
    api = provisioner.api
    hypervisors = hosts_with_template(provisioner)
    seen = [vm for host in hypervisors for vm in _vms(provisioner, host)]
    found = owners(seen)
    there = {vm.uuid for vm in seen}
    names = Counter(vm.name for vm in found.values())
    template = provisioner.template(GUEST_TEMPLATE)
    known = {
        host["host"]: host
        for host in api.call(
            "host.get",
            templateids=[template],
            output=["hostid", "host", "name", "status", "flags"],
            selectTags="extend",
            **{api.groups_of_host: ["groupid", "name"]},
        )
    }
    for uuid, vm in sorted(found.items()):
        groups = [provisioner.group(GUESTS), provisioner.group(f"{GUESTS}/{vm.hypervisor}")]
        name = vm.name if names[vm.name] == 1 else f"{vm.name} ({uuid[:8]})"
        if uuid in known:
            _update(provisioner, known[uuid], vm, name, groups)
        else:
            provisioner.change(
                f"make host {name} ({uuid}) on {vm.hypervisor}",
                "host.create",
                host=uuid,
                name=name,
                groups=[{"groupid": group} for group in groups],
                templates=[{"templateid": template}],
                inventory_mode=1,
                tags=[OWN_TAG],
            )
    for uuid, host in known.items():
        if uuid not in there and _is_ours(host) and host["status"] == "0":
            provisioner.change(
                f"disable host {host['name']} ({uuid}): no hypervisor has it any more",
                "host.update",
                hostid=host["hostid"],
                status=1,
            )


def owners(seen: list[Found]) -> dict[str, Found]:
    """UUID to the hypervisor that has the VM: the one where it is active, else the one that said so last."""
    return {vm.uuid: vm for vm in sorted(seen, key=lambda vm: (vm.active, vm.clock)) if vm.clock}


def hosts_with_template(provisioner: Provisioner) -> list[Record]:
    """The enabled hosts that have one of the hypervisor templates."""
    api = provisioner.api
    templates = api.call("template.get", filter={"host": list(TEMPLATES.values())}, output=["templateid"])
    hosts: list[Record] = api.call(
        "host.get",
        templateids=[template["templateid"] for template in templates],
        filter={"status": 0},
        output=["hostid", "host", "name"],
    )
    return sorted(hosts, key=lambda host: str(host["host"]))


def _vms(provisioner: Provisioner, host: Record) -> list[Found]:
    items = provisioner.api.call(
        "item.get",
        hostids=[host["hostid"]],
        search={"key_": ["kvm.domain.state[", _COLLECTED_KEY]},
        searchByAny=True,
        startSearch=True,
        output=["key_", "lastvalue", "lastclock"],
        selectTags="extend",
    )
    collected = next((int(item["lastclock"]) for item in items if item["key_"] == _COLLECTED_KEY), 0)
    found = []
    for item in items:
        matched = _STATE_KEY.fullmatch(item["key_"])
        name = next((tag["value"] for tag in item["tags"] if tag["tag"] == "vm"), None)
        clock = int(item["lastclock"])
        if matched and name and (clock >= collected or not clock):
            found.append(Found(matched[1], name, host["host"], states.is_active(int(item["lastvalue"])), clock))
    return found


def _update(provisioner: Provisioner, host: Record, vm: Found, name: str, wanted: list[str]) -> None:
    if not _is_ours(host):
        return  # made by a host prototype or by hand: not ours to change
    wrong: Record = {}
    if host["name"] != name:
        wrong["name"] = name
    if host["status"] != "0":
        wrong["status"] = 0
    groups = provisioner.api.groups_in(host)
    other = [g for g in groups if g["name"].startswith(f"{GUESTS}/") and g["groupid"] not in wanted]
    if other or not {g["groupid"] for g in groups} >= set(wanted):
        kept = [g["groupid"] for g in groups if g not in other and g["groupid"] not in wanted]
        wrong["groups"] = [{"groupid": group} for group in (*kept, *wanted)]
    if wrong:
        what = "move" if "groups" in wrong else "update"
        text = f"{what} host {name} ({vm.uuid}): it is on {vm.hypervisor}"
        provisioner.change(text, "host.update", hostid=host["hostid"], **wrong)


def _is_ours(host: Record) -> bool:
    return host["flags"] == "0" and any(tag["tag"] == OWN_TAG["tag"] for tag in host["tags"])
