"""Which checks there are, and their metrics: for names of thresholds that are misspelt.

A check imports another one's module only for a threshold that is said to be the other's.
"""

from __future__ import annotations

import importlib
import os
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import check_kvm
from kvmwatch.model.record import Record
from kvmwatch.model.routing import OF_A_CHECK
from kvmwatch.model.text import brief

if TYPE_CHECKING:
    from check_kvm.frame.conditions import Condition
    from check_kvm.frame.plugin import Check

_SUFFIX = ".py"
_REMEMBERED = 1024  # names: those in metadata are as many and as long as their owners like


@cache
def checks() -> tuple[str, ...]:
    """The short names of all checks: ``cpu``, ``disk``, ..."""
    # pkgutil.iter_modules would bring inspect, which costs check_kvm_state a tenth of its time
    files = (name for folder in check_kvm.__path__ for name in os.listdir(folder))
    return tuple(sorted(name[: -len(_SUFFIX)] for name in files if name.endswith(_SUFFIX) and name[0] != "_"))


def check(name: str) -> Check:
    """The check of this short name, which there is; its module is imported for it."""
    found: Check = importlib.import_module(f"check_kvm.{name}").CHECK
    return found


class Misspelt(Record):
    """A word that names nothing: a ``check``, a ``metric`` or a ``condition``, and what there is."""

    kind: str
    word: str
    known: str

    def said_of(self, name: str) -> str:
        """What is said of a name in a VM's metadata."""
        return f"{brief(name)}: no {self.kind} {brief(self.word)} (there are {self.known})"


def unit(name: str) -> str:
    """The unit of the metric ``CHECK.METRIC``, which there is."""
    of, _, metric = name.partition(".")
    return next(spec.unit for spec in check(of).metrics if spec.name == metric)


def condition(name: str) -> Condition:
    """The condition ``CHECK.CONDITION``, which there is."""
    of, _, word = name.partition(".")
    return next(one for one in check(of).conditions if one.name == word)


@cache
def of_domains() -> tuple[str, ...]:
    """Those that judge VMs."""
    return tuple(name for name in checks() if check(name).of_domains)


@lru_cache(_REMEMBERED)
def misspelt(name: str, kind: str = "metric", of_a_domain: bool = False) -> Misspelt | None:
    """What of ``CHECK.METRIC`` (or ``CHECK.CONDITION``) names nothing; None when all of it is known.

    ``of_a_domain``: or nothing that a VM can have of its own, as the metrics of a pool are.
    """
    of, _, word = name.partition(".")
    if of not in checks():
        return Misspelt("check", of, ", ".join(checks()))
    if of_a_domain and not check(of).of_domains:
        return Misspelt("check of VMs", of, ", ".join(of_domains()))
    there = getattr(check(of), f"{kind}s")
    names = [one.name for one in there if one.own or not of_a_domain]
    what = f"{kind} of a VM" if any(one.name == word for one in there) else kind
    return None if word in names else Misspelt(what, word, ", ".join(names) or "none")


def no_option(variable: str) -> str | None:
    """Why a VM's variable (``kvm_cpu_warning``) is no option of its checks; None: it is, or has another name."""
    found = re.fullmatch(OF_A_CHECK, variable)
    if not found:
        return None
    name, option = found["check"], found["option"]
    if name not in checks():
        return f"{variable}: unknown check {name!r}; there are {', '.join(checks())}"
    if not check(name).of_each_domain:
        return f"{variable}: check_kvm_{name} is of the hypervisor, and no VM has a service of it"
    if option == "severity" and not check(name).conditions:
        return f"{variable}: check_kvm_{name} has no option --severity"
    return None
