"""Pages of template dashboards. Zabbix 6.0 has a grid of 24 columns, and no lists of hosts or problems in templates."""

from __future__ import annotations

from collections.abc import Sequence

from zabbix_templates.model import Page, Widget

_COLUMNS = 24
_VALUE_HEIGHT, _GRAPH_HEIGHT = 2, 6


def overview(values: Sequence[tuple[str, str]], graphs: Sequence[tuple[str, str]]) -> Page:
    """Current values in a row (title and key), and graphs below in two columns (title and name)."""
    width = _COLUMNS // len(values)
    return Page(
        "Overview",
        (
            *(
                Widget("ITEM", title, key, width * number, 0, width, _VALUE_HEIGHT)
                for number, (title, key) in enumerate(values)
            ),
            *side_by_side(graphs, _VALUE_HEIGHT),
        ),
    )


def side_by_side(graphs: Sequence[tuple[str, str]], top: int) -> tuple[Widget, ...]:
    """Graphs in two columns from a row on (title and name)."""
    half = _COLUMNS // 2
    return tuple(
        Widget(
            *("GRAPH_CLASSIC", title, name, half * (number % 2)),
            *(top + _GRAPH_HEIGHT * (number // 2), half, _GRAPH_HEIGHT),
        )
        for number, (title, name) in enumerate(graphs)
    )


def prototypes(page: str, names: Sequence[str], rows: int, above: Sequence[tuple[str, str]] = ()) -> Page:
    """A column for each of two graph prototypes, so many graphs on a page; other graphs above."""
    half = _COLUMNS // 2
    top = _GRAPH_HEIGHT * -(-len(above) // 2)
    return Page(
        page,
        (
            *side_by_side(above, 0),
            *(
                Widget("GRAPH_PROTOTYPE", "", name, half * side, top, half, _GRAPH_HEIGHT * rows, 1, rows)
                for side, name in enumerate(names)
            ),
        ),
    )
