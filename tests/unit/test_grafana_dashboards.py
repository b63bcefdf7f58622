"""The dashboards are what the generator makes of its declarations, fit what is exported, and lead to each other."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from generated import assert_up_to_date
from grafana_dashboards import files
from grafana_dashboards.export import CHOSEN_BY
from grafana_dashboards.model import COLUMNS, Dashboard
from kvmwatch_exporters import prometheus

FILES = files.files()
ALL = files.dashboards()
KNOWN = {family.name for family in prometheus.FAMILIES.values()}
UIDS = {one.uid for one in ALL}


def by_uid(one: Dashboard) -> str:
    return one.uid


@pytest.mark.parametrize("path", FILES)
def test_files_are_up_to_date(path: str) -> None:
    assert_up_to_date(files.FOLDER / path, FILES[path], "dashboards")


def test_there_are_no_others() -> None:
    assert {path.name for path in files.FOLDER.iterdir()} == set(FILES)


def expressions(one: Dashboard) -> Iterator[str]:
    for section in one.sections:
        for panel in section.panels:
            yield from (query.expression for query in panel.queries)
    yield from (mark.expression for mark in one.marks)
    yield from (variable.query for variable in one.variables)


def metrics(one: Dashboard) -> set[str]:
    return {name for text in expressions(one) for name in re.findall(r"\bkvm_\w+", text)}


@pytest.mark.parametrize("one", ALL, ids=by_uid)
def test_every_metric_is_exported(one: Dashboard) -> None:
    assert not metrics(one) - KNOWN


def test_no_metric_is_forgotten() -> None:
    shown = set().union(*map(metrics, ALL))
    forgotten = sorted(KNOWN - shown - files.LEFT_OUT.keys())
    assert not forgotten, (
        f"tools/grafana_dashboards shows no {', '.join(forgotten)}: add a panel, or a reason to LEFT_OUT of its files.py"
    )
    needless = sorted(shown & files.LEFT_OUT.keys())
    assert not needless, f"tools/grafana_dashboards/files.py: LEFT_OUT has what is shown: {needless}"


@pytest.mark.parametrize("one", ALL, ids=by_uid)
def test_every_variable_is_one_that_there_is(one: Dashboard) -> None:
    known = {variable.name for variable in one.variables} | {"__rate_interval"}
    for text in expressions(one):
        used = set(re.findall(r"\$(\w+)", text))
        assert used <= known, text
    for variable in one.variables:
        rest = [text for text in expressions(one) if f"${variable.name}" in text]
        assert rest, f"{one.uid} does not need ${variable.name}"


def panels(path: str) -> list[dict[str, Any]]:
    return list(json.loads(FILES[path])["panels"])


@pytest.mark.parametrize("path", FILES)
def test_panels_lie_beside_each_other(path: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels(path):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for cell in (
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, f"{panel['title']} lies over {taken[cell]}"
            taken[cell] = panel["title"]
    numbers = [panel["id"] for panel in panels(path)]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", FILES)
def test_the_source_is_chosen_by_the_reader(path: str) -> None:
    document = json.loads(FILES[path])
    assert document["templating"]["list"][0]["name"] == "datasource"
    sources = re.findall(r'"uid": "(\$[^"]*)"', FILES[path])
    assert set(sources) == {"${datasource}"}
    for panel in panels(path):
        assert panel["type"] == "row" or (
            panel["datasource"] and all(target["datasource"] for target in panel["targets"])
        )


@pytest.mark.parametrize("path", FILES)
def test_links_lead_to_dashboards_and_say_of_what(path: str) -> None:
    wanted = {one.uid: {f"var-{variable.name}" for variable in one.variables} for one in ALL}
    for uid, rest in re.findall(r'"url": "/d/([\w-]+)\?([^"]+)"', FILES[path].replace('\\"', "'")):
        assert uid in UIDS
        assert set(re.findall(r"var-\w+", rest)) == wanted[uid]


@pytest.mark.parametrize("one", ALL, ids=by_uid)
def test_what_links_need_is_in_the_result(one: Dashboard) -> None:
    """A link of a panel is made of a label, which an aggregation must not have taken away."""
    for section in one.sections:
        for panel in section.panels:
            for uid, query in itertools.product(panel.leads_to, panel.queries):
                for kept in re.findall(r"\bby \(([^)]*)\)", query.expression):
                    assert CHOSEN_BY[uid] in re.split(r",\s*", kept), query.expression
