"""A check's verdict: a state and a line for each subject (a VM, a disk, a pool), and the perfdata."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import isinf

from check_kvm.frame import labels
from check_kvm.frame.conditions import Condition
from check_kvm.frame.perfdata import Measured
from check_kvm.frame.plugin_api import Critical, Ok, Range, ServiceState, Unknown, Warn
from check_kvm.frame.thresholds import ALL_PASSES, Thresholds
from kvmwatch.model import states
from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import LONGEST_WHY, Domain, Snapshot, Unreads, texts
from kvmwatch.model.text import labelled, readable
from kvmwatch.model.units import duration, human

# What is surely wrong comes before what cannot be told; nagiosplugin's own order ranks UNKNOWN highest.
SEVERITY = (Ok, Warn, Unknown, Critical)
NAMED = 3  # problems that the first line names

#: gives UUIDs to titles, of those that have one
Titles = Callable[[Collection[str]], Mapping[str, str]]

#: a VM's name, and the key of its disk, ...: what a label of perfdata is made of; none: the check as a whole
LabelParts = tuple[str, ...]


class Values(Record):
    """A value of perfdata; or several that are not known, as long as nobody has measured them."""

    label_parts: LabelParts
    metrics: tuple[str, ...]
    value: float | None = None
    policy: Policy | None = None
    least: float | None = 0
    most: float | None = None


class Subject:
    """What is said of one VM, disk, interface or pool: parts of a line, each with its state."""

    def __init__(self, name: str, label_parts: LabelParts, policy: Policy | None, verdict: Verdict) -> None:
        """``name`` for people, ``label_parts`` for perfdata."""
        self.name = labels.text(name)
        self.rank = 0.0  # within a state, higher is worse
        self.domain: Domain | None = None  # that it is of, as a whole
        self.silent = False  # it does not answer, which comes before all else in that state
        self._parts: list[tuple[ServiceState, str | Callable[[], str]]] = []  # most texts are asked for by nobody
        self.excused = False  # from telling its values: whoever it is of says why, or nothing runs in it
        self._untold: dict[str, str] = {}  # metrics that somebody wants judged and that have no value, and why
        self._label_parts = label_parts
        self._policy = policy
        # not the verdict itself, which has its subjects: what refers to each other stays until it is looked for
        self._thresholds = verdict.thresholds
        self._values = verdict.values

    @property
    def state(self) -> ServiceState:
        """The worst of its parts."""
        bad = [state for state, _ in self._parts if state is not Ok]  # which is none, as a rule
        return max(bad, key=SEVERITY.index) if bad else Ok

    @property
    def parts(self) -> list[tuple[ServiceState, str]]:
        """What is said of it, in the order of saying."""
        return [(state, text if isinstance(text, str) else text()) for state, text in self._parts]

    @property
    def empty(self) -> bool:
        """Whether nothing is said of it."""
        return not self._parts

    def say(self, found: ServiceState | Condition, text: str) -> None:
        """Add a part that needs no threshold: of this state, or of the severity that the condition has here."""
        state = self.severity(found) if isinstance(found, Condition) else found
        # what an owner, a guest or a driver wrote must not push other subjects out of the output
        self._parts.append((state, labels.text(readable(text, LONGEST_WHY))))

    def severity(self, condition: Condition) -> ServiceState:
        """What this condition of it is."""
        return self._thresholds.severities.of(condition, self._policy)

    def measure(
        self,
        metric: str,
        value: float | None,
        least: float | None = 0,
        most: float | None = None,
        text: str | None = None,
        unjudged: str = "",
        why: str = "",
    ) -> None:
        """Judge a value and add it to text and perfdata; see :meth:`judge`.

        ``least`` and ``most`` are the perfdata's min and max.
        """
        self.put(metric, value, least, most)
        self.judge(metric, value, text, unjudged, why=why)

    def put(self, metric: str, value: float | None, least: float | None = 0, most: float | None = None) -> None:
        """Put a value into perfdata that is judged otherwise, or not at all."""
        self._values.append(Values(self._label_parts, (metric,), value, self._policy, least, most))

    def judge(
        self,
        metric: str,
        value: float | None,
        text: str | None = None,
        unjudged: str = "",
        quiet: bool = False,
        why: str = "",
    ) -> None:
        """Judge a value that is not in perfdata, or is there otherwise; ``quiet``: say only what is wrong.

        ``text`` is for people, "METRIC VALUE" without it. ``unjudged`` says why the value tells nothing that could
        be judged. ``None`` (not known) is UNKNOWN where somebody has given a threshold for it, and else says
        nothing; ``why`` is what is said then. What it surely cannot have is not to be judged; see :meth:`spare`.
        """
        if value is None:
            if self._thresholds.insists(metric, self._policy):
                self._untold[metric] = why
            return
        spec = self._thresholds.metrics[metric]
        state, broken = (Ok, None) if unjudged else self._broken(metric, value)
        if broken is None and quiet:
            return
        known = value

        def told() -> str:
            reason = unjudged if broken is None else _violation(known, broken, spec.unit)
            because = f" ({reason})" if reason else ""
            said = text or f"{metric.replace('_', ' ')} {human(known, spec.unit)}"
            return labels.text(readable(f"{said}{because}", LONGEST_WHY))

        self._parts.append((state, told))

    def judge_number(self, metric: str, least: int, most: int) -> None:
        """Judge a number that is somewhere between these: what is wrong with it whichever it is."""
        if self._thresholds.of(metric, self._policy) == ALL_PASSES:
            return
        mildest = min(range(least, most + 1), key=lambda number: SEVERITY.index(self._broken(metric, number)[0]))
        self.judge(metric, mildest, f"{metric} {least}", quiet=True)

    def _broken(self, metric: str, value: float) -> tuple[ServiceState, Range | None]:
        """What a value is by its threshold, and the range that it is not in."""
        threshold = self._thresholds.of(metric, self._policy)
        if threshold == ALL_PASSES:  # as of most
            return Ok, None
        if value not in threshold.critical:
            return Critical, threshold.critical
        return (Ok, None) if value in threshold.warning else (Warn, threshold.warning)

    def spare(self, *metrics: str, unless_own: bool = False) -> None:
        """Take it that these need not be known: a condition tells why, which has its own severity.

        ``unless_own``: since it has no such values, as far as is seen; who wants them of it alone is told.
        """
        for metric in metrics:
            if not (unless_own and self._thresholds.insists(metric, self._policy, for_it_alone=True)):
                self._untold.pop(metric, None)

    def settle(self) -> None:
        """Say what is not known of it and should be, when all has been judged; one reason is enough."""
        if not self._untold or self.excused or any(state is Unknown for state, _ in self._parts):
            return
        bare = [metric.replace("_", " ") for metric, why in self._untold.items() if not why]
        for text in dict.fromkeys(filter(None, self._untold.values())):
            self.say(Unknown, text)
        if bare:
            self.say(Unknown, f"{', '.join(bare)} not known")

    def line(self, worst_only: bool = False, worst_first: bool = False) -> str:
        """The line of this subject; ``worst_only``: just the parts that are as bad as the worst."""
        worst = self.state
        parts = self.parts
        if worst_first:
            parts = sorted(parts, key=lambda part: -SEVERITY.index(part[0]))
        texts = [text for state, text in parts if not worst_only or state is worst]
        return f"{self.name} {', '.join(texts)}" if self.name else ", ".join(texts)


class Verdict:
    """Collects the subjects of one check."""

    def __init__(self, thresholds: Thresholds, groups: Group = Group.NONE, alone: bool = False) -> None:
        """Start with nothing said, for a check that needs these groups.

        ``alone``: only one VM, pool or network was asked for by its name, so that the labels do without it.
        """
        self.thresholds = thresholds
        self.groups = groups
        self.alone = alone
        self.subjects: list[Subject] = []
        self.values: list[Values] = []  # perfdata is made of them for who asks, which many do not
        self.of_domains = False  # whether it went through them
        self.overview = ""  # the sentence behind the problems, or alone when there are none
        self.note = ""  # said at the end of the first line, whatever the state

    @property
    def state(self) -> ServiceState:
        """The worst of its subjects; OK when there is nothing to judge."""
        return max((subject.state for subject in self.subjects), key=SEVERITY.index, default=Ok)

    @property
    def perfdata(self) -> list[Measured]:
        """The values, those that are owed and were not measured among them."""
        found: dict[tuple[str, str], Measured] = {}  # of those with the same label and metric the last counts
        for parts, metrics, value, policy, least, most in self.values:
            label = labels.label(*parts, alone=self.alone) if parts else ""
            for metric in metrics:
                spec, threshold = self.thresholds.metrics[metric], self.thresholds.of(metric, policy)
                found[label, metric] = Measured(spec, label, value, threshold, least, most)
        return list(found.values())

    def put(
        self,
        label_parts: LabelParts,
        metric: str,
        value: float | None = None,
        policy: Policy | None = None,
        least: float | None = 0,
        most: float | None = None,
    ) -> None:
        """Put a value into perfdata, in the place of an earlier one; without ``label_parts``: of the whole."""
        self.values.append(Values(label_parts, (metric,), value, policy, least, most))

    def owe(self, *label_parts: str, metrics: Iterable[str] | None = None, policy: Policy | None = None) -> None:
        """Say that there will be these metrics (None: all) of a thing, known or not: see the module perfdata."""
        owed = tuple(self.thresholds.metrics if metrics is None else metrics)
        self.values.append(Values(label_parts, owed, policy=policy))

    def subject(self, name: str, *label_parts: str, policy: Policy | None = None, unread: Unreads = ()) -> Subject:
        """Open a subject; its perfdata labels are made of ``label_parts``.

        ``unread`` is its record's: it is UNKNOWN by what of it could not be read and the check is there for.
        """
        subject = Subject(name, label_parts, policy, self)
        if unread:
            for text in texts(part for part in unread if part.group in self.groups):
                subject.say(Unknown, text)
        self.subjects.append(subject)
        return subject

    def domains(
        self,
        snapshot: Snapshot,
        active_only: bool = True,
        parts: Callable[[Domain], Iterable[str]] | None = None,
        metrics: Iterable[str] | None = None,
        needs_answer: bool = True,
    ) -> Iterator[tuple[Domain, Subject]]:
        """Go through the domains to be judged, each with its subject.

        One with unusable metadata gets a warning; one that does not answer is UNKNOWN in every check that asks for
        more than its state, unless the check sees all of it elsewhere (``needs_answer``). Perfdata has the
        ``metrics`` (None: all) of each, whatever its state, or where the check measures ``parts`` those of each
        part, by its key.
        """
        self.of_domains = True
        for domain in snapshot.domains:
            policy, problem = self.thresholds.usable(domain.policy)
            for key in parts(domain) if parts else (None,):
                self.owe(domain.name, *filter(None, (key,)), metrics=metrics, policy=policy)
            if active_only and not domain.active:
                if len(snapshot.domains) == 1:  # asked for just this one: say why there is nothing to judge
                    self.subject(self.called(domain)).say(Ok, states.label(domain.state))
                continue
            silent = domain.held or (active_only and needs_answer and domain.not_responding is not None)
            unread = () if silent else domain.unread  # of which that is the reason
            subject = self.subject(self.called(domain), domain.name, policy=policy, unread=unread)
            subject.domain = domain
            if problem:
                subject.say(Warn, f"has unusable kvmwatch metadata: {problem}")
            if silent:
                subject.say(Unknown, not_responding(domain))
                subject.silent = True
            # what is just being started or moved here has not told yet
            subject.excused = needs_answer and active_only and domain.state not in (states.RUNNING, states.BLOCKED)
            yield domain, subject

    def called(self, domain: Domain) -> str:
        """A domain's name, with the one that people know where the check reads that: it is in the XML."""
        return domain.label if Group.DEFINITION in self.groups else domain.name

    def entitle(self, titles: Titles) -> None:
        """Say the name that people know of VMs with a problem that the first line names, where no XML was read."""
        if Group.DEFINITION in self.groups:
            return
        named = [(subject, subject.domain) for subject in self.bad_subjects()[:NAMED] if subject.domain]
        read = {domain.uuid: domain.title for _, domain in named if domain.title}
        # of one that somebody holds, even the metadata are
        untold = [d.uuid for _, d in named if d.uuid not in read and d.state != states.NOSTATE]
        found = {**titles(untold), **read}
        for subject, domain in named:
            subject.name = labels.text(labelled(domain.name, found.get(domain.uuid)))

    def part(self, domain: Domain, subject: Subject, name: str, key: str, unread: Unreads = ()) -> Subject:
        """Open a subject for a disk, an interface or a file system of a domain."""
        silent = domain.not_responding is not None
        called = f"{self.called(domain)} {name}"
        part = self.subject(called, domain.name, key, policy=subject._policy, unread=() if silent else unread)
        part.excused = silent or subject.excused
        return part

    def sorted_subjects(self) -> list[Subject]:
        """The subjects, worst first."""
        return _worst_first(subject for subject in self.subjects if not subject.empty)

    def bad_subjects(self) -> list[Subject]:
        """Those with which something is wrong, worst first."""
        return _worst_first(subject for subject in self.subjects if subject.state.code)


def _worst_first(subjects: Iterable[Subject]) -> list[Subject]:
    return sorted(subjects, key=lambda s: (-SEVERITY.index(s.state), not s.silent, -s.rank, s.name))


def not_responding(domain: Domain) -> str:
    """Say for how long a domain's QEMU has not answered, or somebody has held the domain itself."""
    seconds = duration(domain.not_responding or 0)
    if domain.held:
        return f"held for {seconds} by a start, a stop, a hook or a job that does not end"
    return f"not responding for {seconds}"


def _violation(value: float, broken: Range, unit: str) -> str:
    low, high = ("" if isinf(limit) else human(limit, unit) for limit in (broken.start, broken.end))
    if not broken.invert:
        just = "just " if human(value, unit) in (low, high) else ""  # 25.3 % and 25 % are written alike
        return f"{just}over {high}" if value > broken.end else f"{just}under {low}"
    if low and high:
        return f"inside {low} to {high}"
    return f"not over {high}" if high else f"not under {low}" if low else "at any value"
