"""The NOC dashboard over all hypervisors: making it once, its widgets, and how 6.0 and 7.0 write their fields."""

from __future__ import annotations

from typing import Any, NamedTuple

from kvmwatch.model.errors import KvmwatchError
from zabbix_kvm.api import Api, Record
from zabbix_kvm.provision import GUESTS, HYPERVISORS, Provisioner

NAME = "KVM: all hypervisors"

_READ = 2
_INTEGER, _STRING, _GROUP = 0, 1, 2
_ITEM_VALUE, _HOST_NAME = 1, 2  # what a column of "Top hosts" shows
_BAR = 2
_TOP, _BOTTOM = 2, 3
_RED, _ORANGE, _GREEN, _BLUE = "E45959", "FFA059", "59DB8F", "2774A4"

Fields = tuple[tuple[int, str, Any], ...]  # type, name, value
Version = tuple[int, int]


class Column(NamedTuple):
    """A column of "Top hosts": an item by name, as a number or as a bar with thresholds."""

    title: str
    item: str
    most: str = ""  # the bar's end; empty: the highest value that is shown
    thresholds: tuple[tuple[str, str], ...] = ()
    bar: bool = False


class Widget(NamedTuple):
    """A widget on a grid of 24 columns."""

    type: str
    name: str
    x: int
    y: int
    width: int
    height: int
    fields: Fields


_PERCENT = (("0", _GREEN), ("75", _ORANGE), ("90", _RED))
_STEAL = (("0", _GREEN), ("10", _ORANGE), ("25", _RED))


def dashboard(version: Version, hypervisors: str, guests: str) -> Record:
    """The parameters of dashboard.create; the groups are IDs."""
    pages = {
        "Overview": _overview(version, hypervisors, guests),
        "VMs": _vms(version),
        "Guests": _guests(version, guests),
    }
    return {
        "name": NAME,
        "display_period": 30,
        "auto_start": 0,
        "pages": [
            {"name": name, "widgets": [_made(widget, version) for widget in widgets]}
            for name, widgets in pages.items()
        ],
    }


def keep(provisioner: Provisioner, share: list[str], replace: bool) -> None:
    """Make the dashboard when there is none, and let these user groups see it. One that is there is its users'.

    With ``replace`` it gets this version's widgets, whatever it has.
    """
    changes, api = provisioner.changes, provisioner.api
    found = api.call(
        "dashboard.get",
        filter={"name": NAME},
        output="extend",
        selectPages="extend",
        selectUserGroups="extend",
    )
    if not found:
        groups = [provisioner.group(name) for name in (HYPERVISORS, GUESTS)]
        if None in groups:
            return  # which was told
        wanted = dashboard(api.version, str(groups[0]), str(groups[1]))
        shared = {"userGroups": [_reader(number) for number in _user_groups(api, share)]}
        changes.attempt(f"make dashboard {NAME}", "dashboard.create", **wanted, **shared)
        return
    number = found[0]["dashboardid"]
    if replace:
        wanted = dashboard(api.version, str(provisioner.group(HYPERVISORS)), str(provisioner.group(GUESTS)))
        if differs(found[0], wanted):
            what = f"replace dashboard {NAME}"
            changes.attempt(what, "dashboard.update", dashboardid=number, pages=wanted["pages"])
    readers = found[0]["userGroups"]
    missing = [group for group in _user_groups(api, share) if group not in {one["usrgrpid"] for one in readers}]
    if missing:
        changes.attempt(
            f"share dashboard {NAME} with {', '.join(share)}",
            "dashboard.update",
            dashboardid=number,
            userGroups=[*readers, *map(_reader, missing)],
        )


def _user_groups(api: Api, names: list[str]) -> list[str]:
    found = api.call("usergroup.get", filter={"name": names}, output=["usrgrpid", "name"]) if names else []
    known = {group["name"]: str(group["usrgrpid"]) for group in found}
    for name in names:
        if name not in known:
            raise KvmwatchError(f"{api.url}: no user group is called {name!r}, or the user may not see it")
    return [known[name] for name in names]


def _reader(group: str) -> Record:
    return {"usrgrpid": group, "permission": _READ}


