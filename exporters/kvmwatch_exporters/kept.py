"""Which problems collectd was told of, kept between runs: what heals while nobody watches is told then."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from kvmwatch.command import state_files
from kvmwatch.model.selection import Selection
from kvmwatch_exporters.collectd import Key, Problem

_KIND, _FORMAT = "kvm_told", 1
_TYPES = [str, str, int, str, str]  # of host, check, code, name, UUID


class Kept:
    """The problems that were told of by one command line, as the hypervisor that collectd calls ``host``."""

    def __init__(self, options: argparse.Namespace, host: str) -> None:
        selection = Selection.parse(options.domain, options.exclude)
        whose = (options.uri, selection, host, *sorted(set(options.check)))
        self._path = state_files.path(state_files.directory(options.state_dir), _KIND, *whose)
        self._saved: list[list[Any]] | None = None

    def load(self) -> dict[Key, Problem]:
        """Give those of the last run; none when there is no file, or a damaged one."""
        try:
            stored = json.loads(state_files.read(self._path) or "{}")
            found = stored["told"] if stored["format"] == _FORMAT else []
            known = [one for one in found if [type(value) for value in one] == _TYPES and one[2] in (1, 2, 3)]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {}
        return {
            (host, check): Problem(host, check, code, "", name, uuid) for host, check, code, name, uuid in known
        }

    def save(self, told: Mapping[Key, Problem]) -> str | None:
        """Keep those of them that are bad, or tell why they could not be kept and what to do."""
        now = [[one.host, one.check, one.code, one.name, one.uuid] for one in told.values() if one.code]
        if now == self._saved:
            return None
        text = json.dumps({"format": _FORMAT, "told": now}, separators=(",", ":"))
        problem = state_files.replace(self._path, text)
        if problem:
            return f"what was told is not kept: {problem}"
        self._saved = now
        return None
