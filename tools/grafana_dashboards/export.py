"""Dashboards as Grafana reads them: its classic JSON model, of version 9 (schemaVersion 37), which later ones take, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grafana_dashboards import model
from grafana_dashboards.model import (
    BARS,
    COLUMNS,
    GRAPH,
    STAT,
    TABLE,
    TIMELINE,
    Dashboard,
    Mark,
    Panel,
    Query,
    Variable,
    Words,
)

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLOURS = ("green", "yellow", "red")
_TAG = "kvmwatch"
#: dashboard to the label that says of what it is, its variable of the same name, and the column of a table that leads there
CHOSEN_BY = {model.VM: "uuid", model.HYPERVISOR: "instance"}
_COLUMN = {model.VM: "domain", model.HYPERVISOR: "instance"}


def dashboard(one: Dashboard) -> dict[str, Any]:
    """Give the document."""
    return {
        "uid": one.uid,
        "title": one.title,
        "description": one.description,
        "tags": [_TAG],
        "schemaVersion": 37,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [_others()],
        "annotations": {"list": [_mark(mark) for mark in one.marks]},
        "templating": {"list": [_source(), *map(_variable, one.variables)]},
        "panels": list(_placed(one)),
    }


def _placed(one: Dashboard) -> Iterator[dict[str, Any]]:
    """The panels from left to right, below the headings of their sections."""
    number, top = 1, 0
    for section in one.sections:
        yield {
            **{"id": number, "type": "row", "title": section.title, "collapsed": False, "panels": []},
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        }
        number, top, left, height = number + 1, top + 1, 0, 0
        for panel in section.panels:
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            number, left, height = number + 1, left + panel.width, max(height, panel.height)
        top += height


def _panel(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "interval": model.NARROWEST,
        "targets": [_target(panel, query, chr(ord("A") + number)) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }
    if panel.kind == TABLE:
        made["transformations"] = list(_columns(panel))
        made["fieldConfig"]["overrides"] = list(_overrides(panel))
    return made


def _target(panel: Panel, query: Query, letter: str) -> dict[str, Any]:
    now = panel.kind in (STAT, TABLE, BARS)
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
        "instant": now,
        "range": not now,
        "format": "table" if panel.kind == TABLE else "time_series",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = {"unit": panel.unit, "custom": {}, **_looks(panel.words, panel.levels)}
    if panel.kind == GRAPH:
        made["color"] = {"mode": "palette-classic"}
        made["min"] = 0
        made["custom"] = {
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,  # what was not known is a gap
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.levels else "off"},
        }
    elif panel.kind == TIMELINE:
        made["custom"] = {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}
    elif panel.kind == BARS:
        made["min"] = 0
    if panel.most is not None:
        made["max"] = panel.most
    if panel.kind != TABLE:
        made["links"] = [_link(uid, f"${{__field.labels.{CHOSEN_BY[uid]}}}") for uid in panel.leads_to]
    return made


def _looks(words: Words, levels: tuple[float, ...]) -> dict[str, Any]:
    steps = [
        {"color": colour, "value": value}
        for colour, value in dict(zip(_COLOURS[: len(levels) + 1], (None, *levels))).items()
    ]
    looks: dict[str, Any] = {"thresholds": {"mode": "absolute", "steps": steps}, "mappings": []}
    looks["color"] = {"mode": "thresholds"}
    if words:
        options = {
            str(value): {"text": word, "color": colour, "index": index}
            for index, (value, (word, colour)) in enumerate(words.items())
        }
        looks["mappings"] = [{"type": "value", "options": options}]
    return looks


def _options(panel: Panel) -> dict[str, Any]:
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == STAT:
        mode = "name" if panel.named else "value_and_name" if len(panel.queries) > 1 else "value"
        coloured = "value" if panel.levels or panel.words else "none"
        return {
            "reduceOptions": last,
            "textMode": mode,
            "colorMode": coloured,
            "graphMode": "none",
            "justifyMode": "auto",
        }
    if panel.kind == BARS:
        return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True}
    if panel.kind == TIMELINE:
        return {"mergeValues": True, "showValue": "never", "alignValue": "left", "rowHeight": 0.9}
    if panel.kind == TABLE:
        order = [{"displayName": panel.sorted_by, "desc": True}] if panel.sorted_by else []
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}, "sortBy": order}
    legend = {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": True}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _columns(panel: Panel) -> Iterator[dict[str, Any]]:
    """One row for each thing, with the columns that have a title and what links need."""
    # Grafana numbers the values where there are several; labels that are not shown would keep rows apart
    titles = {
        f"Value #{chr(ord('A') + number)}": query.legend
        for number, query in enumerate(panel.queries)
        if query.legend
    }
    if len(panel.queries) == 1 and titles:
        titles["Value"] = panel.queries[0].legend
    names = list(dict.fromkeys((*panel.labels, *titles, *_needed(panel))))
    yield {"id": "filterFieldsByName", "options": {"include": {"names": names}}}
    yield {"id": "merge", "options": {}}
    yield {
        "id": "organize",
        "options": {
            "excludeByName": {},
            "indexByName": {name: index for index, name in enumerate(names)},
            "renameByName": {**panel.labels, **titles},
        },
    }


def _needed(panel: Panel) -> tuple[str, ...]:
    """The labels that its links need."""
    return tuple(CHOSEN_BY[uid] for uid in panel.leads_to)


def _overrides(panel: Panel) -> Iterator[dict[str, Any]]:
    for query in filter(lambda query: query.legend, panel.queries):
        looks = {"unit": query.unit or panel.unit, **_looks(query.words, query.levels)}
        properties = [{"id": name, "value": value} for name, value in looks.items()]
        if query.words or query.levels:
            properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
            properties.append(
                {"id": "custom.displayMode", "value": "color-text"}
            )  # the same for Grafana 9.3 and before
        yield _of_column(query.legend, properties)
    for uid in panel.leads_to:
        label = CHOSEN_BY[uid]
        value = f'${{__data.fields["{panel.labels.get(label, label)}"]}}'
        yield _of_column(panel.labels[_COLUMN[uid]], [{"id": "links", "value": [_link(uid, value)]}])
        if label not in panel.labels:
            yield _of_column(label, [{"id": "custom.hidden", "value": True}])


def _of_column(title: str, properties: list[dict[str, Any]]) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": title}, "properties": properties}


def _link(uid: str, value: str) -> dict[str, Any]:
    return {
        "title": "Show it",
        "url": f"/d/{uid}?var-{CHOSEN_BY[uid]}={value}&${{datasource:queryparam}}&${{__url_time_range}}",
    }


def _others() -> dict[str, Any]:
    return {
        **{"type": "dashboards", "title": "KVM", "tags": [_TAG], "asDropdown": False, "icon": "external link"},
        **{"includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""},
    }


def _source() -> dict[str, Any]:
    return {
        **{"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
        **{
            "current": {},
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "options": [],
            "refresh": 1,
            "regex": "",
        },
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        **{"type": "query", "name": variable.name, "label": variable.label, "datasource": _SOURCE},
        "definition": variable.query,
        "query": {"query": variable.query, "refId": variable.name},
        **{"regex": variable.regex, "refresh": 2, "sort": 5, "current": {}, "options": []},
        **{"hide": 0, "includeAll": False, "multi": False, "skipUrlSync": False},
    }


def _mark(mark: Mark) -> dict[str, Any]:
    return {
        **{"name": mark.name, "datasource": _SOURCE, "enable": True, "hide": False, "iconColor": "orange"},
        **{"expr": mark.expression, "step": "60s", "titleFormat": mark.text, "useValueForTime": False},
    }
