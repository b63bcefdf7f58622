"""The Zabbix API: logging in without secrets on the command line, and what differs between 6.0 and 7.0.

pyzabbix carries the requests; here is only what its older versions (0.8 in Debian 12) and newer Zabbix versions
disagree about: how to log in, and where the token goes.
"""

from __future__ import annotations

import configparser
import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

import pyzabbix
import requests

from kvmwatch.command import given, watchdog
from kvmwatch.command.web import Secrets, Session, check_private
from kvmwatch.model.doing import doing
from kvmwatch.model.errors import KvmwatchError

_TOKEN_IN_HEADER = (6, 4)
_AGENT_USER = "zabbix"
_AT_ONCE = 20  # records of a request: some seconds of work, where a request may take -t
_LIMIT = 32 * 1024 * 1024  # bytes of an answer; the items of a hypervisor with 1,000 VMs are half of that
_WHICH_URL = "the URL is the front end's, as in the browser"

Record = dict[str, Any]


class Refused(KvmwatchError):
    """Zabbix understood what it was asked, and did not do it; ``why`` is what it says."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class Credentials(NamedTuple):
    """A token, or a user with a password."""

    token: Optional[str] = None
    user: Optional[str] = None
    password: Optional[str] = None


def credentials(file: str | None, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Read them from a file (``token = ...``, or ``user = ...`` and ``password = ...``), else the environment.

    The environment has ZABBIX_TOKEN, or ZABBIX_USER and ZABBIX_PASSWORD. Raises KvmwatchError.
    """
    if file is None:
        values = [environment.get(f"ZABBIX_{name}") for name in ("TOKEN", "USER", "PASSWORD")]
        missing = (
            "no credentials: set ZABBIX_TOKEN (or ZABBIX_USER and ZABBIX_PASSWORD), or name a --credentials FILE"
        )
    else:
        section = _file(file)
        values = [section.get(name) for name in ("token", "user", "password")]
        missing = f"{file}: neither token nor user and password in it"
    read = Credentials(*values)
    if read.token or (read.user and read.password is not None):
        return read
    raise KvmwatchError(missing)


