"""Every command on libvirt's test driver: what a user sees, without root and without a daemon."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path

import pytest
import testdriver
from check_kvm.frame.judging import all_checks
from commands import CHECKS, EXAMPLE_URI, KINDS, LOCAL_CHECKS, LOCAL_KINDS, Command, Ran
from conformance import conforming

RUNS = "within"

DEFAULT_URI = "test:///default"
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


#: % of two vCPUs that the test driver's clock gives, by our own, which on a busy machine is read a little later
HALF = pytest.approx(50, abs=4)


def usage(ran: Ran) -> float:
    """The first CPU usage that is told, in %."""
    found = re.search(r" usage ([0-9]+) %", ran.first)
    assert found, ran
    return float(found[1])


@pytest.fixture
def empty_uri(tmp_path: Path) -> str:
    file = tmp_path / "empty.xml"
    file.write_text("<node/>")
    return f"test://{file}"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("uri", [DEFAULT_URI, EXAMPLE_URI])
def test_check_gives_one_status_line_that_equals_its_exit_code(
    in_process: Command, started: Command, check: str, uri: str
) -> None:
    ran = (started if uri == EXAMPLE_URI else in_process)(f"check_kvm_{check}", "-u", uri)
    conforming(ran.out, ran.code)
    assert ran.first.startswith(f"KVM_{check.upper()} ")
    assert ran.err == ""


def test_states_of_the_example(command: Command) -> None:
    ran = command("check_kvm_state", "-u", EXAMPLE_URI, "-v")
    assert ran.code == 2
    assert ran.first.startswith(
        "KVM_STATE CRITICAL - crashed1 crashed; must-run shut off though it should be running (its metadata); "
        "paused1 paused; 3 running, 1 paused, 2 shut off, 1 crashed, 1 suspended, 1 left alone | "
    )
    assert "leave-me-alone" not in ran.out
    assert "[OK] off1 shut off" in ran.out


def test_thresholds_of_the_domain_itself(command: Command) -> None:
    # the test driver's clock gives web1 one CPU of two: 50 %, over its own warning at 40
    ran = command("check_kvm_cpu", "-u", EXAMPLE_URI, "-d", "web1", "-w", "90", "-c", "95")
    assert ran.code == 1
    assert usage(ran) == HALF
    assert " % (over 40 %)" in ran.first
    assert " usage=" in ran.first
    assert ";40;60;0" in ran.first


def test_first_run_already_has_rates(command: Command) -> None:
    assert usage(command("check_kvm_cpu", "-u", DEFAULT_URI)) == HALF


def test_next_run_uses_the_stored_counters(command: Command, tmp_path: Path) -> None:
    command("check_kvm_cpu", "-u", DEFAULT_URI)
    (file,) = (tmp_path / "state").iterdir()
    stored = json.loads(file.read_text())
    for sample in stored["samples"].values():  # as if taken 100 s earlier, with 50 s less of CPU time
        sample[0] -= 100
        sample[2] = {name: value - 50 for name, value in sample[2].items()}
    file.write_text(json.dumps(stored))
    assert usage(command("check_kvm_cpu", "-u", DEFAULT_URI)) == pytest.approx(25, abs=4)


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_changed_clock_does_not_change_rates(command: Command, tmp_path: Path, seconds: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\n_time = time.time\ntime.time = lambda: _time() + {seconds}\n"
    )
    command("check_kvm_disk", "-u", EXAMPLE_URI, "-d", "web1")
    time.sleep(0.6)
    ran = command("check_kvm_disk", "-u", EXAMPLE_URI, "-d", "web1", env={"PYTHONPATH": str(tmp_path)})
    iops = re.search(r"'vda.read_iops'=([0-9.]+)", ran.first)
    assert iops
    assert float(iops[1]) == pytest.approx(100_000, rel=0.05)  # the test driver's constant rate


def test_wrong_thresholds_and_metrics_are_unknown_with_a_usage_line(command: Command) -> None:
    for arguments in (
        ["-w", "x"],
        ["-c", "heat=1"],
        ["-w", "5:1"],
        ["--nope"],
        ["-t", "0"],
        ["-d", "re:("],
        ["-w", "a|b=c"],
    ):
        ran = command("check_kvm_cpu", "-u", DEFAULT_URI, *arguments)
        assert ran.code == 3, arguments
        assert ran.first.startswith("KVM_CPU UNKNOWN - "), ran.out
        assert "\nusage: check_kvm_cpu" in ran.out
        assert "|" not in ran.first, "what the user typed is not mistaken for perfdata"
        assert ran.err == ""


def test_zabbix_bad_options(command: Command) -> None:
    for arguments, usage in (
        (["nope"], "zabbix_kvm"),
        ([], "zabbix_kvm"),
        (["discover"], "zabbix_kvm discover"),
        (["discover", "cars"], "zabbix_kvm discover"),
        (["collect", "--nope"], "zabbix_kvm collect"),
        (["collect", "-t", "x"], "zabbix_kvm collect"),
    ):
        ran = command("zabbix_kvm", *arguments)
        assert (ran.code, ran.out) == (3, ""), arguments
        assert f"\nusage: {usage} [-h]" in ran.err, arguments
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("subcommand", ["provision", "verify"])
def test_zabbix_credentials_do_not_go_in_clear(command: Command, subcommand: str) -> None:
    env = {"ZABBIX_URL": "http://zabbix.example.com/zabbix", "ZABBIX_TOKEN": "secret"}
    ran = command("zabbix_kvm", subcommand, env=env)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "zabbix_kvm: http://zabbix.example.com/zabbix: everybody on the way could read the credentials; "
        "use https://, or give --allow-http\n"
    )


def test_pattern_that_matches_nothing_is_unknown_and_the_rest_is_judged(command: Command) -> None:
    ran = command("check_kvm_state", "-u", EXAMPLE_URI, "-d", "web9", "-d", "web1")
    assert ran.code == 3
    assert "no domain matches -d web9" in ran.first
    assert "1 running" in ran.first
    worse = command("check_kvm_state", "-u", EXAMPLE_URI, "-d", "web9", "-d", "crashed1")
    alone = command("check_kvm_state", "-u", EXAMPLE_URI, "-d", "web9")
    assert alone.code == 3
    assert "gone or moved: no domain matches -d web9" in alone.first
    assert worse.code == 2, "what is surely wrong comes before what cannot be told"


def test_exclude(command: Command) -> None:
    ran = command("check_kvm_state", "-u", EXAMPLE_URI, "-x", "re:crash|must|pause")
    assert (ran.code, ran.first.split(" | ")[0]) == (
        0,
        "KVM_STATE OK - 3 running, 1 shut off, 1 suspended, 1 left alone",
    )


def test_count_thresholds(command: Command) -> None:
    ran = command("check_kvm_state", "-u", DEFAULT_URI, "-c", "2:")
    assert ran.code == 2
    assert ran.first.startswith("KVM_STATE CRITICAL - running 1 (under 2); 1 running | ")


def test_pools_are_selected_by_name(command: Command) -> None:
    ran = command("check_kvm_pool", "-u", EXAMPLE_URI, "-d", "iso*")
    assert (ran.code, "images.usage" in ran.first.replace("iso images", "iso")) == (0, False)
    assert command("check_kvm_pool", "-u", EXAMPLE_URI, "-d", "nope").code == 3


def test_networks_are_selected_by_name_and_their_bridges_are_not_looked_for_on_this_machine(
    in_process: Command,
) -> None:
    ran = in_process("check_kvm_net", "-u", EXAMPLE_URI, "-d", "def*")
    assert (ran.code, ran.first.split(" | ")[0]) == (0, "KVM_NET OK - default active")
    assert in_process("check_kvm_net", "-u", EXAMPLE_URI, "-d", "nope").code == 3
    assert in_process("check_kvm_net", "-u", EXAMPLE_URI, "-x", "default").first == "KVM_NET OK - no networks"
    assert "its tap" not in in_process("check_kvm_network", "-u", EXAMPLE_URI, "-v").out


@pytest.mark.parametrize("check", CHECKS)
def test_hypervisor_without_domains(in_process: Command, check: str, empty_uri: str) -> None:
    ran = in_process(f"check_kvm_{check}", "-u", empty_uri)
    # what is of this machine is not to be seen, nor are CPU and memory of a host that the driver makes up
    assert (ran.code, ran.err) == (3 if check in (*LOCAL_CHECKS, "host") else 0, ""), ran.out
    if check not in (*LOCAL_CHECKS, "host", "net", "pool"):
        assert f"libvirt lists no VMs here ({empty_uri})" in ran.first
    if check == "state":
        assert "no VMs are left by -d and -x" in in_process("check_kvm_state", "-u", empty_uri, "-x", "web1").first


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LOCAL_KINDS])
@pytest.mark.parametrize("uri", [DEFAULT_URI, EXAMPLE_URI])
def test_discovery_rows_have_the_same_macros(command: Command, kind: str, uri: str) -> None:
    ran = command("zabbix_kvm", "discover", kind, "-u", uri)
    rows = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert len({tuple(row) for row in rows}) <= 1
    assert all(re.fullmatch(r"\{#[A-Z.]+\}", macro) for row in rows for macro in row)
    if kind != "filesystems":
        assert rows
    if uri == EXAMPLE_URI:
        assert "leave-me-alone" not in ran.out


def test_filesystems_are_asked_of_agents_only_on_request(command: Command) -> None:
    assert command("zabbix_kvm", "discover", "filesystems", "-u", DEFAULT_URI).out == "[]\n"


def test_discovery_on_a_hypervisor_without_anything(command: Command, empty_uri: str) -> None:
    for kind in (kind for kind in KINDS if kind not in LOCAL_KINDS):
        assert command("zabbix_kvm", "discover", kind, "-u", empty_uri).out == "[]\n"


@pytest.mark.parametrize("kind", LOCAL_KINDS)
def test_what_cannot_be_seen_from_here_is_no_empty_list(command: Command, kind: str) -> None:
    ran = command("zabbix_kvm", "discover", kind, "-u", EXAMPLE_URI)
    assert (ran.code, ran.out) == (3, "")
    assert "not to be seen from here; run this on the hypervisor itself" in ran.err


def test_master_item_names_every_domain_once_and_no_value_is_null(command: Command) -> None:
    document = json.loads(command("zabbix_kvm", "collect", "-u", EXAMPLE_URI).out)
    assert len({domain["uuid"] for domain in document["domains"]}) == len(document["domains"]) == 9
    assert "null" not in json.dumps(document)
    assert document["discovery"].keys() == {"domains", "pools", "networks"}
    odd = next(domain for domain in document["domains"] if domain["name"].startswith("Büro"))
    assert (odd["state"], odd["expected"]) == (1, "any")


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("test:///no/such/file.xml", "no such test driver file"),
        ("nonsense", "is not a libvirt URI"),
        ("qemu+unix:///system?socket=/no/such/socket", "libvirt is not running"),
        ("qemu+tcp://127.0.0.1:1/system", "check the host and port"),
    ],
)
def test_unreachable_hypervisors_are_unknown_with_one_line(command: Command, uri: str, says: str) -> None:
    for name, arguments in (("check_kvm_state", ()), ("check_kvm_cpu", ()), ("zabbix_kvm", ("collect",))):
        ran = command(name, *arguments, "-u", uri)
        text = ran.out + ran.err
        assert ran.code == 3
        assert says in text
        assert text.count("\n") == 1, text
        assert ran.err == "" or name == "zabbix_kvm"


def test_damaged_test_driver_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.xml"
    file.write_text("<node><domain>")
    ran = command("check_kvm_state", "-u", f"test://{file}")
    assert (ran.code, ran.err, ran.out.count("\n")) == (3, "", 1)


def test_traceback_only_on_request(command: Command) -> None:
    assert "Traceback" not in command("check_kvm_state", "-u", "nonsense", "-v").out
    assert "Traceback" in command("check_kvm_state", "-u", "nonsense", "-vv").out


def test_environment_names_the_hypervisor(command: Command) -> None:
    ran = command("check_kvm_state", env={"LIBVIRT_DEFAULT_URI": DEFAULT_URI})
    assert ran.first.startswith("KVM_STATE OK - test running, without autostart | ")


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_names_are_printed_as_utf8_in_any_locale(command: Command, locale: str) -> None:
    for name, arguments in (("check_kvm_state", ("-v",)), ("zabbix_kvm", ("discover", "domains"))):
        ran = command(name, *arguments, "-u", EXAMPLE_URI, env={"LC_ALL": locale, "LANG": locale})
        assert "Büro VM" in ran.out


@pytest.mark.parametrize("name", ["check_kvm_state", "kvmwatch", "nagios_kvm", "zabbix_kvm"])
def test_without_a_binding_of_libvirt_it_is_unknown_in_one_line(
    command: Command, tmp_path: Path, name: str
) -> None:
    """As after an upgrade of Python: Python's own code 1 would be WARNING."""
    (tmp_path / "libvirt.py").write_text("raise ImportError('libvirt.so.0: cannot open shared object file')")
    ran = command(name, "-h", env={"PYTHONPATH": str(tmp_path)})
    said, nothing = (ran.out, ran.err) if name.startswith("check_") else (ran.err, ran.out)
    assert (ran.code, nothing) == (3, "")
    begins = "KVM_STATE UNKNOWN - " if name.startswith("check_") else f"{name}: "
    assert re.fullmatch(f"{begins}.*: cannot open shared object file; install python3-libvirt .*\n", said)


