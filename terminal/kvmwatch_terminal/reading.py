"""What all subcommands do before they show something: one reading with rates, and what is to be said beside it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from kvmwatch.command.roster import Roster
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Domain, Snapshot, Unread, texts, timings
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

if TYPE_CHECKING:
    from check_kvm.frame.plugin import Check
    from check_kvm.frame.sampling import Counters
    from check_kvm.frame.siteconfig import SiteConfig

_RECENT = 60.0  # seconds; who looks at a terminal wants to know how it is now
LONGEST = 4096  # characters of a text that is shown


class GoesOn(NamedTuple):
    """What a command that runs on has instead of files and ``-t``: counters, and the time of this reading."""

    counters: Counters
    deadline: Deadline


def read(
    options: argparse.Namespace,
    command: str,
    groups: Group,
    checks: Iterable[Check],
    selection: Selection,
    config: SiteConfig,
    rates: bool = True,
    readers: Iterable[str] = (),
    goes_on: GoesOn | None = None,
) -> Snapshot:
    """Read these groups, and what the checks need. Raises KvmwatchError.

    The snapshot has what its owners want of each VM, but not what ``config`` does. ``readers``: of what the kept
    counters are, where that differs from run to run. ``goes_on``: of a command that runs on.
    """
    from check_kvm.frame import placing  # noqa: PLC0415 - only when it is used
    from check_kvm.frame.sampling import rated, rated_by  # noqa: PLC0415

    deadline = goes_on.deadline if goes_on else Deadline.of_command(options.timeout)
    for check in checks:
        groups |= check.reads
    roster = Roster(options.state_dir, options.uri)
    reader = Reader(options.uri, groups, selection, deadline, roster, goes_on is not None)
    snapshot = reader.read()
    if goes_on:
        snapshot = rated_by(reader, snapshot, goes_on.counters, deadline)
    elif rates:
        snapshot = rated(
            reader, snapshot, command, options, selection, deadline, *readers, oldest=_RECENT, waits=_say_it_waits
        )
    snapshot = placing.with_hostname(reader, snapshot, config, checks)
    return _with_untold_addresses(snapshot) if Group.ADDRESSES in groups else snapshot


def _with_untold_addresses(snapshot: Snapshot) -> Snapshot:
    """Say of each VM on a network whose leases could not be read that it may have addresses nobody knows of."""
    of_all = [part.text for part in snapshot.unread if part.group is Group.NETWORKS and not part.absent]
    of_one = {
        network.name: [f"network {network.name}: {part.text}" for part in network.unread]
        for network in snapshot.networks
        if network.stats.leases is None
    }

    def marked(domain: Domain) -> Domain:
        sources = dict.fromkeys(each.source or "" for each in domain.interfaces if each.kind == "network")
        whys = dict.fromkeys(why for source in sources for why in (*of_all, *of_one.get(source, ())))
        return domain._replace(
            unread=(*domain.unread, *(Unread(Group.ADDRESSES, "addresses", why) for why in whys))
        )

    return snapshot._replace(
        domains=tuple(marked(domain) if domain.active else domain for domain in snapshot.domains)
    )


def tell(options: argparse.Namespace, snapshot: Snapshot) -> None:
    """Say on stderr what is not of one VM."""
    for text in (*texts(snapshot.unread), snapshot.unrated, snapshot.note):
        if text:
            say(text)
    if options.verbose >= 3:
        say(timings(snapshot))


def tell_unmatched(selection: Selection, snapshot: Snapshot) -> None:
    """Say on stderr which -d selects nothing."""
    for text in unmatched(selection, snapshot):
        say(text)


def unmatched(selection: Selection, snapshot: Snapshot, option: str = "-d") -> list[str]:
    """What is said of each -d (or what else it is called) that selects nothing."""
    return [f"no domain matches {option} {text}" for text in selection.unmatched(snapshot)]


def say(text: str) -> None:
    """Say something on stderr, beside what is shown."""
    print(f"kvmwatch: {readable(without_password(text), LONGEST)}", file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Whether a terminal shows what is printed."""
    return bool(sys.stdout and sys.stdout.isatty())


def fit() -> Callable[[str], str]:
    """What makes others' texts fit for stdout: a terminal acts upon control characters, a program wants them."""
    return (lambda text: readable(text, LONGEST)) if on_terminal() else str


def room() -> int | None:
    """The columns of the terminal; None: there is none, or it does not matter."""
    return shutil.get_terminal_size().columns if on_terminal() else None


def coloured() -> bool:
    """Whether there is a terminal that takes colours, and nobody who wants none."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _say_it_waits() -> None:
    if sys.stderr and sys.stderr.isatty():
        say("two readings, a second apart ...")
