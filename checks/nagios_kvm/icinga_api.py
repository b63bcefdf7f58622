"""Icinga 2's API: passive results over one kept-alive connection."""

from __future__ import annotations

import configparser
import os
import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from kvmwatch.command import given
from kvmwatch.command.web import Session, check_private, one_line, reason
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.judging import Result, Taken

_ACTION = "/v1/actions/process-check-result"
_LIMIT = 1024 * 1024  # bytes of an answer
_OK = 200
_NOT_FOUND = 404
_UNAUTHORIZED = 401


class _Adapter(HTTPAdapter):  # type: ignore[misc]
    """Verifies as ever, but takes certificates as Icinga makes them: without the identifiers of their keys.

    Python 3.13 with urllib3 2.4 asks for these (VERIFY_X509_STRICT), and refuses every Icinga with its own CA.
    """

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        context = create_urllib3_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        super().init_poolmanager(*arguments, ssl_context=context, **more)


def session(ca_file: str | None = None, limit: int = _LIMIT) -> Session:
    """A session that trusts this CA, or else those of the system; an answer may have ``limit`` bytes."""
    made = Session(limit)
    made.mount("https://", _Adapter())
    made.verify = ca_file or True
    made.trust_env = False  # no proxy or CA bundle of the environment between a hypervisor and its Icinga
    made.headers["Accept"] = "application/json"
    return made


class IcingaApi:
    """A session with certificate verification and credentials from a file."""

    def __init__(self, url: str, credentials: str | None, ca_file: str | None, allow_http: bool = False) -> None:
        """``url``: https://HOST:5665. KvmwatchError when others could read the credentials, or this cannot."""
        if not credentials:
            raise UsageError("--to URL needs --credentials FILE with 'user = ...' and 'password = ...'")
        check_private(url, allow_http)
        self._url = url.rstrip("/").removesuffix("/v1")
        self._session = session(ca_file)
        self._session.auth = _credentials(credentials)
        if ca_file and not os.path.isfile(ca_file):
            raise UsageError(f"--ca-file {ca_file}: no such file; Icinga's own is /var/lib/icinga2/certs/ca.crt")

    def send(self, host: str, results: list[Result], deadline: Deadline) -> Taken:
        """Send each result. Those that Icinga does not say it has taken are not; they do not stop the others.

        Raises KvmwatchError when no answer comes, the user is refused, or none was taken for another reason than
        that Icinga does not know the services.
        """
        taken, why = 0, ""
        for result in results:
            if not deadline.remaining():
                raise KvmwatchError(f"{self._url} took {taken} of {len(results)} results within the time limit")
            refused = self._refused(host, result, deadline)
            taken += refused is None
            why = why or refused or ""
        if why and not taken:
            raise KvmwatchError(f"{self._url}: {why}")
        return Taken(taken, why)

    def _refused(self, host: str, result: Result, deadline: Deadline) -> str | None:
        """Send a result. Gives None when it was taken, else the reason; it is empty for an unknown service."""
        try:
            answer = self._session.post(
                self._url + _ACTION, json=_asked(host, result), timeout=deadline.remaining()
            )
        except requests.exceptions.SSLError as error:
            raise KvmwatchError(
                f"{self._url}: its certificate cannot be verified ({reason(error)}); name its CA with --ca-file"
            ) from None
        except requests.RequestException as error:
            raise KvmwatchError(f"{self._url}: no Icinga API answers: {reason(error)}") from None
        if answer.status_code == _UNAUTHORIZED:
            raise KvmwatchError(f"{self._url}: Icinga refuses the user or its password (object ApiUser)")
        body = _json(answer)
        found = body.get("results")
        if found == [] or (answer.status_code == _NOT_FOUND and body):
            return ""  # it has no such service; Icinga 2.13 says that with status 500 and no results
        if isinstance(found, list) and answer.ok and all(map(_processed, found)):
            return None
        if not body:
            return f"no Icinga API answers there, but something with HTTP {answer.status_code}: see the URL"
        return f"Icinga refuses {result.service}: {_status(answer.status_code, body)}"


def _asked(host: str, result: Result) -> dict[str, Any]:
    text, _, long_output = result.output.partition("\n")
    text, _, perfdata = text.partition(" | ")
    return {
        "type": "Service",
        "filter": "host.name == kvm_host && service.name == kvm_service",
        "filter_vars": {"kvm_host": host, "kvm_service": result.service},
        "exit_status": result.code,
        "plugin_output": "\n".join(filter(None, (text, long_output))),
        "performance_data": _values(perfdata),
        "check_source": "nagios_kvm publish",
    }


def _values(perfdata: str) -> list[str]:
    """The perfdata value by value: labels that hold blanks are quoted."""
    values: list[str] = []
    quoted = False
    for word in perfdata.split(" "):
        if quoted:
            values[-1] += f" {word}"
        elif word:
            values.append(word)
        if word.count("'") % 2:
            quoted = not quoted
    return values


def _credentials(file: str) -> tuple[str, str]:
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


def _status(code: int, body: dict[str, Any]) -> str:
    results = body.get("results")
    first = results[0] if isinstance(results, list) and isinstance(results[0], dict) else {}
    return one_line(body.get("status") or first.get("status") or first.get("errors") or f"HTTP {code}")
