"""From the model to XML in Zabbix's export format 6.0, which 6.0 and 7.0 import."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any

from zabbix_kvm.discovery import OF_VM
from zabbix_kvm.parts import part_uuid
from zabbix_kvm.templates import VERSION_MACRO, fingerprint

from kvmwatch import __version__
from zabbix_templates.model import (
    Dashboard,
    Graph,
    HostPrototype,
    Item,
    Macro,
    Rule,
    Template,
    Trigger,
    Widget,
)

GROUP = "Templates/Virtualization"
_COLOURS = ("1A7C11", "F63100", "2774A4", "FC6EA3", "6C59DC", "AC8C14", "611F27", "274482")
_SINGULAR = {
    **{"groups": "group", "templates": "template", "items": "item", "discovery_rules": "discovery_rule"},
    **{"item_prototypes": "item_prototype", "trigger_prototypes": "trigger_prototype", "triggers": "trigger"},
    **{"graph_prototypes": "graph_prototype", "graphs": "graph", "graph_items": "graph_item", "tags": "tag"},
    **{"macros": "macro", "preprocessing": "step", "parameters": "parameter", "dependencies": "dependency"},
    **{"conditions": "condition", "host_prototypes": "host_prototype", "group_links": "group_link"},
    **{"group_prototypes": "group_prototype", "dashboards": "dashboard", "pages": "page", "widgets": "widget"},
    **{"fields": "field", "valuemaps": "valuemap", "mappings": "mapping"},
}

Tree = dict[str, Any]


def xml(template: Template) -> str:
    """Give the file of a template. It carries its version and a digest, so that provisioning knows it again."""
    digest = hashlib.sha256(_Exporter(template).document().encode()).hexdigest()[:12]
    defaults = "".join(fingerprint(macro.name, macro.value) for macro in sorted(template.macros))
    version = Macro(
        VERSION_MACRO,
        f"{__version__} {digest}",
        "Version of kvmwatch, and which file. zabbix_kvm provision compares it, and knows macros that were changed by "
        f"their defaults: {defaults}",
    )
    return _Exporter(template._replace(macros=(*template.macros, version))).document()


class _Exporter:
    def __init__(self, template: Template) -> None:
        self._template = template

    def document(self) -> str:
        template = self._template
        groups = {GROUP}
        host_groups = {group for rule in template.rules for host in rule.hosts for group in host.groups}
        tree: Tree = {
            "version": "6.0",
            # a group has one UUID, whichever template's file brings it
            "groups": [{"uuid": part_uuid("group", name), "name": name} for name in sorted(groups | host_groups)],
            "templates": [
                {
                    "uuid": self._uuid("template"),
                    "template": template.name,
                    "name": template.name,
                    "description": template.description,
                    "groups": [{"name": GROUP}],
                    "items": [self._item(item) for item in template.items],
                    "discovery_rules": [self._rule(rule) for rule in template.rules],
                    "tags": _tags(template.vendor_tags),
                    "macros": [
                        {"macro": macro.name, "value": macro.value, "description": macro.description}
                        for macro in sorted(template.macros)
                    ],
                    "dashboards": [self._dashboard(dashboard) for dashboard in template.dashboards],
                    "valuemaps": [self._value_map(name, pairs) for name, pairs in template.value_maps],
                }
            ],
            "triggers": [self._trigger(trigger, template.triggers) for trigger in template.triggers],
            "graphs": [self._graph(graph) for graph in template.graphs],
        }
        root = ET.Element("zabbix_export")
        _fill(root, tree)
        ET.indent(root, "    ")
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"

    def _uuid(self, *path: str) -> str:
        return part_uuid(self._template.name, *path)

    def _own(self, text: str) -> str:
        return text.replace("/T/", f"/{self._template.name}/")

    def _item(self, item: Item, rule: str = "") -> Tree:
        return {
            "uuid": self._uuid("item", rule, item.key),
            "name": item.name,
            "type": item.type,
            "key": item.key,
            "delay": item.delay,
            "history": item.history,
            "trends": item.trends,
            "status": None if item.enabled else "DISABLED",
            "value_type": item.value_type,
            "units": item.units,
            "params": item.formula,
            "description": item.description,
            "inventory_link": item.inventory,
            "valuemap": {"name": item.value_map} if item.value_map else None,
            "preprocessing": _steps(item),
            "master_item": {"key": item.master} if item.master else None,
            "tags": _tags(item.tags),
        }

    def _rule(self, rule: Rule) -> Tree:
        return {
            "uuid": self._uuid("rule", rule.key),
            "name": rule.name,
            "type": "DEPENDENT",
            "key": rule.key,
            "delay": "0",
            "filter": _filter(rule),
            "lifetime": "{$KVM.LLD.LIFETIME}",
            "description": rule.description,
            "item_prototypes": [self._item(item, rule.key) for item in rule.items],
            "trigger_prototypes": [self._trigger(trigger, rule.triggers, rule.key) for trigger in rule.triggers],
            "graph_prototypes": [self._graph(graph, rule.key) for graph in rule.graphs],
            "host_prototypes": [self._host(host, rule.key) for host in rule.hosts],
            "master_item": {"key": rule.master},
            "preprocessing": _rule_steps(rule),
        }

    def _trigger(self, trigger: Trigger, among: Iterable[Trigger], rule: str = "") -> Tree:
        by_name = {other.name: other for other in (*self._template.triggers, *among)}
        return {
            "uuid": self._uuid("trigger", rule, trigger.name),
            "expression": self._own(trigger.expression),
            "recovery_mode": "RECOVERY_EXPRESSION" if trigger.recovery else None,
            "recovery_expression": self._own(trigger.recovery),
            "name": trigger.name,
            "event_name": self._own(trigger.event_name),
            "opdata": trigger.opdata,
            "priority": trigger.severity,
            "description": f"{trigger.meaning}\nDo: {trigger.cure}",
            "manual_close": "YES" if trigger.manual_close else None,
            "dependencies": [
                {
                    "name": name,
                    "expression": self._own(by_name[name].expression),
                    "recovery_expression": self._own(by_name[name].recovery),
                }
                for name in trigger.depends
            ],
            "tags": _tags((("scope", trigger.scope),)),
        }

    def _graph(self, graph: Graph, rule: str = "") -> Tree:
        return {
            "uuid": self._uuid("graph", rule, graph.name),
            "name": graph.name,
            "type": "STACKED" if graph.stacked else None,
            "ymin_type_1": "FIXED",
            "ymax_type_1": "FIXED" if graph.percent else None,
            "graph_items": [
                {
                    "sortorder": str(number),
                    "drawtype": None if graph.stacked or number else "GRADIENT_LINE",
                    "color": _COLOURS[number % len(_COLOURS)],
                    "item": {"host": self._template.name, "key": key},
                }
                for number, key in enumerate(graph.keys)
            ],
        }

    def _host(self, host: HostPrototype, rule: str) -> Tree:
        return {
            "uuid": self._uuid("host", rule, host.host),
            "host": host.host,
            "name": host.name,
            "group_links": [{"group": {"name": name}} for name in host.groups],
            "group_prototypes": [{"name": name} for name in host.group_prototypes],
            "templates": [{"name": host.template}],
            "custom_interfaces": "YES",
        }

    def _dashboard(self, dashboard: Dashboard) -> Tree:
        return {
            "uuid": self._uuid("dashboard", dashboard.name),
            "name": dashboard.name,
            "auto_start": "NO",
            "pages": [
                {"name": page.name, "widgets": [self._widget(widget) for widget in page.widgets]}
                for page in dashboard.pages
            ],
        }

    def _widget(self, widget: Widget) -> Tree:
        name = self._template.name
        fields: list[Tree] = []
        if widget.type == "ITEM":
            fields = [
                {"type": "ITEM", "name": "itemid", "value": {"host": name, "key": widget.shows}},
                {"type": "INTEGER", "name": "show", "value": "2"},  # the value, no time, no description
                *(
                    {"type": "INTEGER", "name": f"{part}_size", "value": "25"}
                    for part in ("value", "decimal", "units")
                ),
            ]
        elif widget.type == "GRAPH_CLASSIC":
            fields = [{"type": "GRAPH", "name": "graphid", "value": {"host": name, "name": widget.shows}}]
        else:
            fields = [
                {"type": "INTEGER", "name": "columns", "value": str(widget.columns)},
                {"type": "INTEGER", "name": "rows", "value": str(widget.rows)},
                {"type": "GRAPH_PROTOTYPE", "name": "graphid", "value": {"host": name, "name": widget.shows}},
            ]
        place = {side: str(getattr(widget, side)) for side in ("x", "y", "width", "height")}
        return {"type": widget.type, "name": widget.name, **place, "fields": fields}

    def _value_map(self, name: str, pairs: Iterable[tuple[str, str]]) -> Tree:
        return {
            "uuid": self._uuid("valuemap", name),
            "name": name,
            "mappings": [{"value": value, "newvalue": text} for value, text in pairs],
        }


def _rule_steps(rule: Rule) -> list[Tree]:
    steps: list[Tree] = [
        {"type": "JSONPATH", "parameters": [rule.path], "error_handler": "DISCARD_VALUE"},
        # So often a rule looks again at what has not changed: a filter's macro may have, and a discovery that met a
        # server which did not know the new host's macros yet, or whose database refused it, is not repeated else.
        {"type": "DISCARD_UNCHANGED_HEARTBEAT", "parameters": ["10m"]},
    ]
    if rule.part:
        # behind the throttling, so that it runs only when something changed
        rows = _ROWS.format(part=rule.part, of_vm=json.dumps(OF_VM), macros=json.dumps(rule.macros))
        steps.append({"type": "JAVASCRIPT", "parameters": [rows]})
    return steps


#: makes a row of every part of every domain
_ROWS = """\
var of_vm = {of_vm}, macros = {macros}, rows = [];
JSON.parse(value).forEach(function (vm) {{
    (vm.{part} || []).forEach(function (values) {{
        var row = {{}};
        of_vm.forEach(function (macro) {{ row[macro] = vm[macro]; }});
        macros.forEach(function (macro, number) {{ row[macro] = values[number]; }});
        rows.push(row);
    }});
}});
return JSON.stringify(rows);"""


def _steps(item: Item) -> list[Tree]:
    return [
        {
            "type": step.type,
            "parameters": list(step.parameters),
            "error_handler": step.fails or None,
            "error_handler_params": step.instead,
        }
        for step in item.steps
    ]


def _filter(rule: Rule) -> Tree | None:
    conditions: list[Tree] = []
    for macro, matches, matches_not in rule.filters:
        conditions.append({"macro": macro, "value": matches, "formulaid": _letter(conditions)})
        if matches_not:
            conditions.append(
                {
                    "macro": macro,
                    "value": matches_not,
                    "operator": "NOT_MATCHES_REGEX",
                    "formulaid": _letter(conditions),
                }
            )
    return {"evaltype": "AND", "conditions": conditions} if conditions else None


def _letter(conditions: list[Tree]) -> str:
    return "ABCDEFGHIJKLMNOP"[len(conditions)]


def _tags(tags: Iterable[tuple[str, str]]) -> list[Tree]:
    return [{"tag": tag, "value": value} for tag, value in tags]


def _fill(parent: ET.Element, tree: Tree) -> None:
    for name, value in tree.items():
        # what is empty is left out; but an empty custom value is a value
        if value is None or (value in ("", []) and name != "error_handler_params"):
            continue
        child = ET.SubElement(parent, name)
        if isinstance(value, dict):
            _fill(child, value)
        elif isinstance(value, list):
            for entry in value:
                grandchild = ET.SubElement(child, _SINGULAR[name])
                if isinstance(entry, dict):
                    _fill(grandchild, entry)
                else:
                    grandchild.text = entry
        else:
            child.text = value
