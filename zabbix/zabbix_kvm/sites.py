"""Which hypervisors are to be monitored, from the command line or a small file."""

from __future__ import annotations

import configparser
import ipaddress
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
_KEYS = ("address", "port", "way", "proxy", "groups", "name")


class Site(NamedTuple):
    """A hypervisor. ``host`` is its host name in Zabbix, for active agents and pushes also that of the agent."""

    host: str
    address: Optional[str] = None  # of its agent, IP or DNS name
    port: str = "10050"
    way: str = "agent"
    proxy: Optional[str] = None
    groups: tuple[str, ...] = ()
    name: Optional[str] = None  # visible name
    macros: tuple[tuple[str, str], ...] = ()

    @property
    def template(self) -> str:
        """The template it gets."""
        return TEMPLATES[self.way]

    @property
    def by_ip(self) -> bool:
        """Whether its address is an IP address."""
        try:
            ipaddress.ip_address(self.address or self.host)
        except ValueError:
            return False
        return True


def from_argument(text: str, way: str) -> Site:
    """Read HOST or HOST=ADDRESS of the command line."""
    host, _, address = text.partition("=")
    if not host.strip():
        raise KvmwatchError(f"--hypervisor {text!r}: use HOST or HOST=ADDRESS")
    return Site(host.strip(), address.strip() or None, way=way)


def from_file(path: str, way: str) -> list[Site]:
    """Read an INI file: a section per hypervisor. Raises KvmwatchError that names what is wrong."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(given.read("--hypervisors", path), path)
    except configparser.Error as error:
        raise KvmwatchError(f"{path}: {' '.join(str(error).split())}") from None
    return [_site(path, name, dict(parser[name]), way) for name in parser.sections()]


def _site(path: str, host: str, values: dict[str, str], way: str) -> Site:
    macros = tuple((key, value) for key, value in values.items() if key.startswith("{$"))
    unknown = [key for key in values if key not in _KEYS and not key.startswith("{$")]
    if unknown:
        raise KvmwatchError(f"{path}: [{host}] has {unknown[0]!r}; known are {', '.join(_KEYS)} and {{$MACRO}}")
    site = Site(
        host=host,
        address=values.get("address"),
        port=values.get("port", "10050"),
        way=values.get("way", way),
        proxy=values.get("proxy"),
        groups=tuple(filter(None, (group.strip() for group in values.get("groups", "").split(",")))),
        name=values.get("name"),
        macros=macros,
    )
    if site.way not in TEMPLATES:
        raise KvmwatchError(f"{path}: [{host}] way = {site.way}: use one of {', '.join(TEMPLATES)}")
    return site
