"""The frame around every check: options in, one collection, the check's judgement, plugin output out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nagiosplugin import Unknown

from check_kvm.frame import labels, output, perfdata
from check_kvm.frame.siteconfig import SiteConfig, load
from check_kvm.frame.thresholds import MetricSpec, Thresholds
from check_kvm.frame.verdict import Verdict
from kvmwatch.command import watchdog
from kvmwatch.command.options import DEFAULT_TIMEOUT, Parser, parser
from kvmwatch.command.watchdog import Said
from kvmwatch.model.doing import doing
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Network, Pool, Snapshot, timings
from kvmwatch.reading.connection import Connecting
from kvmwatch.reading.deadline import Deadline

if TYPE_CHECKING:
    from kvmwatch.model.rates import Samples
    from kvmwatch.reading.collect import Reader

Thing = TypeVar("Thing", Pool, Network)

_SAMPLING = 1.0  # seconds between the two samples of a first run


class Check(NamedTuple):
    """What makes a check: the groups it reads, the metrics it knows, and its judgement of a snapshot."""

    name: str  # short: "cpu" for check_kvm_cpu
    description: str
    groups: Group
    metrics: tuple[MetricSpec, ...]
    judge: Callable[[Snapshot, Verdict], None]
    needs_rates: bool = False
    selects: str = "domain"  # what -d and -x select: "domain", "pool" or "network"
    guest_agent: bool = False  # whether it has --guest-agent
    of_each_domain: bool = True  # a service for every VM; else one for the hypervisor
    by_default: bool = True  # whether nagios_kvm makes services of it when it is not told of which checks

    @property
    def remembers(self) -> bool:
        """Whether it needs what the last run saw."""
        return self.needs_rates or Group.SINCE in self.groups

    @property
    def reads(self) -> Group:
        """What is to be read for it: its groups, and of domains what their owners want of them."""
        return self.groups | (Group.POLICY if self.selects == "domain" else Group.NONE)


def main(check: Check) -> None:
    """Run a check command and end the process with the plugin API's exit code."""
    watchdog.run(
        lambda: said(check, sys.argv[1:]),
        lambda message: Said(f"{_prefix(check)} - {labels.text(message)}\n"),
        DEFAULT_TIMEOUT,
    )


def said(check: Check, arguments: Sequence[str]) -> Said:
    """What a check says and its exit code, whatever goes wrong in it."""
    try:
        return Said(*run(check, arguments))
    except UsageError as error:
        return Said(f"{_prefix(check)} - {labels.text(str(error))}\n{parser_of(check).format_usage()}")
    except Exception as error:  # what is none of ours is our mistake: still one line and UNKNOWN
        what = str(error)
        if not isinstance(error, KvmwatchError):
            what = f"internal error, please report it: {type(error).__name__}: {error}"
        more = traceback.format_exc() if _verbosity(arguments) >= 2 else ""
        return Said(f"{_prefix(check)} - {labels.text(what)}\n{more}")


def run(check: Check, arguments: Sequence[str]) -> tuple[str, int]:
    """Run a check and give its output and exit code. Raises KvmwatchError, UsageError among them."""
    options = parser_of(check).parse_args(arguments)
    watchdog.limit(options.timeout)
    deadline = Deadline(options.timeout)
    config = site_config(options.config)
    thresholds = checked_thresholds(check, config, options.warning, options.critical)
    selection = Selection.parse(options.domain, options.exclude)
    domains_wanted = selection if check.selects == "domain" else Selection()
    groups = check.reads
    if check.guest_agent and options.guest_agent:
        groups |= Group.FILESYSTEM
    reader = _reader(options, groups, domains_wanted, deadline)
    snapshot = reader.read()
    if check.remembers:
        with doing("reading or keeping the counters of the last run (--state-dir)"):
            snapshot = rated(reader, snapshot, f"kvm_{check.name}", options, selection, deadline)
    if check.selects != "domain":
        snapshot = _narrowed(snapshot, selection)
    verdict = judged(check, config.applied(snapshot), thresholds)
    if selection and verdict.of_domains and not snapshot.domains:
        verdict.overview = "no VMs are left by -d and -x"
    _say_unmatched(check, selection, snapshot, verdict)
    style = output.Style(options.perfdata, options.verbose, options.max_output)
    text, code = output.render(check.name, verdict, style)
    if options.verbose >= 3:
        text += labels.text(timings(snapshot)) + "\n"
    return text, code


