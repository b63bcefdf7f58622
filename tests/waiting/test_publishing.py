"""What is said of results that were sent is what the other side says of them; one that is refused stops no other."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from check_kvm.frame.output import Style
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import Verdict
from hanging import Behaviour, Handler, api, late_api
from nagios_kvm import judging, nagios_objects, services, targets
from nagios_kvm.command_file import CommandFile
from nagios_kvm.homes import own
from nagios_kvm.icinga_api import IcingaApi
from nagios_kvm.judging import Result
from nagios_kvm.nsca import Nsca
from nagios_kvm.spool import Spool
from nagios_kvm.turns import Turns
from urllib3.util.retry import Retry

from kvmwatch.model.errors import DENIED, KvmwatchError, UsageError
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading.deadline import Deadline

PROCESSED = '{"results": [{"code": 200.0, "status": "Successfully processed check result for object"}]}'
REFUSED = '{"results": [{"code": 500.0, "status": "No such thing"}]}'
UNKNOWN = '{"error": 404.0, "status": "No objects found."}'


def results(number: int = 20) -> list[Result]:
    return [Result(f"KVM state vm{vm:03}", vm % 4, f"KVM_STATE OK - vm{vm:03}") for vm in range(number)]


@pytest.fixture
def send(tmp_path: Path) -> Callable[..., targets.Taken]:
    """Send results to an API, and tell what it took."""

    def sent(
        url: str, told: list[Result] | None = None, seconds: float = 60, login: str = "user = u\npassword = p\n"
    ) -> targets.Taken:
        file = tmp_path / "credentials"
        file.write_text(login, encoding="utf-8")
        file.chmod(0o600)
        turns = Turns(str(tmp_path), (url,), told or results())
        try:
            return IcingaApi(url, str(file), None).send("kvm1", turns, Deadline(seconds))
        finally:
            turns.keep()

    return sent


class Icinga:
    """An API that answers as it is told for some services, and takes the others."""

    def __init__(self, odd: dict[str, Behaviour] | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.connections: set[int] = set()
        self.authorization: set[str] = set()
        self._odd = odd or {}

    def __call__(self, handler: Handler) -> None:
        service = handler.asked["service"].partition("!")[2]
        self.connections.add(handler.client_address[1])
        self.authorization.add(handler.headers["Authorization"])
        self.asked.append(handler.asked)
        self._odd.get(service, told(PROCESSED))(handler)


def told(body: str, code: int = 200, **headers: str) -> Behaviour:
    return lambda handler: handler.tell(body.encode(), code, **headers)


def hung_up(handler: Handler) -> None:
    handler.close_connection = True


def test_each_is_sent_once_by_its_name_over_a_few_connections(send: Callable[..., targets.Taken]) -> None:
    together = threading.Barrier(4)
    icinga = Icinga({result.service: lambda h: (together.wait(60), told(PROCESSED)(h)) for result in results(4)})  # type: ignore[misc,func-returns-value]
    told_of = [
        *results(4),
        *results(200)[4:],
        Result('KVM disk +2A. | "x"', 2, "KVM_DISK CRITICAL - a | 'b c'=1 d=2\nline\nlast"),
    ]
    with api(icinga) as url:
        assert send(url, told_of) == (201, [], "")
    assert len(icinga.connections) == 4, "the first four wait for each other"
    asked = {one["service"]: one for one in icinga.asked}
    assert sorted(asked) == sorted(f"kvm1!{result.service}" for result in told_of)
    assert len(icinga.asked) == 201
    odd = asked['kvm1!KVM disk +2A. | "x"']
    assert (odd["type"], odd["exit_status"]) == ("Service", 2)
    assert odd["plugin_output"] == "KVM_DISK CRITICAL - a\nline\nlast"
    assert odd["performance_data"] == ["'b c'=1", "d=2"]
    assert not {"filter", "filter_vars"} & odd.keys()


ODD: dict[str, tuple[Behaviour, str]] = {
    "an error inside of 200": (told(REFUSED), "Icinga refuses KVM state vm003: No such thing"),
    "an error": (told('{"error": 500.0, "status": "Internal"}', 500), "Icinga refuses KVM state vm003: Internal"),
    "another path": (told('{"error": 404.0, "status": "The requested path"}', 404), "The requested path"),
    "passive checks disabled": (told('{"results": [{"code": 403.0, "status": "off"}]}', 403), "off"),
    "while it loads": (told('{"error": 503.0, "status": "Icinga is reloading"}', 503), "Icinga is reloading"),
    "not JSON": (told("<html>"), "something with HTTP 200"),
    "nested too deep": (told("[" * 100_000), "something with HTTP 200"),
    "a list": (told("[]"), "something with HTTP 200"),
    "results of another kind": (told('{"results": [17]}'), "HTTP 200"),
    "nothing": (told(""), "something with HTTP 200"),
    "half of it": (told('{"results": [{"code": 200}, {"code": 500, "status": "half"}]}'), "HTTP 200"),
    "a redirect": (told("", 307, Location="http://192.0.2.1/"), "redirects to http://192.0.2.1/, which is not"),
    "a flood": (told("x" * 2_000_000), "answers with more than 1024 KiB"),
    "no answer": (hung_up, "no Icinga API answers: "),
}


@pytest.mark.parametrize(("behave", "said"), ODD.values(), ids=ODD)
def test_one_that_is_refused_stops_no_other(
    send: Callable[..., targets.Taken], behave: Behaviour, said: str
) -> None:
    icinga = Icinga({"KVM state vm003": behave})
    with api(icinga) as url:
        taken = send(url)
    assert (taken.number, list(taken.unknown)) == (19, [])
    assert said in taken.why
    assert taken.reasons() == [taken.why]
    assert len({one["service"] for one in icinga.asked}) == 20


@pytest.mark.parametrize(("behave", "said"), ODD.values(), ids=ODD)
def test_none_that_was_taken_is_an_error(send: Callable[..., targets.Taken], behave: Behaviour, said: str) -> None:
    with api(behave) as url, pytest.raises(KvmwatchError) as failed:
        send(url)
    assert said.rpartition("vm003")[2] in str(failed.value)
    assert len(str(failed.value).splitlines()) == 1


def test_services_that_it_does_not_know_are_named(send: Callable[..., targets.Taken]) -> None:
    unknown = [result.service for result in results()[::4]]
    with api(Icinga({service: told(UNKNOWN, 404) for service in unknown})) as url:
        taken = send(url)
    assert (taken.number, taken.unknown, taken.why) == (15, unknown, "")
    (reason,) = taken.reasons()
    assert reason.startswith(
        "it does not know 5 of the services (KVM state vm000, KVM state vm004, KVM state vm008, ...)"
    )


def test_a_connection_that_icinga_closes_is_made_again(send: Callable[..., targets.Taken]) -> None:
    """So it does when it loads another configuration."""
    closed: set[str] = set()

    def behave(handler: Handler) -> None:
        service = handler.asked["service"]
        if service in closed or not service.endswith("5"):
            return handler.tell(PROCESSED.encode())
        closed.add(service)
        return hung_up(handler)

    with api(behave) as url:
        assert send(url) == (20, [], "")
    assert len(closed) == 2


def test_it_is_waited_for_while_nobody_listens(
    send: Callable[..., targets.Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Icinga has its port again a second or two after it began to load another configuration."""
    refused = []
    turn = threading.Lock()  # several are refused at once, and only one may begin to listen
    with late_api(Icinga()) as (url, listen):

        def sleep(*_retry: object) -> None:
            with turn:
                if not refused:
                    listen()
                refused.append(1)

        monkeypatch.setattr(Retry, "sleep", sleep)
        assert send(url) == (20, [], "")
    assert refused


