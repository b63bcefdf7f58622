"""Whatever a check finds without a threshold, a site can give another severity; each condition there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from check_kvm.frame import output, plugin, siteconfig
from check_kvm.frame.conditions import Severities
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig
from nagiosplugin import Unknown

from kvmwatch.model import states
from kvmwatch.model.errors import UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DomainStats, InterfaceStats, NetworkStats
from kvmwatch.model.policy import Policy, parse
from kvmwatch.model.snapshot import Disk, Domain, Interface, Network, Pool, Process, Snapshot, Unread

CHECKS = {check.name: check for check in all_checks()}
EVERY = [f"{check.name}.{condition.name}" for check in CHECKS.values() for condition in check.conditions]
CODES = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
NOW = 10_000.0


def vm(state: int = states.RUNNING, reason: int = 1, **more: Any) -> Domain:
    return Domain("uuid", "web1", 1, state, reason, 0, autostart=True, persistent=True)._replace(**more)


def interface(**more: Any) -> Interface:
    return Interface("52:54:00:00:00:01", "vnet0", "bridge", stats=InterfaceStats(*[0.0] * 9))._replace(**more)


def of(*domains: Domain, **more: Any) -> Snapshot:
    return Snapshot("qemu:///system", NOW, 0, domains=domains)._replace(**more)


def pool(state: int, autostart: bool = True, **more: Any) -> Snapshot:
    return of(pools=(Pool("uuid", "images", "scsi", state, True, autostart, True, **more),))


def network(active: bool, **stats: int) -> Snapshot:
    return of(networks=(Network("uuid", "default", "virbr0", active, True, True, stats=NetworkStats(**stats)),))


CASES = {
    "state.fault": of(vm(states.CRASHED, 1)),
    "state.not_running": of(vm(states.SHUTOFF, 1, id=None)),
    "state.not_shutoff": of(vm(policy=Policy(expect="shutoff"))),
    "state.held": of(vm(states.PAUSED, 1)),
    "state.not_responding": of(vm(not_responding=5.0)),
    "state.hung": of(vm(not_responding=50.0)),
    "state.wrong_host": of(vm(policy=Policy(hosts=("kvm1",))), hostname="kvm2"),
    "state.no_autostart": of(vm(autostart=False)),
    "state.transient": of(vm(persistent=False, autostart=False)),
    "agent.disconnected": of(vm(agent_connected=False)),
    "disk.error": of(vm(states.PAUSED, 5, disks=(Disk("vda", error="I/O error"),))),
    "memory.stale": of(vm(balloon_period=10, stats=DomainStats(balloon_updated=NOW - 5000))),
    "network.detached": of(vm(interfaces=(interface(detached="its tap is gone"),))),
    "network.link_down": of(vm(interfaces=(interface(link_down=True),))),
    "net.inactive": network(active=False),
    "net.bridge": network(active=True, bridge_up=0),
    "net.dnsmasq": network(active=True, bridge_up=1, dnsmasq_up=0),
    "process.stray": of(processes=(Process(1, 1, None, "stray", 0, known=False),)),
    "pool.inactive": pool(states.POOL_INACTIVE),
    "pool.degraded": pool(states.POOL_DEGRADED),
    "pool.inaccessible": pool(states.POOL_INACCESSIBLE),
    "pool.gone": pool(states.POOL_RUNNING, fault="its directory is gone"),
    "pool.not_answering": pool(states.POOL_RUNNING, answered=False),
}


class Judged(NamedTuple):
    text: str
    code: int


def judged(name: str, snapshot: Snapshot, *severities: str, config: SiteConfig = SiteConfig()) -> Judged:
    check = CHECKS[name.partition(".")[0]]
    thresholds = plugin.checked_thresholds(check, config, severity=severities)
    verdict = plugin.judged(check, config.applied(snapshot), thresholds, alone=True)
    return Judged(*output.render(check.name, verdict, output.Style("none", verbose=1)))


def told(name: str, text: str) -> str:
    """The words of the subject, whatever its state."""
    return text.rpartition("] ")[2]


def test_each_condition_has_a_case() -> None:
    missing, gone = sorted({*EVERY} - {*CASES}), sorted({*CASES} - {*EVERY})
    assert not missing, f"CASES of tests/unit/test_severities.py has no {missing}"
    assert not gone, f"CASES of tests/unit/test_severities.py has {gone}, which no check finds"


def test_the_page_has_each_with_its_severity() -> None:
    page = (Path(__file__).parents[2] / "docs" / "thresholds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z]+\.[a-z_]+`.*?) \| .* \| ([A-Z]+) \|$", page, re.MULTILINE)
    shown = {name: verdict for names, verdict in rows for name in re.findall(r"`([a-z]+\.[a-z_]+)`", names)}
    severities = {
        f"{check.name}.{condition.name}": condition.severity.upper()
        for check in CHECKS.values()
        for condition in check.conditions
    }
    assert shown == severities, "the table in docs/thresholds.md has others"


@pytest.mark.parametrize("name", CASES)
def test_its_severity_is_the_sites_to_choose(name: str, tmp_path: Path) -> None:
    check, _, condition = name.partition(".")
    (found,) = (known for known in CHECKS[check].conditions if known.name == condition)
    plain = judged(name, CASES[name])
    assert plain.code == found.state.code, plain.text
    file = tmp_path / "site.ini"
    for word, code in CODES.items():
        if found.state is Unknown and word == "ok":  # refused: see the last test
            continue
        by_option = judged(name, CASES[name], f"{condition}={word}")
        assert by_option.code == code, by_option.text
        assert told(name, by_option.text) == told(name, plain.text), "it is said all the same"
        file.write_text(f"[defaults]\n{name}.severity = {word}\n", encoding="utf-8")
        assert judged(name, CASES[name], config=siteconfig.load(str(file))) == by_option
        over = judged(name, CASES[name], f"{condition}={word}", config=siteconfig.load(str(file)))
        assert over == by_option


OF_VMS = [name for name, snapshot in CASES.items() if snapshot.domains]


@pytest.mark.parametrize("name", OF_VMS)
def test_and_its_owners(name: str, tmp_path: Path) -> None:
    condition = name.partition(".")[2]
    (domain,) = CASES[name].domains
    own = parse(f'<watch><severity condition="{name}" is="unknown"/></watch>')
    assert own.error is None
    file = tmp_path / "site.ini"
    file.write_text(f"[domain web*]\n{name}.severity = critical\n", encoding="utf-8")
    config = siteconfig.load(str(file))
    assert judged(name, CASES[name], f"{condition}=ok", config=config).code == 2
    both = CASES[name]._replace(
        domains=(domain._replace(policy=domain.policy._replace(severities=own.severities)),)
    )
    assert judged(name, both, f"{condition}=ok", config=config).code == 3
    other = CASES[name]._replace(
        domains=(domain._replace(policy=domain.policy._replace(severities=(("cpu.x", "ok"), ("x.y", "ok")))),)
    )
    assert "unusable" not in judged(name, other).text or name.startswith("state."), "one check says it"


@pytest.mark.parametrize(
    ("name", "word", "says"),
    [
        ("state.nonsense", "ok", "state.nonsense: no condition nonsense (there are fault, "),
        ("nonsense.held", "ok", "nonsense.held: no check nonsense (there are "),
        ("cpu.high", "ok", "cpu.high: no condition high (there are none)"),
        ("state.held", "fine", "state.held: severity 'fine' is none of ok, warning, critical, unknown"),
        ("state.held", "", "state.held: severity '' is none of "),
    ],
)
def test_what_is_misspelt_is_said(name: str, word: str, says: str, tmp_path: Path) -> None:
    found = judged("state.held", of(vm(policy=Policy(severities=((name, word),)))))
    assert (found.code, f"unusable kvmwatch metadata: {says}" in found.text) == (1, True), found.text
    file = tmp_path / "site.ini"
    file.write_text(f"[defaults]\n{name}.severity = {word}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="unknown"):
        siteconfig.load(str(file))


@pytest.mark.parametrize("given", ["nonsense=ok", "held=fine", "held", "=ok"])
def test_what_is_misspelt_on_the_command_line_is_an_error(given: str) -> None:
    with pytest.raises(UsageError, match=r"unknown (condition|severity)"):
        judged("state.held", of(vm()), given)


@pytest.mark.parametrize("expect", [None, "running", "any", "paused", "shutoff"])
def test_autostart_is_missed_only_where_the_vm_should_run(expect: str | None) -> None:
    domain = vm(autostart=False, policy=Policy(expect=expect))
    severities = ("no_autostart=critical", "not_shutoff=ok")
    assert judged("state.no_autostart", of(domain), *severities).code == (2 if expect in (None, "running") else 0)
    assert "without autostart" not in judged("state.x", of(vm(states.SHUTOFF, 1, autostart=False))).text


def test_whether_it_is_persistent_must_be_known_only_by_who_asked() -> None:
    domain = vm(persistent=None, unread=(Unread(Group.LISTS, "persistent", "no such luck"),))
    assert judged("state.transient", of(domain)).code == 0
    found = judged("state.transient", of(domain), "transient=warning")
    assert (found.code, "persistent could not be read: no such luck" in found.text) == (3, True)


@pytest.mark.parametrize("reason", [3, 6, 8])  # crashed, failed, daemon
@pytest.mark.parametrize("not_running", CODES)
@pytest.mark.parametrize("fault", CODES)
def test_one_that_failed_and_should_run_is_as_bad_as_the_worse(reason: int, not_running: str, fault: str) -> None:
    """Or who need not know that one is off would not be told that it crashed, which others without autostart are."""
    both = (f"not_running={not_running}", f"fault={fault}")
    domain = vm(states.SHUTOFF, reason, autostart=True)
    worst = max(CODES[not_running], CODES[fault], key=[0, 1, 3, 2].index)
    assert judged("state.fault", of(domain), *both).code == worst


def test_what_is_not_known_is_never_ok_whoever_asks_for_it(tmp_path: Path) -> None:
    conditions = [(check, found) for check in all_checks() for found in check.conditions if found.state is Unknown]
    assert conditions
    file = tmp_path / "site.ini"
    for check, found in conditions:
        with pytest.raises(UsageError, match="what is not known never is"):
            Severities("pool", (found,), (f"{found.name}=ok",))
        Severities("pool", (found,), (f"{found.name}=warning",))
        file.write_text(f"[defaults]\n{check.name}.{found.name}.severity = ok\n", encoding="utf-8")
        with pytest.raises(UsageError, match="what is not known never is"):
            siteconfig.load(str(file))  # whatever check reads it