#: every subcommand, every way to end, and every kind of error
FORKED = (
    ("check_kvm_state", "-u", EXAMPLE_URI, "-v"),
    ("check_kvm_cpu", "-w", "nonsense"),
    ("check_kvm_host", "-h"),
    ("check_kvm_pool", "-V"),
    ("kvmwatch",),
    ("kvmwatch", "list", "-o", "nope"),
    ("kvmwatch", "list", "-o", "name,state,memory,expected", "-u", EXAMPLE_URI),
    ("kvmwatch", "show", "off1", "-u", EXAMPLE_URI),
    ("nagios_kvm", "config", "--format", "icinga2", "--host", "kvm1", "-u", EXAMPLE_URI),
    ("nagios_kvm", "publish", "--host", "kvm1", "--check", "net", "-u", EXAMPLE_URI, "--to", "/nonexistent"),
    ("zabbix_kvm",),
    ("zabbix_kvm", "-h"),
    ("zabbix_kvm", "collect", "-u", EXAMPLE_URI),
    ("zabbix_kvm", "collect", "-u", "nonsense", "-vv"),
    ("zabbix_kvm", "discover", "filesystems", "-u", DEFAULT_URI),
    ("zabbix_kvm", "send", "-u", EXAMPLE_URI, "--config", "/dev/null", "--sender", "false"),
    ("zabbix_kvm", "provision", "--url", "http://localhost:1"),
    ("zabbix_kvm", "verify", "--url", "http://localhost:1"),
)


