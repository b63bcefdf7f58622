"""The house keeps its shape: what may import what (CONTRIBUTING.md, "Where things are")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

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
#: what of the reading wing the rest of the house asks for
ASKED_FOR = {"kvmwatch.reading.collect", "kvmwatch.reading.deadline", "kvmwatch.reading.connection"}
FOLDERS = ("kvmwatch", "checks", "terminal", "exporters", "zabbix")
MODULES = [str(path.relative_to(ROOT)) for top in FOLDERS for path in (ROOT / top).rglob("*.py")]


def imported(file: str) -> Iterator[str]:
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("file", MODULES)
def test_imports_go_one_way(file: str) -> None:
    forbidden = [
        package for folder, names in FORBIDDEN.items() if file.startswith(f"{folder}/") for package in names
    ]
    wrong = [module for module in imported(file) for package in forbidden if within(module, package)]
    assert not wrong, f"{file} imports what its room may not: {wrong}"


@pytest.mark.parametrize("file", [file for file in MODULES if not file.startswith("kvmwatch/reading/")])
def test_libvirt_is_asked_for_through_collect(file: str) -> None:
    wings = {module for module in imported(file) if module.startswith("kvmwatch.reading.")}
    wrong = {module for module in wings if not any(within(module, asked) for asked in ASKED_FOR)}
    assert not wrong, f"{file} asks libvirt past kvmwatch/reading/collect.py: {wrong}"


@pytest.mark.parametrize("file", MODULES)
def test_named_tuples_inherit_from_nothing_else(file: str) -> None:
    """Python 3.9 and 3.10 refuse it when the module is imported, and no linter knows."""
    mixed = [
        node.name
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and len(node.bases) > 1
        if any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases)
    ]
    assert not mixed, f"{file}: Python 3.9 cannot make {mixed}"