def _reader(options: argparse.Namespace, groups: Group, selection: Selection, deadline: Deadline) -> Reader:
    """Connect to libvirt, which takes about as long as it takes to load what reads it: hence both at once."""
    connecting = Connecting(options.uri)
    from kvmwatch.command.roster import Roster  # noqa: PLC0415
    from kvmwatch.reading.collect import Reader  # noqa: PLC0415

    roster = Roster(options.state_dir, options.uri)
    return Reader(options.uri, groups, selection, deadline, roster, connecting)


def judged(check: Check, snapshot: Snapshot, thresholds: Thresholds) -> Verdict:
    """Judge a snapshot.

    What every check owes is done here: domains whose owners say so are left alone, and what could not be read and
    the check is there for is UNKNOWN, with the reason (:meth:`~check_kvm.frame.verdict.Verdict.subject` for
    what is a domain's, a pool's, ...).
    """
    verdict = Verdict(thresholds, check.reads | Group.FILESYSTEM if check.guest_agent else check.reads)
    watched = tuple(domain for domain in snapshot.domains if not domain.policy.ignore)
    check.judge(snapshot._replace(domains=watched), verdict)
    ignored = len(snapshot.domains) - len(watched)
    if ignored and verdict.of_domains:
        verdict.overview = ", ".join(filter(None, (verdict.overview, f"{ignored} left alone")))
    if verdict.of_domains and not snapshot.domains:
        # a new hypervisor has none; but a wrong URI, or polkit, shows none either
        verdict.overview = f"libvirt lists no VMs here ({snapshot.uri})"
    verdict.subject("", unread=snapshot.unread)
    if check.needs_rates and snapshot.unrated:
        verdict.subject("").say(Unknown, snapshot.unrated)
    if check.needs_rates and snapshot.note:
        verdict.note = labels.text(snapshot.note)
    return verdict


def site_config(path: str | None) -> SiteConfig:
    """Read --config, if it was given. Raises UsageError."""
    if path is None:
        return SiteConfig()
    return load(path)


def checked_thresholds(
    check: Check, config: SiteConfig, warning: Sequence[str] = (), critical: Sequence[str] = ()
) -> Thresholds:
    """The thresholds of a check: the file's for all domains, and the command line's over them."""
    return Thresholds(
        check.name,
        check.metrics,
        (*config.of_check(check.name, "warning"), *warning),
        (*config.of_check(check.name, "critical"), *critical),
    )


def rated(
    reader: Reader,
    snapshot: Snapshot,
    command: str,
    options: argparse.Namespace,
    selection: Selection,
    deadline: Deadline,
) -> Snapshot:
    """Give the snapshot rates since the last run of this command line; what lacks one is read a second time.

    Passing states are given the time since which they last.
    """
    from kvmwatch.command.history import History  # noqa: PLC0415 - check_kvm_pool does without
    from kvmwatch.model.lasting import unkept, with_since  # noqa: PLC0415
    from kvmwatch.model.rates import lacking, with_rates  # noqa: PLC0415

    history = History(options.state_dir, command, options.uri, selection)
    previous = history.load()
    snapshot = with_since(snapshot, previous)
    counted = _kept(snapshot)
    if not counted:
        if previous:  # else what passed meanwhile would be taken for what comes back
            history.save({})
        return snapshot  # nothing has a rate here, so nothing is worth waiting for
    first = with_rates(snapshot, previous)
    without = lacking(first, reader.groups)
    if without and deadline.remaining() > _SAMPLING + 2 * reader.again_takes(snapshot):
        deadline.sleep(_SAMPLING)
        snapshot = with_since(reader.read_again(snapshot, without), previous)
        problem = history.save(_kept(snapshot))
        return unkept(with_rates(snapshot, previous, counted), problem)._replace(note=problem)
    problem = history.save(counted)
    if not without or with_rates(snapshot) != first:
        return unkept(first, problem)._replace(note=problem)
    return unkept(first, problem)._replace(
        unrated=f"no rates: -t {deadline.seconds:g} leaves no time for a second reading; "
        + (f"{problem}, or give a longer -t" if problem else "the next run will have them")
    )


