"""Which services a Nagios on this machine has: of results for others it says nothing, but in its log.

Its main configuration is found by the command file or the spool that it names, and names the object cache, which
Nagios writes when it starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MAIN_FILES = (
    *("/etc/nagios4/nagios.cfg", "/etc/nagios/nagios.cfg", "/etc/nagios3/nagios.cfg"),
    *("/usr/local/nagios/etc/nagios.cfg", "/etc/naemon/naemon.cfg", "/etc/icinga/icinga.cfg"),
)
_OURS = ("command_file", "check_result_path")
_CACHE = "object_cache_file"


def services(to: Path) -> frozenset[tuple[str, str]] | None:
    """The services, host and name, of the Nagios whose command file or spool it is; None: that cannot be known."""
    for name in MAIN_FILES:
        try:
            settings = dict(_settings(name))
            if any(os.path.realpath(settings.get(key, "")) == os.path.realpath(to) for key in _OURS):
                return frozenset(_services(settings[_CACHE]))
        except (OSError, KeyError, ValueError):  # another user's, or none
            continue
    return None


def _settings(name: str) -> Iterator[tuple[str, str]]:
    for line in _lines(name):
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            yield key.strip(), value.strip()


def _services(cache: str) -> Iterator[tuple[str, str]]:
    """Read the object cache: an object's lines are "<TAB>name<TAB>value", a service's host_name comes first."""
    inside, host = False, ""
    for line in _lines(cache):
        if line.startswith("define "):
            inside, host = line.startswith("define service {"), ""
        elif inside:
            key, _, value = line.strip("\t\n").partition("\t")
            if key == "host_name":
                host = value
            elif key == "service_description":
                yield host, value


def _lines(name: str) -> Iterator[str]:
    if not os.path.isfile(name):
        raise FileNotFoundError(name)
    with open(name, encoding="utf-8", errors="replace") as file:
        yield from file
