"""The frame around every check: options in, one collection, the check's judgement, plugin output out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from check_kvm.frame import labels, output, placing
from check_kvm.frame.check_options import parser_of, site_config
from check_kvm.frame.conditions import Condition, Severities
from check_kvm.frame.plugin_api import Unknown
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.thresholds import MetricSpec, Thresholds
from check_kvm.frame.verdict import Verdict
from kvmwatch.command import watchdog
from kvmwatch.command.options import DEFAULT_TIMEOUT, complete
from kvmwatch.command.roster import Roster
from kvmwatch.command.watchdog import Said
from kvmwatch.model.doing import doing
from kvmwatch.model.errors import UsageError, what_ended
from kvmwatch.model.groups import Group
from kvmwatch.model.record import Record
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Network, Pool, Snapshot, timings
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

Thing = TypeVar("Thing", Pool, Network)

_LONGEST_ERROR = 1000  # characters


class Check(Record):
    """What makes a check: the groups it reads, the metrics it knows, and its judgement of a snapshot."""

    name: str  # short: "cpu" for check_kvm_cpu
    description: str
    groups: Group
    metrics: tuple[MetricSpec, ...]  # one at least: the first is that of -w and -c without a name
    judge: Callable[[Snapshot, Verdict], None]
    conditions: tuple[Condition, ...] = ()  # that it can find, apart from its metrics' thresholds
    beside: Group = Group.NONE  # read as well; whether it matters that one could not be, the check judges
    needs_rates: bool = False
    selects: str = "domain"  # what -d and -x select: "domain", "pool" or "network"
    guest_agent: bool = False  # whether it has --guest-agent
    of_each_domain: bool = True  # a service for every VM; else one for the hypervisor
    of_host: bool = False  # whether what it judges is the hypervisor itself
    by_default: bool = True  # whether nagios_kvm makes services of it when it is not told of which checks

    @property
    def of_domains(self) -> bool:
        """Whether it judges VMs, which can have thresholds and severities of their own then."""
        return self.selects == "domain" and not self.of_host

    @property
    def remembers(self) -> bool:
        """Whether it needs what the last run saw."""
        return self.needs_rates or Group.SINCE in self.groups

    @property
    def reads(self) -> Group:
        """What is to be read for it: its groups, and of domains what their owners want of them."""
        return self.beside | self.judges

    @property
    def judges(self) -> Group:
        """What of that is UNKNOWN when it could not be read."""
        return self.groups | (Group.POLICY if self.selects == "domain" else Group.NONE)


def main(check: Check) -> None:
    """Run a check command and end the process with the plugin API's exit code."""
    complete(lambda: parser_of(check))
    watchdog.run(
        lambda: said(check, sys.argv[1:]),
        lambda message: Said(f"{_ended(check, message)}\n"),
        DEFAULT_TIMEOUT,
    )


def said(check: Check, arguments: Sequence[str]) -> Said:
    """What a check says and its exit code, whatever goes wrong in it."""
    try:
        return Said(*run(check, arguments))
    except UsageError as error:
        return Said(f"{_ended(check, str(error))}\n{parser_of(check).format_usage()}")
    except Exception as error:
        more = ""
        if _verbosity(arguments) >= 2:
            import traceback  # noqa: PLC0415 - costs 3 ms

            more = traceback.format_exc()
        return Said(without_password(f"{unknown(check, error)}\n{more}"))


def unknown(check: Check, error: Exception) -> str:
    """What a check says that an error has ended: one line and UNKNOWN, also where the mistake is ours."""
    return _ended(check, what_ended(error))


def run(check: Check, arguments: Sequence[str]) -> tuple[str, int]:
    """Run a check and give its output and exit code. Raises KvmwatchError, UsageError among them."""
    options = parser_of(check).parse_args(arguments)
    watchdog.limit(options.timeout)
    deadline = Deadline.of_command(options.timeout)
    config = site_config(options.config)
    severities = options.severity if check.conditions else ()
    selection = Selection.parse(options.domain, options.exclude)
    thresholds = checked_thresholds(
        check, config, options.warning, options.critical, severities, of_one=selection.one
    )
    domains_wanted = selection if check.selects == "domain" else Selection()
    groups = check.reads
    if check.guest_agent and options.guest_agent:
        groups |= Group.FILESYSTEM
    reader = Reader(options.uri, groups, domains_wanted, deadline, Roster(options.state_dir, options.uri))
    if check.remembers:  # while libvirt makes the connection
        from check_kvm.frame import sampling  # noqa: PLC0415

    snapshot = reader.read()
    if check.remembers:
        with doing("reading or keeping the counters of the last run (--state-dir)"):
            snapshot = sampling.rated(reader, snapshot, f"kvm_{check.name}", options, selection, deadline)
    snapshot = placing.with_hostname(reader, snapshot, config, (check,))
    if check.selects != "domain":
        snapshot = _narrowed(snapshot, selection)
    verdict = judged(check, config.applied(snapshot), thresholds, selection.one)
    verdict.entitle(reader.titles)
    if selection and verdict.of_domains and not snapshot.domains:
        verdict.overview = "no VMs are left by -d and -x"
    _say_unmatched(check, selection, snapshot, verdict)
    style = output.Style(options.perfdata, options.verbose, options.max_output)
    text, code = output.render(check.name, verdict, style)
    if options.verbose >= 3:
        text += labels.text(timings(snapshot)) + "\n"
    return text, code


