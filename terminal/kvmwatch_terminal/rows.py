"""What is shown of each VM: its record, and what the checks find wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from kvmwatch.model.snapshot import Disk, Domain, Interface, Snapshot, Unreads, Vcpu
from kvmwatch.model.text import without_password

if TYPE_CHECKING:
    from check_kvm.frame.plugin import Check
    from check_kvm.frame.siteconfig import SiteConfig
    from check_kvm.frame.verdict import Verdict

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


def judged(snapshot: Snapshot, checks: Sequence[Check], config: SiteConfig) -> list[Row]:
    """The VMs with what the checks find, of a snapshot that was read with their groups and has rates.

    Raises UsageError for what the file of ``--config`` names and a check does not know.
    """
    from check_kvm.frame import plugin  # noqa: PLC0415 - a list of names does without
    from check_kvm.frame.judging import Judges  # noqa: PLC0415

    judges = Judges(checks, config, snapshot)

    def problems(domain: Domain) -> Iterator[Problem]:
        for check in checks:
            try:
                yield from _problems(check.name, judges.verdict(check, domain), domain)
            except Exception as error:  # of one check on one VM, and all else is told all the same
                yield Problem(UNKNOWN, check.name, without_password(plugin.unknown(check, error)))

    return [
        Row(
            domain,
            snapshot.time,
            None if domain.policy.ignore else _worst_first(problems(domain)),
        )
        for domain in snapshot.domains
    ]


def said(
    snapshot: Snapshot, checks: Sequence[Check], config: SiteConfig, domain: Domain | None = None
) -> Iterator[Said]:
    """What each check says of a VM, with what is well; of the hypervisor, what is wrong and then the overview."""
    from check_kvm.frame import plugin  # noqa: PLC0415 - a list of names does without
    from check_kvm.frame.judging import Judges  # noqa: PLC0415

    judges = Judges(checks, config, snapshot)
    for check in checks:
        try:
            verdict = judges.verdict(check, domain)
            subjects = verdict.sorted_subjects()
            if domain:
                lines = tuple(
                    _without(verdict.called(domain), subject.line(worst_first=True)) for subject in subjects
                )
            else:
                lines = tuple(subject.line(worst_only=True) for subject in subjects if subject.state.code)
                lines = (*lines, verdict.overview)
            worst = max((str(subject.state).upper() for subject in subjects), key=SEVERITIES.index, default=OK)
            yield Said(check.name, worst, lines or (verdict.overview,))
        except Exception as error:  # of one check, and the others are told all the same
            yield Said(check.name, UNKNOWN, (without_password(plugin.unknown(check, error)),))


def hypervisor_problems(snapshot: Snapshot, checks: Sequence[Check], config: SiteConfig) -> Iterator[Problem]:
    """What these checks of the hypervisor find; ``thing`` is a pool, a network, a process, or empty: the host."""
    from check_kvm.frame import plugin  # noqa: PLC0415 - a list of names does without
    from check_kvm.frame.judging import Judges, of_domains  # noqa: PLC0415

    # beside those of VMs, which tell of a VM's metadata
    judges = Judges((*of_domains(), *checks), config, snapshot)
    for check in checks:
        try:
            yield from _problems(check.name, judges.verdict(check))
        except Exception as error:  # of one check, and the others are told all the same
            yield Problem(UNKNOWN, check.name, without_password(plugin.unknown(check, error)))


def _without(called: str, line: str) -> str:
    from check_kvm.frame import labels  # noqa: PLC0415

    return line[len(labels.text(called)) :].strip() if line.startswith(labels.text(called)) else line


def _problems(check: str, verdict: Verdict, domain: Domain | None = None) -> Iterator[Problem]:
    """The parts of the lines of a verdict on one VM, or on the hypervisor, that are not OK."""
    from check_kvm.frame import labels  # noqa: PLC0415

    bad = verdict.bad_subjects()
    called = labels.text(verdict.called(domain)) if domain and bad else ""
    for subject in bad:
        thing = subject.name[len(called) :].strip() if subject.name.startswith(called) else subject.name
        for state, text in subject.parts:
            if state.code:
                yield Problem(str(state).upper(), check, text, thing)


def _worst_first(found: Iterator[Problem]) -> tuple[Problem, ...]:
    """What several checks say, such as that it does not answer, once: by the first, as bad as the worst."""
    once: dict[tuple[str, str], Problem] = {}
    for problem in found:
        key = problem.thing, problem.text
        first = once.setdefault(key, problem)
        once[key] = first._replace(severity=max(first.severity, problem.severity, key=SEVERITIES.index))
    return tuple(sorted(once.values(), key=lambda problem: SEVERITIES.index(problem.severity), reverse=True))
