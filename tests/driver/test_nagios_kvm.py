"""nagios_kvm on libvirt's test driver: definitions, and passive results that equal the single checks'."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
from pathlib import Path

import pytest
from commands import EXAMPLE_SERVICES, EXAMPLE_URI, SET_PIPE_SIZE, Command
from nagios_kvm import nagios
from nagios_kvm.names import ServiceName
from testdriver import node

RUNS = "in_process"

HOST = ("-u", EXAMPLE_URI, "--host", "kvm1")
FORMATS = ("nagios", "icinga2", "director", "director-import")
#: checks whose values do not move with the test driver's clock
STEADY = ("state", "memory", "snapshot", "agent", "pool", "net")


def published(folder: Path) -> dict[str, tuple[int, str]]:
    """Service to exit code and output, of the one file in a spool."""
    (file,) = (path for path in folder.iterdir() if path.suffix != ".ok")
    assert len(file.name) == 7
    assert file.with_name(f"{file.name}.ok").exists()
    found = {}
    for block in file.read_text(encoding="utf-8").split("\n\n")[1:-1]:
        fields = dict(line.split("=", 1) for line in block.split("\n"))
        output = fields["output"].replace("\\n", "\n").replace("\\\\", "\\")
        found[fields["service_description"]] = (int(fields["return_code"]), output)
    return found


def test_published_results_equal_the_single_checks(command: Command, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    checks = tuple(f"--check={check}" for check in STEADY)
    ran = command("nagios_kvm", "publish", *HOST, *checks, "--to", str(spool))
    results = published(spool)
    assert ran.out == f"{spool}: {len(results)} of {len(results)} results for host kvm1 written\n", ran.err
    assert len(results) == 8 * 4 + 3, "eight VMs, one more is to be left alone"
    for service, told in results.items():
        name = ServiceName.parse(service)
        if name.check not in STEADY:  # the hypervisor's own, which is always among them
            continue
        selected = ("-d", name.domain) if name.domain else ()
        alone = command(f"check_kvm_{name.check}", "-u", EXAMPLE_URI, *selected)
        assert told == (alone.code, alone.out[:-1])


def test_each_publisher_has_counters_of_its_own(command: Command, tmp_path: Path) -> None:
    """Else each of two publishers would find those that the other has taken a moment ago, too young for a rate."""
    state = tmp_path / "state"
    for name, check in (("first", "cpu"), ("second", "cpu"), ("second", "disk")):
        (tmp_path / name).mkdir(exist_ok=True)
        ran = command(
            "nagios_kvm",
            *("publish", *HOST, f"--check={check}", "--to", str(tmp_path / name), "--state-dir", str(state)),
        )
        assert ran.code == 0, ran.err
    assert len(list(state.glob("kvm_publish-*"))) == 3


def test_unreadable_libvirt_is_one_result(command: Command, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    ran = command("nagios_kvm", "publish", "-u", "test:///nonexistent.xml", "--host", "kvm1", "--to", str(spool))
    assert (ran.code, ran.out) == (3, "")
    assert published(spool) == {"KVM host": (3, "KVM_HOST UNKNOWN - no such test driver file: /nonexistent.xml")}


#: what stops a run: options for it, what its --config has (None: no such file), and the reason that is told
STOPPED: dict[str, tuple[tuple[str, ...], str | None, str]] = {
    "no libvirt": (("-u", "test:///nonexistent.xml"), "", "no such test driver file: /nonexistent.xml"),
    "a URI that libvirt does not know": (("-u", "nonsense:///"), "", "nonsense"),
    "no file": ((), None, "cannot read {config}: No such file or directory"),
    "no INI file": ((), "cpu.usage.warning = 85", "{config}: File contains no section headers."),
    "a word that is misspelt": ((), "[defaults]\ncpu.usage.warnin = 85\n", "{config}: [defaults]: "),
    "a metric that there is not": ((), "[defaults]\ncpu.usages.warning = 85\n", "usages"),
    "a range that is none": ((), "[domain web*]\ncpu.usage.warning = 10:5\n", "{config}: [domain web*]: "),
    "an expression that is none": ((), "[domain re:(]\nignore = yes\n", "bad regular expression '('"),
    "a condition that there is not": ((), "[severity]\nstate.crash = ok\n", "{config}: [severity]: "),
}


@pytest.mark.parametrize("way", ["publish", "local"])
@pytest.mark.parametrize(("options", "config", "reason"), STOPPED.values(), ids=STOPPED)
def test_what_stops_a_run_is_one_result(
    command: Command, tmp_path: Path, way: str, options: tuple[str, ...], config: str | None, reason: str
) -> None:
    spool, file = tmp_path / "spool", tmp_path / "thresholds.ini"
    spool.mkdir()
    if config is not None:
        file.write_text(config)
    to = ("--host", "kvm1", "--to", str(spool)) if way == "publish" else ()
    ran = command("nagios_kvm", way, "-u", EXAMPLE_URI, "--config", str(file), *options, *to)
    assert ran.code == 3
    if way == "publish":
        ((service, (code, said)),) = published(spool).items()
        assert ran.out == ""
        first = ran.err.partition("\n")[0]
        assert first.removeprefix("nagios_kvm: ") == said.removeprefix("KVM_HOST UNKNOWN - ")
    else:
        (line,) = ran.out.splitlines()
        found = re.fullmatch(r'(\d) "(KVM [^"]+)" - (.*)', line)
        assert found
        code, service, said = int(found[1]), found[2], found[3]
        assert ran.err == ""
    assert (service, code) == ("KVM host", 3)
    assert said.startswith("KVM_HOST UNKNOWN - ")
    assert reason.format(config=file) in said
    assert "\n" not in said


@pytest.mark.parametrize("way", ["publish", "local"])
def test_a_mistake_of_ours_is_a_result_too(
    command: Command, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError("qemu+tls://u:secret@kvm1 | no\nmore")

    monkeypatch.setattr("nagios_kvm.cli.results", mistaken)
    spool = tmp_path / "spool"
    spool.mkdir()
    to = ("--host", "kvm1", "--to", str(spool)) if way == "publish" else ()
    ran = command("nagios_kvm", way, "-u", EXAMPLE_URI, *to, "-vv")
    told = published(spool)["KVM host"][1] if way == "publish" else ran.out
    assert "KVM_HOST UNKNOWN - internal error, please report it: ZeroDivisionError: qemu+tls://u:***@kvm1" in told
    assert ran.code == 3
    assert "Traceback" in ran.err
    assert "secret" not in told + ran.err


@pytest.mark.parametrize("way", ["publish", "local"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-d", "re:("), "bad regular expression '('"),
        (("-x", ""), "an empty domain pattern selects nothing"),
        (("--check", "heat"), "unknown check 'heat'"),
        (("--chek", "cpu"), "unrecognized arguments: --chek cpu"),
        (("-t", "soon"), "argument -t/--timeout"),
    ],
)
def test_a_wrong_option_is_for_whoever_wrote_it(
    command: Command, tmp_path: Path, way: str, options: tuple[str, ...], said: str
) -> None:
    to = ("--host", "kvm1", "--to", str(tmp_path)) if way == "publish" else ()
    ran = command("nagios_kvm", way, "-u", EXAMPLE_URI, *to, *options)
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err.partition("\n")[0]
    assert f"\nusage: nagios_kvm {way}" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_told_is_said_with_why(command: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "nagios.cmd"
    os.mkfifo(pipe)
    ran = command("nagios_kvm", "publish", *HOST, "--to", str(pipe), "--config", str(tmp_path / "none.ini"))
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        f"nagios_kvm: KVM_HOST UNKNOWN - cannot read {tmp_path}/none.ini: No such file or directory; "
        f"and that could not be told: nobody reads {pipe}: Nagios is not running\n"
    )


def test_pipe_that_nobody_empties_is_given_up_in_time(command: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "nagios.cmd"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, SET_PIPE_SIZE, 4096)
    try:
        results: list[str] = []
        begun = time.monotonic()
        while time.monotonic() - begun < 60 and not results:
            # each run leaves something in the pipe, until it is full
            ran = command("nagios_kvm", "publish", *HOST, "--to", str(pipe), "-t", "3")
            results += [ran.err] if ran.code else []
        (error,) = results
        assert re.fullmatch(
            rf"nagios_kvm: Nagios does not read {pipe}: \d+ of {EXAMPLE_SERVICES} results written\n", error
        )
        assert ran.seconds < 5
    finally:
        os.close(reader)


def test_the_next_run_begins_where_nagios_stopped_reading(command: Command, tmp_path: Path) -> None:
    pipe, spool = tmp_path / "nagios.cmd", tmp_path / "spool"
    os.mkfifo(pipe)
    spool.mkdir()
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, SET_PIPE_SIZE, 8192)
    publish = ("nagios_kvm", "publish", *HOST, "--check", "state", "--check", "memory", "--check", "cpu")
    try:
        first = command(*publish, "--to", str(pipe), "-t", "3")
        read = os.read(reader, 1 << 20).decode().splitlines()
        assert "Nagios does not read" in first.err
        command(*publish, "--to", str(pipe), "-t", "3")
        again = os.read(reader, 1 << 20).decode().splitlines()
    finally:
        os.close(reader)
    # that of the hypervisor comes first each time
    (_, *first_ones), (_, *others) = ([line.split(";")[2] for line in lines] for lines in (read, again))
    assert first_ones
    assert others[0] not in first_ones
    assert command(*publish, "--to", str(spool)).code == 0
    assert len(published(spool)) == 25


@pytest.mark.parametrize("format_", FORMATS)
def test_config_is_the_same_every_time(command: Command, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "vms"
    write = ("nagios_kvm", "config", "--format", format_, *HOST)
    printed = command(*write).out
    first = command(*write, "--output", str(file))
    assert (first.out, first.err) == (f"{file}: {EXAMPLE_SERVICES} services\n", "")
    assert file.read_text(encoding="utf-8") == printed
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert command(*write, "--output", str(file)).out == f"{file}: unchanged\n"
    assert "leave-me-alone" not in printed
    if format_ == "director":
        assert len(json.loads(printed)["ServiceSet"]["KVM VMs of kvm1"]["services"]) == EXAMPLE_SERVICES


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("vms", "left", "refused"), [(60, 0, True), (60, 20, True), (60, 40, False), (1, 0, True), (2, 1, False)]
)
def test_config_does_not_remove_most_of_what_there_was(
    command: Command, tmp_path: Path, format_: str, vms: int, left: int, refused: bool
) -> None:
    hypervisor, file = tmp_path / "hypervisor.xml", tmp_path / "vms"
    write = ("nagios_kvm", "config", "--format", format_, "--host", "kvm1", "-u", f"test://{hypervisor}")

    def run(number: int, *more: str) -> tuple[int, str]:
        hypervisor.write_text(node(f"vm{vm}" for vm in range(number)))
        ran = command(*write, "--output", str(file), *more)
        return ran.code, ran.err

    assert run(vms) == (0, "")
    before = file.read_text()
    code, said = run(left)
    assert (code, file.read_text() == before) == (3 if refused else 0, refused), said
    assert ("give --force" in said) == refused
    assert run(left, "--force") == (0, "")
    assert file.read_text() == command(*write).out


#: a file of the site's own in each format, and one that is hardly there
THEIRS = {
    "nagios": "# mine\ndefine host {\n    use        generic-host\n    host_name  important\n}\n",
    "icinga2": 'object Host "kvm1" {\n  import "generic-host"\n}\n',
    "director": '{\n  "ServiceSet": {\n    "mine": {\n      "description": "Made by me",\n      "services": {}\n    }\n  }\n}\n',
    "director-import": '[\n  {\n    "host": "important",\n    "address": "192.0.2.1"\n  }\n]\n',
}


@pytest.mark.parametrize("format_", FORMATS)
def test_config_replaces_its_own_files_and_no_others(command: Command, tmp_path: Path, format_: str) -> None:
    """What is not this hypervisor's is refused with what to do; a few entries, so nothing else would refuse it."""
    hypervisor, file = tmp_path / "hypervisor.xml", tmp_path / "vms"
    hypervisor.write_text(node(["web1", "db1"]))

    def write(*more: str, host: str = "kvm1", of: str = format_) -> tuple[int, str]:
        config = ("nagios_kvm", "config", "--format", of, "--host", host, "-u", f"test://{hypervisor}")
        ran = command(*config, "--check", "state", *more)
        return ran.code, ran.err or ran.out

    def made(host: str = "kvm1", of: str = format_) -> str:
        return write(host=host, of=of)[1]

    # of our own, an older version's, and what is as good as none
    own = made()
    older = own.replace(" --host kvm1; do not edit.", "; do not edit.")
    of_lists = format_ == "director-import"
    assert (older == own) is of_lists, "that of a list is in its rows"
    for before in (None, "", "\n \n", own, older, *(["[]\n"] if of_lists else [])):
        file.unlink(missing_ok=True)
        if before is not None:
            file.write_text(before)
        assert write("--output", str(file))[0] == 0, before
        assert file.read_text() == own

    # all others
    other_format = next(of for of in FORMATS if of != format_)
    others = "kvm1 is called kvm2 now, give --force"
    for before, host, said in (
        (THEIRS[format_], "kvm1", "nagios_kvm config did not make it; name another --output, or give --force"),
        (f"\n{own}" if not of_lists else own.replace('"hypervisor"', '"place"'), "kvm1", "did not make it"),
        (own, "kvm2", f"it is of --host kvm1; name another --output, or, if {others}"),
        (
            made(of=other_format),
            "kvm1",
            f"it is of --format {other_format}; name another --output, or give --force",
        ),
    ):
        file.write_text(before)
        code, line = write("--output", str(file), host=host)
        assert (code, line.count("\n"), file.read_text()) == (3, 1, before)
        assert line.startswith(f"nagios_kvm: {file} stays as it is: ")
        assert said in line
        assert write("--output", str(file), "--force", host=host)[0] == 0
        assert file.read_text() == made(host)


