"""A VM on a hypervisor where it does not belong, and how long its QEMU has run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import libvirt
import pytest
from check_kvm.frame import output, placing, plugin, siteconfig
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.state import CHECK
from hanging import ALL_OVER

from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import DomainStats
from kvmwatch.model.policy import Policy, parse
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot, Unread
from kvmwatch.model.units import two_units
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

NOW = 1_000_000.0
BOUND = Policy(hosts=("kvm1", "kvm2"))


def judged(
    *domains: Domain, hostname: str | None = None, warning: tuple[str, ...] = (), alone: bool = True, **more: Any
) -> tuple[str, int]:
    snapshot = Snapshot("qemu:///system", NOW, 0, domains=domains, hostname=hostname, **more)
    thresholds = plugin.checked_thresholds(CHECK, SiteConfig(), warning)
    return output.render("state", plugin.judged(CHECK, snapshot, thresholds, alone), output.Style(verbose=1))


def vm(**more: Any) -> Domain:
    return Domain("uuid", "web1", 1, states.RUNNING, 1, 0)._replace(**more)


@pytest.mark.parametrize(
    ("hostname", "expected", "same"),
    [
        ("kvm1", "kvm1", True),
        ("KVM1.example.com", "kvm1", True),
        ("kvm1", "kvm1.example.com", True),
        ("kvm1.example.com", "kvm1.example.com.", True),
        ("kvm1.example.com", "kvm1.example.org", False),
        ("kvm1", "kvm10", False),
        ("kvm2.example.com", "kvm1", False),
    ],
)
def test_names_of_hosts(hostname: str, expected: str, same: bool) -> None:
    assert placing.is_one_of(hostname, ("other", expected)) is same


def test_a_vm_on_another_hypervisor_is_a_warning() -> None:
    text, code = judged(vm(policy=BOUND), hostname="kvm3.example.com")
    assert (code, "web1 on kvm3.example.com, expected on kvm1 or kvm2" in text) == (1, True), text
    assert judged(vm(policy=BOUND), hostname="kvm2.example.com")[1] == 0
    assert judged(vm(policy=BOUND, state=states.SHUTOFF, id=None), hostname="kvm3")[1] == 0, "it does not run"


def test_a_host_without_a_name_is_unknown_for_that_vm_alone() -> None:
    unread = (Unread(Group.HOSTNAME, "host name", "no such luck"),)
    text, code = judged(vm(policy=BOUND), vm(name="web2"), alone=False, unread=unread)
    assert (code, text.count("UNKNOWN")) == (3, 2), text
    assert "web1 expected on kvm1 or kvm2, and this host name could not be read: no such luck" in text
    assert judged(vm(), unread=unread)[1] == 0


def test_where_it_stands(tmp_path: Path) -> None:
    assert parse('<watch expect-host="kvm1, kvm2"/>') == BOUND
    assert "expect-host names no host" in (parse('<watch expect-host=" "/>').error or "")
    file = tmp_path / "site.ini"
    file.write_text("[domain web*]\nexpect-host = kvm1 kvm2\n", encoding="utf-8")
    config = siteconfig.load(str(file))
    applied = config.applied(Snapshot("", 0, 0, domains=(vm(), vm(policy=Policy(hosts=("kvm9",))))))
    assert [domain.policy.hosts for domain in applied.domains] == [("kvm1", "kvm2"), ("kvm9",)], "its own wins"


class Named:
    """A connection, of which only the name is asked."""

    def __init__(self, name: str | None) -> None:
        self._name = name

    def getHostname(self) -> str:  # noqa: N802 - libvirt's
        if self._name is None:
            ALL_OVER.wait()
            raise libvirt.libvirtError("over")
        return self._name


@pytest.mark.parametrize("name", ["kvm3", None])
def test_a_name_server_that_hangs_costs_no_verdict(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(2.0 if name is None else 60.0)
    reader = Reader("test:///default", CHECK.reads, Selection(), deadline)
    snapshot = reader.read()
    bound = snapshot._replace(domains=tuple(d._replace(policy=BOUND) for d in snapshot.domains))
    monkeypatch.setattr(reader._hypervisor, "another", lambda: Named(name))
    assert placing.with_hostname(reader, snapshot, SiteConfig(), (CHECK,)) is snapshot, "nobody needs it"
    found = placing.with_hostname(reader, bound, SiteConfig(), (CHECK,))
    assert found.hostname == name
    assert [part.group for part in found.unread] == ([] if name else [Group.HOSTNAME])


def test_nor_does_one_that_hangs_when_there_is_little_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(60.0)
    reader = Reader("test:///default", CHECK.reads, Selection(), deadline)
    snapshot = reader.read()
    bound = snapshot._replace(domains=tuple(d._replace(policy=BOUND) for d in snapshot.domains))
    monkeypatch.setattr(reader._hypervisor, "another", lambda: Named(None))
    monkeypatch.setattr(deadline, "_end", time.monotonic() + 1.0)
    assert placing.with_hostname(reader, bound, SiteConfig(), (CHECK,)).hostname is None
    assert deadline.remaining(), "the rest of the time is for telling what was read"


def test_a_threshold_on_uptime() -> None:
    young = vm(stats=DomainStats(started=NOW - 125))
    text, code = judged(young, warning=("uptime=5min:",))
    assert (code, "up 2 min 5 s (under 5 min)" in text, "uptime=125s;300:;;0" in text) == (1, True, True), text
    assert judged(young)[1] == 0
    text, code = judged(vm(), warning=("uptime=5min:",))
    assert (code, "uptime=U" in text) == (3, True), "it is not known"
    unread = (Unread(Group.STARTED, "start of the QEMU process", "the file is gone"),)
    text, code = judged(vm(unread=unread))
    assert (code, "could not" in text) == (0, False), "which nobody asked for"
    text, code = judged(vm(unread=unread), warning=("uptime=5min:",))
    assert (code, "start of the QEMU process could not be read: the file is gone" in text) == (3, True)
    off = vm(state=states.SHUTOFF, id=None)
    assert judged(off, warning=("uptime=5min:",))[1] == 0, "it has none"


def test_of_many_vms_nobody_draws_it() -> None:
    text, _ = judged(vm(stats=DomainStats(started=NOW - 90)), vm(name="web2"), alone=False)
    assert "uptime=" not in text
    assert "web1 running (booted), up 1 min 30 s" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h"), (7500, "2 h 5 min"), (273_605, "3 d 4 h")],
)
def test_the_two_largest_units(seconds: float, text: str) -> None:
    assert two_units(seconds) == text
