"""Domain patterns."""

from __future__ import annotations

import pytest

from kvmwatch.model.errors import UsageError
from kvmwatch.model.selection import Selection

UUID = "5bf3becf-b79c-559e-ad83-005b778b469f"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("web1", "web1", True),
        ("web1", "web10", False),
        ("web*", "web10", True),
        ("WEB*", "web1", False),
        ("web[12]", "web2", True),
        ("web[12]", "web[12]", True),
        ("re:^web\\d+$", "web10", True),
        ("re:eb", "web10", True),
        ("re:^eb", "web10", False),
        (UUID, "web1", True),
        (UUID.upper(), "web1", True),
        (UUID[:-1] + "*", "web1", False),
        ('Büro VM "01"', 'Büro VM "01"', True),
    ],
)
def test_pattern(pattern: str, name: str, matches: bool) -> None:
    assert Selection.parse([pattern], []).matches(name, UUID) is matches


def test_excluded_wins_over_included() -> None:
    selection = Selection.parse(["web*"], ["web2"])
    assert selection.matches("web1", UUID)
    assert not selection.matches("web2", UUID)
    assert not selection.matches("db1", UUID)


def test_no_pattern_is_all() -> None:
    assert Selection().matches("anything", UUID)
    assert not Selection.parse([], ["any*"]).matches("anything", UUID)


@pytest.mark.parametrize("pattern", ["", "re:("])
def test_bad_patterns_are_usage_errors(pattern: str) -> None:
    with pytest.raises(UsageError):
        Selection.parse([pattern], [])