def differs(found: Record, wanted: Record) -> bool:
    """Whether the dashboard that Zabbix has is another one than the wanted."""
    return bool(_comparable(found["pages"]) != _comparable(wanted["pages"]))


def _overview(version: Version, hypervisors: str, guests: str) -> tuple[Widget, ...]:
    both = (hypervisors, guests)
    return (
        Widget(
            *("problemsbysv", "Problems by severity", 0, 0, 24, 2),
            (*_groups(version, both), (_INTEGER, "show_type", 1)),
        ),
        Widget(
            *("tophosts", "Hypervisors", 0, 2, 24, 4),
            _top(
                version,
                hypervisors,
                (
                    Column("CPU", "Hypervisor: CPU utilization", "100", _PERCENT, True),
                    Column("Memory", "Hypervisor: Memory utilization", "100", _PERCENT, True),
                    Column("Highest CPU of a VM", "VMs: Highest CPU utilization", "100", _PERCENT, True),
                    Column("Highest steal", "VMs: Highest CPU steal", "100", _STEAL, True),
                    Column("VMs running", "VMs running"),
                    Column("Crashed", "VMs crashed"),
                    Column("Paused", "VMs paused"),
                    Column("vCPU overcommit", "Hypervisor: vCPU overcommit"),
                    Column("libvirt answers in", "Hypervisor: libvirt response time"),
                    Column("Age of the data", "Age of the data"),
                ),
                20,
            ),
        ),
        Widget(
            *("problems", "Problems", 0, 6, 24, 9),
            (
                *_groups(version, both),
                (_INTEGER, "show", 3),
                (_INTEGER, "show_tags", 0),
                (_INTEGER, "show_opdata", 1),
                (_INTEGER, "sort_triggers", 1),
                (_INTEGER, "show_lines", 25),
            ),
        ),
        _graph(version, "CPU utilization of the hypervisors", "Hypervisor: CPU utilization", 0, 15, 12),
        _graph(version, "Memory utilization of the hypervisors", "Hypervisor: Memory utilization", 12, 15, 12),
    )  # fmt: skip


