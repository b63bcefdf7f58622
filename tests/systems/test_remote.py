"""A Nagios elsewhere: passive results through the distribution's nsca, and as NRDP hands them on, in a real Nagios.

NRDP's own PHP is not in Debian: what stands here for it is a receiver of ours (tests/nrdp.py), which checks the documented
protocol and writes for Nagios what that one would.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Command
from hanging import api
from nagios_kvm.names import ServiceName
from nrdp import TOKEN, Receiver
from running import running
from testdriver import node
from waiting import eventually, eventually_equal

if TYPE_CHECKING:
    from nagios import Nagios

PORT = 5667
#: VMs in all states; names that a protocol of tabs, semicolons and backslashes could trip over
NAMES = ("web1", "Büro 2", "a;b", "C:\\new\\table", "tab\\tin", "x" * 60, 'it\'s "quoted"', "100% | 5", "日本")
LONG = "long" * 40  # with "KVM state " before it more than a service may have in NSCA
PASSWORD = "pass word"
NSCA = """
server_address=127.0.0.1
server_port={port}
debug=0
command_file={work}/rw/nagios.cmd
alternate_dump_file={work}/var/nsca.dump
aggregate_writes=0
append_to_file=0
max_packet_age=30
password={password}
decryption_method=16
"""
CHECKS = ("--check", "state", "--check", "cpu")


@pytest.fixture(scope="module")
def hypervisor(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("node") / "node.xml"
    file.write_text(node([*NAMES, *(f"vm{number:03}" for number in range(120))], states=7))
    return f"test://{file}"


@pytest.fixture
def nagios(kvm: Command, hypervisor: str) -> Iterator[Nagios]:
    """One that knows the services, and takes what somebody else gives it."""
    from nagios import Nagios

    made = Nagios()
    file = made.work / "objects" / "kvm1.cfg"
    ran = kvm("nagios_kvm", "config", "--format", "nagios", *on(hypervisor), *CHECKS, "--output", str(file))
    assert ran.code == 0, ran.err
    with running(made):
        yield made


@pytest.fixture
def nsca(nagios: Nagios) -> Nagios:
    """With Debian's daemon before it."""
    text = NSCA.format(work=nagios.work, port=PORT, password=PASSWORD)
    nagios.start("/usr/sbin/nsca", "-f", "-c", nagios.write("nsca.cfg", text), "--daemon")
    eventually("nsca listens", lambda: f":{PORT:04X} " in Path("/proc/net/tcp").read_text())
    return nagios


def on(uri: str) -> tuple[str, ...]:
    return ("--host", "kvm1", "-u", uri)


def settings(tmp_path: Path, password: str = PASSWORD) -> str:
    """A configuration of send_nsca."""
    file = tmp_path / "send_nsca.cfg"
    file.write_text(f"password={password}\nencryption_method=16\n")
    file.chmod(0o600)
    return str(file)


def shown(nagios: Nagios) -> dict[str, tuple[str, str, str]]:
    """Service to state, first line and further lines with whatever stands in them, of those that have a result."""
    found = nagios.services("kvm1")
    return {
        name: (one["current_state"], one["plugin_output"], unescaped(one["long_plugin_output"]))
        for name, one in found.items()
        if one["has_been_checked"] == "1" and one["check_type"] == "1"
    }


def published(kvm: Command, uri: str, spool: Path) -> dict[str, tuple[str, str, str]]:
    """What should be shown: the same results, as the check-result spool of a Nagios gets them."""
    spool.mkdir()
    ran = kvm("nagios_kvm", "publish", *on(uri), *CHECKS, "--to", str(spool))
    assert ran.code == 0, ran.err
    (file,) = spool.glob("c??????")
    blocks = re.findall(
        r"service_description=(.*)\n(?:.*\n)*?return_code=(.)\noutput=(.*)\n", file.read_text("utf-8")
    )
    found = {}
    for name, code, output in blocks:
        first, *more = unescaped(output).split("\n")
        # Nagios makes a colon of a semicolon itself
        found[name] = (code, first.split(" | ")[0].replace(";", ":"), "\n".join(more))
    return found


def unescaped(line: str) -> str:
    """Text that was brought into one line."""
    return re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], line)


def arrived_once(nagios: Nagios, total: int) -> None:
    """Every result is in Nagios's log of passive ones, and none twice."""
    log = (nagios.work / "var" / "nagios.log").read_text(encoding="utf-8")
    found = re.findall(r"PASSIVE SERVICE CHECK: kvm1;([^;]*);", log)
    assert (len(found), len(set(found))) == (total, total)
    assert "Warning:  Passive check result was received" not in log


