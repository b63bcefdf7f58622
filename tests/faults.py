"""libvirt's test driver with calls that fail: the binding's own classes, wrapped in this process.

Its counters stand still, so that two readings can be compared, and it answers what it cannot by itself.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple

import libvirt
import pytest

#: of these no call leaves the process: they read the handle itself
_LOCAL = re.compile(
    r"_|c_pointer|UUID|[Nn]ame$|getName|ID$|key$|connect$|domain$|getDomain|isAlive|close|ref$|get\w*Events?"
)
_CLASSES = ("virConnect", "virDomain", "virDomainSnapshot", "virStoragePool", "virStorageVol", "virNetwork")


class Call(NamedTuple):
    """A call of libvirt's about one thing: whose UUID, the method of which class, and what it names or which flags."""

    owner: str  # empty for the connection's own
    name: str  # "virDomain.blockStats"
    argument: str = ""  # "vda"


Fault = Callable[[], Any]  # raises, or answers what cannot be used


def error(code: int, text: str) -> libvirt.libvirtError:
    """Make an error as libvirt raises it."""
    made = libvirt.libvirtError(text)
    made.err = (code, 0, text, 2, None, None, None, 0, 0)
    return made


class Faults:
    """What fails, what was asked, and what failed of it."""

    def __init__(self, answers: Mapping[str, Callable[..., Any]]) -> None:
        """``answers``: method to what it answers: of its object, what it really answers (or raises), its arguments."""
        self._answers = answers
        self._within = threading.local()  # an answer that makes calls of its own
        self._frozen: dict[Any, Any] = {}
        self.failing: Mapping[Call, Fault] = {}
        self.asked: set[Call] = set()
        self.failed: set[Call] = set()
        self.alive = True

    @contextmanager
    def these(self, failing: Mapping[Call, Fault], alive: bool = True) -> Iterator[None]:
        """Let these calls fail, as long as the context lasts."""
        self.failing, self.failed, self.alive = failing, set(), alive
        try:
            yield
        finally:
            self.failing, self.alive = {}, True

    def wrap(self, patch: pytest.MonkeyPatch, steady: frozenset[str]) -> None:
        """Wrap every call of the binding; those in ``steady`` give their first answer again and again."""
        for kind in _CLASSES:
            of = getattr(libvirt, kind)
            for method, original in list(vars(of).items()):
                if callable(original) and not _LOCAL.match(method):
                    name = f"{kind}.{method}"
                    patch.setattr(of, method, self._wrapped(name, original, name in steady))
        patch.setattr(libvirt.virConnect, "isAlive", lambda _connection: self.alive)

    def _wrapped(self, name: str, original: Any, steady: bool) -> Any:
        @wraps(original)
        def call(thing: Any, *arguments: Any) -> Any:
            calls = _calls(name, thing, arguments)
            if not getattr(self._within, "answer", False):
                self.asked |= calls
                for failing in sorted(calls & self.failing.keys()):
                    self.failed.add(failing)
                    return self.failing[failing]()
            if not steady:
                return self._answer(name, thing, original, arguments)
            (made,) = calls
            if made not in self._frozen:
                self._frozen[made] = self._answer(name, thing, original, arguments)
            return self._frozen[made]

        return call

    def _answer(self, name: str, thing: Any, original: Any, arguments: Any) -> Any:
        answer = self._answers.get(name)
        if answer is None:
            return original(thing, *arguments)
        outer = getattr(self._within, "answer", False)
        self._within.answer = True
        try:
            return answer(thing, lambda: original(thing, *arguments), *arguments)
        finally:
            self._within.answer = outer


def _calls(name: str, thing: Any, arguments: tuple[Any, ...]) -> set[Call]:
    """What a call is about: one thing, or each domain of a list that it asks for."""
    if name == "virConnect.domainListGetStats":
        return {Call(domain.UUIDString(), name) for domain in arguments[0]}
    return {_call(name, thing, arguments)}


def _call(name: str, thing: Any, arguments: tuple[Any, ...]) -> Call:
    first = next((argument for argument in arguments if isinstance(argument, (str, int))), "")
    if name.endswith("LookupByUUIDString") or name.endswith("lookupByUUIDString"):
        return Call(str(first), name)
    if name.startswith("virConnect."):
        # of the lists each flag is another question
        return Call("", name, str(first or 0) if ".listAll" in name else "")
    if name.startswith("virDomainSnapshot."):
        return Call(thing.getDomain().UUIDString(), name, thing.getName())
    if name.startswith("virStorageVol."):
        return Call(thing.key(), name)
    return Call(thing.UUIDString(), name, first if isinstance(first, str) else "")