@pytest.mark.parametrize("words", FORKED, ids=" ".join)
def test_a_forked_command_and_one_within_this_process_do_as_a_started_one(
    forked: Command, within: Command, started: Command, words: tuple[str, ...]
) -> None:
    """So that what the tests of this folder see is what users get."""
    told = []
    for run in (forked, within, started):
        ran = run(*words, env={"ZABBIX_TOKEN": "t"})
        told.append((ran.code, without_clock(ran.out), without_clock(ran.err)))
    assert told[0] == told[1] == told[2]


def without_clock(text: str) -> str:
    """The test driver's counters are its clock; and errors of libraries have addresses in memory."""
    return re.sub(r"0x[0-9a-f]+|[0-9.]+(e[-+][0-9]+)?", "0", text)


@pytest.mark.parametrize("name", ["kvmwatch", "nagios_kvm", "zabbix_kvm"])
def test_help_and_version(command: Command, name: str) -> None:
    """Those of the checks are in test_conformance."""
    assert command(name, "-h").out.startswith(f"usage: {name} [-h]")
    assert command(name, "-V").out.startswith("kvmwatch ")


def test_state_directory_that_cannot_be_written(command: Command) -> None:
    """It costs the rates, which a second sample gives all the same, and not the verdict."""
    ran = command("check_kvm_cpu", "-u", DEFAULT_URI, "--state-dir", "/proc/nowhere")
    note = "counters are not kept: /proc/nowhere: No such file or directory; make it writable or give another "
    assert (ran.code, ran.first.split(" | ")[0].endswith(f"; {note}--state-dir")) == (0, True)
    assert usage(ran) == HALF
    bad = command("check_kvm_cpu", "-u", DEFAULT_URI, "--state-dir", "/proc/nowhere", "-c", "1")
    assert (bad.code, bad.first.split(" | ")[0].endswith(f"; {note}--state-dir")) == (2, True)


