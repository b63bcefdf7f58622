"""Icinga 2's API: passive results over a few kept-alive connections."""

from __future__ import annotations

import configparser
import contextlib
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import requests
from check_kvm.frame.output import DEFAULT_LIMIT
from check_kvm.frame.perfdata import KNOWN

from kvmwatch.command import given
from kvmwatch.command.web import Secrets, Session, check_private
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline, Started
from nagios_kvm import fitting
from nagios_kvm.https import no_answer, session
from nagios_kvm.judging import Result
from nagios_kvm.targets import Owners, Taken
from nagios_kvm.turns import Turns

_ACTION = "/v1/actions/process-check-result"
_SERVICES = "/v1/objects/services"
_LIMIT_OF_OBJECTS = 64 * 1024 * 1024  # the custom variables of a service of each VM
_OK = 200
_NOT_FOUND = 404
_NO_OBJECTS = "No objects found"
_UNAUTHORIZED = 401
_CONNECTIONS = 4  # at once: Icinga works on as many requests as it has CPUs, and has others to serve
_UNANSWERED = 3  # results in a row without an answer: nobody is there


class IcingaApi:
    """A user of the API, by a few connections at once; their certificates are verified."""

    limit = DEFAULT_LIMIT
    words = "{to} took {number} of {total} results for host {host}"
    perfdata = KNOWN

    def __init__(self, url: str, credentials: str | None, ca_file: str | None, allow_http: bool = False) -> None:
        """``url``: https://HOST:5665. KvmwatchError when others could read the credentials, or this cannot."""
        if not credentials:
            raise UsageError("--to URL needs --credentials FILE with 'user = ...' and 'password = ...'")
        check_private(url, allow_http)
        self._url = url.rstrip("/").removesuffix("/v1")
        self._ca_file = ca_file
        user, password = _credentials(credentials)
        # bytes, because requests has only Latin-1 for text, and Icinga compares with its own UTF-8
        self._login = user.encode(), password.encode()
        self._secrets = Secrets(password, f"{user}:{password}")

    def owners(self, results: Sequence[Result], deadline: Deadline) -> Owners:
        """As the services say that these results are for; none where the user may not read them.

        Of each host one is asked for: they are all of the same VM.
        """
        of_each = {result.host: result.service for result in results if result.host}
        asked = {
            "attrs": ["vars", "host_name"],
            "filter": "service.name in services && host.name in hosts",
            "filter_vars": {"services": sorted(set(of_each.values())), "hosts": sorted(of_each)},
        }
        try:
            with session(self._ca_file, _LIMIT_OF_OBJECTS) as connection:
                connection.auth = self._login
                connection.headers["X-HTTP-Method-Override"] = "GET"
                answer = connection.post(self._url + _SERVICES, json=asked, timeout=deadline.remaining())
        except requests.RequestException:
            return {}  # the results will say why
        return dict(_owners(_json(answer)))

    def send(self, host: str, results: Turns, deadline: Deadline) -> Taken:
        """Send each result. Those that Icinga does not say it has taken are not; they do not stop the others.

        Raises KvmwatchError when none was taken, for another reason than that Icinga does not know the services.
        """
        said = _Said(self._secrets)
        crew = [
            Started(lambda: self._work(host, results, deadline, said))
            for _ in range(min(_CONNECTIONS, len(results)))
        ]
        for worker in crew:
            with contextlib.suppress(DeadlineExceeded):  # it is left behind; what it has got until now counts
                worker.wait(deadline)
        results.give_back(list(said.open))
        if not deadline.remaining():
            said.failed("the time limit was over before there was an answer for the others")
        if said.why and not said.taken:
            raise KvmwatchError(f"{self._url}: {said.why}")
        return Taken(said.taken, sorted(said.unknown), said.why)

    def _work(self, host: str, results: Turns, deadline: Deadline, said: _Said) -> None:
        """Send results by a connection of its own until there are no more, or no use."""
        with session(self._ca_file) as connection:
            connection.auth = self._login
            while deadline.remaining() and not said.over:
                result = next(results, None)
                if result is None:
                    return
                self._send(connection, host, result, deadline, said)

    def _send(self, connection: Session, host: str, result: Result, deadline: Deadline, said: _Said) -> None:
        asked = _asked(host, result)
        said.asking(result)
        try:
            answer = connection.post(self._url + _ACTION, json=asked, timeout=deadline.remaining())
        except requests.exceptions.SSLError as error:
            said.failed(no_answer("Icinga API", error, self._secrets), True)
        except requests.RequestException as error:
            said.unanswered(no_answer("Icinga API", error, self._secrets))
        else:
            said.answered(result, answer)


