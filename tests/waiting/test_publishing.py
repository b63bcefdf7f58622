"""What holds for all that results are published to, and what is published."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from check_kvm.frame.output import Style
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import Verdict
from nagios_kvm import judging, services, targets
from nagios_kvm.command_file import CommandFile
from nagios_kvm.homes import own
from nagios_kvm.judging import Result
from nagios_kvm.nsca import Nsca
from nagios_kvm.spool import Spool
from nagios_kvm.turns import Turns

from kvmwatch.model.errors import DENIED, KvmwatchError, UsageError
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading.deadline import Deadline


def results(number: int = 20) -> list[Result]:
    return [Result(f"KVM state vm{vm:03}", vm % 4, f"KVM_STATE OK - vm{vm:03}") for vm in range(number)]


#: targets that take credentials, and what is in their files
TAKING = {
    "https://icinga:5665": "user = u\npassword = geheim\n",
    "nrdp+https://nagios/nrdp/": "token = geheim\n",
    "nsca://nagios": "password=geheim\nencryption_method=14\n",
}


@pytest.mark.parametrize("to", TAKING)
@pytest.mark.parametrize(
    "within",
    [
        *("{scheme}://u:geheim@{rest}", "{scheme}://u:ge@heim@{rest}", "{scheme}://geheim@{rest}"),
        *("{scheme}://{rest}?token=geheim", "{scheme}://{rest}#geheim", "{scheme}://?geheim@{rest}"),
    ],
)
def test_credentials_in_the_url_are_refused_unseen(to: str, within: str) -> None:
    scheme, _, rest = to.partition("://")
    for spelt in (scheme, scheme.upper()):
        with pytest.raises(
            UsageError, match=r"--to: no user, password or token in the URL .*; see --credentials"
        ) as refused:
            targets.find(within.format(scheme=spelt, rest=rest), "/etc/kvmwatch/icinga.ini", None)
        assert "heim" not in str(refused.value)


@pytest.mark.parametrize(("to", "text"), TAKING.items(), ids=TAKING)
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604, 0o644, 0o602, 0o777])
def test_credentials_that_everybody_can_read_are_refused(tmp_path: Path, to: str, text: str, mode: int) -> None:
    """Whoever reads the file: NSCA's is read by send_nsca."""
    file = tmp_path / "credentials"
    file.write_text(text)
    file.chmod(mode)
    refused = pytest.raises(UsageError, match=f"{file} can be read by everybody; chmod 600 it")
    with refused if mode & 0o007 else contextlib.nullcontext():
        assert targets.find(to, str(file), None)
    with pytest.raises(UsageError, match="No such file"):
        targets.find(to, str(tmp_path / "none"), None)


# a host that config has given to the VM "mine", one of another VM of that name, and one that nobody knows
TWINS = {"web1": "mine", "web2": "theirs"}
OF_VMS = [Result("KVM cpu", 2, "OK", host, "mine") for host in (*TWINS, "web3")]


def test_nothing_is_sent_for_a_host_that_another_vm_has() -> None:
    """Two hypervisors with a VM of one name each: the results of both would alternate on one service."""
    parent = Result("KVM host", 0, "OK")
    kept, (note,) = own([parent, *OF_VMS], {host: {uuid} for host, uuid in TWINS.items()})
    assert kept == [parent, OF_VMS[0], OF_VMS[2]]
    assert note.startswith("nothing is sent for web2, which is the host of another VM there: ")
    assert own([parent, *OF_VMS], {}) == ([parent, *OF_VMS], [])
    # what stands on the hypervisor's host is told apart by the names of services
    assert own([parent], {"": {"theirs"}}) == ([parent], [])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EIO, errno.ENOENT])
@pytest.mark.parametrize(
    ("call", "target", "advice", "of"),
    [
        ("nagios_kvm.spool.tempfile.mkstemp", Spool, "; add the user to its group", DENIED),
        ("nagios_kvm.command_file.os.open", CommandFile, "; add the user to its group", DENIED),
        ("nagios_kvm.nsca.programs.run", lambda _: Nsca("nsca://nagios", None), "; install nsca-client", (2,)),
    ],
    ids=["spool", "command file", "nsca"],
)
def test_advice_is_given_where_it_helps(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    call: str,
    target: Callable[[Path], targets.Target],
    advice: str,
    of: tuple[int, ...],
) -> None:
    """A full disk is not helped by rights."""
    turns = Turns(str(tmp_path / "state"), (), results(4))

    def fails(*_: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(call, fails)
    with pytest.raises(KvmwatchError) as failed:
        target(tmp_path).send("kvm1", turns, Deadline(60))
    assert str(failed.value).endswith(f": {os.strerror(number)}" + (advice if number in of else ""))


@pytest.mark.parametrize("names", [("cpu",), ("cpu", "disk", "snapshot"), ("disk", "state"), ("host", "memory")])
@pytest.mark.parametrize("metric", ["cpuu.usage", "pool.usages", "frame.x"])
def test_one_service_of_a_vm_tells_of_what_is_misspelt(names: tuple[str, ...], metric: str) -> None:
    policy = Policy(thresholds=(OwnThreshold(metric, "1", None),))
    domain = Domain("uuid", "web1", 1, 1, 1, 0, policy=policy)
    snapshot = Snapshot("qemu:///system", 0, 0, domains=(domain,))
    told_of = judging.results(snapshot, services.checks(names), SiteConfig(), Style())
    (telling,) = (result for result in told_of if metric in result.output)
    assert telling.service.endswith(" web1")
    assert telling.code
    assert "unusable kvmwatch metadata" in telling.output


def test_a_service_that_cannot_be_judged_stops_no_other() -> None:
    def judge(snapshot: Snapshot, verdict: Verdict) -> None:
        if snapshot.domains[0].name == "web2":
            raise ZeroDivisionError("qemu+tls://u:secret@kvm1 | no")

    state, cpu = (check for check in services.checks(["cpu", "state"]) if check.of_each_domain)
    odd = cpu._replace(judge=judge)
    domains = tuple(Domain(f"uuid{number}", f"web{number}", 1, 1, 1, 0) for number in range(4))
    snapshot = Snapshot("qemu:///system", 0, 0, domains=domains)
    told_of = list(judging.results(snapshot, (state, odd), SiteConfig(), Style()))
    assert len(told_of) == 8
    (failed,) = (result for result in told_of if result.code == 3)
    assert failed.service == "KVM cpu web2"
    assert failed.output == (
        "KVM_CPU UNKNOWN - internal error, please report it: ZeroDivisionError: qemu+tls://u:***@kvm1 ¦ no"
    )