def test_a_uuid_selects_the_vm_that_has_it_and_none_that_is_called_so(command: Command, tmp_path: Path) -> None:
    name = "web1"
    named_so = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
    file = tmp_path / "node.xml"
    file.write_text(testdriver.node([name, named_so]))

    def names(*arguments: str) -> list[str]:
        document = json.loads(command("zabbix_kvm", "collect", "-u", f"test://{file}", *arguments).out)
        return [domain["name"] for domain in document["domains"]]

    assert names() == [named_so, name]
    for text in (named_so, named_so.upper()):
        assert names("-d", text) == [name]
        assert names("-x", text) == [named_so]
    config = tmp_path / "site.ini"
    config.write_text(f"[domain {named_so}]\nignore = yes\n")
    ran = command("check_kvm_state", "-v", "-u", f"test://{file}", "--config", str(config))
    assert f"[OK] {named_so} running" in ran.out
    assert f"[OK] {name} running" not in ran.out


def test_user_without_home_gets_rates_all_the_same(command: Command) -> None:
    ran = command("check_kvm_cpu", "-u", DEFAULT_URI, env={"KVMWATCH_STATE_DIR": "", "XDG_CACHE_HOME": "/proc/no"})
    assert ran.code == 0
    assert usage(ran) == HALF


#: of those that judge rates, what the test driver can give
RATED = [check.name for check in all_checks() if check.needs_rates and check.name not in LOCAL_CHECKS]


