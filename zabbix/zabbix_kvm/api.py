"""The Zabbix API: logging in without secrets on the command line, and what differs between 6.0 and 7.0.

pyzabbix carries the requests; here is only what its older versions (0.8 in Debian 12) and newer Zabbix versions
disagree about: how to log in, and where the token goes.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import pyzabbix
import requests

from kvmwatch.model.errors import KvmwatchError

_TOKEN_IN_HEADER = (6, 4)

Record = dict[str, Any]


class Credentials(NamedTuple):
    """A token, or a user with a password."""

    token: Optional[str] = None
    user: Optional[str] = None
    password: Optional[str] = None


def credentials(file: str | None, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Read them from a file (``token = ...``, or ``user = ...`` and ``password = ...``), else the environment.

    The environment has ZABBIX_TOKEN, or ZABBIX_USER and ZABBIX_PASSWORD. Raises KvmwatchError.
    """
    found = environment if file is None else _file(file)
    prefix = "ZABBIX_" if file is None else ""
    names = (f"{prefix}{name}" if file is None else name.lower() for name in ("TOKEN", "USER", "PASSWORD"))
    made = Credentials(*(found.get(name) for name in names))
    if made.token or (made.user and made.password is not None):
        return made
    raise KvmwatchError(
        f"{file}: neither token nor user and password in it"
        if file
        else "no credentials: set ZABBIX_TOKEN (or ZABBIX_USER and ZABBIX_PASSWORD), or name a --credentials FILE"
    )


def _file(file: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(file, encoding="utf-8") as text:
            if os.fstat(text.fileno()).st_mode & 0o007:
                raise KvmwatchError(f"{file} can be read by everybody; chmod 600 it")
            parser.read_string("[zabbix]\n" + text.read().removeprefix("[zabbix]"))
    except OSError as error:
        raise KvmwatchError(f"cannot read {file}: {error.strerror}") from None
    except configparser.Error:
        raise KvmwatchError(f"{file} has other lines than token = ..., user = ... or password = ...") from None
    return parser["zabbix"]


class Api:
    """A session. Every method raises KvmwatchError with one line for the user."""

    def __init__(self, url: str, given: Credentials, timeout: float) -> None:
        """Connect and log in; ``timeout`` is for each request, in seconds."""
        if "://" not in url:
            raise KvmwatchError(f"{url!r} is not a URL; use for instance https://zabbix.example.com/zabbix")
        self.url = url
        self._api = pyzabbix.ZabbixAPI(url.removesuffix("/api_jsonrpc.php").rstrip("/"), timeout=timeout)
        version = self.call("apiinfo.version")
        self.version: tuple[int, int] = tuple(map(int, str(version).split(".")[:2]))  # type: ignore[assignment]
        if self.version < (6, 0):
            raise KvmwatchError(f"{url}: Zabbix {version} is older than 6.0, which the templates need")
        self._session = not given.token
        token = given.token or self.call("user.login", username=given.user, password=given.password)
        if self.version >= _TOKEN_IN_HEADER:
            self._api.session.headers["Authorization"] = f"Bearer {token}"
        else:
            self._api.auth = token

    def call(self, method: str, /, *values: Any, **parameters: Any) -> Any:
        """Call a method with named parameters, or with a list (ids to delete)."""
        try:
            return self._api.do_request(method, list(values) or parameters)["result"]
        except pyzabbix.ZabbixAPIException as error:
            text = " ".join(str(error.args[0] if error.args else error).split())
            raise KvmwatchError(f"{self.url}: Zabbix refused {method}: {text}") from None
        except requests.RequestException as error:
            reason = " ".join(str(error).split())
            raise KvmwatchError(
                f"{self.url}: no Zabbix API answers: {reason}; the URL is the front end's, as in the browser"
            ) from None

    def close(self) -> None:
        """Log out where a session was opened."""
        if self._session:
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

    def proxy(self, name: str) -> Record:
        """The parameters of a host that put it behind a proxy."""
        new = self.version >= (7, 0)
        found = self.call("proxy.get", filter={"name" if new else "host": name}, output=["proxyid"])
        if not found:
            raise KvmwatchError(f"{self.url}: no proxy is called {name!r}")
        number = found[0]["proxyid"]
        return {"monitored_by": 1, "proxyid": number} if new else {"proxy_hostid": number}