def test_results_go_through_nsca_into_nagios(nsca: Nagios, kvm: Command, hypervisor: str, tmp_path: Path) -> None:
    wanted = published(kvm, hypervisor, tmp_path / "spool")
    to = ("--to", f"nsca://127.0.0.1:{PORT}", "--credentials", settings(tmp_path))
    ran = kvm("nagios_kvm", "publish", *on(hypervisor), *CHECKS, *to)
    assert ran.code == 0, ran.err
    assert ran.out == f"nsca://127.0.0.1:{PORT}: {len(wanted)} of {len(wanted)} results for host kvm1 sent\n"
    assert len(wanted) > 200, "more than one call of send_nsca"
    eventually_equal("Nagios shows them", lambda: set(shown(nsca)), set(wanted))
    assert {str(ServiceName("state", name)) for name in NAMES} <= wanted.keys()
    for name, (code, first, more) in shown(nsca).items():
        assert (name, code, without_figures(first)) == (name, wanted[name][0], without_figures(wanted[name][1]))
        assert more.count("\n") == wanted[name][2].count("\n"), name
    arrived_once(nsca, len(wanted))


def without_figures(text: str) -> str:
    """What is another one from run to run."""
    text = re.sub(r"for .* since first seen|first seen now", "seen", text)
    return re.sub(r"\d+(\.\d+)?( ?%| m?s\b)", "#", text)


def test_results_go_through_nrdp_into_nagios(
    nagios: Nagios, kvm: Command, hypervisor: str, tmp_path: Path
) -> None:
    wanted = published(kvm, hypervisor, tmp_path / "spool")
    token = tmp_path / "nrdp.ini"
    token.write_text(f"token = {TOKEN}\n")
    token.chmod(0o600)
    with api(Receiver(nagios.work / "spool")) as url:
        to = ("--to", f"nrdp+{url}/nrdp/", "--credentials", str(token))
        ran = kvm("nagios_kvm", "publish", *on(hypervisor), *CHECKS, *to)
    assert ran.code == 0, ran.err
    eventually_equal("Nagios shows them", lambda: set(shown(nagios)), set(wanted))
    for name, (code, first, more) in shown(nagios).items():
        assert (name, code, without_figures(first)) == (name, wanted[name][0], without_figures(wanted[name][1]))
        assert more.rstrip("\n").count("\n") == wanted[name][2].count("\n"), name


def test_what_nsca_cannot_decrypt_never_arrives(
    nsca: Nagios, kvm: Command, hypervisor: str, tmp_path: Path
) -> None:
    """The daemon does not tell the sender, at most it hangs up: that is why it says "sent". Stale services tell it."""
    publish = (
        "nagios_kvm",
        "publish",
        *on(hypervisor),
        *CHECKS,
        "--to",
        f"nsca://127.0.0.1:{PORT}",
        "--credentials",
    )
    wrong = kvm(*publish, settings(tmp_path, "another"))
    assert " took " not in wrong.out + wrong.err
    assert re.search(
        " results for host kvm1 sent|Could not send data to host|the daemon hung up", wrong.out + wrong.err
    )
    right = kvm(*publish, settings(tmp_path))
    assert right.code == 0, right.err
    (number,) = re.findall(r"(\d+) results for host kvm1 sent", right.out)
    eventually_equal("what came after it is there", lambda: len(shown(nsca)), int(number))
    arrived_once(nsca, int(number))


def test_what_nsca_does_not_take_is_told(kvm: Command, tmp_path: Path) -> None:
    file = tmp_path / "node.xml"
    file.write_text(node(["web1", LONG]))
    publish = (
        "nagios_kvm",
        "publish",
        *on(f"test://{file}"),
        "--check",
        "state",
        "--credentials",
        settings(tmp_path),
    )
    nobody = kvm(*publish, "--to", "nsca://127.0.0.1:1", "-t", "20")
    assert nobody.code == 3
    assert "Could not connect to host 127.0.0.1 on port 1" in nobody.err
    assert nobody.err.count("\n") == 1
    unnamed = kvm(*publish, "--to", "nsca://nowhere.invalid", "-t", "20")
    assert unnamed.code == 3
    assert "send_nsca: " in unnamed.err
    missing = kvm(*publish[:-1], str(tmp_path / "none.cfg"), "--to", "nsca://127.0.0.1:1")
    assert missing.code == 3
    assert f"cannot read {tmp_path}/none.cfg: No such file or directory" in missing.err


def test_a_name_that_is_too_long_does_not_keep_the_others(nsca: Nagios, kvm: Command, tmp_path: Path) -> None:
    file = tmp_path / "node.xml"
    file.write_text(node(["web1", LONG]))
    to = ("--to", f"nsca://127.0.0.1:{PORT}", "--credentials", settings(tmp_path))
    ran = kvm("nagios_kvm", "publish", *on(f"test://{file}"), "--check", "state", *to)
    assert (ran.code, ran.out) == (2, "")
    assert "2 of 3 results for host kvm1 sent; a name that is too long for NSCA" in ran.err
    assert LONG[:100] in ran.err
    eventually_equal("the others are there", lambda: set(shown(nsca)), {"KVM host", "KVM state web1"})