def test_a_refused_user_is_not_tried_for_each_result(send: Callable[..., targets.Taken]) -> None:
    icinga = Icinga({result.service: told('{"error": 401.0}', 401) for result in results()})
    with api(icinga) as url, pytest.raises(KvmwatchError, match="refuses the user or its password"):
        send(url)
    assert len(icinga.asked) <= 4


def test_one_that_hangs_holds_up_no_other_and_all_get_their_turn(send: Callable[..., targets.Taken]) -> None:
    over = threading.Event()
    stuck = {"KVM state vm001": lambda _handler: over.wait(60) and None}
    icinga = Icinga(stuck)  # type: ignore[arg-type]
    try:
        with api(icinga) as url:
            taken = send(url, seconds=2)
    finally:
        over.set()
    assert taken.number == 19
    assert taken.why


@pytest.mark.parametrize("password", ["p", "Größe:%&", "пароль", "密码🔑", "a b"])
def test_credentials_go_as_icinga_has_them(send: Callable[..., targets.Taken], password: str) -> None:
    icinga = Icinga()
    with api(icinga) as url:
        assert send(url, login=f"user = Jürgen\npassword = {password}\n").number == 20
    (given,) = icinga.authorization
    assert base64.b64decode(given.removeprefix("Basic ")).decode() == f"Jürgen:{password}"


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_bytes("user = Jürgen\npassword = geheim\n".encode("latin-1"))
    file.chmod(0o600)
    with pytest.raises(UsageError, match="it is no UTF-8 text") as refused:
        IcingaApi("https://icinga:5665", str(file), None)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["user = u\npasswort = geheim\n", "geheim\n", "user u\npassword: geheim", "[geheim"]
)
def test_a_file_without_credentials_is_told_without_what_is_in_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="it needs the two lines") as refused:
        IcingaApi("https://icinga:5665", str(file), None)
    assert "geheim" not in str(refused.value)


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


