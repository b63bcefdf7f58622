"""Write docs/alerts.md: what each alert means and what to do, for the checks, Zabbix and Prometheus: "make docs".

The meaning and the cure are those of the Zabbix triggers, which say them in the front end, too; here stands only which
check tells the same, and with which words (tests/unit/test_alerts_page.py looks that it really does), and which alert of
Prometheus (tools/prometheus_rules takes its words from here).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from check_kvm.frame.judging import all_checks
from zabbix_templates.all import templates
from zabbix_templates.model import Trigger

PAGE = Path(__file__).parents[1] / "docs" / "alerts.md"


class Alert(NamedTuple):
    """A row of the page."""

    problem: str  # as Zabbix calls it, without the VM; empty: Zabbix does not tell it
    check: str  # check_kvm_CHECK; empty: no check tells it
    words: str  # a metric of the check, or words that it prints
    meaning: str
    cure: str
    severity: str = ""  # in Zabbix; of what only Prometheus tells, the like of it
    rule: str = ""  # the alert in Prometheus; empty: none tells it, UNTOLD says why


#: problem in Zabbix: the check that tells the same, and its metric or its words
_SAME = {
    "Crashed": ("state", "crashed (panicked)"),
    "Not running though it should be": ("state", "though it should be running"),
    "Paused by an I/O error": ("state", "paused (I/O error)"),
    "Paused because its pool is full": ("state", "paused (I/O error)"),
    "Paused by a fault": ("state", "paused (watchdog)"),
    "Paused": ("state", "paused (user)"),
    "Does not get started or shut down": ("state", "brief"),
    "Does not finish a job": ("state", "job"),
    "State cannot be judged": ("state", "only a newer kvmwatch can judge"),
    "Running though it should be shut off": ("state", "though it should be shut off"),
    "QEMU does not answer": ("state", "not responding"),
    "Not everything could be read": ("pool", "could not be read"),
    "CPU utilization is high": ("cpu", "usage"),
    "CPU steal is high": ("cpu", "steal"),
    "Memory is low": ("memory", "usage"),
    "Balloon is squeezed while memory is short": ("memory", "balloon"),
    "Swapping": ("memory", "swap"),
    "Guest agent is lost": ("agent", "not connected"),
    "Guest stopped reporting its memory": ("memory", "guest stopped reporting its memory"),
    "Balloon driver answers without values": ("memory", "balloon driver answers without values"),
    "A snapshot is too old": ("snapshot", "age"),
    "Carries many snapshots": ("snapshot", "count"),
    "Read latency is high": ("disk", "read_latency"),
    "Write latency is high": ("disk", "write_latency"),
    "Flush latency is high": ("disk", "flush_latency"),
    "I/O errors": ("disk", "errors"),
    "Allocation is near its capacity": ("disk", "allocation"),
    "Errors": ("network", "errors"),
    "Drops": ("network", "drops"),
    "Link is set down": ("network", "link is set down"),
    "Cut off from the network": ("network", "its tap"),
    "File system is full": ("agent", "filesystem"),
    "File system is nearly full": ("agent", "filesystem"),
    "libvirt does not answer": ("state", "UNKNOWN"),
    "Full storage pool stops VMs": ("state", "paused (I/O error)"),
    "QEMU processes that libvirt does not know": ("process", "is not one of this libvirt's"),
    "Metadata of VMs cannot be used": ("state", "has unusable kvmwatch metadata"),
    "libvirt is slow": ("host", "latency"),
    "Hypervisor: CPU utilization is high": ("host", "cpu"),
    "Hypervisor: Memory utilization is high": ("host", "memory"),
    "Hypervisor: Huge pages utilization is high": ("host", "hugepages"),
    "Hypervisor: Swap utilization is high": ("host", "swap"),
    "Hypervisor: Load average is high": ("host", "load"),
    "Hypervisor: vCPU overcommit is high": ("host", "vcpu_overcommit"),
    "Hypervisor: Memory overcommit is high": ("host", "memory_overcommit"),
    "Pool: Inactive though it should be active": ("pool", "inactive though it should be active"),
    "Pool: Degraded or inaccessible": ("pool", "degraded"),
    "Pool: Its storage is gone": ("pool", "nothing is mounted at / its directory is gone"),
    "Pool: Storage does not answer": ("pool", "its storage does not answer"),
    "Pool: Is full": ("pool", "usage"),
    "Pool: Is nearly full": ("pool", "usage"),
    "Pool: Thin pool's data is full": ("pool", "thin_data"),
    "Pool: Thin pool's data is nearly full": ("pool", "thin_data"),
    "Pool: Thin pool's metadata is full": ("pool", "thin_metadata"),
    "Pool: Thin pool's metadata is nearly full": ("pool", "thin_metadata"),
    "Pool: Over-allocated and filling up": ("pool", "overcommit"),
    "Network: Inactive though it should be active": ("net", "inactive though it should be active"),
    "Network: Bridge is down or gone": ("net", "its bridge"),
    "Network: dnsmasq has ended": ("net", "its dnsmasq"),
}
_ONLY_CHECKS = (
    Alert("", "disk", "block_job", "A copy or commit of the disk (virsh blockcopy, blockcommit) has not come to its end: it is slow, "
          "or it is done and waits to be ended. Until then the VM writes to two images, and cannot be migrated.",
          "virsh blockjob NAME DISK shows it; at 100 % end it with --pivot, or with --abort."),
    Alert("", "state", "expected on", "The VM runs on another hypervisor than `expect-host` in its metadata or in the file of --config says.",
          "migrate it back, or correct what it says."),
    Alert("", "process", "claims the UUID of", "A process calls itself a VM's QEMU, and libvirt did not start it. Its figures are "
          "not shown as the VM's. It may write to the VM's disks.",
          "see who started it, and what (ps -fp PID); end it when nobody needs it."),
    Alert("", "process", "has no QEMU process that could be found", "A VM runs, and the process of libvirt's pid file is not "
          "its QEMU, or cannot be seen: nothing can be measured of it.",
          "the reason stands behind it; run the check where libvirt runs, as a user that sees its processes."),
    Alert("", "process", "files_usage", "A QEMU process has nearly as many files and sockets open as it may. At its limit it takes no "
          "new disk or interface, and backups and migrations of the VM fail.",
          "raise `max_files` in qemu.conf, which counts at the next start of the VM; `prlimit --nofile=N:N --pid PID` raises it now."),
)  # fmt: skip
#: problem in Zabbix: the alert in Prometheus, of what its rule finds in the figures; else it is that of the check's verdict
_RULES = {
    "libvirt does not answer": "KvmUnreadable",
    "Gone from this hypervisor": "KvmVmGone",
    "Guest agent is lost": "KvmAgentLost",
    "A snapshot is too old": "KvmSnapshotOld",
    "Carries many snapshots": "KvmSnapshots",
    "Pool: Will be full soon": "KvmPoolFullSoon",
    "Uplink: No link": "KvmUplinkDown",
}
#: what no rule of Prometheus tells, by problem in Zabbix or words of the check, and why
UNTOLD = {
    **dict.fromkeys(
        ("Restarted", "Rebooted inside", "Moved to another hypervisor", "Hypervisor restarted",
         "libvirt is of another version", "Hypervisor is of another version", "kvmwatch is of another version"),
        "a notice: nothing has to be done",
    ),
    **dict.fromkeys(("No data", "No data of its own", "kvmwatch is too old for this template"), "of Zabbix's own ways"),
    **dict.fromkeys(
        ("filesystem", "File system will be full soon"), "kvmwatch export does not ask the guest agent for file systems"
    ),
    **dict.fromkeys(
        ("is not one of this libvirt's", "claims the UUID of", "has no QEMU process that could be found",
         "files_usage"),
        "kvmwatch export does not tell what check_kvm_process says",
    ),
}  # fmt: skip
_ONLY_RULES = (
    Alert("", "", "", "The exporter on the hypervisor cannot be scraped: it, or the hypervisor, is down. What was wrong with its VMs is "
          "held for a day.",
          "ping the hypervisor; there systemctl status kvmwatch-exporter, and journalctl -u kvmwatch-exporter.", "HIGH", "KvmExporterDown"),
    Alert("", "", "", "Nothing has written the file for node_exporter for 5 minutes: its figures are old.",
          "on the hypervisor systemctl status kvmwatch-textfile.timer, and journalctl -u kvmwatch-textfile.", "HIGH", "KvmStale"),
    Alert("", "", "", "Prometheus got figures of the hypervisor within the last day, and gets none now: node_exporter is not scraped or "
          "cannot read the file (then node_textfile_scrape_error is 1), or the file or the target was removed. Told for a day.",
          "nothing, if the hypervisor was taken out of service; else look at node_exporter there.", "HIGH", "KvmMissing"),
    Alert("", "", "", "Prometheus has had no figures of any hypervisor for a day.",
          "see that it scrapes kvmwatch-exporter, or node_exporter with kvmwatch.prom.", "HIGH", "KvmAbsent"),
)  # fmt: skip
_HEAD = """# What each alert means, and what to do

