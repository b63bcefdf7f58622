"""-t holds for the whole process: whatever hangs, a command ends with one line and code 3, and leaves no child.

How soon is not measured here: only that it ends long before what hangs would.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import CHECKS, EXAMPLE_URI, SET_PIPE_SIZE, Command, Ran
from hanging import ALL_OVER, APIS, HYPERVISOR, NAME, PROGRAMS, REGEX, Behaviour, Handler, api, packed, program
from testdriver import node

HOST = ("--host", "kvm1")
LIMIT = ("-t", "1")
#: with the first of these -t it is over soon; where the machine is too busy to come so far in it, the next one is tried
LIMITS = ("0.5", "2", "6")
LONG_BEFORE = 10  # seconds

ZABBIX = ("zabbix_kvm",)
CONFIG = ("nagios_kvm", "config", "--format", "nagios", *HOST)
PUBLISH = ("nagios_kvm", "publish", *HOST)
#: a file of definitions that CONFIG may replace
OLD = "# Made by: nagios_kvm config --format nagios --host kvm1; do not edit.\n"


@pytest.fixture
def hypervisor(tmp_path: Path) -> str:
    file = tmp_path / "hypervisor.xml"
    file.write_text(HYPERVISOR)
    return f"test://{file}"


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A pipe that nobody ever writes or reads."""
    file = tmp_path / "fifo"
    os.mkfifo(file, 0o600)
    return str(file)


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    file = tmp_path / "credentials"
    file.write_text("user = u\npassword = p\ntoken = t\n")
    file.chmod(0o600)
    return str(file)


def ended(ran: Ran, name: str) -> str:
    """The one line of a command that was ended."""
    assert ran.seconds < LONG_BEFORE
    assert ran.code == 3, ran
    check = name.startswith("check_kvm_")
    told, other = (ran.out, ran.err) if check else (ran.err, ran.out)
    assert (other, told.count("\n")) == ("", 1), ran
    head = f"{name[len('check_') :].upper()} UNKNOWN - " if check else f"{name}: "
    assert told.startswith(head), ran
    return told[len(head) : -1]


def held(run: Callable[..., Ran], name: str, holds: Callable[[str, str], bool]) -> None:
    """Run a command with each of LIMITS until its line tells what held it up (``holds`` of the line and the limit)."""
    for limit in LIMITS:
        ran = run("-t", limit)
        if ran.code == 2 and limit != LIMITS[-1]:
            continue  # publish, which came to ask nobody in that time: it leaves that to its next run
        if holds(ended(ran, name), limit):
            return
    raise AssertionError(ran)


def stopped(run: Callable[..., Ran], name: str, doing: str) -> None:
    """The same for what is interrupted while it is doing something."""
    held(run, name, lambda line, limit: line == f"not done within {limit} s, stopped while {doing}")


NAMING_FILES = (
    *((f"check_kvm_{check}", "-u", EXAMPLE_URI, "--config") for check in CHECKS),
    (*CONFIG, "-u", EXAMPLE_URI, "--config"),
    (*CONFIG, "-u", EXAMPLE_URI, "--output"),
    (*PUBLISH, "-u", EXAMPLE_URI, "--to", "/tmp", "--config"),
    (*PUBLISH, "-u", EXAMPLE_URI, "--to", "https://localhost:1", "--credentials"),
    (*ZABBIX, "send", "-u", EXAMPLE_URI, "--sender", "/bin/cat", "--config"),
    *((*ZABBIX, command, "--url", "http://localhost:1", "--credentials") for command in ("provision", "verify")),
    (*ZABBIX, "provision", "--url", "http://localhost:1", "--hypervisors"),
)


@pytest.mark.parametrize("arguments", NAMING_FILES, ids=" ".join)
def test_a_pipe_where_a_file_belongs(
    command: Command, fifo: str, mark: dict[str, str], arguments: tuple[str, ...]
) -> None:
    if "send" in arguments:
        # it is not us who read the agent's configuration
        arguments = (*arguments[:-2], str(program(Path(fifo).parent, 'cat "$3"')), arguments[-1])
    if arguments[-1] == "--output" or "send" in arguments:
        ended(command(*arguments, fifo, *LIMIT, env=mark), arguments[0])
    else:
        run = partial(command, *arguments, fifo, env=mark)
        stopped(run, arguments[0], f"reading {arguments[-1]} {fifo}")


