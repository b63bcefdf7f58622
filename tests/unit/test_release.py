"""What a release says of itself in several places is the same everywhere."""

from __future__ import annotations

import re

from pages import ROOT

from kvmwatch import __version__

UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))


def test_the_package_has_our_version() -> None:
    newest = (ROOT / "packaging" / "debian" / "changelog").read_text(encoding="utf-8").split("\n", 1)[0]
    assert re.match(rf"kvmwatch \({re.escape(__version__)}-\d+\) ", newest), (
        f"packaging/debian/changelog begins with {newest!r}, kvmwatch/__init__.py has {__version__}"
    )


def test_the_changes_tell_of_our_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {__version__}" in changes, f"CHANGELOG.md has no heading of {__version__} (kvmwatch/__init__.py)"


def test_every_service_has_a_timer_or_stays_and_settings_and_is_in_the_pages() -> None:
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert UNITS
    for unit in UNITS:
        stays = "[Install]" in unit.read_text(encoding="utf-8")  # and is enabled itself
        starter = unit.name if stays else f"{unit.stem}.timer"
        for file in (f"packaging/systemd/{starter}", f"packaging/default/{unit.stem}"):
            assert (ROOT / file).exists(), f"{unit.name} has no {file}"
        for word in (f"`{starter}`", f"`/etc/default/{unit.stem}`"):
            assert word in install, f"docs/install.md does not tell of {word}"