def _file(file: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    text = given.read("--credentials", file, private=True)
    if _agent_reads(file):
        raise KvmwatchError(
            f"{file} can be read by user zabbix, whose agent hands out every file that it can read; chown root: it"
        )
    try:
        parser.read_string("[zabbix]\n" + text.removeprefix("[zabbix]"))
    except configparser.Error:
        raise KvmwatchError(f"{file} has other lines than token = ..., user = ... or password = ...") from None
    return parser["zabbix"]


def _agent_reads(file: str) -> bool:
    try:
        agent = pwd.getpwnam(_AGENT_USER)
    except KeyError:
        return False
    found = os.stat(file)
    return found.st_uid == agent.pw_uid or bool(found.st_mode & stat.S_IRGRP and found.st_gid == agent.pw_gid)


class Api:
    """A session. Every method raises KvmwatchError with one line for the user."""

    def __init__(self, url: str, login: Credentials, timeout: float, allow_http: bool = False) -> None:
        """Connect and log in; ``timeout`` is for each request as a whole, in seconds.

        Credentials go unencrypted to another machine only with ``allow_http``.
        """
        if "://" not in url:
            raise KvmwatchError(f"{url!r} is not a URL; use for instance https://zabbix.example.com/zabbix")
        check_private(url, allow_http)
        self.url = url
        self._answers = True
        self._secrets = Secrets(login.token or "", login.password or "")
        front_end = url.removesuffix("/api_jsonrpc.php").rstrip("/")
        self._api = pyzabbix.ZabbixAPI(front_end, session=Session(_LIMIT), timeout=timeout)
        version = self.call("apiinfo.version")
        try:
            self.version: tuple[int, int] = tuple(map(int, str(version).split(".")[:2]))  # type: ignore[assignment]
        except ValueError:
            raise KvmwatchError(f"{url}: {self._secrets.one_line(version)!r} is no version of Zabbix") from None
        if self.version < (6, 0):
            raise KvmwatchError(
                f"{url}: Zabbix {self._secrets.one_line(version)} is older than 6.0, which the templates need"
            )
        self._session = not login.token
        token = login.token or self.call("user.login", username=login.user, password=login.password)
        self._secrets = Secrets(str(token), login.password or "")
        if self.version >= _TOKEN_IN_HEADER:
            self._api.session.headers["Authorization"] = f"Bearer {token}"
        else:
            self._api.auth = token

    def call(self, method: str, /, *values: Any, **parameters: Any) -> Any:
        """Call a method with named parameters, or with a list (ids to delete)."""
        watchdog.renew()  # -t is for each request: setting a thousand guests up takes its time
        try:
            with doing(f"asking Zabbix: {method}"):
                result = self._api.do_request(method, list(values) or parameters)["result"]
        except pyzabbix.ZabbixAPIException as error:
            said = str(error.args[0] if error.args else error)
            why = self._secrets.one_line(_reason(said))
            if not said.startswith("Error "):  # what pyzabbix says of a page that is no JSON
                raise self._none(method, f" ({why})") from None
            raise Refused(f"{self.url}: Zabbix refused {method}: {why}", why) from None
        except (KeyError, TypeError):
            raise self._none(method) from None
        except requests.RequestException as error:
            self._answers = False
            raise KvmwatchError(
                f"{self.url}: no Zabbix API answers: {self._secrets.reason(error)}; {_WHICH_URL}"
            ) from None
        if not _fits(method, result):
            raise self._none(method)
        return result

    def _none(self, method: str, why: str = "") -> KvmwatchError:
        return KvmwatchError(f"{self.url}: the answer to {method} is none of a Zabbix API{why}; {_WHICH_URL}")

    def each(self, method: str, records: list[Record]) -> Iterator[tuple[Record, str | None]]:
        """Call a method that takes many records (host.create), for all of them: give each, and why it was refused.

        Zabbix does all of a request or nothing, so what came with a bad record is sent once more, in halves.
        """
        for start in range(0, len(records), _AT_ONCE):
            yield from self._halves(method, records[start : start + _AT_ONCE])

    def _halves(self, method: str, records: list[Record]) -> Iterator[tuple[Record, str | None]]:
        try:
            self.call(method, *records)
        except Refused as refused:
            if len(records) == 1:
                yield records[0], refused.why
                return
            half = len(records) // 2
            yield from self._halves(method, records[:half])
            yield from self._halves(method, records[half:])
        else:
            yield from ((record, None) for record in records)

    def close(self) -> None:
        """Log out where a session was opened, unless that would be one more request without an answer."""
        if self._session and self._answers:
            self.call("user.logout")

    @property
    def groups_of_host(self) -> str:
        """The parameter of host.get that selects host groups, and the name of what it gives."""
        return "selectHostGroups" if self.version >= (6, 2) else "selectGroups"

    @staticmethod
    def groups_in(host: Record) -> list[Record]:
        """The host groups of a host that was read with ``groups_of_host``."""
        groups: list[Record] = host.get("hostgroups") or host.get("groups") or []
        return groups

    @staticmethod
    def tags_of(host: Record) -> list[Record]:
        """The tags of a host as host.update takes them: Zabbix tells more of each than it takes back."""
        return [{"tag": tag["tag"], "value": tag["value"]} for tag in host["tags"]]

    def proxy(self, name: str) -> Record:
        """The parameters of a host that put it behind a proxy."""
        new = self.version >= (7, 0)
        number = self._number("proxy", "name" if new else "host", name, "proxyid")
        return {"monitored_by": 1, "proxyid": number} if new else {"proxy_hostid": number}

    def proxy_group(self, name: str) -> Record:
        """The parameters of a host that put it behind a group of proxies."""
        if self.version < (7, 0):
            raise KvmwatchError(f"{self.url}: proxy groups came with Zabbix 7.0; name one proxy")
        number = self._number("proxygroup", "name", name, "proxy_groupid")
        return {"monitored_by": 2, "proxy_groupid": number}

    def _number(self, kind: str, key: str, name: str, number: str) -> str:
        found = self.call(f"{kind}.get", filter={key: name}, output=[number])
        if not found:
            raise KvmwatchError(f"{self.url}: no {kind} is called {name!r}, or the user may not see it")
        return str(found[0][number])


def _fits(method: str, result: Any) -> bool:
    """Whether a result can be one of this method: lists of records, a token."""
    if method.endswith(".get"):
        return isinstance(result, list) and all(isinstance(record, dict) for record in result)
    return isinstance(result, str) or method != "user.login"


def _reason(text: str) -> str:
    """What of an error is Zabbix's reason. Older pyzabbix repeats the request behind it, with its secrets."""
    text = text.partition(" while sending {")[0]
    return re.sub(r"^Error -?\d+: (Invalid params|Application error)\., ", "", text)
