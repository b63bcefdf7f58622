"""What the checks say, asked of a snapshot: the problems of each VM and of the hypervisor, and whole verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from check_kvm.frame import labels, plugin
from check_kvm.frame.judging import Judges, of_domains
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import Verdict

from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.model.text import without_password
from kvmwatch_terminal.rows import OK, SEVERITIES, UNKNOWN, Problem, Row, Said


def judged(snapshot: Snapshot, checks: Sequence[Check], config: SiteConfig) -> list[Row]:
    """The VMs with what the checks find, of a snapshot that was read with their groups and has rates.

    Raises UsageError for what the file of ``--config`` names and a check does not know.
    """
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
    # beside those of VMs, which tell of a VM's metadata
    judges = Judges((*of_domains(), *checks), config, snapshot)
    for check in checks:
        try:
            yield from _problems(check.name, judges.verdict(check))
        except Exception as error:  # of one check, and the others are told all the same
            yield Problem(UNKNOWN, check.name, without_password(plugin.unknown(check, error)))


def _without(called: str, line: str) -> str:
    return line[len(labels.text(called)) :].strip() if line.startswith(labels.text(called)) else line


def _problems(check: str, verdict: Verdict, domain: Domain | None = None) -> Iterator[Problem]:
    """The parts of the lines of a verdict on one VM, or on the hypervisor, that are not OK."""
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
