"""What a Zabbix template consists of. Names and values are those of Zabbix's export format 6.0.

In expressions and formulas ``/T/`` stands for the template's own name.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

Tags = tuple[tuple[str, str], ...]


class Step(NamedTuple):
    """One preprocessing step; ``fails`` is what happens when it cannot be done."""

    type: str
    parameters: tuple[str, ...] = ("",)
    fails: str = ""  # DISCARD_VALUE, CUSTOM_VALUE; empty: the item becomes unsupported
    instead: Optional[str] = None  # the custom value


#: units of what has no mean: moments, and how long something has been so
TIMELESS = ("unixtime", "uptime")


class Item(NamedTuple):
    """An item or item prototype. Without ``master`` it is collected by its own ``type``."""

    name: str
    key: str
    value_type: str = "FLOAT"
    units: str = ""
    description: str = ""
    master: str = ""
    type: str = "DEPENDENT"
    delay: str = "0"
    steps: tuple[Step, ...] = ()
    formula: str = ""
    history: str = "7d"
    value_map: str = ""
    tags: Tags = ()
    inventory: str = ""
    trended: bool = True  # whether anybody looks at its mean of a year ago
    enabled: bool = True

    @property
    def trends(self) -> str:
        """A year for numbers that have a trend, none for states, times and texts."""
        trended = self.trended and not self.value_map and self.units not in TIMELESS
        return "365d" if trended and self.value_type in ("FLOAT", "UNSIGNED") else "0"


class Trigger(NamedTuple):
    """A trigger or trigger prototype, made by :mod:`zabbix_templates.triggers`.

    ``meaning`` and ``cure`` make its description, the runbook's line.
    """

    name: str
    expression: str
    severity: str  # INFO, WARNING, AVERAGE, HIGH, DISASTER
    meaning: str
    cure: str
    scope: str  # availability, performance, capacity, notice
    opdata: str = ""
    event_name: str = ""
    depends: tuple[str, ...] = ()  # names of other triggers of the same template or rule
    manual_close: bool = False
    recovery: str = ""  # what must be true for the problem to end; empty: that the expression is not


class Graph(NamedTuple):
    """A graph or graph prototype of items by key, drawn in the house's colours."""

    name: str
    keys: tuple[str, ...]
    stacked: bool = False
    percent: bool = False  # axis from 0 to 100


class HostPrototype(NamedTuple):
    """A host that a rule makes."""

    host: str
    name: str
    groups: tuple[str, ...]
    group_prototypes: tuple[str, ...]
    template: str


class Rule(NamedTuple):
    """A low-level discovery rule. ``filters`` pairs an LLD macro with the user macros (matches, not matches)."""

    name: str
    key: str
    path: str
    description: str
    master: str = ""
    filters: tuple[tuple[str, str, str], ...] = ()
    items: tuple[Item, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    graphs: tuple[Graph, ...] = ()
    hosts: tuple[HostPrototype, ...] = ()
    #: the list has domains, whose key ``part`` has lists of the values of these macros; else it has the rows
    part: str = ""
    macros: tuple[str, ...] = ()


class Macro(NamedTuple):
    """A user macro with its default."""

    name: str
    value: str
    description: str


class Widget(NamedTuple):
    """A dashboard widget at x, y (of 24 columns) with a width and height."""

    type: str  # ITEM, GRAPH_CLASSIC, GRAPH_PROTOTYPE
    name: str
    shows: str  # the item's key or the graph's name
    x: int
    y: int
    width: int
    height: int
    columns: int = 1  # of graph prototypes
    rows: int = 1


class Page(NamedTuple):
    """A page of a dashboard."""

    name: str
    widgets: tuple[Widget, ...]


class Dashboard(NamedTuple):
    """A template dashboard."""

    name: str
    pages: tuple[Page, ...]


class Template(NamedTuple):
    """A template, all of it."""

    name: str
    description: str
    setup: str  # Markdown for the README
    macros: tuple[Macro, ...]
    items: tuple[Item, ...]
    rules: tuple[Rule, ...]
    triggers: tuple[Trigger, ...] = ()
    graphs: tuple[Graph, ...] = ()
    dashboards: tuple[Dashboard, ...] = ()
    value_maps: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    vendor_tags: Tags = (("class", "software"), ("target", "kvm"))
    needs: tuple[str, ...] = ()  # templates that must be there first (host prototypes link them)

    @property
    def folder(self) -> str:
        """The folder below templates/: ``kvm_hypervisor_by_zabbix_agent``."""
        return self.name.lower().replace(" ", "_")
