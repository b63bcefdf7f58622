"""Counters kept between runs of a command, so that the next run can give rates.

Each command line (command, URI, domain patterns; of publish what it sends where) has a file of its own; see
:mod:`~kvmwatch.command.state_files` for where and how.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from kvmwatch.command import state_files
from kvmwatch.model.rates import Sample, Samples
from kvmwatch.model.selection import Selection

_FORMAT = 2
_NUMBERS = (int, float)
_TOO_MUCH = 1e300  # an integer with hundreds of digits is no float
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class History:
    """The stored counters of one command line."""

    def __init__(self, directory: str | None, command: str, uri: str, selection: Selection, *readers: str) -> None:
        """``directory`` None: see :func:`state_files.directory`. ``readers``: whose, if several run it."""
        self._path = state_files.path(state_files.directory(directory), command, uri, selection, *readers)

    def load(self) -> Samples:
        """Give the samples of the last run; empty when there is no file, a damaged one or one of another boot.

        A damaged sample costs only itself.
        """
        text = state_files.read(self._path)
        if text is None:
            return {}
        try:
            stored = json.loads(text, parse_constant=_refuse)
            if stored["format"] != _FORMAT or stored["boot"] != _boot_id():
                return {}
            samples = {key: _sample(sample) for key, sample in stored["samples"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}
        return {key: sample for key, sample in samples.items() if sample}

    def save(self, samples: Samples) -> str | None:
        """Replace the stored samples, or tell why they could not be stored and what to do: never an error."""
        try:
            boot = _boot_id()
        except OSError as error:
            return f"counters are not kept: {_BOOT_ID}: {error.strerror}; a systemd service needs ProcSubset=all"
        text = json.dumps({"format": _FORMAT, "boot": boot, "samples": samples}, separators=(",", ":"))
        problem = state_files.replace(self._path, text)
        return f"counters are not kept: {problem}" if problem else None


def _sample(stored: Any) -> Sample | None:
    if not isinstance(stored, list) or len(stored) != 3:
        return None
    time, generation, counters = stored
    if not _is_figure(time) or not (generation is None or _is_figure(generation)):
        return None
    if not isinstance(counters, dict) or not all(map(_is_figure, counters.values())):
        return None
    return Sample(time, generation, counters)


def _is_figure(value: Any) -> bool:
    """Whether it is what a clock or a counter shows. True is an int for Python, and 1e999 infinity for JSON."""
    return type(value) in _NUMBERS and 0 <= value < _TOO_MUCH


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no figure")


def _boot_id() -> str:
    with open(_BOOT_ID, encoding="utf-8") as file:
        return file.read().strip()
