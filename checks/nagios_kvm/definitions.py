"""What all formats of definitions have in common."""

from __future__ import annotations

from typing import NamedTuple

from nagios_kvm.services import Service


class Site(NamedTuple):
    """For which host the definitions are, and how its services get their results."""

    host: str  # the hypervisor's host name in the monitoring system
    uri: str | None  # given to the checks; None: their own default
    active: bool  # checks run for each service; else nagios_kvm publish feeds them
    stale_after: int  # seconds without a result after which a passive service is UNKNOWN
    heading: tuple[str, ...] = ()  # comment lines at the top


def check_name(service: Service) -> str:
    """The command of a service's check."""
    return f"check_kvm_{service.check.name}"