def test_a_pipe_in_place_of_a_template(command: Command, tmp_path: Path, mark: dict[str, str]) -> None:
    """-t of provision is for each request, and for what is done between two."""
    (tmp_path / "kvm_guest").mkdir()
    os.mkfifo(tmp_path / "kvm_guest" / "template.xml")
    with api(zabbix({})) as url:
        arguments = (*ZABBIX, "provision", "--url", url, "--templates", str(tmp_path), *LIMIT)
        ended(command(*arguments, env={"ZABBIX_TOKEN": "t", **mark}), "zabbix_kvm")


def zabbix(answers: dict[str, Any], after: float = 0) -> Behaviour:
    """A Zabbix API that gives these results to these methods, and empty ones to others, after so many seconds."""
    known = {"apiinfo.version": "6.0.0", **answers}

    def behave(handler: Handler) -> None:
        threading.Event().wait(after)
        result = known.get(handler.asked["method"], [])
        handler.tell(json.dumps({"jsonrpc": "2.0", "id": handler.asked["id"], "result": result}).encode())

    return behave


#: each burns a while: the checks, which share their frame, by what they select; each subcommand that selects
#: (collect: test_an_agent_is_told_in_the_document). That every check obeys -t: test_a_pipe_where_a_file_belongs
MATCHING = (
    ("check_kvm_state", "-x"),
    ("check_kvm_cpu", "-d"),
    ("check_kvm_pool", "-d"),
    (*ZABBIX, "discover", "domains", "-d"),
    (*ZABBIX, "send", "--config", "/dev/null", "--guests-only", "-d"),
    (*CONFIG, "-x"),
    (*PUBLISH, "--to", "/tmp", "--check", "state", "-d"),
)


@pytest.mark.parametrize("arguments", MATCHING, ids=" ".join)
def test_a_regular_expression_that_does_not_come_to_an_end(
    command: Command, hypervisor: str, mark: dict[str, str], arguments: tuple[str, ...]
) -> None:
    run = partial(command, *arguments, REGEX, "-u", hypervisor, env=mark)
    stopped(run, arguments[0], f"matching {REGEX} against the name {NAME}")


def test_the_same_in_a_configuration(
    command: Command, hypervisor: str, tmp_path: Path, mark: dict[str, str]
) -> None:
    file = tmp_path / "site.ini"
    file.write_text(f"[domain {REGEX}]\nignore = yes\n")
    run = partial(command, "check_kvm_state", "-u", hypervisor, "--config", str(file), env=mark)
    held(run, "check_kvm_state", lambda line, _limit: REGEX in line)


def test_an_agent_is_told_in_the_document(command: Command, hypervisor: str, mark: dict[str, str]) -> None:
    ran = command(*ZABBIX, "collect", "--for-agent", "-u", hypervisor, "-d", REGEX, *LIMIT, env=mark)
    assert (ran.code, ran.err) == (0, "")
    assert ran.seconds < LONG_BEFORE
    document = json.loads(ran.out)
    assert document.keys() == {"time", "version", "format", "error"}
    assert document["error"].startswith("not done within 1 s")


def every_with_the_first(ways: Sequence[str], behaviours: Iterable[str], others: Sequence[str]) -> list[Any]:
    """Each behaviour in one way, and a few in each other, which has the same code below it."""
    return [
        pytest.param(way, behaviour, id=f"{way}-{behaviour}")
        for way in ways
        for behaviour in (behaviours if way == ways[0] else others)
    ]


STUBBORN = ("has children", "ignores SIGTERM")