Made by `make docs` from the triggers and the checks; do not edit.

A check names what is wrong in its first line, the worst first: `KVM_STATE CRITICAL - crash1 crashed (panicked)`.
A metric comes with the threshold that it missed: `KVM_CPU WARNING - web1 steal 12 % (over 10)`. In Zabbix the
problem's name says which VM, disk or interface, and its description what stands here. An alert of
[Prometheus](exporters.md#alerts) names the VM and the check. NAME is the VM.

How to change a threshold: [for the checks](thresholds.md), [in Zabbix](zabbix.md#tune). When a line says UNKNOWN:
[troubleshooting](troubleshooting.md).
"""
_OF_HYPERVISOR = (
    "Hypervisor",
    "libvirt",
    "No data",
    "Not everything",
    "kvmwatch is",
    "Metadata",
    "QEMU processes",
    "Full storage pool",
)
_VERDICTS = tuple(check.name for check in all_checks() if check.by_default)


def render() -> str:
    """Give the page as Markdown."""
    sections: dict[str, list[Alert]] = {}
    linked: set[str] = set()
    for alert in alerts():
        sections.setdefault(_section(alert), []).append(alert)
    parts = [_HEAD]
    for title, rows in sections.items():
        parts.append(
            f"\n## {title}\n\n| the check says | the problem in Zabbix | in Prometheus | it means | do |\n|---|---|---|---|---|\n"
        )
        parts.extend(
            f"| {_said(alert)} | {alert.problem.removeprefix('Hypervisor: ')} | {_linked(alert, linked)} "
            f"| {alert.meaning} | {alert.cure} |\n"
            for alert in rows
        )
    return "".join(parts)


def alerts() -> Iterator[Alert]:
    """Every alert there is, once."""
    told = set()
    guest, hypervisor, *_ = templates()
    for template in (guest, hypervisor):
        found = [*template.triggers, *(trigger for rule in template.rules for trigger in rule.triggers)]
        for trigger in found:
            problem = _problem(trigger, of_hypervisor=template is hypervisor)
            if problem not in told:
                told.add(problem)
                check, words = _SAME.get(problem.removesuffix(" (severe)"), ("", ""))
                rule = _RULES.get(problem) or _of_verdict(check)
                yield Alert(problem, check, words, trigger.meaning, trigger.cure, trigger.severity, rule)
    yield from (alert._replace(rule=_of_verdict(alert.check)) for alert in _ONLY_CHECKS)
    yield from _ONLY_RULES


def of_check(check: str) -> str:
    """The alert in Prometheus that tells what a check says."""
    return f"Kvm{check.capitalize()}"


def _of_verdict(check: str) -> str:
    return of_check(check) if check in _VERDICTS else ""


def _problem(trigger: Trigger, of_hypervisor: bool) -> str:
    name = re.sub(r"^VM( \{#VM\.LABEL\})?: ", "", trigger.name)
    name = re.sub(r"^(Disk|Interface) (\{#[A-Z.]+\} ?)+: ", "", name)
    name = re.sub(r"^File system \{#[A-Z.]+\}: (.)", lambda found: f"File system {found[1].lower()}", name)
    name = re.sub(r"^(Pool|Network|Uplink) \{#[A-Z.]+\}: ", r"\1: ", name)
    name = re.sub(r"^KVM: ", "", name)
    ambiguous = (
        of_hypervisor and re.search(r"utilization|overcommit|Load", name) and trigger.name.startswith("KVM: ")
    )
    return f"Hypervisor: {name}" if ambiguous else name


def _section(alert: Alert) -> str:
    if alert.check in ("disk", "network") or alert.problem.startswith(("File system", "Allocation")):
        return "Disks, interfaces and file systems of a VM"
    if alert.problem.startswith(("Pool", "Network", "Uplink")):
        return "Storage pools, networks and what carries them"
    if alert.problem.startswith(_OF_HYPERVISOR) or alert in _ONLY_RULES:
        return "The hypervisor"
    return "A VM"


def _said(alert: Alert) -> str:
    return f"`check_kvm_{alert.check}`: {alert.words}" if alert.check else ""


def _linked(alert: Alert, linked: set[str]) -> str:
    """The alert's name; where it stands first on the page, it is what its runbook_url leads to."""
    if not alert.rule or alert.rule in linked:
        return alert.rule
    linked.add(alert.rule)
    return f'<a id="{alert.rule.lower()}"></a>{alert.rule}'


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