def _kept(snapshot: Snapshot) -> Samples:
    """What the next run compares with."""
    from kvmwatch.model import lasting, rates  # noqa: PLC0415

    return rates.samples(snapshot) | lasting.samples(snapshot)


def _say_unmatched(check: Check, selection: Selection, snapshot: Snapshot, verdict: Verdict) -> None:
    if check.selects != "domain" and not snapshot.has(check.groups):
        return  # which is said, and who knows
    found = _things(check, snapshot)
    uuids = {thing.uuid for thing in found} | snapshot.uuids
    for pattern in selection.include:
        if not any(pattern.matches(thing.name, thing.uuid, uuids) for thing in found):
            verdict.subject("").say(Unknown, f"no {check.selects} matches -d {pattern.text}")


def _things(check: Check, snapshot: Snapshot) -> Iterable[Domain | Pool | Network]:
    """What -d and -x select of."""
    things: Iterable[Domain | Pool | Network] = getattr(snapshot, f"{check.selects}s")
    return things


def _narrowed(snapshot: Snapshot, selection: Selection) -> Snapshot:
    """The snapshot with only the selected pools and networks; domains are selected when they are read."""

    def selected(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
        uuids = {thing.uuid for thing in things}
        return tuple(thing for thing in things if selection.matches(thing.name, thing.uuid, uuids))

    return snapshot._replace(pools=selected(snapshot.pools), networks=selected(snapshot.networks))


def parser_of(check: Check) -> Parser:
    """The options of a check."""
    lines = [f"  {metric.name:<20} {metric.help}{_defaults(metric)}" for metric in check.metrics]
    epilog = "metrics of -w and -c:\n" + "\n".join(lines) + (
        "\n\nRANGE is a plugin range: 80 (alert over 80), 10: (under 10), @10:20 (inside); empty: never."
        "\nA domain's own metadata wins over --config's [domain PATTERN], that over -w and -c, those over "
        "--config's\n[defaults]. Exit: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
    )  # fmt: skip
    made = parser(f"check_kvm_{check.name}", check.description, epilog)
    for letter, name in (("-w", "warning"), ("-c", "critical")):
        made.add_argument(
            letter,
            f"--{name}",
            action="append",
            default=[],
            metavar="[METRIC=]RANGE",
            help=f"{name} outside this range; without METRIC: {check.metrics[0].name}; repeatable",
        )
    add_site_options(made)
    made.add_argument(
        "--perfdata",
        choices=perfdata.STYLES,
        default=perfdata.FULL,
        help="of every VM, only the highest and the sum or mean of each metric, or none (default: full)",
    )
    made.add_argument(
        "--max-output",
        type=_limit,
        default=output.DEFAULT_LIMIT,
        metavar="BYTES",
        help="print no more than this, and say what was left out "
        f"(default: {output.DEFAULT_LIMIT}, what Nagios takes)",
    )
    if check.guest_agent:
        made.add_argument(
            "--guest-agent",
            action="store_true",
            help="ask the QEMU guest agents for file systems; libvirt allows that only to a connection that "
            "is not read-only, so this opens one",
        )
    return made


def add_site_options(made: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--state-dir``."""
    made.add_argument(
        "--config", metavar="FILE", help="INI file with thresholds for all VMs, and per VM what metadata can say"
    )
    made.add_argument(
        "--state-dir",
        metavar="DIR",
        help="where counters and passing states are kept between runs (default: $KVMWATCH_STATE_DIR, else the "
        "user's own folder in /var/lib/kvmwatch, else its cache)",
    )


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < output.LEAST_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r}: use a number of bytes, {output.LEAST_LIMIT} or more")
    return int(text)


def _defaults(metric: MetricSpec) -> str:
    given = [f"{letter} {spec}" for letter, spec in (("-w", metric.warning), ("-c", metric.critical)) if spec]
    return f" [{' '.join(given)}]" if given else ""


def _prefix(check: Check) -> str:
    return f"KVM_{check.name.upper()} UNKNOWN"


def _verbosity(arguments: Sequence[str]) -> int:
    # counted by hand: it is needed when the arguments could not be parsed, too
    return sum(
        argument.count("v") if argument.startswith("-v") and not argument.startswith("--") else 0
        for argument in arguments
    ) + arguments.count("--verbose")
