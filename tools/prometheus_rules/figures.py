"""Alerts for what no verdict tells: that nothing is heard, that a VM is gone, what fills up; by the figures."""

from __future__ import annotations

from collections.abc import Iterator

from zabbix_templates import defaults

from kvmwatch.model import pool_kinds
from prometheus_rules import runbook
from prometheus_rules.model import Rule
from prometheus_rules.verdicts import HELD_FOR

#: the name of the job in packaging/prometheus/scrape.yml
JOB = "kvmwatch"
_HERE = "on (job, instance)"
_WHERE = "{{ $labels.instance }}"
_WHO = f"{{{{ $labels.domain }}}} on {_WHERE}"
#: a VM that is to be left alone has figures, and no verdicts
_WATCHED = "and on (job, instance, uuid) kvm_check_status"
_RUNS = 'and on (job, instance, uuid) kvm_domain_state{state="running"} == 1'
_FILL_UP = "|".join(sorted(name for name, kind in pool_kinds.KINDS.items() if kind.use == pool_kinds.FILLS))
OF_THOSE_THAT_FILL_UP = f'and on (job, instance, uuid) kvm_pool_info{{kind=~"{_FILL_UP}"}}'
#: what every VM has while that can be read: without it nobody knows whether it is well again
_OF_EVERY_VM = {
    "KvmSnapshotOld": "kvm_domain_snapshots",
    "KvmSnapshots": "kvm_domain_snapshots",
    "KvmAgentLost": "kvm_domain_state",
}
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


def rules() -> Iterator[Rule]:
    """All of them, the hypervisors first."""
    yield from _unheard()
    yield _gone()
    yield from map(_held, held())


def held() -> Iterator[Rule]:
    """Those that do not end while their hypervisor cannot be read."""
    yield from _of_hypervisor()
    yield from _of_domain()


def _unheard() -> Iterator[Rule]:
    no_data = runbook.macro("KVM.NODATA")
    down = f'up{{job="{JOB}"}} == 0'
    yield _rule(
        "KvmUnreadable", "kvm_up == 0", runbook.macro("KVM.UNREAD.TIME"), f"{_WHERE}: libvirt cannot be read"
    )
    yield _rule("KvmExporterDown", down, no_data, f"{_WHERE}: kvmwatch-exporter cannot be scraped")
    yield _rule(
        "KvmStale",
        f"time() - kvm_reading_timestamp_seconds > {_seconds(no_data)}",
        "",
        f"{_WHERE}: the newest figures are {{{{ $value | humanizeDuration }}}} old",
    )
    yield _rule(
        "KvmMissing",
        f"last_over_time(kvm_up[{HELD_FOR}])\nunless kvm_up\nunless {_HERE} {down}",
        no_data,
        f"{_WHERE}: no figures any more",
    )
    yield _rule(
        "KvmAbsent", f"absent(last_over_time(kvm_up[{HELD_FOR}]))", no_data, "No figures of any hypervisor"
    )


def _of_hypervisor() -> Iterator[Rule]:
    time, memory = runbook.macro("KVM.UPLINK.TIME"), runbook.macro("KVM.UPLINK.MEMORY")
    yield _rule(
        "KvmUplinkDown",
        f"(kvm_uplink_up == 0 and max_over_time(kvm_uplink_up[{memory}]) == 1)\n"
        "* on (job, instance, device) group_left (carries) kvm_uplink_info",
        time,
        f"{_WHERE}: {{{{ $labels.device }}}} has no link",
    )
    history, left = runbook.macro("KVM.FORECAST.HISTORY"), runbook.macro("KVM.POOL.TIMELEFT")
    yield _rule(
        "KvmPoolFullSoon",
        f"100 * kvm_pool_used_bytes / (kvm_pool_used_bytes + kvm_pool_available_bytes) > {runbook.macro('KVM.FORECAST.FROM')}\n"
        f"and predict_linear(kvm_pool_available_bytes[{history}], {_seconds(left)}) < 0\n"
        f"and kvm_pool_used_bytes offset {history}\n{OF_THOSE_THAT_FILL_UP}",
        runbook.macro("KVM.POOL.TIME"),
        f"{_WHERE}: pool {{{{ $labels.pool }}}} will be full within {left}",
        "the offset: nothing is forecast of something new",
    )


def _gone() -> Rule:
    gone = runbook.macro("KVM.VM.GONE.TIME")
    return _rule(
        "KvmVmGone",
        f"last_over_time(kvm_domain_autostart[{gone}]) == 1\n"
        f"and on (job, instance, uuid) last_over_time(kvm_check_status[{gone}])\n"
        f"unless on (uuid) kvm_domain_info\nand {_HERE} kvm_up == 1",
        "2m",
        f"{_WHO}: not defined there any more, nor elsewhere",
        "one that has autostart and is not to be left alone; what else its owner expects is not exported",
    )


def _of_domain() -> Iterator[Rule]:
    age, count = defaults.warning("snapshot.age"), defaults.warning("snapshot.count")
    yield _rule(
        "KvmSnapshotOld",
        f"time() - kvm_domain_oldest_snapshot_timestamp_seconds > {age}\n{_WATCHED}",
        "",
        f"{_WHO}: a snapshot is older than {defaults.period(age)}",
    )
    yield _rule(
        "KvmSnapshots", f"kvm_domain_snapshots > {count}\n{_WATCHED}", "", f"{_WHO}: more than {count} snapshots"
    )
    memory = runbook.macro("KVM.VM.AGENT.MEMORY")
    yield _rule(
        "KvmAgentLost",
        f"kvm_domain_agent_connected == 0\nand max_over_time(kvm_domain_agent_connected[{memory}]) == 1\n{_RUNS}\n{_WATCHED}",
        runbook.macro("KVM.VM.AGENT.TIME"),
        f"{_WHO}: its guest agent is lost",
    )


def _rule(name: str, expression: str, lasts: str, summary: str, comment: str = "") -> Rule:
    return Rule(name, expression, lasts, runbook.severity(name), runbook.notes(name, summary), comment)


def _held(rule: Rule) -> Rule:
    """It goes on by what was told a moment ago, as the verdicts do. The value is lost then."""
    told = (
        f'sum without (alertname, alertstate, severity) (ALERTS{{alertname="{rule.name}", alertstate="firing"}})'
    )
    arms = [f"unless {_HERE} kvm_up == 1\n  and {_HERE} last_over_time(kvm_up[{HELD_FOR}])"]
    if rule.name in _OF_EVERY_VM:
        arms.append(f"unless on (job, instance, uuid) {_OF_EVERY_VM[rule.name]}\n  {_WATCHED}")
    ors = "".join(f"\nor (\n  {told}\n  {arm}\n)" for arm in arms)
    return rule._replace(expression=f"{rule.expression}{ors}")


def _seconds(period: str) -> int:
    return int(period[:-1]) * _SECONDS[period[-1]]
