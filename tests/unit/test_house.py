"""The house keeps its shape: what may import what (CONTRIBUTING.md, "Where things are")."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("check_kvm", "nagios_kvm", "zabbix_kvm", "kvmwatch_terminal", "kvmwatch_exporters")
#: folder to what its modules may not import
FORBIDDEN = {
    "kvmwatch": (*ROOMS, "nagiosplugin", "pyzabbix"),
    "kvmwatch/model": ("kvmwatch.reading", "kvmwatch.command", "libvirt", "psutil"),
    "kvmwatch/reading": ("kvmwatch.command",),
    "checks": ("libvirt", "zabbix_kvm", "kvmwatch_terminal", "kvmwatch_exporters"),
    # one command; its export is the exporters'
    "terminal": ("libvirt", "nagios_kvm", "zabbix_kvm"),
    "exporters": ("libvirt", "nagios_kvm", "zabbix_kvm", "kvmwatch_terminal"),
    "zabbix": ("libvirt", "check_kvm", "nagios_kvm", "kvmwatch_terminal", "kvmwatch_exporters"),
}
#: what of the reading wing the rest of the house asks for; the mounts are this machine's, whom no libvirt is asked for
ASKED_FOR = {f"kvmwatch.reading.{module}" for module in ("collect", "deadline", "connection", "mounts")}
FOLDERS = ("kvmwatch", "checks", "terminal", "exporters", "zabbix")
MODULES = [str(path.relative_to(ROOT)) for top in FOLDERS for path in (ROOT / top).rglob("*.py")]


class Shape(NamedTuple):
    """What the tests look at in a file."""

    imported: tuple[str, ...]  # modules, anywhere in it
    mixed: tuple[str, ...]  # named tuples that inherit from something else, too


@cache  # each test asks it of each file
def shape(file: str) -> Shape:
    imported: list[str] = []
    mixed: list[str] = []
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported += (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.ClassDef) and len(node.bases) > 1:
            mixed += [node.name] if "NamedTuple" in map(ast.unparse, node.bases) else []
    return Shape(tuple(imported), tuple(mixed))


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("file", MODULES)
def test_imports_go_one_way(file: str) -> None:
    forbidden = [
        package for folder, names in FORBIDDEN.items() if file.startswith(f"{folder}/") for package in names
    ]
    wrong = [module for module in shape(file).imported for package in forbidden if within(module, package)]
    assert not wrong, f"{file} imports what its room may not: {wrong}"


@pytest.mark.parametrize("file", [file for file in MODULES if not file.startswith("kvmwatch/reading/")])
def test_libvirt_is_asked_for_through_collect(file: str) -> None:
    wings = {module for module in shape(file).imported if module.startswith("kvmwatch.reading.")}
    wrong = {module for module in wings if not any(within(module, asked) for asked in ASKED_FOR)}
    assert not wrong, f"{file} asks libvirt past kvmwatch/reading/collect.py: {wrong}"


@pytest.mark.parametrize("file", MODULES)
def test_no_connection_is_libvirts_own(file: str) -> None:
    """It would be closed by whoever forgets it, who then waits for a daemon that hangs (connection.opened)."""
    assert not re.search(r"\blibvirt\.open\w*\(", (ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", MODULES)
def test_named_tuples_inherit_from_nothing_else(file: str) -> None:
    """Python 3.9 and 3.10 refuse it when the module is imported, and no linter knows."""
    mixed = shape(file).mixed
    assert not mixed, f"{file}: Python 3.9 cannot make {', '.join(mixed)}"
