"""What a release says of itself in several places is the same everywhere."""

from __future__ import annotations

import re

from pages import ROOT

from kvmwatch import __version__

UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))


def test_the_package_has_our_version() -> None:
    newest = (ROOT / "packaging" / "debian" / "changelog").read_text(encoding="utf-8").split("\n", 1)[0]
    assert re.match(rf"kvmwatch \({re.escape(__version__)}-\d+\) ", newest)


def test_the_changes_tell_of_our_version() -> None:
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_service_has_a_timer_and_settings_and_is_in_the_pages() -> None:
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert UNITS
    for unit in UNITS:
        assert unit.with_suffix(".timer").exists()
        assert (ROOT / "packaging" / "default" / unit.stem).exists()
        assert f"`{unit.stem}.timer`" in install
        assert f"`/etc/default/{unit.stem}`" in install
