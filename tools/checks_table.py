"""Write the README's table of checks, from the checks' own descriptions, metrics and thresholds: "make docs"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from check_kvm.frame.judging import all_checks
from check_kvm.frame.plugin import Check
from check_kvm.frame.thresholds import MetricSpec

from kvmwatch.model.units import human

PAGE = Path(__file__).parents[1] / "README.md"

_BEGIN = "<!-- made by 'make docs' -->\n"
_END = "<!-- until here -->\n"
_HEAD = """\
| command | judges | `-w`/`-c` metrics, with their defaults (warning / critical) |
|---|---|---|
"""


def render() -> str:
    """Give the README with the table as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "".join((before, _BEGIN, _HEAD, *_rows(), _END, after))


def _rows() -> Iterator[str]:
    for check in all_checks():
        metrics = ", ".join(map(_metric, check.metrics))
        yield f"| `check_kvm_{check.name}` | {_judges(check)} | {metrics} |\n"


def _judges(check: Check) -> str:
    """The first sentence of its description, without its verb."""
    sentence = " ".join(check.description.split()).split(". ")[0].rstrip(".")
    return sentence.removeprefix("Judges ")


def _metric(spec: MetricSpec) -> str:
    limits = [human(float(limit), spec.unit) if limit else "–" for limit in (spec.warning, spec.critical)]
    given = f" {' / '.join(limits)}" if spec.warning or spec.critical else ""
    return f"`{spec.name}`{given}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
