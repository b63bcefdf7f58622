"""``kvmwatch list`` for programs: names, CSV and JSON, in base units."""

from __future__ import annotations

import argparse
import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kvmwatch.model.snapshot import Snapshot, texts
from kvmwatch_terminal import beside
from kvmwatch_terminal.columns import Column, Value
from kvmwatch_terminal.rows import Line, Problem, Row

_DIGITS = 3  # after the point; of what is below 1, that say something
#: Unicode's categories of characters that a terminal may act upon: JSON can escape them
_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def names(rows: Sequence[Row], shown: Callable[[str], str]) -> str:
    """A name a line; ``shown`` makes each text fit for where it goes."""
    return "\n".join(shown(row.domain.name) for row in rows)


def add_options(command: argparse.ArgumentParser, forms: Sequence[str], help_text: str) -> None:
    """Add ``--format``, of which the table is the default, and what other commands of ours call two of them."""
    command.add_argument("--format", choices=forms, default="table", help=f"{help_text} (default: table)")
    for name in ("csv", "json"):
        command.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, help=f"the same as --format {name}"
        )


def as_csv(rows: Sequence[Line], columns: Sequence[Column], shown: Callable[[str], str]) -> str:
    """A line with the columns' names and one for each row; what there is not, or is not known, is empty."""
    lines = [[column.name for column in columns]]
    lines += ([shown(_plain(column.of(row))) for column in columns] for row in rows)
    return "\n".join(map(_csv_line, lines))


def _csv_line(texts: Iterable[str]) -> str:
    file = io.StringIO()
    # who ends a line with CR LF, as the csv module does by itself, quotes a text that has either
    csv.writer(file).writerow(texts)
    return file.getvalue().removesuffix("\r\n")


def as_json(
    snapshot: Snapshot,
    rows: Sequence[Row],
    columns: Sequence[Column],
    problems: Sequence[Problem] | None = None,
    limit: int | None = None,
) -> str:
    """An object with the VMs under ``domains``; null: there is none, or it is not known, which ``unread`` says.

    ``problems`` of the hypervisor are there where somebody asked for them; and where there is a ``limit``, the
    number of VMs that are not.
    """
    document = {
        "uri": snapshot.uri,
        "time": round(snapshot.time, _DIGITS),
        "unread": texts(snapshot.unread),
        "domains": [
            {
                **{column.name: rounded(column.of(row)) for column in columns},
                "unread": texts(row.unread),
                "not_responding": rounded(row.domain.not_responding),
            }
            for row in rows[:limit]
        ],
        **({} if limit is None else {"more": max(0, len(rows) - limit)}),
        **({} if problems is None else {"hypervisor": beside.objects(problems)}),
    }
    return json_text(document)


def json_text(document: Any) -> str:
    """JSON for people and programs: every script as it is, and nothing that a terminal would act upon."""
    return "".join(map(_escaped, json.dumps(document, ensure_ascii=False, indent=1)))


def rounded(value: Value) -> Value:
    """A figure with no more digits than anybody needs; whole where it is."""
    if not isinstance(value, float):
        return value
    # 80 us are not 0 s
    short = round(value, _DIGITS) if abs(value) >= 1 else float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() else short


def columns_help(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """The columns, each with its unit in csv and JSON and what it shows."""
    return [(column.name, f"{_unit(column)}{column.help}") for column in columns]


def columns_epilog(columns: Sequence[Column]) -> str:
    """The same as lines of a help."""
    listed = columns_help(columns)
    widest = max(len(name) for name, _ in listed)
    return "\n".join(f"  {name:<{widest}}  {text}" for name, text in listed)


def _unit(column: Column) -> str:
    return {"": "", None: "", "b/s": "[bit/s] ", "unixtime": "[Unix time] "}.get(column.unit, f"[{column.unit}] ")


def _plain(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(value) if isinstance(value, list) else "" if value is None else str(rounded(value))


def _escaped(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _ESCAPED:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
