"""Icinga 2's API: passive results over one kept-alive connection."""

from __future__ import annotations

import configparser
import os
import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.judging import Result

_ACTION = "/v1/actions/process-check-result"
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


def session(ca_file: str | None = None) -> requests.Session:
    """A session that trusts this CA, or else those of the system."""
    made = requests.Session()
    made.mount("https://", _Adapter())
    made.verify = ca_file or True
    made.trust_env = False  # no proxy or CA bundle of the environment between a hypervisor and its Icinga
    made.headers["Accept"] = "application/json"
    return made


class IcingaApi:
    """A session with certificate verification and credentials from a file."""

    def __init__(self, url: str, credentials: str | None, ca_file: str | None) -> None:
        """``url``: https://HOST:5665. Raises UsageError when the credentials cannot be read."""
        if not credentials:
            raise UsageError("--to URL needs --credentials FILE with 'user = ...' and 'password = ...'")
        self._url = url.rstrip("/").removesuffix("/v1")
        self._session = session(ca_file)
        self._session.auth = _credentials(credentials)
        if ca_file and not os.path.isfile(ca_file):
            raise UsageError(f"--ca-file {ca_file}: no such file; Icinga's own is /var/lib/icinga2/certs/ca.crt")

    def send(self, host: str, results: list[Result], deadline: Deadline) -> int:
        """Send each result; those for services that Icinga does not know are not taken."""
        taken = 0
        for result in results:
            taken += self._process(host, result, deadline)
        return taken

    def _process(self, host: str, result: Result, deadline: Deadline) -> bool:
        text, _, long_output = result.output.partition("\n")
        text, _, perfdata = text.partition(" | ")
        asked: dict[str, Any] = {
            "type": "Service",
            "filter": "host.name == kvm_host && service.name == kvm_service",
            "filter_vars": {"kvm_host": host, "kvm_service": result.service},
            "exit_status": result.code,
            "plugin_output": "\n".join(filter(None, (text, long_output))),
            "performance_data": _values(perfdata),
            "check_source": "nagios_kvm publish",
        }
        if not deadline.remaining():
            raise KvmwatchError(f"{self._url}: not all results could be sent within the time limit")
        try:
            answer = self._session.post(self._url + _ACTION, json=asked, timeout=deadline.remaining())
        except requests.exceptions.SSLError as error:
            raise KvmwatchError(
                f"{self._url}: its certificate cannot be verified ({_reason(error)}); name its CA with --ca-file"
            ) from None
        except requests.RequestException as error:
            raise KvmwatchError(f"{self._url}: no Icinga API answers: {_reason(error)}") from None
        if answer.status_code == _UNAUTHORIZED:
            raise KvmwatchError(f"{self._url}: Icinga refuses the user or its password (object ApiUser)")
        body = _json(answer)
        if answer.status_code == _NOT_FOUND or body.get("results") == []:
            return False  # it has no such service; Icinga 2.13 says that with status 500 and no results
        if not answer.ok:
            raise KvmwatchError(f"{self._url}: Icinga refuses: {_status(answer.status_code, body)}")
        return True


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
    try:
        with open(file, encoding="utf-8") as text:
            if os.fstat(text.fileno()).st_mode & 0o007:
                raise KvmwatchError(f"{file} can be read by everybody; chmod 600 it")
            parser.read_string("[icinga]\n" + text.read())
        return parser["icinga"]["user"], parser["icinga"]["password"]
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except (configparser.Error, KeyError):
        raise UsageError(f"{file}: it needs the two lines 'user = ...' and 'password = ...'") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _status(code: int, body: dict[str, Any]) -> str:
    results = body.get("results") or [{}]
    return str(body.get("status") or results[0].get("status") or f"HTTP {code}")