def test_a_list_of_two_hypervisors_is_not_replaced_by_one_of_one(command: Command, tmp_path: Path) -> None:
    """As the page puts them together, with jq."""
    file = tmp_path / "vms.json"
    write = ("nagios_kvm", "config", "--format", "director-import", "-u", EXAMPLE_URI)
    rows = [row for host in ("kvm1", "kvm2") for row in json.loads(command(*write, "--host", host).out)]
    file.write_text(json.dumps(rows, indent=2, ensure_ascii=False))
    ran = command(*write, "--host", "kvm1", "--output", str(file))
    assert (ran.code, json.loads(file.read_text())) == (3, rows)
    assert "it is of --host kvm2; name another --output" in ran.err


@pytest.mark.parametrize("more", [(), ("--output", "vms.cfg")], ids=["to stdout", "into a file"])
def test_groups_that_metadata_may_not_name_are_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    hypervisor, teams = tmp_path / "hypervisor.xml", tmp_path / "teams.ini"
    teams.write_text("[defaults]\nallow_metadata = team-*\n")
    metadata = '<metadata><watch xmlns="urn:kvmwatch:1" contact-groups="admins,team-web"/></metadata>'
    hypervisor.write_text(node(["web1"]).replace("</name>", f"</name>{metadata}", 1))
    config = ("nagios_kvm", "config", "--format", "nagios", "--host", "kvm1", "-u", f"test://{hypervisor}")
    ran = command(*config, "--config", str(teams), *more)
    assert ran.code == 0
    assert ran.err == "nagios_kvm: metadata of web1: admins is not in allow_metadata of --config\n"
    text = (tmp_path / "vms.cfg").read_text() if more else ran.out
    assert re.findall(r"^ +contact_groups +(.*)$", text, re.MULTILINE)[0] == "team-web"


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ("[defaults]\ncpu.usage.warning = 50\n", ("--active",), True),
        ("[domain web*]\nexpect = running\ncontact_groups = team-web\n", ("--active",), True),
        ("[domain web*]\nstate.held.severity = ok\n", ("--active",), True),
        ("[domain web*]\ncontact_groups = team-web\nignore = yes\n", ("--active",), False),
        ("[defaults]\ncpu.usage.warning = 50\n", (), False),
    ],
)
def test_a_file_that_no_check_will_read_is_told(
    command: Command, tmp_path: Path, text: str, more: tuple[str, ...], told: bool
) -> None:
    (file := tmp_path / "limits.ini").write_text(text)
    ran = command("nagios_kvm", "config", "--format", "nagios", *HOST, "--config", str(file), *more)
    assert ran.code == 0
    assert ("the checks of --active services do not read it" in ran.err) == told
    assert ran.err.count("\n") == told


