"""What a dashboard consists of. Kinds of panels and units are Grafana's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

STAT, GRAPH, TABLE, BARS, TIMELINE = "stat", "timeseries", "table", "bargauge", "state-timeline"
COLUMNS = 24
#: of dashboards, which link to each other
FLEET, HYPERVISOR, VM = "kvmwatch-fleet", "kvmwatch-hypervisor", "kvmwatch-vm"

#: the window of rates: long enough for a file that is written once a minute
RATE = "$__rate_interval"
NARROWEST = "2m"  # between two points; the window is more

#: number to word and colour
Words = Mapping[int, tuple[str, str]]
STATUS: Words = {0: ("OK", "green"), 1: ("WARNING", "yellow"), 2: ("CRITICAL", "red"), 3: ("UNKNOWN", "purple")}
YES_NO: Words = {0: ("no", "orange"), 1: ("yes", "green")}
FLAG: Words = {0: ("no", "text"), 1: ("yes", "text")}


class Query(NamedTuple):
    """An expression, and how its series are called; in a table the title of its column, which is not there without one.

    ``empty``: why it may give nothing on a hypervisor that is well.
    """

    expression: str
    legend: str = ""
    unit: str = ""  # of a table's column, where it is not the panel's
    words: Mapping[int, tuple[str, str]] = {}  # the same
    levels: tuple[float, ...] = ()  # the same
    empty: str = ""


class Panel(NamedTuple):
    """A panel. ``levels``: from where on it is yellow, and red.

    ``labels``: of a table, label to the title of its column. ``leads_to``: dashboards of what the series are of.
    """

    kind: str
    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    description: str = ""
    levels: tuple[float, ...] = ()
    words: Mapping[int, tuple[str, str]] = {}
    most: float | None = None
    stacked: bool = False
    named: bool = False  # a stat that shows what its series are called instead of their values
    labels: Mapping[str, str] = {}
    leads_to: tuple[str, ...] = ()
    sorted_by: str = ""  # the column whose highest is first


class Section(NamedTuple):
    """Panels below a heading, from left to right."""

    title: str
    panels: tuple[Panel, ...]


class Variable(NamedTuple):
    """What the reader chooses: ``query`` is Grafana's, ``regex`` has a text and a value where they differ."""

    name: str
    label: str
    query: str
    regex: str = ""


class Mark(NamedTuple):
    """Moments that all graphs show: those of which the expression gives something."""

    name: str
    expression: str
    text: str


class Dashboard(NamedTuple):
    """A dashboard."""

    uid: str
    title: str
    description: str
    sections: tuple[Section, ...]
    variables: tuple[Variable, ...] = ()
    marks: tuple[Mark, ...] = ()


def stat(title: str, expression: str, unit: str = "short", width: int = 3, empty: str = "", **more: Any) -> Panel:
    """One number. What more a panel has: as in Panel."""
    return Panel(STAT, title, (Query(expression, empty=empty),), unit, width, 4)._replace(**more)


def graph(title: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Lines over time. What more a panel has: as in Panel."""
    return Panel(GRAPH, title, queries, unit)._replace(**more)


def top(title: str, unit: str, expression: str, legend: str, empty: str = "", **more: Any) -> Panel:
    """The ten that have most of it now. What more a panel has: as in Panel."""
    query = Query(f"topk(10, {expression})", legend, empty=empty)
    return Panel(BARS, title, (query,), unit, 8)._replace(**more)


def rate(metric: str, where: str = "") -> str:
    """A counter a second."""
    return f"rate({metric}{where}[{RATE}])"
