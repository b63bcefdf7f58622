"""Prometheus's text format (version 0.0.4), and a file of it for node_exporter's textfile collector."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kvmwatch.command.replacing import replace
from kvmwatch.model.errors import DENIED, KvmwatchError, advised
from kvmwatch.model.metrics import COUNTER, GAUGE, Metric
from kvmwatch.model.text import readable
from kvmwatch_exporters.rows import METRICS, NAMED, STATES, Row

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: unit of the catalogue to the word that a name ends with
_WORDS = {
    "": "",
    "s": "seconds",
    "B": "bytes",
    "unixtime": "timestamp_seconds",
    "%": "percent",
    "bps": "bytes_per_second",
}
#: what a value of a unit is divided by: bits are bytes here
_PER = {"bps": 8}
_LONGEST_COMMENT = 1000
_COUNT, _TOTAL = "_count", "_total"
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_ESCAPED_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Family(NamedTuple):
    """A metric of Prometheus."""

    name: str
    kind: str
    help: str


def name(metric: Metric) -> str:
    """``kvm_ENTITY_NAME``, with its unit where the name does not say it, and ``_total`` for a counter."""
    made = metric.name
    if made.endswith(_COUNT):  # which is a histogram's
        made = f"{made[: -len(_COUNT)]}s"
    word = _WORDS[metric.declaration.unit]
    if word and word not in made.split("_"):
        made = f"{made}_{word}"
    return "_".join(filter(None, ("kvm", metric.entity, made))) + (
        _TOTAL if metric.declaration.kind == COUNTER else ""
    )


_DIVIDED = {(m.entity, m.name): per for m in METRICS if (per := _PER.get(m.declaration.unit))}
#: entity and name of a metric to its family, in the order of the text; "state" and "info" are those of the rows
FAMILIES: Mapping[tuple[str, str], Family] = {
    **{(m.entity, m.name): Family(name(m), m.declaration.kind, m.declaration.help) for m in METRICS},
    **{(of, "state"): Family(f"kvm_{of}_state", GAUGE, "1 of its state, 0 of the others") for of in STATES},
    **{(of, "info"): Family(f"kvm_{of}_info", GAUGE, "Always 1; its labels are names to join by") for of in NAMED},
}  # fmt: skip
_NAMES = {key: family.name for key, family in FAMILIES.items()}
_HEADS = {
    key: (f"# HELP {of.name} {of.help.translate(_ESCAPED_HELP)}", f"# TYPE {of.name} {of.kind}")
    for key, of in FAMILIES.items()
}


def text(rows: Iterable[Row], comment: str = "") -> str:
    """The rows in text format; families without a value are left out."""
    told: dict[tuple[str, str], list[str]] = {key: [] for key in FAMILIES}
    for row in rows:
        entity = row.entity
        labels = _labels(row.labels)
        behind = _braced(labels)
        for value, measured in row.values.items():
            key = entity, value
            told[key].append(
                f"{_NAMES[key]}{behind}{number(measured / _DIVIDED[key] if key in _DIVIDED else measured)}"
            )
        if row.state is not None:
            called = _NAMES[entity, "state"]
            told[entity, "state"] += [
                f'{called}{{{labels},state="{word}"}} {int(word == row.state)}' for word in STATES[entity]
            ]
        if entity in NAMED:
            of_both = ",".join(filter(None, (labels, _labels(row.info))))
            told[entity, "info"].append(f"{_NAMES[entity, 'info']}{_braced(of_both)}1")
    lines = [f"# {readable(comment, _LONGEST_COMMENT)}"] if comment else []
    for key, samples in told.items():
        if samples:
            lines += _HEADS[key]
            lines += samples
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    """What stands within the braces."""
    return ",".join([f'{label}="{word.translate(_ESCAPED)}"' for label, word in labels.items() if word])


def _braced(labels: str) -> str:
    return f"{{{labels}}} " if labels else " "


def number(value: float) -> str:
    """A number as all formats take it: whole ones without a fraction, none cut."""
    return str(int(value)) if value == int(value) else repr(float(value))


def write(path: str, content: str) -> None:
    """Put a file in the place of the old one at once. Raises KvmwatchError."""
    try:
        replace(path, content.encode())
    except OSError as error:
        folder = os.path.dirname(os.path.abspath(path))
        why = advised(error, f"may this user write into {folder}?", *DENIED)
        raise KvmwatchError(f"{path} cannot be written: {why}") from error