def test_own_hosts_are_fed_as_they_are_defined(command: Command, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    own = ("--vm-host", "vm-{name}")
    text = command("nagios_kvm", "config", "--format", "nagios", *HOST, *own).out
    defined = nagios.ENTRY.findall(text)
    ran = command("nagios_kvm", "publish", *HOST, *own, "--to", str(spool))
    assert ran.code == 0, ran.err
    (file,) = (path for path in spool.iterdir() if path.suffix != ".ok")
    fed = re.findall(r"^host_name=(.+)\nservice_description=(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(fed) == sorted(defined)
    assert len(fed) == EXAMPLE_SERVICES
    assert ("vm-web1", "KVM cpu") in fed
    assert ("kvm1", "KVM host") in fed
    exists = command("nagios_kvm", "config", "--format", "nagios", *HOST, *own, "--vm-host-exists").out
    assert "define host {" not in exists
    assert len(nagios.ENTRY.findall(exists)) == EXAMPLE_SERVICES


def test_less_than_a_second_is_one(command: Command) -> None:
    """Icinga refuses all of a file with a check_interval of 0, Nagios takes it for any."""
    write = ("nagios_kvm", "config", *HOST, "--check", "state", "--stale-after", "0.5", "--format")
    nagios_has = re.findall(r"freshness_threshold +(.+)", command(*write, "nagios").out)
    assert set(nagios_has) == {"1"}
    assert "vars.kvm_stale_after = 1\n" in command(*write, "icinga2").out


def test_what_is_told_on_stderr_is_nothing_for_a_terminal_to_obey(command: Command, tmp_path: Path) -> None:
    hypervisor = tmp_path / "hypervisor.xml"
    metadata = '<metadata><watch xmlns="urn:kvmwatch:1" contact-groups="admins"/></metadata>'
    hypervisor.write_text(node(["a\u202eb\x9b31m"]).replace("</name>", f"</name>{metadata}", 1))
    ran = command("nagios_kvm", "config", "--format", "nagios", "--host", "kvm1", "-u", f"test://{hypervisor}")
    assert ran.err == "nagios_kvm: metadata of ab 31m: admins is not in allow_metadata of --config\n"


def test_a_rename_is_told_on_stderr(command: Command, tmp_path: Path) -> None:
    hypervisor, file = tmp_path / "hypervisor.xml", tmp_path / "vms.cfg"
    write = ("nagios_kvm", "config", "--format", "nagios", "--host", "kvm1", "-u", f"test://{hypervisor}")
    hypervisor.write_text(node(["web1", "web2"]))
    assert command(*write, "--output", str(file)).err == ""
    hypervisor.write_text(node(["web1", "web2"]).replace("<name>web2<", "<name>shop<"))
    ran = command(*write, "--output", str(file))
    assert ran.code == 0
    assert ran.err == (
        "nagios_kvm: renamed, so that its history and downtimes stay with the old name: web2 is shop now\n"
    )


def test_rejected_definitions_do_not_replace_the_old_ones(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "vms.cfg"
    write = ("nagios_kvm", "config", "--format", "nagios", *HOST, "--output", str(file))
    refused = command(*write, "--validate", "sh -c 'echo Error: no; exit 1'")
    assert refused.code == 3
    assert "is not accepted, the old one stays: " in refused.err
    assert "exits with 1: Error: no" in refused.err
    assert not file.exists()
    assert command(*write, "--validate", "true").code == 0
    assert command(*write, "-x", "web1", "--validate", "no-such-command").code == 3
    assert "web1" in file.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("config", *HOST), "the following arguments are required: --format"),
        (("config", "--format", "xml", *HOST), "invalid choice: 'xml'"),
        (
            ("config", "--format", "nagios", "-u", EXAMPLE_URI),
            "which host is it in the monitoring system? Give --host",
        ),
        (
            ("config", "--format", "nagios", *HOST, "--check", "heat"),
            "unknown check 'heat'; there are state, agent",
        ),
        (
            ("config", "--format", "nagios", *HOST, "--validate", "x"),
            "--validate and --reload go with --output FILE",
        ),
        (("config", "--format", "nagios", *HOST, "--output", "/nonexistent/x"), "cannot write /nonexistent/x"),
        (
            ("config", "--format", "nagios", *HOST, "--vm-host-exists"),
            "--vm-host-exists goes with --vm-host PATTERN",
        ),
        (("publish", *HOST, "--vm-host", "web", "--to", "/tmp"), "'web': use {name} or {uuid} in it"),
        (("config", "--format", "director", *HOST, "--vm-host", "{name}"), "use --format director-import"),
        (("publish", *HOST), "the following arguments are required: --to"),
        (("publish", *HOST, "--to", "/nonexistent"), "No such file or directory"),
        (
            ("publish", *HOST, "--to", "/etc/passwd"),
            "is neither a command file (a pipe), nor a check-result folder",
        ),
        (("publish", *HOST, "--to", "https://localhost:1"), "needs --credentials FILE"),
        (
            ("publish", *HOST, "--to", "http://192.0.2.1:5665", "--credentials", "/dev/null"),
            "or give --allow-http",
        ),
        (
            ("publish", *HOST, "--to", "https://u:p@localhost:1", "--credentials", "/x"),
            "no user, password or token in the URL",
        ),
        *(
            (("publish", *HOST, "--to", to, "--ca-file", "/nonexistent"), "--ca-file /nonexistent: no such file")
            for to in ("https://localhost:1", "nrdp+https://localhost:1")
        ),
        (("publish", "-u", EXAMPLE_URI, "--host", "a;b", "--to", "/tmp"), "'a;b' is no name of a host"),
        (("config", "--format", "nagios", "-u", EXAMPLE_URI, "--host", "a,b"), "Nagios takes no , in a name"),
        ((), "the following arguments are required: COMMAND"),
    ],
)
def test_bad_input_is_told_in_one_line(command: Command, arguments: tuple[str, ...], said: str) -> None:
    ran = command("nagios_kvm", *arguments)
    assert (ran.code, ran.out) == (3, "")
    first, _, usage = ran.err.partition("\n")
    assert said in first
    assert usage == "" or usage.startswith("usage: nagios_kvm")


