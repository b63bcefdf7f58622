"""The lines above the table: the host, its VMs by state, what is wrong, and what is to be known of the figures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from kvmwatch.model import states
from kvmwatch.model.snapshot import texts
from kvmwatch.model.text import readable
from kvmwatch.model.units import duration
from kvmwatch_terminal import host_details
from kvmwatch_terminal.columns import cell
from kvmwatch_terminal.reading import LONGEST
from kvmwatch_terminal.rows import CRITICAL, OK, SEVERITIES, Thing
from kvmwatch_terminal.top.feed import News
from kvmwatch_terminal.top.model import State
from kvmwatch_terminal.top.painting import BOLD, OLD, PLAIN, Span, Spans
from kvmwatch_terminal.top.taking import Taken
from kvmwatch_terminal.top.views import OWN

#: figures of the page of the hypervisor
_FIGURES = (
    "CPU {cpu} of {cpus}, I/O wait {cpu_iowait}",
    "load {load1} {load5} {load15}",
    "memory {memory} of {memory_total}",
    "swap {swap_used} of {swap_total}",
    "promised {vcpus_assigned} vCPUs, {memory_assigned}",
)
_OF_HOST = {column.name: column for column in host_details.WHOLE}
_GAP = "   "


def lines(state: State, news: News) -> list[Spans]:
    """The more important they are the lower they stand: on a low screen there are only the last."""
    taken = news.taken
    if not taken:
        return [[Span("kvmwatch top", BOLD)], [*_news(state, news)] or [Span("reading ...")]]
    return [_title(state, taken), _host(taken), [*_vms(taken)], [*_news(state, news)]]


def _title(state: State, taken: Taken) -> Spans:
    snapshot = taken.snapshot
    host = snapshot.host
    name = (host.hostname if host else None) or snapshot.uri
    beside = f" ({snapshot.uri})" if name != snapshot.uri else ""
    whole = host_details.whole(snapshot)
    up = f"{_GAP}up {cell(_OF_HOST['uptime'], whole)}" if whole else ""
    at = time.strftime("%H:%M:%S", time.localtime(snapshot.time))
    pace = "paused" if state.paused else f"every {state.delay:g} s"
    return [Span(f"kvmwatch top  {at}, {pace}{_GAP}"), Span(readable(name, LONGEST), BOLD), Span(f"{beside}{up}")]


def _host(taken: Taken) -> Spans:
    whole = host_details.whole(taken.snapshot)
    if not whole:
        return [Span("the host could not be read")]
    return [Span(_GAP.join(text.format_map(_Cells(whole)) for text in _FIGURES))]


class _Cells(dict[str, str]):
    """The lines of the page of the hypervisor by name, each when it is asked for."""

    def __init__(self, whole: Thing) -> None:
        super().__init__()
        self._whole = whole

    def __missing__(self, name: str) -> str:
        return cell(_OF_HOST[name], self._whole)


def _vms(taken: Taken) -> Iterator[Span]:
    """How many have problems of each severity, and how many are in which state."""
    yield from _problems(taken)
    domains = [row.domain for row in taken.rows]
    counts = Counter(domain.state for domain in domains)
    parts = [f"{number} {states.label(state)}" for state, number in sorted(counts.items())]
    silent = sum(domain.not_responding is not None for domain in domains)
    parts += [f"{silent} not responding"] if silent else []
    vms = f"{len(domains)} VM{'' if len(domains) == 1 else 's'}"
    yield Span(f"{_GAP}{vms}: {', '.join(parts)}" if parts else f"{_GAP}no VMs")


def _problems(taken: Taken) -> Iterator[Span]:
    """Of how many VMs, and of which checks of the hypervisor."""
    counts = Counter(row.status for row in taken.rows)
    found = [(f"{counts[severity]} {severity}", severity) for severity in reversed(SEVERITIES) if counts[severity]]
    found = [(text, severity) for text, severity in found if severity != OK]
    found += [(f"{check} {severity}", severity) for check, severity in _worst_of_each(taken).items()]
    yield Span("problems: " if found else "no problems")
    for number, (text, severity) in enumerate(found):
        yield Span(", " if number else "")
        yield Span(text, severity)


def _worst_of_each(taken: Taken) -> dict[str, str]:
    """The checks that find something wrong with the hypervisor, and how bad it is."""
    worst: dict[str, str] = {}
    for problem in taken.problems:
        worst[problem.check] = max(worst.get(problem.check, OK), problem.severity, key=SEVERITIES.index)
    return worst


def hindrance(news: News) -> str:
    """Why there are no new figures; empty: there are."""
    parts = [readable(news.error, LONGEST)] if news.error else []
    if news.old is not None:
        lasts = duration(max(1, int(news.old)))
        silent = f"libvirt has not answered for {lasts}{', and these figures are old' if news.taken else ''}"
        parts.insert(0, f"no new figures for {lasts}" if news.refused else silent)
    return ": ".join(parts)


def _news(state: State, news: News) -> Iterator[Span]:
    """What hinders, else how the table comes about."""
    why = hindrance(news)
    if why:
        yield Span(why, CRITICAL)
    if why or not news.taken:
        return
    parts = [f"sorted by {state.order.column}{', the other way round' if state.order.reverse else ''}"]
    parts += [f"CPU in % of {state.base}"] if state.base != OWN else []
    parts += ["only active ones"] if state.active else []
    parts += ["means since the start"] if state.averaged else []
    parts += [f"only with {state.filter!r}"] if state.filter else []
    parts += ["following"] if state.follows else []
    yield Span("; ".join(parts), OLD)
    if told := unread(state, news.taken):
        yield Span(f"{_GAP}{told[0]}", PLAIN)


def unread(state: State, taken: Taken) -> list[str]:
    """What is to be said beside the figures: what could not be had, and each --domain that selects nothing."""
    parts = (
        part
        for part in taken.snapshot.unread
        if not part.absent or part.group in state.table.needs  # of a view that this hypervisor cannot fill
    )
    return [readable(text, LONGEST) for text in (*taken.unmatched, *texts(parts))]
