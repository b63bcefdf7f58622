"""nagios_kvm: service definitions for the VMs of a hypervisor, and all checks for all VMs at once."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from check_kvm.frame import judging, output, perfdata, placing
from check_kvm.frame.check_options import site_config
from check_kvm.frame.plugin import Check, unknown
from check_kvm.frame.sampling import rated
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import not_responding

from kvmwatch import __version__
from kvmwatch.command import frame
from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser
from kvmwatch.command.roster import Roster
from kvmwatch.command.watchdog import UNKNOWN
from kvmwatch.model.errors import LONGEST_MESSAGE, KvmwatchError, UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Snapshot
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.connection import DEFAULT_URI, is_local
from kvmwatch.reading.deadline import Deadline
from nagios_kvm import services
from nagios_kvm.budget import Budget
from nagios_kvm.command_options import add_config, add_host, add_publish, add_shared
from nagios_kvm.definitions import Renderer, Site, check_uri
from nagios_kvm.homes import Homes, own
from nagios_kvm.judging import Result, results
from nagios_kvm.turns import Turns
from nagios_kvm.vm_hosts import VmHost

_REFUSED = 2
_NOTES = 10  # lines on stderr
_NOT_READ = (
    "the checks of --active services do not read it, so its thresholds, severities and expectations change "
    "nothing; say them in the VMs' metadata, or let nagios_kvm publish --config judge"
)
_ASKING = 0.25  # of the time to send, for the question whose hosts they are: without an answer all is sent


def main() -> None:
    """Run the command and end the process."""
    frame.main(parser)


def _config(options: argparse.Namespace) -> Outcome:
    from nagios_kvm import files, manifest, wishes  # noqa: PLC0415 - publish does without
    from nagios_kvm.composing import Definitions  # noqa: PLC0415

    deadline = Deadline.of_command(options.timeout)
    if options.format == "director-import" and not options.vm_host:
        options.vm_host = VmHost("{name}")  # a list of hosts
    _refuse_alone(options)
    uri = _uri_of_checks(options)
    check_uri(uri or "")
    # an agent at an endpoint is on the hypervisor itself
    chosen = services.checks(options.check, uri or (DEFAULT_URI if options.endpoint else options.uri))
    snapshot = _named(options, deadline)
    unmatched = Selection.parse(options.domain, ()).unmatched(snapshot)
    site = Site(
        host=options.host or _host_name(options.uri),
        uri=uri,
        active=options.active,
        stale_after=ceil(options.stale_after),  # Icinga refuses 0, Nagios takes it for any
        selection=_selection(options),
        makes_hosts=not options.vm_host_exists,
        endpoint=options.endpoint,
    )
    site = site._replace(heading=(manifest.head(options.format, site.host),))
    config = site_config(options.config)
    homes = Homes(options.state_dir, options.uri)
    if options.vm_host:
        snapshot = homes.ours(snapshot)
    snapshot, notes = wishes.permitted(snapshot, config.allowed)
    notes += [f"no domain matches -d {text}, or -x leaves it out" for text in unmatched]
    if options.format == "nagios" and options.active and config.judges:  # in Icinga vars.kvm_config may say it
        notes.append(f"{options.config}: {_NOT_READ}")

    def definitions(wanted: Snapshot) -> Definitions:
        listed = services.services(config.applied(wanted), chosen, options.vm_host)
        return Definitions(_renderer(options.format), site, listed, notes, snapshot.uuids, homes.moved)

    if not options.output:
        file = definitions(snapshot)
        text = file.text().rstrip("\n")
        _note(file.notes)
        return Outcome(text)
    output_file = Path(options.output)
    heard: list[str] = []

    def write(wanted: Snapshot) -> tuple[Definitions, bool]:
        file = definitions(wanted)
        changed = files.replace(
            output_file,
            lambda before: file.text(before, output_file, force=options.force),
            *(options.validate, options.reload, deadline),
            also=lambda: file.others,
            hear=heard.append,
        )
        return file, changed

    (file, changed), left_out = wishes.as_accepted(snapshot, write, options.vm_host)
    _note([*left_out, *(note for said in heard for note in file.untold(said)), *file.notes])
    what = f"{file.number} services" if changed else "unchanged"
    return Outcome(f"{options.output}: {what}", _REFUSED if left_out else 0)


def _refuse_alone(options: argparse.Namespace) -> None:
    """Raise UsageError for options of config that mean nothing without another one."""
    if (options.validate or options.reload) and not options.output:
        raise UsageError("--validate and --reload go with --output FILE")
    if (options.endpoint or options.check_uri) and not options.active:
        raise UsageError("--endpoint and --check-uri go with --active: passive services run no check")
    if options.endpoint and options.format != "icinga2":
        raise UsageError("--endpoint goes with --format icinga2")
    if options.vm_host_exists and not options.vm_host:
        raise UsageError("--vm-host-exists goes with --vm-host PATTERN, which says how these hosts are called")


def _named(options: argparse.Namespace, deadline: Deadline) -> Snapshot:
    """The VMs with their names and metadata. Raises KvmwatchError where not all of that is known."""
    selection = Selection.parse(options.domain, options.exclude)
    groups = Group.SHUT_OFF | Group.POLICY
    snapshot = Reader(options.uri, groups, selection, deadline, Roster(options.state_dir, options.uri)).read()
    unread = [part for domain in snapshot.domains for part in domain.unread]  # whether it is to be left alone
    for part in (*snapshot.unread, *unread):  # without them their services would be removed, or made
        raise KvmwatchError(part.text)
    for domain in snapshot.domains:
        if domain.not_responding is not None and domain.policy == Policy():  # libvirt keeps them back as well
            raise KvmwatchError(f"the metadata of {domain.name} cannot be read: {not_responding(domain)}")
    return snapshot


def _note(notes: Sequence[str]) -> None:
    """Say on stderr what of the definitions is not as somebody wanted it."""
    for note in _few(notes):
        _say(note)


def _say(text: str) -> None:
    """A line on stderr, as errors are printed: what VMs are called and others say may be in it."""
    print(f"nagios_kvm: {readable(text, LONGEST_MESSAGE)}", file=sys.stderr)


def _few(notes: Sequence[str]) -> list[str]:
    more = [f"and {len(notes) - _NOTES} more of that"] if len(notes) > _NOTES else []
    return [*notes[:_NOTES], *more]


def _uri_of_checks(options: argparse.Namespace) -> str | None:
    """What the checks read, None: their own default. At an endpoint that is another URI than what is read here."""
    read_here = None if options.endpoint or options.uri == options.default_uri else options.uri
    uri: str | None = options.check_uri or read_here
    return uri


def _selection(options: argparse.Namespace) -> tuple[str, ...]:
    """The options that choose VMs and checks, however they are ordered."""
    given = (("check", options.check), ("domain", options.domain), ("exclude", options.exclude))
    return tuple(f"{kind}={word}" for kind, words in given for word in sorted(set(words)))


def _renderer(name: str) -> Renderer:
    from nagios_kvm import director, director_import, icinga2, nagios  # noqa: PLC0415 - publish does without

    renderers: dict[str, Renderer] = {
        "nagios": nagios,
        "icinga2": icinga2,
        "director": director,
        "director-import": director_import,
    }
    return renderers[name]


def _publish(options: argparse.Namespace) -> Outcome:
    from nagios_kvm import targets  # noqa: PLC0415 - config does without

    deadline = Deadline.of_command(options.timeout)
    chosen = _chosen(options)
    host = options.host or _host_name(options.uri)
    target = targets.find(options.to, options.credentials, options.ca_file, options.allow_http)
    # what several publishers keep between runs is apart, each by what it sends where
    to = (options.to, host, *_selection(options))
    budget = Budget(options.state_dir, to)
    try:
        config = site_config(options.config)
        style = output.Style(options.perfdata or target.perfdata, limit=target.limit)
        reading = deadline.share(budget.reading(deadline.remaining()))
        told = _judged(options, chosen, config, style, reading, "kvm_publish", *to)
    except Exception as error:
        only = _only(error)
        try:
            target.send(host, Turns(options.state_dir, to, [only]), deadline)
        except KvmwatchError as failed:
            raise KvmwatchError(f"{only.output}; and that could not be told: {failed}") from error
        raise
    notes: list[str] = []
    budget.start()
    if options.vm_host:
        told, notes = own(told, target.owners(told, deadline.share(_ASKING)))
    turns = Turns(options.state_dir, to, told)
    try:
        taken = target.send(host, turns, deadline)
    finally:
        left = turns.keep()
    if not taken.why:  # else it may have been over at once
        budget.keep()
    text = target.words.format(to=options.to, number=taken.number, total=len(told), host=host)
    reasons = [*taken.reasons(), *_few(notes), *([f"the next run begins with {left}"] if left else [])]
    if not reasons and taken.number == len(told):
        return Outcome(text)
    _say("; ".join([text, *reasons]))
    return Outcome("", _REFUSED if taken.failed(len(told)) else 0)


def _local(options: argparse.Namespace) -> Outcome:
    from nagios_kvm import checkmk  # noqa: PLC0415 - Nagios and Icinga do without

    chosen = _chosen(options)
    try:
        style = output.Style(perfdata.KNOWN)
        config = site_config(options.config)
        told = _judged(options, chosen, config, style, Deadline.of_command(options.timeout), "kvm_local")
    except Exception as error:
        if options.verbose >= 2:
            import traceback  # noqa: PLC0415 - costs 3 ms

            print(without_password(traceback.format_exc()), file=sys.stderr)
        return _local_failed(error)
    return Outcome(checkmk.lines(told))


def _local_too_late(_options: argparse.Namespace, message: str) -> Outcome:
    return _local_failed(KvmwatchError(message))


def _local_failed(error: Exception) -> Outcome:
    """What Checkmk is told when there are no results; its agent looks at no exit code."""
    from nagios_kvm import checkmk  # noqa: PLC0415

    return Outcome(checkmk.lines([_only(error)]), UNKNOWN)


def _chosen(options: argparse.Namespace) -> tuple[Check, ...]:
    """The checks, after a look at what chooses them and VMs. Raises UsageError.

    That is for whoever writes the command line; whatever stops a run after it is told where its results go.
    """
    Selection.parse(options.domain, options.exclude)
    return services.checks(options.check, options.uri)


def _only(error: Exception) -> Result:
    """The one result of a run that an error has ended: the other services depend on it, or become stale."""
    (of_host,) = (check for check in judging.all_checks() if check.name == services.PARENT)
    return Result(services.Service(of_host).name, UNKNOWN, without_password(unknown(of_host, error)))


def _judged(
    options: argparse.Namespace,
    chosen: Sequence[Check],
    config: SiteConfig,
    style: output.Style,
    deadline: Deadline,
    counters: str,
    *readers: str,
) -> list[Result]:
    """Read the hypervisor with rates since the counters of these readers, and give the result of every service."""
    selection = Selection.parse(options.domain, options.exclude)
    reader = Reader(
        options.uri, judging.groups(chosen), selection, deadline, Roster(options.state_dir, options.uri)
    )
    snapshot = reader.read()
    if any(check.remembers for check in chosen):
        snapshot = rated(reader, snapshot, counters, options, selection, deadline, *readers)
    if options.vm_host:
        snapshot = Homes(options.state_dir, options.uri).ours(snapshot)
    snapshot = placing.with_hostname(reader, snapshot, config, chosen)
    return list(results(snapshot, chosen, config, style, options.vm_host, reader.titles))


def _host_name(uri: str) -> str:
    if not is_local(uri):
        raise UsageError(f"{uri} is not this machine: which host is it in the monitoring system? Give --host NAME")
    return socket.gethostname()


def parser() -> Parser:
    """The options."""
    command = Parser(prog="nagios_kvm", description=__doc__, allow_abbrev=False)
    command.add_argument("-V", "--version", action="version", version=f"kvmwatch {__version__}")
    subcommands: argparse._SubParsersAction[Parser] = command.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    config = subcommands.add_parser("config", help="write service definitions for the VMs", allow_abbrev=False)
    publish = subcommands.add_parser(
        "publish", help="judge all VMs once and send passive results", allow_abbrev=False
    )
    local = subcommands.add_parser(
        "local",
        help="judge all VMs once and print the lines of a Checkmk local check",
        allow_abbrev=False,
    )
    for subcommand in (config, publish, local):
        add_shared(subcommand)
    for subcommand in (config, publish):
        add_host(subcommand)
    add_config(config)
    add_publish(publish)
    config.set_defaults(run=_config, default_uri=config.get_default("uri"))
    publish.set_defaults(run=_publish)
    local.set_defaults(run=_local, too_late=_local_too_late, vm_host=None)
    return command