PASSWORD = "gehei/m+%"
#: how what an API got comes back: the header, what was in it, and what a URL would make of that
REPEATED = ("{basic}", "Basic {basic}", "{password}", "u:{password}", "{url}", "token={url}&cmd=x")
_TOLD_IN = {
    "an error": lambda said: told(json.dumps({"error": 500, "status": said}), 500),
    "a result": lambda said: told(json.dumps({"results": [{"code": 500, "status": said}]}), 500),
    "errors of a result": lambda said: told(json.dumps({"results": [{"code": 500, "errors": [said]}]}), 500),
    "a redirect": lambda said: told("", 302, Location=f"https://elsewhere/{said}"),
    "an encoding": lambda said: told("{}", Content_Encoding=said),
    "a long error": lambda said: told(json.dumps({"error": 500, "status": "x" * 190 + said * 5}), 500),
}


@pytest.mark.parametrize("repeated", REPEATED)
@pytest.mark.parametrize("told_in", _TOLD_IN.values(), ids=_TOLD_IN)
def test_what_icinga_repeats_of_the_credentials_is_not_said(
    send: Callable[..., targets.Taken], repeated: str, told_in: Callable[[str], Behaviour]
) -> None:
    basic = base64.b64encode(f"u:{PASSWORD}".encode()).decode()
    said = repeated.format(basic=basic, password=PASSWORD, url=quote(PASSWORD, safe=""))
    with api(told_in(said)) as url, pytest.raises(KvmwatchError) as failed:
        send(url, results(2), login=f"user = u\npassword = {PASSWORD}\n")
    line = str(failed.value)
    assert "***" in line
    for secret in (PASSWORD, PASSWORD[:6], basic, basic[:8]):
        assert secret not in line


# Nagios


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A command file, and where its reader reads."""
    path = tmp_path / "nagios.cmd"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield path, reader
    finally:
        os.close(reader)


LONG = (
    "KVM_POOL WARNING - " + "ü" * 900 + " | " + " ".join(f"'büro {n}.usage'={n}%;80;90;0;100" for n in range(200))
)


def test_lines_of_the_command_file_are_whole(tmp_path: Path, pipe: tuple[Path, int]) -> None:
    path, reader = pipe
    told_of = [
        Result("KVM pool", 1, LONG),
        Result("KVM state web1", 0, "KVM_STATE OK - a\\b\nline\r\x1b[2J"),
        Result("KVM cpu " + "x" * 5000, 0, "OK"),
        Result("KVM cpu web1", 2, "é" * 9000),
    ]
    turns = Turns(str(tmp_path), (), told_of)
    got = bytearray()
    finished = threading.Event()

    def read() -> None:
        while not finished.is_set():
            try:
                got.extend(os.read(reader, 65536))
            except BlockingIOError:
                continue

    thread = threading.Thread(target=read)
    thread.start()
    target = targets.find(str(path), None, None)
    taken = target.send("kvm1", turns, Deadline(60))
    finished.set()
    thread.join()
    got.extend(os.read(reader, 65536) if not got.endswith(b"...\n") else b"")
    assert taken.number == 3
    assert "too long for a line of 4096 bytes: KVM cpu xxx" in taken.why
    lines = bytes(got).splitlines(keepends=True)
    assert max(map(len, lines)) <= 4096
    first, second, third = (line.decode().rstrip("\n").split(";", 4)[1:] for line in lines)
    assert [line[:3] for line in (first, second, third)] == [
        ["kvm1", "KVM pool", "1"],
        ["kvm1", "KVM state web1", "0"],
        ["kvm1", "KVM cpu web1", "2"],
    ]
    values = LONG.partition(" | ")[2].split(" 'b")
    kept = first[3].partition(" | ")[2].removesuffix(r"\n... and more that is left out").split(" 'b")
    assert kept == values[: len(kept)]
    assert len(kept) > 30
    assert second[3] == r"KVM_STATE OK - a\\b\nline  [2J"
    assert third[3].rstrip(".") == "é" * len(third[3].rstrip("."))


def test_a_full_pipe_gives_the_rest_its_turn(tmp_path: Path, pipe: tuple[Path, int]) -> None:
    turns = Turns(str(tmp_path / "state"), (), [Result(r.service, 0, "x" * 4000) for r in results(40)])
    with pytest.raises(KvmwatchError, match=r"Nagios does not read .*: \d+ of 40 results written"):
        targets.find(str(pipe[0]), None, None).send("kvm1", turns, Deadline(0.5))
    left = turns.keep()
    assert left not in (None, "KVM state vm000")
    assert next(Turns(str(tmp_path / "state"), (), results(40))).service == left


CACHE = """########################################
define host {
\thost_name\tkvm1
\t}

