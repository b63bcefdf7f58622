"""Files that are generated: whether they are what their generator makes today, or what to run."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def assert_up_to_date(path: Path, text: str, target: str) -> None:
    """Compare a file with what it should hold; ``target`` is make's, which writes it."""
    name = path.relative_to(ROOT)
    assert path.exists(), f"{name} is missing: run 'make {target}'"
    assert path.read_text(encoding="utf-8") == text, f"{name} is out of date: run 'make {target}', read the diff"
