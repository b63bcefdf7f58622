"""InfluxDB's line protocol, for Telegraf's exec and execd inputs.

Numbers are floats in every line, for a field keeps the type of its first one. A state is a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvmwatch_exporters.prometheus import number
from kvmwatch_exporters.rows import Row

#: a backslash before what is escaped cannot be written so that every reader understands it
_ESCAPED = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\\": "/", "\n": "\\ "})


def text(rows: Iterable[Row], time: float) -> str:
    """The rows as lines; ``time`` is Unix time of the reading."""
    return "".join(_lines(rows, round(time * 1e9)))


def _lines(rows: Iterable[Row], time: int) -> Iterator[str]:
    for row in rows:
        tags = "".join(f",{key}={word.translate(_ESCAPED)}" for key, word in sorted(row.labels.items()) if word)
        fields = [f"{_field(row, name)}={number(value)}" for name, value in row.values.items()]
        if row.state is not None:
            fields.append(f'state="{row.state}"')
        if fields:
            measurement = f"kvm_{row.entity}" if row.entity else "kvm"
            yield f"{measurement}{tags} {','.join(fields)} {time}\n"


def _field(row: Row, name: str) -> str:
    """A field's name; "time" is the line's own."""
    return f"{row.entity}_{name}" if name == "time" else name
