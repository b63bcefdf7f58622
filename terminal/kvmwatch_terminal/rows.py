"""What is shown of each VM: its record, and what the checks find wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple, Union

from kvmwatch.model.snapshot import Disk, Domain, Interface, Snapshot, Unreads, Vcpu

#: the words of the states of a verdict, the best first
OK, WARNING, UNKNOWN, CRITICAL = SEVERITIES = ("OK", "WARNING", "UNKNOWN", "CRITICAL")


_STATE = "state"  # the check that needs no name before what it says


class Problem(NamedTuple):
    """What a check finds; ``text`` does without the VM's name, and without that of the ``thing`` in it."""

    severity: str  # of SEVERITIES
    check: str
    text: str
    thing: str = ""  # a disk, an interface, a file system; empty: the VM as a whole


class Row(NamedTuple):
    """One VM; ``problems`` the worst first (None: nobody asked the checks, or the VM is to be left alone)."""

    domain: Domain
    now: float  # Unix time of the reading
    problems: tuple[Problem, ...] | None = None

    @property
    def status(self) -> str | None:
        """The worst severity."""
        if self.problems is None:
            return None
        return self.problems[0].severity if self.problems else OK

    @property
    def unread(self) -> Unreads:
        """What of it, and of its parts, could not be had."""
        domain = self.domain
        parts: list[Vcpu | Disk | Interface] = [*domain.vcpus, *domain.disks, *domain.interfaces]
        return (*domain.unread, *(unread for part in parts for unread in part.unread))

    @property
    def silent(self) -> bool:
        """Whether its QEMU does not answer."""
        return self.domain.not_responding is not None

    @property
    def held(self) -> bool:
        """Whether that it is there is all that is known."""
        return self.domain.held

    @property
    def badness(self) -> int:
        """The higher, the worse; a VM that is left alone is as good as any."""
        return SEVERITIES.index(self.status or OK)

    @property
    def called(self) -> str:
        """What libvirt calls it."""
        return self.domain.name


class Thing(NamedTuple):
    """Anything else that stands in a table: a disk, a pool, the verdict of a check."""

    of: Any
    now: float
    unread: Unreads = ()
    silent: bool = False
    status: str | None = None
    owner: Domain | None = None  # the VM that it is of, where a table has those of several

    @property
    def held(self) -> bool:
        """As of a row: of a thing there is something known."""
        return False

    @property
    def badness(self) -> int:
        """The higher, the worse."""
        return SEVERITIES.index(self.status or OK)

    @property
    def called(self) -> str:
        """The name of the VM that it is of."""
        return self.owner.name if self.owner else ""


#: what stands in a line of a table
Line = Union[Row, Thing]


class Said(NamedTuple):
    """The verdict of one check, OK or not; ``lines`` are without the VM's name."""

    check: str
    severity: str
    lines: tuple[str, ...]


def in_words(problems: Iterable[Problem]) -> list[str]:
    """A text for each thing that something is wrong with: "network: vnet0 errors 2/s, drops 20/s"."""
    texts = []
    for (check, thing), alike in groupby(problems, key=lambda problem: (problem.check, problem.thing)):
        about = " ".join(filter(None, ("" if check == _STATE else f"{check}:", thing)))
        texts.append(f"{about} {', '.join(problem.text for problem in alike)}".strip())
    return texts


def rows(snapshot: Snapshot) -> list[Row]:
    """The VMs without anything that the checks find."""
    return [Row(domain, snapshot.time) for domain in snapshot.domains]
