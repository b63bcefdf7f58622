"""Which hypervisors are to be monitored, from the command line or a small file."""

from __future__ import annotations

import configparser
import ipaddress
import re
from typing import NamedTuple, Optional

from kvmwatch.command import given
from kvmwatch.model.errors import KvmwatchError

#: how the master item arrives, to the template
TEMPLATES = {
    "agent": "KVM Hypervisor by Zabbix agent",
    "active": "KVM Hypervisor by Zabbix agent active",
    "trapper": "KVM Hypervisor by Zabbix trapper",
    "external": "KVM Hypervisor by external check",
}
_KEYS = ("address", "port", "way", "proxy", "proxy_group", "groups", "name")
_LEAST_KEY = 32  # hex digits of a PSK that Zabbix takes


class Psk(NamedTuple):
    """A pre-shared key, as the agent has it: TLSPSKIdentity, and what is in its TLSPSKFile."""

    identity: str
    key: str  # hex digits


class Site(NamedTuple):
    """A hypervisor. ``host`` is its host name in Zabbix, for active agents and pushes also that of the agent.

    What is None is not given: it stays as it is.
    """

    host: str
    address: Optional[str] = None  # of its agent, IP or DNS name
    port: Optional[str] = None
    way: Optional[str] = None
    proxy: Optional[str] = None
    proxy_group: Optional[str] = None  # 7.0
    groups: tuple[str, ...] = ()
    name: Optional[str] = None  # visible name
    macros: tuple[tuple[str, str], ...] = ()

    @property
    def by_ip(self) -> bool:
        """Whether its address is an IP address."""
        try:
            ipaddress.ip_address(self.address or self.host)
        except ValueError:
            return False
        return True


def from_argument(text: str, way: str | None) -> Site:
    """Read HOST or HOST=ADDRESS of the command line."""
    host, _, address = text.partition("=")
    if not host.strip():
        raise KvmwatchError(f"--hypervisor {text!r}: use HOST or HOST=ADDRESS")
    return Site(host.strip(), address.strip() or None, way=way)


def from_file(path: str, way: str | None) -> list[Site]:
    """Read an INI file: a section per hypervisor. Raises KvmwatchError that names what is wrong."""
    sections = _sections(path, given.read("--hypervisors", path))
    return [_site(path, name, values, way) for name, values in sections.items()]


def keys_from_file(path: str) -> dict[str, Psk]:
    """Read an INI file of pre-shared keys: a section per host with ``identity``, and ``key`` or ``key_file``.

    Raises KvmwatchError that names what is wrong, without the keys.
    """
    sections = _sections(path, given.read("--psk", path, private=True))
    return {name: _psk(path, name, values) for name, values in sections.items()}


def _psk(path: str, host: str, values: dict[str, str]) -> Psk:
    if not values.get("identity") or ("key" in values) == ("key_file" in values) or len(values) != 2:
        raise KvmwatchError(f"{path}: [{host}] needs identity = ..., and key = ... or key_file = ...")
    key = values.get("key") or given.read("--psk", values["key_file"], private=True).strip()
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", key) or len(key) < _LEAST_KEY:
        raise KvmwatchError(f"{path}: the key of [{host}] is not at least {_LEAST_KEY} hex digits")
    return Psk(values["identity"], key)


def _sections(path: str, text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, path)
    except configparser.ParsingError as error:
        lines = ", ".join(str(number) for number, _ in error.errors)
        raise KvmwatchError(f"{path}: line {lines} is neither [HOST] nor KEY = VALUE") from None
    except configparser.Error as error:
        raise KvmwatchError(f"{path}: {' '.join(str(error).split())}") from None
    return {name: dict(parser[name]) for name in parser.sections()}


def _site(path: str, host: str, values: dict[str, str], way: str | None) -> Site:
    macros = tuple((key, value) for key, value in values.items() if key.startswith("{$"))
    unknown = [key for key in values if key not in _KEYS and not key.startswith("{$")]
    if unknown:
        raise KvmwatchError(f"{path}: [{host}] has {unknown[0]!r}; known are {', '.join(_KEYS)} and {{$MACRO}}")
    site = Site(
        host=host,
        address=values.get("address"),
        port=values.get("port"),
        way=values.get("way", way),
        proxy=values.get("proxy"),
        proxy_group=values.get("proxy_group"),
        groups=tuple(filter(None, (group.strip() for group in values.get("groups", "").split(",")))),
        name=values.get("name"),
        macros=macros,
    )
    if site.proxy and site.proxy_group:
        raise KvmwatchError(f"{path}: [{host}] has both a proxy and a proxy_group: use one of them")
    if site.way is not None and site.way not in TEMPLATES:
        raise KvmwatchError(f"{path}: [{host}] way = {site.way}: use one of {', '.join(TEMPLATES)}")
    return site
