"""Where passive results go: Nagios's command file or check-result spool, Icinga 2's API, NRDP, or NSCA."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.judging import Result
from nagios_kvm.turns import Turns

_NAMED = 3  # services that a message names


#: the UUIDs of the VMs that hosts have there; of a host that is not in it that is not known
Owners = Mapping[str, Collection[str]]


class Taken(NamedTuple):
    """How many results were taken, which services are not known there, and else why one was not taken."""

    number: int
    unknown: Sequence[str] = ()
    why: str = ""

    def failed(self, total: int) -> bool:
        """Whether the run failed: something was refused or not sent, or nothing of it is known there.

        Some that are unknown are no failure: a new VM has its services with the next config.
        """
        if self.why or (self.unknown and len(self.unknown) >= total):
            return True
        return self.number + len(self.unknown) < total  # a target may count those that it does not know, too

    def reasons(self) -> list[str]:
        """Why not all of them were taken, each in one line."""
        found = [self.why] if self.why else []
        if self.unknown:
            named = ", ".join(self.unknown[:_NAMED]) + (", ..." if len(self.unknown) > _NAMED else "")
            what = f"{len(self.unknown)} of the services" if len(self.unknown) > 1 else "a service"
            found.append(f"it does not know {what} ({named}): see nagios_kvm config, --host and --vm-host")
        return found


class Target(Protocol):
    """Something that takes results."""

    #: bytes that the output of a result may have
    limit: int
    #: what is said of a number of results: ``{to} took 5 of 6 results for host kvm1``
    words: str
    #: the style of perfdata for what reads it there (:mod:`check_kvm.frame.perfdata`)
    perfdata: str

    def owners(self, results: Sequence[Result], deadline: Deadline) -> Owners:
        """Whose the VMs' own hosts are there, that these results are for."""

    def send(self, host: str, results: Turns, deadline: Deadline) -> Taken:
        """Send results for a host, as many as it goes within the time. Raises KvmwatchError when nothing goes."""


def find(to: str, credentials: str | None, ca_file: str | None, allow_http: bool = False) -> Target:
    """The target that a file or URL names. Raises KvmwatchError, UsageError among them.

    Credentials go unencrypted to another machine only with ``allow_http``, and stand in no URL.
    """
    if "://" in to and set("@?#") & set(to):
        raise UsageError(
            "--to: no user, password or token in the URL ('@', '?', '#'), which everybody sees; see --credentials"
        )
    if ca_file and not os.path.isfile(ca_file):
        raise UsageError(
            f"--ca-file {ca_file}: no such file; Icinga keeps its own as /var/lib/icinga2/certs/ca.crt"
        )
    if to.lower().startswith(("https://", "http://")):
        from nagios_kvm.icinga_api import IcingaApi  # noqa: PLC0415 - brings requests

        return IcingaApi(to, credentials, ca_file, allow_http)
    if to.lower().startswith(("nrdp+https://", "nrdp+http://")):
        from nagios_kvm.nrdp import Nrdp  # noqa: PLC0415 - brings requests

        return Nrdp(to, credentials, ca_file, allow_http)
    if to.lower().startswith("nsca://"):
        if ca_file or allow_http:
            raise UsageError("--ca-file and --allow-http are for http and https; NSCA has its own encryption")
        from nagios_kvm.nsca import Nsca  # noqa: PLC0415 - brings urlsplit and programs

        return Nsca(to, credentials)
    from nagios_kvm.command_file import CommandFile  # noqa: PLC0415 - Icinga needs neither
    from nagios_kvm.spool import Spool  # noqa: PLC0415

    try:
        mode = os.stat(to).st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise KvmwatchError(f"--to {to}: {reason}; is Nagios running, and is this its command_file?") from None
    if stat.S_ISFIFO(mode):
        return CommandFile(Path(to))
    if stat.S_ISDIR(mode):
        return Spool(Path(to))
    raise UsageError(f"--to {to} is neither a command file (a pipe), nor a check-result folder, nor a URL")
