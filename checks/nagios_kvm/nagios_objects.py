"""Which services of which VMs a Nagios on this machine has: of results for others only its log says something.

Its main configuration is found by the command file or the spool that it names, and names the object cache, which
Nagios writes when it starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from check_kvm.frame.perfdata import FULL

from kvmwatch.reading.deadline import Deadline
from nagios_kvm.judging import Result
from nagios_kvm.targets import Owners

MAIN_FILES = (
    *("/etc/nagios4/nagios.cfg", "/etc/nagios/nagios.cfg", "/etc/nagios3/nagios.cfg"),
    *("/usr/local/nagios/etc/nagios.cfg", "/etc/naemon/naemon.cfg", "/etc/icinga/icinga.cfg"),
)
_OURS = ("command_file", "check_result_path")
_CACHE = "object_cache_file"
_UUID = "_KVM_UUID"  # nagios_kvm.nagios gives it to hosts and services of VMs


class Objects(NamedTuple):
    """What a Nagios watches: its services by host and name, and the UUIDs of the VMs that each host has."""

    services: frozenset[tuple[str, str]]
    owners: Mapping[str, frozenset[str]]


class OfNagios:
    """What both targets on a Nagios's own machine have in common."""

    words = "{to}: {number} of {total} results for host {host} written"
    perfdata = FULL

    def __init__(self, path: Path) -> None:
        """``path``: where its results go, by which its main file is known."""
        self._path = path

    @cached_property
    def _objects(self) -> Objects | None:
        return find(self._path)

    def owners(self, _results: Sequence[Result], _deadline: Deadline) -> Owners:
        """Of all hosts that its Nagios has, where it is known which that is."""
        return self._objects.owners if self._objects else {}


def find(to: Path) -> Objects | None:
    """The objects of the Nagios whose command file or spool it is; None: that cannot be known."""
    for name in MAIN_FILES:
        try:
            settings = dict(_settings(name))
            if any(os.path.realpath(settings.get(key, "")) == os.path.realpath(to) for key in _OURS):
                return _objects(settings[_CACHE])
        except (OSError, KeyError, ValueError):  # another user's, or none
            continue
    return None


def _settings(name: str) -> Iterator[tuple[str, str]]:
    for line in _lines(name):
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            yield key.strip(), value.strip()


def _objects(cache: str) -> Objects:
    """Read the object cache: an object's lines are "<TAB>name<TAB>value", a service's host_name comes first."""
    services: set[tuple[str, str]] = set()
    owners: dict[str, set[str]] = {}
    of_service, host = False, ""
    for line in _lines(cache):
        if line.startswith("define "):
            of_service, host = line.startswith("define service {"), ""
            continue
        key, _, value = line.strip("\t\n").partition("\t")
        if key == "host_name":
            host = value
        elif key == _UUID:
            owners.setdefault(host, set()).add(value)
        elif key == "service_description" and of_service:
            services.add((host, value))
    return Objects(frozenset(services), {host: frozenset(uuids) for host, uuids in owners.items()})


def _lines(name: str) -> Iterator[str]:
    if not os.path.isfile(name):
        raise FileNotFoundError(name)
    with open(name, encoding="utf-8", errors="replace") as file:
        yield from file
