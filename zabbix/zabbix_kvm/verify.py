"""Whether monitoring works: unsupported items with their reasons, items without data, the newest data's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from kvmwatch.model.units import duration
from zabbix_kvm.api import Api, Record
from zabbix_kvm.sites import TEMPLATES

OK, WARNING, CRITICAL = range(3)
_UNSUPPORTED = "1"
_NOT_KEPT = "0"  # history of an item on which others depend
_NAMED = 5  # items that are named; more are counted
#: items that may have no data for ever: their VM does not run, has no agent, no balloon, no requests
_OPTIONAL = tuple(
    f"kvm.{entity}."
    for entity in ("domain", "vms", "vcpu", "disk", "interface", "filesystem", "pool", "network", "host")
)
#: texts that are not kept, and one that is empty when all is well
_NEVER = ("kvm.collect", "kvm.guest", "kvm.error", "zabbix_kvm[")


class HostReport(NamedTuple):
    """What is found on one host."""

    code: int
    lines: tuple[str, ...]


def verify(api: Api, guests: bool, max_age: float) -> tuple[int, str]:
    """Look at every hypervisor (and guest) and give the worst exit code with the text of all."""
    names = [*TEMPLATES.values(), *(["KVM Guest"] if guests else [])]
    templates = api.call("template.get", filter={"host": names}, output=["templateid", "host"])
    if not templates:
        return CRITICAL, "KVM VERIFY CRITICAL - the templates are not there; zabbix_kvm provision imports them"
    hosts = api.call(
        "host.get",
        templateids=[template["templateid"] for template in templates],
        filter={"status": 0},
        output=["hostid", "host", "name"],
    )
    hosts.sort(key=lambda host: str(host["name"]))
    verdicts = {host["name"]: _host(api, host, max_age) for host in hosts}
    worst = max((verdict.code for verdict in verdicts.values()), default=CRITICAL)
    bad = [name for name, verdict in verdicts.items() if verdict.code]
    status = ("OK", "WARNING", "CRITICAL")[worst]
    summary = f"{len(hosts)} hosts"
    if bad:
        summary = f"{len(bad)} of {summary} need a look: {', '.join(bad[:10])}"
    if not hosts:
        summary = "no host has a template of kvmwatch; zabbix_kvm provision --hypervisor HOST links one"
    lines = [f"KVM VERIFY {status} - {summary}"]
    lines += [line for verdict in verdicts.values() for line in verdict.lines]
    return worst, "\n".join(lines)


def _host(api: Api, host: Record, max_age: float) -> HostReport:
    items = api.call(
        "item.get",
        hostids=[host["hostid"]],
        search={"key_": ["kvm.", "zabbix_kvm["]},
        searchByAny=True,
        startSearch=True,
        filter={"status": 0},
        output=["name", "key_", "state", "error", "lastclock", "lastvalue", "history"],
    )
    rules = api.call("discoveryrule.get", hostids=[host["hostid"]], output=["name", "key_", "state", "error"])
    now = time.time()
    found = [*_findings(items, now, max_age), *_failed_rules(rules)]
    code = max((level for level, _ in found), default=OK)
    # calculated items have values also while no data comes
    clock = next((int(item["lastclock"]) for item in items if item["key_"] == "kvm.time"), 0)
    age = f"newest data {duration(max(0.0, now - clock))} ago" if clock else "no data"
    waiting = sum(not int(item["lastclock"]) for item in items if item["key_"].startswith(_OPTIONAL))
    head = f"[{('OK', 'WARNING', 'CRITICAL')[code]}] {host['name']}: {len(items)} items, {age}"
    if waiting:
        head += f", {waiting} without a value (VMs that do not run, no requests, no agent)"
    return HostReport(code, (head, *(f"    {text}" for _, text in found)))


def _findings(items: list[Record], now: float, max_age: float) -> Iterator[tuple[int, str]]:
    if not items:
        yield CRITICAL, "it has no items of kvmwatch"
        return
    by_key = {item["key_"]: item for item in items}
    when = by_key.get("kvm.time")
    if not when or not int(when["lastclock"]):
        yield CRITICAL, "no data has ever arrived: see the agent's log, or run zabbix_kvm send by hand"
    else:
        age = now - int(float(when["lastvalue"]))
        if age > max_age:
            yield CRITICAL, f"its data is {duration(age)} old"
        elif age < -max_age:
            yield WARNING, f"its clock is {duration(-age)} ahead"
    error = by_key.get("kvm.error")
    if error and error["lastvalue"]:
        yield CRITICAL, f"libvirt: {error['lastvalue']}"
    unsupported = [item for item in items if item["state"] == _UNSUPPORTED]
    for item in unsupported[:_NAMED]:
        yield WARNING, f"not supported: {item['name']} ({item['key_']}): {' '.join(item['error'].split())}"
    if len(unsupported) > _NAMED:
        yield WARNING, f"not supported: {len(unsupported) - _NAMED} more"
    empty = [
        item
        for item in items
        if not int(item["lastclock"])
        and item["history"] != _NOT_KEPT
        and item["state"] != _UNSUPPORTED
        and not item["key_"].startswith((*_OPTIONAL, *_NEVER))
    ]
    for item in empty[:_NAMED]:
        yield WARNING, f"no data: {item['name']} ({item['key_']})"


def _failed_rules(rules: list[Record]) -> Iterator[tuple[int, str]]:
    # a rule that runs but cannot make a host or an item is supported, and has an error
    for rule in rules:
        if rule["error"] and rule["key_"].startswith("kvm."):
            yield WARNING, f"discovery fails: {rule['name']} ({rule['key_']}): {' '.join(rule['error'].split())}"