class _Said:
    """What the API said to all connections together."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.taken = 0
        self.unknown: list[str] = []  # services
        self.why = ""  # the first reason for which another result was not taken
        self.open: list[Result] = []  # asked, and not answered
        self.over = False  # there is no use in sending more
        self._unanswered = 0  # in a row
        self._lock = threading.Lock()

    def failed(self, why: str, over: bool = False) -> None:
        with self._lock:
            self.why = self.why or why
            self.over = self.over or over

    def asking(self, result: Result) -> None:
        with self._lock:
            self.open.append(result)

    def unanswered(self, why: str) -> None:
        with self._lock:
            self._unanswered += 1
        self.failed(why, self._unanswered >= _UNANSWERED)

    def answered(self, result: Result, answer: requests.Response) -> None:
        if answer.status_code == _UNAUTHORIZED:
            self.failed("Icinga refuses the user or its password (object ApiUser)", over=True)
            return
        refused = _refused(result.name, answer, self._secrets)
        with self._lock:
            self._unanswered = 0
            self.open.remove(result)
            if refused is None:
                self.taken += 1
            elif not refused:
                self.unknown.append(result.name)
            else:
                self.why = self.why or refused


def _refused(service: str, answer: requests.Response, secrets: Secrets) -> str | None:
    """None when a result was taken, else the reason, without secrets that the answer may repeat.

    It is empty for a service that Icinga does not know.
    """
    body = _json(answer)
    found = body.get("results")
    if found == [] or (answer.status_code == _NOT_FOUND and _NO_OBJECTS in str(body.get("status"))):
        return ""  # Icinga 2.13 says that of a filter with status 500 and no results
    if isinstance(found, list) and answer.ok and all(map(_processed, found)):
        return None
    if not body:
        return f"no Icinga API answers there, but something with HTTP {answer.status_code}: see the URL"
    return f"Icinga refuses {service}: {secrets.one_line(_status(answer.status_code, body))}"


def _owners(body: dict[str, Any]) -> Iterator[tuple[str, Collection[str]]]:
    """Hosts and the UUIDs of their VMs, by the ``kvm_domain`` that ``config`` gives the services."""
    found = body.get("results")
    for one in found if isinstance(found, list) else ():
        try:
            host, uuids = one["attrs"]["host_name"], one["attrs"]["vars"]["kvm_domain"]
        except (KeyError, TypeError):
            continue  # not of ours
        # as config writes it; what people write is one text, and often a name
        if isinstance(host, str) and isinstance(uuids, list):
            yield host, set(map(str, uuids))


def _asked(host: str, result: Result) -> dict[str, Any]:
    status, perfdata, lines = fitting.parts(result.output)
    return {
        "type": "Service",
        # by its name, which Icinga looks up; it would try a filter with every service that it has
        "service": f"{result.host or host}!{result.service}",
        "exit_status": result.code,
        "plugin_output": "\n".join((status, *lines)),
        "performance_data": perfdata,
        "check_source": "nagios_kvm publish",
    }


def _credentials(file: str) -> tuple[str, str]:
    """The user and the password."""
    parser = configparser.ConfigParser(interpolation=None)
    text = given.read("--credentials", file, UsageError, private=True)
    try:
        parser.read_string("[icinga]\n" + text)
        return parser["icinga"]["user"], parser["icinga"]["password"]
    except (configparser.Error, KeyError):
        raise UsageError(f"{file}: it needs the two lines 'user = ...' and 'password = ...'") from None


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _processed(result: Any) -> bool:
    return isinstance(result, dict) and result.get("code") == _OK


def _status(code: int, body: dict[str, Any]) -> object:
    results = body.get("results")
    first = next((one for one in results if isinstance(one, dict)), {}) if isinstance(results, list) else {}
    return body.get("status") or first.get("status") or first.get("errors") or f"HTTP {code}"
