"""Imports all that a reading needs, whatever it meets, before it is needed: half of what a reading would take."""

import gc
import importlib
import pkgutil

import check_kvm

import kvmwatch
import kvmwatch_exporters

for _package in (kvmwatch, check_kvm, kvmwatch_exporters):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        if _module.name != __name__:
            importlib.import_module(_module.name)
gc.freeze()