def _vms(version: Version) -> tuple[Widget, ...]:
    """What every VM takes, from the hypervisors' own items: also where guests are no hosts."""
    shown = (
        *(("CPU utilization of VMs", "VM *: CPU utilization"), ("CPU steal of VMs", "VM *: CPU steal")),
        ("Memory utilization of VMs", "VM *: Memory utilization"),
        ("Disk throughput of VMs", "VM *: Disk throughput"),
        *(("Network traffic of VMs", "VM *: Network traffic"), ("Storage pools", "Pool *: Utilization")),
    )  # fmt: skip
    return tuple(
        _graph(version, title, pattern, 12 * (number % 2), 7 * (number // 2), 12, 7)
        for number, (title, pattern) in enumerate(shown)
    )


def _guests(version: Version, guests: str) -> tuple[Widget, ...]:
    """The top VMs, where guests are hosts."""
    shown = (
        (Column("CPU", "CPU utilization", "100", _PERCENT, True), Column("Hypervisor", "Hypervisor")),
        (Column("Steal", "CPU steal", "100", _STEAL, True), Column("Hypervisor", "Hypervisor")),
        (
            Column("Memory", "Memory utilization", "100", _PERCENT, True),
            Column("Host memory", "Host memory of QEMU"),
        ),
        (Column("Disk", "Disk throughput", bar=True), Column("Hypervisor", "Hypervisor")),
        (Column("Network", "Network traffic", bar=True), Column("Hypervisor", "Hypervisor")),
        (Column("State", "State"), Column("Reason", "Reason of the state"), Column("Should be", "Expected state")),
    )
    titles = (
        *("Top VMs by CPU", "Top VMs by CPU steal", "Top VMs by memory utilization"),
        *("Top VMs by disk throughput", "Top VMs by network traffic", "States, those that do not run first"),
    )
    return tuple(
        Widget(
            *("tophosts", title, 8 * (number % 3), 9 * (number // 3), 8, 9),
            _top(version, guests, columns, 12),
        )
        for number, (title, columns) in enumerate(zip(titles, shown))
    )


def _groups(version: Version, groups: tuple[str, ...]) -> Fields:
    if version >= (7, 0):
        return tuple((_GROUP, f"groupids.{number}", group) for number, group in enumerate(groups))
    return tuple((_GROUP, "groupids", group) for group in groups)


def _top(version: Version, group: str, columns: tuple[Column, ...], lines: int) -> Fields:
    """Hosts by the first column, the highest on top."""
    new = version >= (7, 0)

    def name(number: int, field: str) -> str:
        return f"columns.{number}.{field}" if new else f"columns.{field}.{number}"

    fields: list[tuple[int, str, Any]] = [
        *_groups(version, (group,)),
        (_INTEGER, "show_lines" if new else "count", lines),
        (_INTEGER, "column", 1),
        # Zabbix sorts a column without a bar as text, and then the "top" are the lowest
        (_INTEGER, "order", _TOP if columns[0].bar else _BOTTOM),
        (_STRING, name(0, "name"), "Host"),
        (_INTEGER, name(0, "data"), _HOST_NAME),
        (_STRING, name(0, "base_color"), ""),
    ]
    for number, column in enumerate(columns, 1):
        fields += [
            (_STRING, name(number, "name"), column.title),
            (_INTEGER, name(number, "data"), _ITEM_VALUE),
            (_STRING, name(number, "item"), column.item),
            (_STRING, name(number, "base_color"), ""),
        ]
        if not new:
            fields += [(_STRING, name(number, "timeshift"), ""), (_INTEGER, name(number, "aggregate_function"), 0)]
        if column.bar:
            fields += [
                (_INTEGER, name(number, "display"), _BAR),
                (_STRING, name(number, "min"), "0"),
                (_STRING, name(number, "max"), column.most),
            ]
        for place, (threshold, colour) in enumerate(column.thresholds):
            prefix = f"columns.{number}.thresholds.{place}." if new else ""
            suffix = "" if new else f".{number}.{place}"
            old = "" if new else "columnsthresholds."
            fields += [
                (_STRING, f"{prefix}{old}color{suffix}", colour),
                (_STRING, f"{prefix}{old}threshold{suffix}", threshold),
            ]
    return tuple(fields)


def _graph(version: Version, title: str, items: str, x: int, y: int, width: int, height: int = 6) -> Widget:
    new = version >= (7, 0)

    def name(field: str) -> str:
        if "." not in field:
            return f"ds.0.{field}" if new else f"ds.{field}.0"
        field, number = field.split(".")
        return f"ds.0.{field}.{number}" if new else f"ds.{field}.0.{number}"

    fields = (
        (_STRING, name("hosts.0"), "*"),
        (_STRING, name("items.0"), items),
        (_STRING, name("color"), _BLUE),
        (_INTEGER, name("fill"), 0),
        (_INTEGER, name("width"), 2),
        (_INTEGER, "legend", 1),
        (_INTEGER, "legend_lines", 3),
        (_STRING, "lefty_min", "0"),
    )
    return Widget("svggraph", title, x, y, width, height, fields)


def _made(widget: Widget, version: Version) -> Record:
    scale = 3 if version >= (7, 0) else 1  # the grid has 72 columns there, 24 in 6.0
    return {
        "type": widget.type,
        "name": widget.name,
        "x": widget.x * scale,
        "y": widget.y,
        "width": widget.width * scale,
        "height": widget.height,
        "view_mode": 0,
        "fields": [{"type": kind, "name": name, "value": value} for kind, name, value in widget.fields],
    }


def _comparable(pages: list[Record]) -> list[Any]:
    """What two dashboards have to have in common: Zabbix gives numbers as texts, and no order."""
    return [(page["name"], sorted(map(_comparable_widget, page["widgets"]))) for page in pages]


def _comparable_widget(widget: Record) -> tuple[Any, ...]:
    fields = sorted(
        (str(field["type"]), field["name"], str(field["value"]))
        for field in widget["fields"]
        if field["name"] != "reference"  # the front end adds it
    )
    return (*(str(widget[key]) for key in ("type", "name", "x", "y", "width", "height")), fields)