@pytest.mark.parametrize(
    ("way", "behaviour"),
    every_with_the_first(("--sender", "--validate", "--reload", "send_nsca"), PROGRAMS, STUBBORN),
)
def test_a_program_that_does_not_end(
    command: Command, tmp_path: Path, mark: dict[str, str], way: str, behaviour: str
) -> None:
    script = str(program(tmp_path, PROGRAMS[behaviour]))
    file = tmp_path / "vms.cfg"
    file.write_text(OLD)
    if way == "--sender":
        arguments = (*ZABBIX, "send", "-u", EXAMPLE_URI, "--config", "/dev/null", way, script)
    elif way == "send_nsca":
        script = str(Path(script).rename(tmp_path / way))
        mark = {**mark, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        arguments = (*PUBLISH, "-u", EXAMPLE_URI, "--check", "state", "--to", "nsca://localhost")
    else:
        arguments = (*CONFIG, "-u", EXAMPLE_URI, "--output", str(file), way, script)
    # the latter where the machine is so busy that the watchdog comes first
    said = ("was not done within the time limit", f"stopped while running {script}")
    held(
        partial(command, *arguments, env=mark), arguments[0], lambda line, _: any(words in line for words in said)
    )
    assert file.read_text() == OLD, "what could not be loaded is tried again by the next run"


@pytest.mark.parametrize(
    ("way", "behaviour"), every_with_the_first(("check_kvm_state", "zabbix_kvm collect"), PROGRAMS, STUBBORN)
)
def test_an_ssh_that_does_not_end(
    command: Command, tmp_path: Path, mark: dict[str, str], way: str, behaviour: str
) -> None:
    """It is libvirt that starts it."""
    uri = f"qemu+ssh://nowhere/system?command={program(tmp_path, PROGRAMS[behaviour])}"
    arguments = way.split()
    held(partial(command, *arguments, "-u", uri, env=mark), arguments[0], lambda line, _limit: "nowhere" in line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("text", STUBBORN)
def test_programs_end_with_us(
    command: Command, tmp_path: Path, mark: dict[str, str], number: signal.Signals, text: str
) -> None:
    """And the definitions that were not yet found to be good are put back."""
    file, begun = tmp_path / "vms.cfg", tmp_path / "begun"
    file.write_text(OLD)
    script = program(tmp_path, f"touch {begun}; {PROGRAMS[text]}")
    arguments = (*CONFIG, "-u", EXAMPLE_URI, "--output", str(file), "--validate", str(script), "-t", "600")
    # what tests run in the background ignores SIGINT, and so would this
    defaults = ("env", "--default-signal", command.bin / arguments[0])
    with subprocess.Popen([*defaults, *arguments[1:]], env={**os.environ, **mark}) as process:
        try:
            waited(begun.exists)
            assert file.read_text() != OLD
            process.send_signal(number)
            assert process.wait(LONG_BEFORE) == -number
        finally:
            process.kill()
    assert file.read_text() == OLD


def waited(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_daemon_that_a_reload_starts_is_left_running(started: Command, tmp_path: Path) -> None:
    """Nor is it waited for, though it holds the program's output."""
    pid = tmp_path / "pid"
    script = program(tmp_path, f"sleep 600 & echo $! > {pid}")
    write = (*CONFIG, "-u", EXAMPLE_URI, "--output", str(tmp_path / "vms.cfg"))
    ran = started(*write, "--reload", str(script), "-t", "60")
    assert (ran.code, ran.err) == (0, "")
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_what_a_program_says_is_kept_up_to_a_limit(command: Command, tmp_path: Path) -> None:
    script = program(tmp_path, "echo Error: no; yes 'and so on' | head -c 5000000; exit 1")
    write = (*CONFIG, "-u", EXAMPLE_URI, "--output", str(tmp_path / "vms.cfg"))
    assert ": Error: no\n" in command(*write, "--validate", str(script), "-t", "60").err
    script = program(tmp_path, "cat > /dev/null; yes 'Response from \"a\"' | head -c 5000000")
    send = (*ZABBIX, "send", "-u", EXAMPLE_URI, "--config", "/dev/null")
    ran = command(*send, "--sender", str(script), "-t", "60")
    assert "says more than 1024 KiB" in ended(ran, "zabbix_kvm")


ASKING = {
    "publish": (*PUBLISH, "-u", EXAMPLE_URI, "--check", "state", "--to"),
    "publish to NRDP": (*PUBLISH, "-u", EXAMPLE_URI, "--check", "state", "--to"),
    "provision": (*ZABBIX, "provision", "--url"),
    "verify": (*ZABBIX, "verify", "--url"),
}


@pytest.mark.parametrize(
    ("way", "behaviour"), every_with_the_first(tuple(ASKING), APIS, ("drips its body", "floods", "redirects"))
)
def test_an_api_without_an_answer(
    command: Command, mark: dict[str, str], credentials: str, way: str, behaviour: str
) -> None:
    arguments, (behave, said) = ASKING[way], APIS[behaviour]
    if "bomb" in behaviour:
        packed(2)

    def holds(line: str, limit: str) -> bool:
        assert len(line) < 1000
        # what is too much takes its time until it is too much
        return said in line or ("more" in said and "no whole answer in time" in line and limit == LIMITS[-1])

    with api(behave) as url:
        to = f"nrdp+{url}/nrdp/" if "NRDP" in way else url
        held(partial(command, *arguments, to, "--credentials", credentials, env=mark), arguments[0], holds)


def icinga(*answers: tuple[int, str]) -> Behaviour:
    """An API that gives these answers in turn, and then says of each result that it was processed."""
    left = list(answers)
    processed = '{"results": [{"code": 200.0, "status": "Successfully processed check result for object"}]}'

    def behave(handler: Handler) -> None:
        code, body = left.pop(0) if left else (200, processed)
        handler.tell(body.encode(), code, Content_Type="application/json")

    return behave


NOT_TAKEN = {
    "a login page": (200, "<html>Log in</html>", "something with HTTP 200"),
    "nothing": (200, "", "something with HTTP 200"),
    "no object": (200, "[]", "something with HTTP 200"),
    "no results": (200, '{"status": "fine"}', "fine"),
    "500 inside of 200": (200, '{"results": [{"code": 500.0, "status": "No such thing"}]}', "No such thing"),
    "500": (500, '{"error": 500.0, "status": "Internal error"}', "Internal error"),
    "an error of a server between": (502, "<html>Bad gateway</html>", "something with HTTP 502"),
    "an unknown service": (404, '{"error": 404.0, "status": "No objects found."}', "nagios_kvm config"),
    "an unknown service in Icinga 2.13": (500, '{"results": []}', "nagios_kvm config"),
}


@pytest.mark.parametrize(("code", "body", "said"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_only_what_icinga_says_it_took_is_counted(
    in_process: Command, credentials: str, code: int, body: str, said: str
) -> None:
    publish = (*PUBLISH, "-u", EXAMPLE_URI, "--check", "state", "--credentials", credentials, "--to")
    new = code == 404 or "[]}" in body  # a service that it does not know yet is no failure, none that it knows is
    with api(icinga((code, body))) as url:
        ran = in_process(*publish, url)
    assert (ran.code, ran.out) == (0 if new else 2, "")
    assert "took 8 of 9 results for host kvm1; " in ran.err
    assert said in ran.err
    with api(icinga(*[(code, body)] * 9)) as url:
        ran = in_process(*publish, url)
    assert ran.code == (2 if new else 3)
    assert said in ran.err
    with api(icinga()) as url:
        assert in_process(*publish, url).out == f"{url} took 9 of 9 results for host kvm1\n"


def test_a_question_without_an_answer_leaves_time_for_the_results(in_process: Command, credentials: str) -> None:
    """Whose the hosts are that the VMs have is asked first, and can be done without."""

    def behave(handler: Handler) -> None:
        if "objects" in handler.path:
            ALL_OVER.wait(60)
        ALL_OVER.wait(0.3)
        icinga()(handler)

    publish = (
        *PUBLISH,
        "-u",
        EXAMPLE_URI,
        "--check",
        "state",
        "--vm-host",
        "{name}",
        "--credentials",
        credentials,
    )
    with api(behave) as url:
        assert in_process(*publish, "-t", "8", "--to", url).out == f"{url} took 9 of 9 results for host kvm1\n"


def test_setting_zabbix_up_may_take_longer_than_a_request(command: Command) -> None:
    """-t of provision and verify is for each request, and ten of 0.3 s take longer than 2 s."""
    hosts = [{"hostid": str(number), "host": f"kvm{number}", "name": f"kvm{number}"} for number in range(4)]
    answers = {"template.get": [{"templateid": "1", "host": "x"}], "host.get": hosts}
    with api(zabbix(answers, after=0.3)) as url:
        ran = command(*ZABBIX, "verify", "--url", url, "-t", "2", env={"ZABBIX_TOKEN": "t"})
    assert ran.seconds > 2
    assert ran.first.startswith("KVM VERIFY CRITICAL - 4 of 4 hosts need a look")


PRINTING = (
    *((f"check_kvm_{check}", "-u", EXAMPLE_URI) for check in ("state", "cpu", "process")),
    ("check_kvm_state", "-w", "nonsense"),
    ("check_kvm_state", "--nonsense"),
    (*ZABBIX, "discover", "domains", "-u", EXAMPLE_URI),
    (*ZABBIX, "collect", "-u", EXAMPLE_URI),
    (*ZABBIX, "collect", "--for-agent", "-u", EXAMPLE_URI),
    (*ZABBIX, "collect", "-u", "nonsense"),
    (*ZABBIX, "provision", "--url", "nonsense"),
    (*CONFIG, "-u", EXAMPLE_URI),
)


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_does_not_read(command: Command, mark: dict[str, str], arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    full = 0
    try:
        while True:
            full += os.write(writer, b"x")
    except BlockingIOError:
        os.set_blocking(writer, True)
    assert unread(command, arguments, writer, mark) == 3
    os.close(writer)
    assert os.read(reader, full + 1) == b"x" * full
    os.close(reader)


def test_a_reader_that_stops_reading(command: Command, tmp_path: Path, mark: dict[str, str]) -> None:
    """What it has got is the beginning of the document and nothing else."""
    file = tmp_path / "many.xml"
    file.write_text(node(f"vm{number}" for number in range(30)))
    reader, writer = os.pipe()
    fcntl.fcntl(writer, SET_PIPE_SIZE, 4096)
    assert unread(command, (*ZABBIX, "collect", "-u", f"test://{file}"), writer, mark, "4") == 3
    os.close(writer)
    with open(reader, encoding="utf-8") as got:
        text = got.read()
    assert text.startswith('{"time":')
    assert "\n" not in text


def unread(
    command: Command, arguments: tuple[str, ...], writer: int, mark: dict[str, str], limit: str = "1"
) -> int:
    """Run a command whose output and errors nobody reads, and give its exit code."""
    words: tuple[str | Path, ...] = (command.bin / arguments[0], *arguments[1:], "-t", limit)
    if "--nonsense" in arguments:  # what cannot be parsed has no -t
        shorter = "from check_kvm import state; state.plugin.DEFAULT_TIMEOUT = 1; state.main()"
        words = (sys.executable, "-c", shorter, *arguments[1:])
    with subprocess.Popen(
        words,
        stdout=writer,
        stderr=writer,
        env={**os.environ, **mark, "ZABBIX_TOKEN": "t"},
    ) as process:
        try:
            return process.wait(10 + LONG_BEFORE)
        finally:
            process.kill()


def test_a_configuration_that_is_too_large(in_process: Command, tmp_path: Path) -> None:
    file = tmp_path / "site.ini"
    file.write_text("# nothing\n" * 200_000)
    for arguments in (("check_kvm_state",), CONFIG):
        ran = in_process(*arguments, "-u", EXAMPLE_URI, "--config", str(file))
        assert ran.code == 3
        assert f"--config {file} is larger than 1024 KiB" in ran.out + ran.err