def test_lines_for_checkmk_equal_the_single_checks(command: Command) -> None:
    ran = command("nagios_kvm", "local", "-u", EXAMPLE_URI, "--check", "state", "--check", "pool")
    told = [re.fullmatch(r'([0-3]) "(KVM [^"]+)" (\S+) (.*)', line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err, len(told), all(told)) == (0, "", 8 + 1 + 1, True), ran.out  # and the hypervisor
    for line in filter(None, told):
        name = ServiceName.parse(line[2])
        if name.check not in STEADY:
            continue
        selected = ("-d", name.domain) if name.domain else ()
        alone = command(f"check_kvm_{name.check}", "-u", EXAMPLE_URI, *selected)
        first, *more = alone.out[:-1].split("\n")
        assert (int(line[1]), line[4]) == (alone.code, r"\n".join([first.partition(" | ")[0], *more]))


def test_checkmk_is_told_that_libvirt_does_not_answer(command: Command) -> None:
    ran = command("nagios_kvm", "local", "-u", "test:///nonexistent.xml")
    assert ran.out == '3 "KVM host" - KVM_HOST UNKNOWN - no such test driver file: /nonexistent.xml\n'


def test_a_host_that_notifies_nobody_is_told(command: Command, tmp_path: Path) -> None:
    """As Nagios's validation says it; tests/systems has it of a real one."""
    says = tmp_path / "nagios4"
    says.write_text(
        "#!/bin/sh\n"
        "echo \"Warning: Host 'kvm1' has no default contacts or contactgroups defined!\"\n"
        "echo \"Warning: Host 'printer1' has no default contacts or contactgroups defined!\"\n"
        "echo \"Warning: Service 'KVM cpu web1' on host 'kvm1' has no default contacts or contactgroups defined!\"\n"
        "echo \"Warning: Service 'KVM cpu db1' on host 'kvm1' has no default contacts or contactgroups defined!\"\n"
    )
    says.chmod(0o755)
    file = tmp_path / "vms.cfg"
    config = ("nagios_kvm", "config", "--format", "nagios", *HOST, "--output", str(file), "--validate", str(says))
    ran = command(*config)
    assert ran.code == 0
    assert ran.err.splitlines() == [
        "nagios_kvm: nobody is told when kvm1 is down: give this host contacts or contact_groups",
        "nagios_kvm: nobody is told of 2 services, as KVM cpu db1 on kvm1: give them or their hosts contacts or "
        "contact_groups",
    ]
    assert command(*config).err == "", "it is said of what is new"


def test_a_pattern_that_selects_nothing_is_said(command: Command, tmp_path: Path) -> None:
    patterns = ("-d", "web1", "-d", "wbe2", "-d", "db*", "-x", "db*")
    ran = command(
        "nagios_kvm", "config", "--format", "nagios", *HOST, *patterns, "--output", str(tmp_path / "vms.cfg")
    )
    assert (ran.code, ran.err.splitlines()) == (
        0,
        [f"nagios_kvm: no domain matches -d {text}, or -x leaves it out" for text in ("wbe2", "db*")],
    )


@pytest.mark.parametrize("format_", ["nagios", "icinga2"])
def test_a_group_that_there_is_not_is_left_out(command: Command, tmp_path: Path, format_: str) -> None:
    """What one VM says in its metadata keeps none of the others from its services; tests/systems has a real one."""
    watch = '<metadata><watch xmlns="urn:kvmwatch:1" service-groups="{}"/></metadata>'
    hypervisor, file, config = (tmp_path / name for name in ("node.xml", "vms", "teams.ini"))
    config.write_text("[defaults]\nallow_metadata = *\n")
    xml = node(["web1", "web2", "web3"])
    for name, group in (("web1", "there"), ("web2", "typo")):
        xml = xml.replace(f"<name>{name}</name>", f"<name>{name}</name>{watch.format(group)}")
    hypervisor.write_text(xml)
    says = tmp_path / "daemon"
    says.write_text(f"#!/bin/sh\n! grep -q typo {file} || {{ echo \"Error: no group 'typo'\"; exit 1; }}\n")
    says.chmod(0o755)
    write = ("nagios_kvm", "config", "--format", format_, "--host", "kvm1", "-u", f"test://{hypervisor}")
    for outcome in (f"{file}: 10 services\n", f"{file}: unchanged\n"):
        ran = command(
            *write, *("--check=state", "--check=cpu", "--check=disk", "--config", str(config)),
            *("--output", str(file), "--validate", str(says)),
        )  # fmt: skip
        assert (ran.code, ran.out) == (2, outcome)
        assert ran.err == (
            f"nagios_kvm: left out what the metadata of web2 (typo) asks for: {str(says)!r} exits with 1: "
            "Error: no group 'typo'\n"
        )
        assert "there" in file.read_text()
        assert "typo" not in file.read_text()


@pytest.mark.parametrize("arguments", [("config", "--format", "icinga2"), ("publish", "--to", "/tmp"), ("local",)])
def test_the_process_of_a_vm_elsewhere_has_no_service(command: Command, arguments: tuple[str, ...]) -> None:
    """Neither is one made, which nothing would feed."""
    host = () if "local" in arguments else ("--host", "kvm1")
    ran = command("nagios_kvm", *arguments, *host, "-u", EXAMPLE_URI, "--check", "process")
    assert ran.code == 3
    assert f"--check process needs the hypervisor's own /proc; {EXAMPLE_URI} is not this machine\n" in ran.err


#: what follows the URI that is read and says where the checks run, and the lines of the host template about it
PLACES = (
    ((), [f'vars.kvm_uri = "{EXAMPLE_URI}"']),
    (("--check-uri", "qemu:///session"), ['vars.kvm_uri = "qemu:///session"']),
    (("--endpoint", "kvm1"), ['vars.kvm_endpoint = "kvm1"']),
    (
        ("--endpoint", "kvm1", "--check-uri", "lxc:///system"),
        ['vars.kvm_uri = "lxc:///system"', 'vars.kvm_endpoint = "kvm1"'],
    ),
)


@pytest.mark.parametrize(("more", "lines"), PLACES)
def test_checks_at_an_endpoint_do_not_read_by_the_uri_from_here(
    command: Command, more: tuple[str, ...], lines: list[str]
) -> None:
    config = ("nagios_kvm", "config", "--format", "icinga2", *HOST, "--active")
    ran = command(*config, *more)
    assert re.findall(r"vars\.kvm_(?:uri|endpoint) = .*", ran.out) == lines, ran.err
    of_vm_hosts = command(*config, "--vm-host", "{name}", *more).out
    assert set(re.findall(r"vars\.kvm_(?:uri|endpoint) = .*", of_vm_hosts)) == set(lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "icinga2", "--endpoint", "kvm1"), "go with --active"),
        (("--format", "nagios", "--check-uri", "qemu:///system"), "go with --active"),
        (("--format", "nagios", "--active", "--endpoint", "kvm1"), "--endpoint goes with --format icinga2"),
        (
            ("--format", "icinga2", "--active", "--check-uri", "qemu+ssh://kvm:secret@kvm1/system"),
            "all could read its password",
        ),
    ],
)
def test_where_the_checks_run_is_said_only_where_they_do(
    command: Command, arguments: tuple[str, ...], says: str
) -> None:
    ran = command("nagios_kvm", "config", *HOST, *arguments)
    assert (ran.code, ran.out) == (3, "")
    assert says in ran.err
    assert "secret" not in ran.err
