"""Every check is a plugin as the Monitoring Plugins guidelines have it, whatever its VMs are called, and how many."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import Any

import libvirt
import pytest
from commands import CHECKS, EXAMPLE_URI, Command
from conformance import conforming
from testdriver import node

RUNS = "within"

HOSTILE = (
    *("a|b", "a'b", "a=b", 'a"b', "a;b", "100%", "a b  c", " lead", "trail ", "-d", "re:x", "*", "[x]"),
    *("Büro", "日本", "a.b.c", "$(id)", "`id`", "a\\b", "web1!x", "$USER1$", "é" * 60),
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("hostile") / "node.xml"
    file.write_text(node(HOSTILE, states=7), encoding="utf-8")
    return f"test://{file}"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A hypervisor with many VMs: its URI, and a connection."""
    file = tmp_path_factory.mktemp("many") / "node.xml"
    file.write_text(node((f"customer-{number:03}" for number in range(200)), states=7), encoding="utf-8")
    return f"test://{file}", libvirt.openReadOnly(f"test://{file}")


@pytest.fixture
def many(crowded: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of many VMs, to which all have one connection: the test driver makes them anew for each."""
    uri, connection = crowded
    really = libvirt.openReadOnly
    monkeypatch.setattr(libvirt, "openReadOnly", lambda to: connection if to == uri else really(to))
    return uri


@pytest.mark.parametrize("check", CHECKS)
def test_hostile_names(in_process: Command, hostile: str, check: str) -> None:
    for more in ((), ("-v",), ("-vv",)):
        ran = in_process(f"check_kvm_{check}", "-u", hostile, *more)
        conforming(ran.out, ran.code)
        assert ran.err == ""


@pytest.mark.parametrize("check", CHECKS)
def test_hundreds_of_vms_fit(in_process: Command, many: str, check: str) -> None:
    for style, limit in (("full", 8192), ("full", 1024), ("summary", 8192), ("none", 1024)):
        ran = in_process(f"check_kvm_{check}", "-u", many, "-v", "--perfdata", style, "--max-output", str(limit))
        output = conforming(ran.out, ran.code, limit)
        assert not output.perfdata or style != "none"
        if check in ("state", "disk", "network"):
            assert output.lines[-1].startswith("... and "), "what was cut is said"


@pytest.mark.parametrize("check", CHECKS)
def test_what_a_check_does_grows_with_the_vms_and_not_with_their_square(
    in_process: Command, tmp_path: Path, check: str
) -> None:
    done: list[int] = []

    def count(_frame: object, event: str, _of: object) -> None:
        done[-1] += event == "call"

    for vms in (20, 200):
        file = tmp_path / f"{vms}.xml"
        file.write_text(node((f"vm{number}" for number in range(vms)), states=7), encoding="utf-8")
        done.append(0)
        threading.setprofile(count)
        sys.setprofile(count)
        try:
            ran = in_process(f"check_kvm_{check}", "-u", f"test://{file}", "-v")
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
        conforming(ran.out, ran.code)
    few, many = done
    assert many < 11 * few, "calls of Python functions with 20 VMs and with 200"


def test_perfdata_that_does_not_fit_is_summed_up_and_that_is_said(in_process: Command, many: str) -> None:
    ran = in_process("check_kvm_network", "-u", many)
    output = conforming(ran.out, ran.code)
    assert {"rx.max", "rx.sum"} <= output.perfdata.keys()
    assert "perfdata of " in output.lines[0]
    assert "values is summed up: it does not fit into 8192 bytes" in output.lines[0]
    whole = in_process("check_kvm_network", "-u", many, "--max-output", "1000000")
    assert len(conforming(whole.out, whole.code, 1000000).perfdata) > 600


@pytest.mark.parametrize("check", CHECKS)
def test_help_and_version(command: Command, check: str) -> None:
    for option, wanted in (("-h", "metrics of -w and -c:"), ("-V", "kvmwatch ")):
        ran = command(f"check_kvm_{check}", option)
        assert (ran.code, ran.err) == (0, "")
        assert wanted in ran.out


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "arguments",
    [
        *(("-w", "nonsense=1"), ("-c", "1:2:3"), ("-t", "0"), ("--perfdata", "some"), ("--max-output", "10")),
        *(("-d", ""), ("--config", "/nonexistent"), ("--no-such-option",), ("-u", "nonsense")),
        *(("-u", "test://[::1/x"), ("-u", "qemu+ssh://root@host:99999/system")),
    ],
)
def test_bad_input_is_unknown_in_one_line(in_process: Command, check: str, arguments: tuple[str, ...]) -> None:
    ran = in_process(f"check_kvm_{check}", "-u", EXAMPLE_URI, *arguments)
    assert ran.code == 3
    assert ran.err == ""
    first, _, usage = ran.out.partition("\n")
    conforming(first + "\n", 3)
    assert usage == "" or usage.startswith("usage: ")


def test_precedence_of_thresholds(command: Command, tmp_path: Path) -> None:
    """Defaults < [defaults] < -w/-c < [domain PATTERN] < metadata (web1's own are 40 and 60)."""
    file = tmp_path / "site.ini"
    file.write_text(
        "[defaults]\ncpu.usage.warning = 20\n"
        "[domain db*]\ncpu.usage.warning = 99\ncpu.usage.critical =\n"
        "[domain web1]\ncpu.usage.warning = 1\n"
    )
    check = ("check_kvm_cpu", "-u", EXAMPLE_URI, "--config", str(file))
    # the test driver's clock gives each VM one CPU
    out = command(*check).out
    assert re.search(r"'db1.usage'=2[45][.0-9]*%;99;;0", out), out
    assert re.search(r"'web1.usage'=(49|50)[.0-9]*%;40;60;0", out), out
    assert re.search(r"%3B ok.usage'=(99|100)[.0-9]*%;20;95;0", out), out
    assert re.search(r"%3B ok.usage'=(99|100)[.0-9]*%;30;95;0", command(*check, "-w", "30").out)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[domain web1]\nexpect = up\n", "expect = up: use running, shutoff, paused, any"),
        ("[domain web1]\nignore = maybe\n", "ignore = maybe: use yes or no"),
        ("[defaults]\nusage = 5\n", "use CHECK.METRIC.warning or CHECK.METRIC.critical = RANGE"),
        ("[web1]\n", "use [defaults] or [domain PATTERN]"),
        ("nonsense\n", "File contains no section headers"),
        ("[defaults]\ncpu.heat.warning = 5\n", "unknown metric 'heat'; there are usage, steal"),
        ("[defaults]\ncpu.usage.warning = x\n", "bad range 'x'"),
        (
            "[defaults]\ncpuu.usage.warning = 5\n",
            "[defaults]: cpuu.usage: unknown check 'cpuu'; there are agent, cpu",
        ),
        (
            "[domain web*]\ndisk.heat.warning = 5\n",
            "[domain web*]: disk.heat: unknown metric 'heat'; there are read",
        ),
        ("[domain re:(]\n", "[domain re:(]: bad regular expression '('"),
        ("[domain ]\n", "[domain ]: an empty domain pattern"),
        ("[domain web1]\nexpect-host =\n", "[domain web1]: expect-host names no host"),
        ("[domain web1] # see ticket [4711]\nignore = yes\n", "File contains no section headers"),
        ("[domain web1] ; must run\nexpect = running\n", "File contains no section headers"),
        ("[defaults]\n[domain web1] # ticket\nignore = yes\n", "parsing errors"),
        ("[defaults]\n[domain web1] # a = b\nignore = yes\n", "[defaults]: "),
    ],
)
def test_bad_configuration_file(in_process: Command, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "site.ini"
    file.write_text(text)
    ran = in_process("check_kvm_cpu", "-u", EXAMPLE_URI, "--config", str(file))
    assert ran.code == 3
    assert said in ran.first
    assert str(file) in ran.first


@pytest.mark.parametrize("section", ["domain re:^[a-z]eb[0-9]$", "domain web[1]", "domain web1]", "domain  web1 "])
def test_brackets_in_a_pattern(in_process: Command, tmp_path: Path, section: str) -> None:
    file = tmp_path / "site.ini"
    file.write_text(f"\ufeff[{section}]  \nexpect = running\n", encoding="utf-8")  # as an editor of Windows has it
    ran = in_process("check_kvm_state", "-u", EXAMPLE_URI, "--config", str(file))
    assert "UNKNOWN" not in ran.first


def test_a_drivers_error_is_cut(in_process: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_uri: str) -> Any:
        raise libvirt.libvirtError("x" * 100_000)

    monkeypatch.setattr(libvirt, "openReadOnly", fail)
    ran = in_process("check_kvm_state", "-u", EXAMPLE_URI)
    conforming(ran.out, ran.code)
    assert (ran.code, len(ran.out) < 2000) == (3, True)
