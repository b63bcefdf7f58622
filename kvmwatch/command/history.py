"""Counters kept between runs of a command, so that the next run can give rates.

Each command line (command, URI, domain patterns) has a file of its own, replaced as a whole: checks that run
at once cannot mix or damage each other's counters. (nagiosplugin's Cookie truncates its file in place before
it writes, so a crash or a second reader in between loses the counters; hence not used.)
"""

from __future__ import annotations

import json
import os
import pwd
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.rates import Sample, Samples
from kvmwatch.model.selection import Selection

SYSTEM_DIRECTORY = "/var/lib/kvmwatch"
_FORMAT = 1
_FORGOTTEN_AFTER = 7 * 86400  # seconds; files of command lines that nobody runs any more
_SUFFIX = ".json"


class History:
    """The stored counters of one command line."""

    def __init__(self, directory: str | None, command: str, uri: str, selection: Selection) -> None:
        """``directory`` None: ``$KVMWATCH_STATE_DIR``, else the system's when writable, else the user's."""
        asked_for = directory or os.environ.get("KVMWATCH_STATE_DIR")
        self._asked_for = bool(asked_for)
        self._directory = Path(asked_for or _default_directory())
        identity = sha256(repr((uri, selection)).encode()).hexdigest()[:16]
        self._path = self._directory / f"{command}-{identity}{_SUFFIX}"

    def load(self) -> Samples:
        """Give the samples of the last run; empty when there is no file, a damaged one or one of another boot."""
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            if stored["format"] != _FORMAT or stored["boot"] != _boot_id():
                return {}
            return {key: Sample(*sample) for key, sample in stored["samples"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def save(self, samples: Samples) -> str | None:
        """Replace the stored samples, or tell why they could not be stored and what to do.

        A directory that was asked for and cannot be written raises KvmwatchError with that; without one the next
        run simply takes two samples itself.
        """
        text = json.dumps({"format": _FORMAT, "boot": _boot_id(), "samples": samples}, separators=(",", ":"))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path.exists():
                self._tidy()
            self._replace(text)
        except OSError as error:
            problem = (
                f"cannot keep counters in {self._directory}: {error.strerror}; "
                "make it writable or give another --state-dir"
            )
            if self._asked_for:
                raise KvmwatchError(problem) from None
            return problem
        return None

    def _replace(self, text: str) -> None:
        with tempfile.NamedTemporaryFile(
            "w", dir=self._directory, prefix=self._path.stem, suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            try:
                file.write(text)
                file.flush()
                os.replace(file.name, self._path)
            except BaseException:
                os.unlink(file.name)
                raise

    def _tidy(self) -> None:
        forgotten = time.time() - _FORGOTTEN_AFTER
        for path in self._directory.iterdir():
            if path.suffix in (_SUFFIX, ".tmp") and path.name.startswith("kvm"):
                try:
                    if path.stat().st_mtime < forgotten:
                        path.unlink()
                except OSError:
                    continue  # another user's, or removed by another run just now


def _default_directory() -> str:
    own = os.path.join(SYSTEM_DIRECTORY, _user())  # the packages make those of the users nagios and zabbix
    if os.access(own, os.W_OK) or os.access(SYSTEM_DIRECTORY, os.W_OK):
        return own
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "kvmwatch")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user without a name
        return str(os.geteuid())


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
