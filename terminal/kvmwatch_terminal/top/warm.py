"""Imports all that a reading needs, whatever it meets, before it is needed: half of what a reading would take."""

import gc
import importlib
import pkgutil

import check_kvm

import kvmwatch
import kvmwatch_terminal.show
import kvmwatch_terminal.top.taking  # noqa: F401

for _package in (kvmwatch, check_kvm):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        importlib.import_module(_module.name)
gc.freeze()