@pytest.mark.parametrize("check", RATED)
def test_no_rates_are_unknown_and_not_ok(command: Command, check: str) -> None:
    """Where counters cannot be kept and -t leaves no time for a second reading, no run ever has rates."""
    nowhere = {"KVMWATCH_STATE_DIR": "/proc/nowhere"}
    for _ in range(2):
        ran = command(f"check_kvm_{check}", "-u", EXAMPLE_URI, "-t", "1", env=nowhere)
        conforming(ran.out, ran.code)
        assert "no rates: -t 1 leaves no time for a second reading; counters are not kept: " in ran.out
        assert ran.code >= 2
    enough = command(f"check_kvm_{check}", "-u", EXAMPLE_URI, env=nowhere)
    assert "no rates" not in enough.out


def test_timings_on_request(command: Command) -> None:
    ran = command("check_kvm_state", "-u", DEFAULT_URI, "-vvv")
    assert "test:///default: connected and listed in " in ran.out
    assert "1 domains read " in command("zabbix_kvm", "collect", "-u", DEFAULT_URI, "-vvv").err


@pytest.mark.parametrize("check", ["cpu", "memory", "disk", "network"])
def test_a_single_vm_that_does_not_run_is_told_so(command: Command, check: str) -> None:
    ran = command(f"check_kvm_{check}", "-u", EXAMPLE_URI, "-d", "off1")
    said, _, perfdata = ran.out.partition(" | ")
    assert (ran.code, said.rstrip()) == (0, f"KVM_{check.upper()} OK - off1 shut off")
    assert all(value.partition("=")[2].split(";")[0] == "U" for value in perfdata.split())


@pytest.mark.parametrize("check", ["cpu", "memory", "disk", "network", "agent"])
def test_perfdata_of_a_vm_stays_when_it_is_shut_off(in_process: Command, check: str, tmp_path: Path) -> None:
    """For all VMs at once and for it alone; its disks are known of its XML."""

    def labels(state: str, *arguments: str) -> list[str]:
        file = tmp_path / f"{state}.xml"
        text = testdriver.node(("web1", "web2"))
        if state == "off":
            text = text.replace("<test:runstate>1<", "<test:runstate>5<", 1)
        file.write_text(text, encoding="utf-8")
        ran = in_process(f"check_kvm_{check}", "-u", f"test://{file}", *arguments)
        assert ("web1 shut off" in ran.first) == (state == "off" and bool(arguments)), ran.first
        return re.findall(r"('[^']+'|[^ '=]+)=", ran.first.partition(" | ")[2])

    for arguments in ((), ("-d", "web1")):
        running = labels("on", *arguments)
        assert running == labels("off", *arguments)
        assert check == "agent" or running