define service {
\thost_name\tkvm1
\tservice_description\tKVM state vm000
\t}

define servicedependency {
\thost_name\tkvm1
\tservice_description\tKVM state vm003
\t}

define service {
\thost_name\tkvm10
\tservice_description\tKVM state vm001
\t}

define service {
\thost_name\tkvm1
\tservice_description\tKVM state vm002
\t}
"""


@pytest.fixture
def nagios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool of a Nagios that has two services of kvm1."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (tmp_path / "objects.cache").write_text(CACHE)
    main = tmp_path / "nagios.cfg"
    main.write_text(f"# a\ncheck_result_path={tmp_path}/link\nobject_cache_file={tmp_path}/objects.cache\n")
    (tmp_path / "link").symlink_to(spool)
    monkeypatch.setattr(nagios_objects, "MAIN_FILES", ("/nonexistent", str(main)))
    return spool


def test_nagios_own_object_cache_tells_which_services_it_has(nagios: Path, tmp_path: Path) -> None:
    target = targets.find(str(nagios), None, None)
    assert target.send("kvm1", Turns(str(tmp_path), (), results(4)), Deadline(60)) == (
        4,
        ["KVM state vm001", "KVM state vm003"],
        "",
    )
    assert len([path for path in nagios.iterdir() if path.suffix != ".ok"]) == 1


def test_results_go_to_hosts_of_vms_own(nagios: Path, tmp_path: Path) -> None:
    with (tmp_path / "objects.cache").open("a") as cache:
        cache.write("define service {\n\thost_name\tweb1\n\tservice_description\tKVM cpu\n\t}\n")
    told_of = [Result("KVM cpu", 0, "OK", host) for host in ("web1", "web2")]
    taken = Spool(nagios).send("kvm1", Turns(str(tmp_path), (), told_of), Deadline(60))
    assert taken == (2, ["web2!KVM cpu"], "")
    (file,) = (path for path in nagios.iterdir() if path.suffix != ".ok")
    assert "host_name=web1\nservice_description=KVM cpu\n" in file.read_text()


def test_icinga_is_told_of_hosts_of_vms_own(send: Callable[..., targets.Taken]) -> None:
    icinga = Icinga()
    with api(icinga) as url:
        assert send(url, [Result("KVM cpu", 0, "OK", "web1"), Result("KVM host", 0, "OK")]).number == 2
    assert sorted(one["service"] for one in icinga.asked) == ["kvm1!KVM host", "web1!KVM cpu"]


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


def test_nagios_own_object_cache_tells_whose_a_host_is(nagios: Path, tmp_path: Path) -> None:
    """On a host that config made, or on its services where the site has made it."""
    with (tmp_path / "objects.cache").open("a") as cache:
        cache.write("define host {\n\thost_name\tweb1\n\t_KVM_UUID\tmine\n\t}\n")
        cache.write(
            "define service {\n\thost_name\tweb2\n\tservice_description\tKVM cpu\n\t_KVM_UUID\ttheirs\n\t}\n"
        )
    for target in (Spool(nagios), CommandFile(nagios)):
        assert target.owners(OF_VMS, Deadline(60)) == {host: {uuid} for host, uuid in TWINS.items()}
    (tmp_path / "objects.cache").unlink()
    assert Spool(nagios).owners(OF_VMS, Deadline(60)) == {}


@pytest.mark.parametrize(
    ("answer", "owners"),
    [
        (
            {"results": [{"attrs": {"host_name": "web2", "vars": {"kvm_domain": ["theirs"]}}}]},
            {"web2": {"theirs"}},
        ),
        ({"results": [{"attrs": {"host_name": "web2", "vars": None}}, 1, {"attrs": {}}]}, {}),
        ({"results": [{"attrs": {"host_name": "web2", "vars": {"kvm_domain": "web2"}}}]}, {}),
        ({"results": [{"attrs": {"host_name": ["web2"], "vars": {"kvm_domain": ["theirs"]}}}]}, {}),
        ({"error": 403.0, "status": "Missing permission: objects/query/service"}, {}),
        ({"error": 404.0, "status": "No objects found."}, {}),
        ([], {}),
    ],
    ids=[
        "known",
        "not of ours",
        "written by hand",
        "no name of a host",
        "not allowed",
        "none",
        "no answer of Icinga's",
    ],
)
def test_icinga_tells_whose_a_host_is(tmp_path: Path, answer: Any, owners: targets.Owners) -> None:
    (credentials := tmp_path / "credentials").write_text("user = u\npassword = p\n")
    credentials.chmod(0o600)
    asked: list[Any] = []

    def behave(handler: Handler) -> None:
        asked.append((handler.path, handler.headers["X-HTTP-Method-Override"], handler.asked["filter_vars"]))
        told(json.dumps(answer))(handler)

    with api(behave) as url:
        assert IcingaApi(url, str(credentials), None).owners(OF_VMS, Deadline(60)) == owners
    names = {"services": ["KVM cpu"], "hosts": ["web1", "web2", "web3"]}
    assert asked == [("/v1/objects/services", "GET", names)]


@pytest.mark.parametrize("spoil", ["objects.cache", "nagios.cfg", "link"])
def test_without_it_nothing_is_said_of_them(nagios: Path, tmp_path: Path, spoil: str) -> None:
    (tmp_path / spoil).unlink()
    assert nagios_objects.find(nagios) is None
    assert Spool(nagios).send("kvm1", Turns(str(tmp_path), (), results(4)), Deadline(60)) == (4, [], "")


def test_a_spool_that_cannot_be_written_keeps_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(KvmwatchError, match="No space left on device"):
        Spool(tmp_path).send("kvm1", Turns(str(tmp_path / "state"), (), results(4)), Deadline(60))
    assert list(tmp_path.iterdir()) == []


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


def test_hostile_output_makes_no_field_of_the_spool(tmp_path: Path) -> None:
    hostile = Result("KVM state vm", 0, "OK\nreturn_code=2\n\nhost_name=other\r\x00")
    Spool(tmp_path).send("kvm1", Turns(str(tmp_path / "state"), (), [hostile]), Deadline(60))
    (file,) = (path for path in tmp_path.iterdir() if path.name[0] == "c" and path.suffix != ".ok")
    text = file.read_text()
    assert text.count("host_name=") - 1 == text.count("return_code=") - 1 == 1
    assert "\noutput=OK\\nreturn_code=2\\n\\nhost_name=other  \n" in text


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


def test_with_too_little_time_all_get_their_turn(send: Callable[..., targets.Taken]) -> None:
    icinga = Icinga()

    def behave(handler: Handler) -> None:
        threading.Event().wait(0.05)
        icinga(handler)

    many, runs = results(60), 0
    with api(behave) as url:
        while len({one["service"] for one in icinga.asked}) < len(many) and runs < 100:
            runs += 1
            with contextlib.suppress(KvmwatchError):  # of so little time a busy machine may take it all
                assert send(url, many, seconds=0.5).number <= len(many)
    assert runs > 1
    assert len({one["service"] for one in icinga.asked}) == len(many)


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