def judged(check: Check, snapshot: Snapshot, thresholds: Thresholds, alone: bool = False) -> Verdict:
    """Judge a snapshot; ``alone``: it is of one VM, pool or network, by its name.

    What every check owes is done here: domains whose owners say so are left alone, and what could not be read and
    the check is there for is UNKNOWN, with the reason (:meth:`~check_kvm.frame.verdict.Verdict.subject` for
    what is a domain's, a pool's, ...).
    """
    watched = tuple(domain for domain in snapshot.domains if not domain.policy.ignore)
    ignored = len(snapshot.domains) - len(watched)
    verdict = _contained(check, snapshot._replace(domains=watched) if ignored else snapshot, thresholds, alone)
    if ignored and verdict.of_domains:
        verdict.overview = ", ".join(filter(None, (verdict.overview, f"{ignored} left alone")))
    if verdict.of_domains and not snapshot.domains:
        # a new hypervisor has none; but a wrong URI, or polkit, shows none either
        verdict.overview = f"libvirt lists no VMs here ({snapshot.uri})"
    verdict.subject("", unread=snapshot.unread)
    if check.needs_rates and snapshot.unrated:
        verdict.subject("").say(Unknown, snapshot.unrated)
    if check.needs_rates and snapshot.note:
        verdict.note = "; ".join(filter(None, (verdict.note, labels.text(snapshot.note))))
    return verdict


def _contained(check: Check, snapshot: Snapshot, thresholds: Thresholds, alone: bool) -> Verdict:
    """Let the check judge; a VM, pool or network with which it fails is UNKNOWN, and the others are judged."""
    groups = check.judges | Group.FILESYSTEM if check.guest_agent else check.judges

    def verdict_on(part: Snapshot) -> Verdict:
        verdict = Verdict(thresholds, groups, alone)
        check.judge(part, verdict)
        for subject in verdict.subjects:
            subject.settle()
        return verdict

    def verdict_of(*things: Domain | Pool | Network) -> Verdict:
        only: dict[str, Any] = {f"{check.selects}s": things}
        return verdict_on(snapshot._replace(**only))

    things = _things(check, snapshot)
    try:
        return verdict_on(snapshot)
    except Exception:
        errors = {thing.uuid: error for thing in things if (error := _raised(verdict_of, thing))}
        if len(errors) in (0, len(things)):
            raise  # it is none of them that it fails with
    verdict = verdict_of(*(thing for thing in things if thing.uuid not in errors))
    for thing in things:
        if thing.uuid in errors:
            verdict.subject(thing.name, thing.name).say(Unknown, what_ended(errors[thing.uuid]))
    return verdict


def _raised(judge: Callable[..., object], thing: Domain | Pool | Network) -> Exception | None:
    try:
        judge(thing)
    except Exception as error:
        return error
    return None


def checked_thresholds(
    check: Check,
    config: SiteConfig,
    warning: Sequence[str] = (),
    critical: Sequence[str] = (),
    severity: Sequence[str] = (),
    of_one: bool = False,
) -> Thresholds:
    """The thresholds and severities of a check: the file's for all domains, and the command line's over them.

    ``of_one``: for what is judged alone; what the file says of a number of domains is of all together.
    """
    meant = [metric.name for metric in check.metrics if metric.own or not of_one]
    return Thresholds(
        check.name,
        check.metrics,
        (*config.of_check(check.name, "warning", meant), *warning),
        (*config.of_check(check.name, "critical", meant), *critical),
        Severities(check.name, check.conditions, (*config.severities_of(check.name), *severity)),
    )


def _say_unmatched(check: Check, selection: Selection, snapshot: Snapshot, verdict: Verdict) -> None:
    if check.selects != "domain" and not snapshot.has(check.groups):
        return  # which is said, and who knows
    found = _things(check, snapshot)
    uuids = {thing.uuid for thing in found} | snapshot.uuids
    for pattern in selection.include:
        if not any(pattern.matches(thing.name, thing.uuid, uuids) for thing in found):
            absent = f"no {check.selects} matches -d {pattern.text}"
            if check.selects == "domain" and selection.one:
                absent = f"gone or moved: {absent}"
            verdict.subject("").say(Unknown, absent)


def _things(check: Check, snapshot: Snapshot) -> tuple[Domain | Pool | Network, ...]:
    """What -d and -x select of."""
    things: tuple[Domain | Pool | Network, ...] = getattr(snapshot, f"{check.selects}s")
    return things


def _narrowed(snapshot: Snapshot, selection: Selection) -> Snapshot:
    """The snapshot with only the selected pools and networks; domains are selected when they are read."""

    def selected(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
        uuids = {thing.uuid for thing in things}
        return tuple(thing for thing in things if selection.matches(thing.name, thing.uuid, uuids))

    return snapshot._replace(pools=selected(snapshot.pools), networks=selected(snapshot.networks))


def _ended(check: Check, why: str) -> str:
    """The line of a check that has judged nothing; a driver's error can be as long as the XML that it is about."""
    return f"KVM_{check.name.upper()} UNKNOWN - {labels.text(readable(why, _LONGEST_ERROR))}"


def _verbosity(arguments: Sequence[str]) -> int:
    # counted by hand: it is needed when the arguments could not be parsed, too
    return sum(
        argument.count("v") if argument.startswith("-v") and not argument.startswith("--") else 0
        for argument in arguments
    ) + arguments.count("--verbose")
