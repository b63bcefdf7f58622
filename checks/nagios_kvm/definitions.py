"""What all formats of definitions have in common."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol
from zlib import crc32

from kvmwatch.model.errors import UsageError
from kvmwatch.model.snapshot import Domain
from kvmwatch.model.text import without_password
from nagios_kvm.services import PARENT, Service

#: WITHOUT_CONTACTS of a format where who is told is for rules of the site's own: its validation does not say it
UNSEEN = re.compile(r"(?!)(.)(.)")


class Site(NamedTuple):
    """For which host the definitions are, and how its services get their results."""

    host: str  # the hypervisor's host name in the monitoring system
    uri: str | None  # given to the checks; None: their own default
    active: bool  # checks run for each service; else nagios_kvm publish feeds them
    stale_after: int  # seconds without a result after which a passive service is UNKNOWN
    heading: tuple[str, ...] = ()  # comment lines at the top
    selection: tuple[str, ...] = ()  # the options that leave some services to another file of the same host
    makes_hosts: bool = True  # those of VMs' own; else the site has them
    endpoint: str | None = None  # of Icinga, where the checks run
    kept: str = ""  # objects of the old file that are to stay as they are, in paragraphs

    def stale_after_of(self, service: Service) -> int:
        """Seconds without a result after which a service is UNKNOWN: sooner for that on which others depend."""
        return max(1, self.stale_after // 2) if service.check.name == PARENT else self.stale_after

    @property
    def group(self) -> str:
        """A name for the VMs of this file, which no other file of the host has."""
        of_file = f"-{crc32(repr(self.selection).encode()):08x}" if self.selection else ""
        return f"kvm-vms-of-{self.host}{of_file}"


class Renderer(Protocol):
    """A format: one of the modules nagios, icinga2, director, director_import."""

    #: finds what there is in such a file: by its groups the names of each service, or of a VM
    ENTRY: re.Pattern[str]
    #: what begins a comment, where ``site.heading`` goes; empty: JSON has none
    COMMENT: str
    #: finds of whom nobody is told in what a validation says: a service's name, empty for a host, and the host's
    WITHOUT_CONTACTS: re.Pattern[str]

    def render(self, site: Site, services: Iterable[Service]) -> str:
        """Give the file. Raises UsageError for what the format cannot have."""


def host_name(text: str) -> str:
    """Read a host's name. What no monitoring system takes would be read as something else in a line of a file."""
    if not text.isprintable() or text != text.strip() or not text or set(text) & set("!;"):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a host: none has '!', ';' or line breaks")
    return text


def check_uri(uri: str) -> None:
    """Whether a URI may stand in a file that many can read, and in one line. Raises UsageError."""
    if not uri.isprintable():
        raise UsageError(f"{uri!r} is no URI for a file: it has line breaks or other control characters")
    if without_password(uri) != uri:
        raise UsageError(f"{uri}: all could read its password in the file; libvirt takes it from auth.conf")


def in_macro(text: str) -> str:
    """Text as the value of one of Icinga's custom variables, in which ``$name$`` would be another one's."""
    return text.replace("$", "$$")


def vm_hosts(services: Iterable[Service]) -> dict[str, Domain]:
    """The VMs' own hosts, by name."""
    return {service.host: service.domain for service in services if service.host and service.domain}


def check_name(service: Service) -> str:
    """The command of a service's check."""
    return f"check_kvm_{service.check.name}"
